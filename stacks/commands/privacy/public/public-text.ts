// What a public file and its disclosure report say. Neither has a suppressed count, nor a number that one follows from.
import { basename } from "node:path";
import { csvRows } from "../../../../shared/csv.ts";
import { count } from "../../../../shared/quantity.ts";
import type { Protection } from "./suppress.ts";
import { placesOf, type Table } from "./table.ts";

export type Summary = {
  dataset: string;
  run: string;
  dimensions: readonly string[];
  k: number;
  /** Combinations and subtotals that have records. */
  cells: number;
  published: number;
  suppressed: number;
  /** All records; null if their number is suppressed. */
  records: number | null;
  /** Percent of the records that are in published combinations; null like `records`. */
  publishedPercent: number | null;
};

export function summaryOf(
  table: Table,
  { suppressed }: Pick<Protection, "suppressed">,
  { dataset, run, k }: Pick<Summary, "dataset" | "run" | "k">,
): Summary {
  const { dimensions, counts } = table;
  const records = suppressed.has(0) ? null : (counts.get(0) ?? 0);
  let inCombinations = 0;
  for (const [cell, number] of counts)
    if (!suppressed.has(cell) && !placesOf(cell, table).includes(0)) inCombinations += number;
  return {
    dataset,
    run,
    dimensions,
    k,
    cells: counts.size,
    published: counts.size - suppressed.size,
    suppressed: suppressed.size,
    records,
    publishedPercent: records === null ? null : Math.round((1_000 * inCombinations) / records) / 10,
  };
}

/** Returns the file: a line for each combination and subtotal that has records, the subtotals first. */
export function publicCsv(table: Table, { suppressed }: Pick<Protection, "suppressed">): string {
  const rows = [...table.counts].map(([cell, records]) => [
    ...placesOf(cell, table).map((place, index) => table.values[index]?.[place] ?? ""),
    ...(suppressed.has(cell) ? [null, "suppressed"] : [records, "published"]),
  ]);
  return csvRows([[...table.dimensions, "records", "status"], ...rows]);
}

/** Returns the report as Markdown. @param out the public file */
export function disclosureReport(out: string, summary: Summary, now: Date): string {
  const { dataset, run, dimensions, k, cells, published, suppressed, records, publishedPercent } = summary;
  const shown = (number: number | null, unit = "") =>
    number === null ? "suppressed" : `${count(number)}${unit}`;
  return `# Disclosure report

\`${basename(out)}\` counts the records of \`${dataset}\` by ${dimensions.join(", ")}. Made on ${now.toISOString().slice(0, 10)} from the run
\`${run}\`. This report has no count that the file suppresses, so it may be published with the file.

| | |
|---|---|
| Least published count (k) | ${k} |
| Combinations and subtotals with records | ${count(cells)} |
| Published | ${count(published)} |
| Suppressed | ${count(suppressed)} |
| Records | ${shown(records)} |
| Records in published combinations | ${shown(publishedPercent, " %")} |

## What is guaranteed

- Every published count is true and at least ${k}. Combinations without records are left out.
- Counts below ${k} are suppressed. So are others from which one of these would follow; the file does not say which.
- Check: passed. For each suppressed combination with fewer than ${k} records, the check has a table of whole numbers with the
  same published counts, records in the same combinations, and at least ${k} records in this one. So no sum or difference of
  published counts, and no bound from them, shows that a combination, a subtotal or any union of them has fewer than ${k}
  records. In the literature this is upper protection with the threshold ${k} (Fischetti and Salazar, 2000).

## What is not guaranteed

- A count is of records, not of persons. One person may have several records, so ${k} records may be of one person.
- The file shows that a suppressed combination has at least one record.
- If all records with some answers share another answer, the file shows it.
- The check knows this file only. A file of the same records with other dimensions, another k or from another day can be
  subtracted from it. Publish one file for a period.
- A reader who knows some of the records can subtract them. A reader who repeats the method may narrow a suppressed count.
`;
}

/** Returns what a person reads on the terminal. @param primary suppressed counts below k: of no reader of the file */
export function summaryText(summary: Summary, primary: number): string {
  const { cells, published, suppressed, publishedPercent, k } = summary;
  return [
    `${count(cells)} combinations and subtotals: ${count(published)} published, ${count(suppressed)} suppressed.`,
    `Of the suppressed ones, ${count(primary)} are below ${k} and ${count(suppressed - primary)} protect these. Do not publish this line.`,
    publishedPercent === null
      ? "The number of all records is suppressed."
      : `${publishedPercent} % of the records are in published combinations.`,
    "Check: passed. No sum or difference of published counts shows a count below k.",
  ]
    .map((line) => `${line}\n`)
    .join("");
}
