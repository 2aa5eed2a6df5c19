// Fits a part into the published files: removes duplicate rows and adds the undeclared columns of other parts. Most parts
// need neither and are copied unchanged. Pure functions.
import { splitCsvRow } from "../../shared/csv.ts";
import type { Part } from "../../shared/part.ts";

export type Fit = {
  /** The undeclared columns at the end of the part's rows, in order. */
  appended: readonly string[];
  /** The undeclared columns of all parts, in order. */
  allAppended: readonly string[];
  /** Indexes of rows that are duplicates of earlier ones. */
  skip: readonly number[];
};

/** Returns the part's rows as the published files have them. */
export function fitPart({ csv, jsonl }: Pick<Part, "csv" | "jsonl">, fit: Fit): Pick<Part, "csv" | "jsonl"> {
  if (fit.skip.length === 0 && fit.appended.length === fit.allAppended.length) return { csv, jsonl };
  return { csv: Buffer.from(fitCsv(textOf(csv), fit)), jsonl: Buffer.from(fitJsonl(textOf(jsonl), fit)) };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

function fitCsv(csv: string, fit: Fit): string {
  return eachLine(csv, fit, (line) => {
    const fields = splitCsvRow(line);
    const declared = fields.slice(0, fields.length - fit.appended.length);
    const own = new Map(fit.appended.map((header, index) => [header, fields[declared.length + index]]));
    return [...declared, ...fit.allAppended.map((header) => own.get(header) ?? "")].join(",");
  });
}

function fitJsonl(jsonl: string, fit: Fit): string {
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
