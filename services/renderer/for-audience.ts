// What a report shows to readers of the de-identified file: nothing of the values that this file does not keep as they are.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { type Audience, deidentified } from "../../shared/privacy/deidentified.ts";
import { isKept } from "../../shared/privacy/settings.ts";
import { dateColumn } from "../../shared/profile.ts";
import type { RunResult } from "../../shared/run.ts";

type Shown = { dataset: Dataset; result: RunResult };

/** Marks the other columns as personal, and leaves out texts that may name their answers. */
export function shownTo(audience: Audience, { dataset, result }: Shown): Shown {
  if (audience === "full") return { dataset, result };
  const { roles, statistics, undeclared } = deidentified(dataset);
  const hidden = dataset.columns.filter((column) => !("drop" in column) && !isKept(column));
  const columns = dataset.columns.map((column) =>
    hidden.includes(column) ? { ...column, personal: true } : column,
  );
  const entry = { ...dataset, columns, roles, statistics, undeclared };
  // Texts quote the name of a column, and cut a long one (services/assembler/expectations/finding.ts).
  const quoted = hidden.map(({ name }) => (name.length > 60 ? `"${name.slice(0, 59)}` : `"${name}"`));
  const isHidden = (text: string) => quoted.some((name) => text.includes(name));
  const { expectations, violations, changes } = result;
  return {
    dataset: entry,
    result: {
      ...result,
      expectations: expectations?.filter(({ title, text }) => !isHidden(title) && !isHidden(text)),
      violations: violations.map(({ kind, text }) => ({
        kind,
        text: isHidden(text) ? "a column that this report hides is affected" : text,
      })),
      changes: changes && (dateColumn(entry) === undefined ? { ...changes, months: [] } : changes),
    },
  };
}
