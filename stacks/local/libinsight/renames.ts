// Renames fields of the simulated form. As in LibInsight, old records have the new label too.
import * as z from "zod/mini";
import { builtIn } from "./dataset-form.ts";
import type { LibInsightRecord } from "./generate-records.ts";

export const rename = z.strictObject({
  field: z.string(),
  label: z
    .string("FIELD=LABEL is expected")
    .check(z.refine((label) => label.trim() !== "", "the new label is empty")),
});
export type Rename = z.infer<typeof rename>;

/**
 * Returns a schema that validates all renames together, so that two fields may swap their labels.
 * @param names the form's fields
 */
export function renamesOfForm(names: readonly string[]) {
  return z.array(rename).check(z.superRefine((given, context) => checkRenames(given, names, context)));
}

function checkRenames(
  given: readonly Rename[],
  names: readonly string[],
  context: z.core.$RefinementCtx,
): void {
  // A form may have a label twice by nature.
  if (given.length === 0) return;
  const refuse = (message: string): void => context.addIssue({ code: "custom", message });
  for (const { field } of given) {
    if (names.includes(field)) continue;
    refuse(`there is no field ${JSON.stringify(field)}; the form has ${names.join(", ")}`);
  }
  const twice = repeated(given.map(({ field }) => field));
  if (twice !== undefined) refuse(`the field ${JSON.stringify(twice)} is renamed twice`);
  const labels = newLabels(given);
  const shared = repeated([...builtIn, ...names.map((name) => labels.get(name) ?? name)]);
  if (shared !== undefined) refuse(`two fields would have the label ${JSON.stringify(shared)}`);
}

/** Reads `FIELD=LABEL`. The label may contain `=`. The schema refuses a missing label. */
export function renameOf(text: string): { field: string; label: string | undefined } {
  const [field = "", ...label] = text.split("=");
  return { field, label: label.length === 0 ? undefined : label.join("=") };
}

/** Returns the new labels, by field. */
export function newLabels(given: readonly Rename[]): ReadonlyMap<string, string> {
  return new Map(given.map(({ field, label }) => [field, label]));
}

/** Returns the record with the new labels, in the same order. */
export function renamed(record: LibInsightRecord, labels: ReadonlyMap<string, string>): LibInsightRecord {
  if (labels.size === 0) return record;
  return Object.fromEntries(
    Object.entries(record).map(([field, value]) => [labels.get(field) ?? field, value]),
  );
}

function repeated(names: readonly string[]): string | undefined {
  return names.find((name, index) => names.indexOf(name) < index);
}
