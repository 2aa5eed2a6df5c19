// Fits a part into the published file: without duplicate rows, and with every column that any part appended. Most
// parts need neither and are copied as they are. Pure functions over text.
import { splitCsvRow } from "../../shared/csv.ts";
import type { PartPlan } from "./ledger.ts";

export type Fit = Pick<PartPlan, "appended" | "skip"> & {
  /** The headers that all parts append, in their order. */
  allAppended: readonly string[];
};

export function isCopiedAsIs({ appended, skip, allAppended }: Fit): boolean {
  return skip.length === 0 && appended.length === allAppended.length;
}

/** @param csv the part's rows */
export function fitCsv(csv: string, fit: Fit): string {
  return eachLine(csv, fit, (line) => {
    const fields = splitCsvRow(line);
    const declared = fields.slice(0, fields.length - fit.appended.length);
    const own = new Map(fit.appended.map((header, index) => [header, fields[declared.length + index]]));
    return [...declared, ...fit.allAppended.map((header) => own.get(header) ?? "")].join(",");
  });
}

/** @param jsonl the same rows as JSON lines */
export function fitJsonl(jsonl: string, fit: Fit): string {
  return eachLine(jsonl, fit, (line) => {
    const members = new Map<string, unknown>(Object.entries(JSON.parse(line)));
    const own = fit.appended.map((header) => [header, members.get(header)] as const);
    for (const header of fit.appended) members.delete(header);
    const appended = new Map(own);
    const all = [
      ...members,
      ...fit.allAppended.map((header) => [header, appended.get(header) ?? null] as const),
    ];
    return `{${all.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  });
}

function eachLine(text: string, fit: Fit, widen: (line: string) => string): string {
  const skip = new Set(fit.skip);
  const wide = fit.appended.length === fit.allAppended.length;
  return text
    .split("\n")
    .slice(0, -1)
    .filter((_, index) => !skip.has(index))
    .map((line) => `${wide ? line : widen(line)}\n`)
    .join("");
}
