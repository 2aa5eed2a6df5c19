// The publish guard: why a complete run is held until a person has reviewed it. Pure.
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import type { RunResult, Violation } from "../../shared/run.ts";

export type Account = Pick<RunResult, "records" | "rows" | "duplicates" | "rejects" | "filled" | "mistyped">;

/** What is published now, as far as it is known. */
export type Baseline = {
  /** Counted in the file where its run is unknown, as of the predecessor's; undefined where there is no file. */
  rows?: number | undefined;
  /** Of the file, where this pipeline wrote it. */
  headers?: readonly string[] | undefined;
  /** Columns that had values; unknown where the work bucket no longer has that run. */
  filled?: RunResult["filled"] | undefined;
};

/** In fewer rows a column may be empty by chance. */
const rowsToExpectValues = 100;

/** Returns every violation with its numbers; none where the run may be published. */
export function violations(account: Account, dataset: Dataset, baseline: Baseline): Violation[] {
  return [
    ...reconciliation(account),
    ...emptiness(account, baseline),
    ...quality(account, dataset),
    ...comparison(account, dataset, baseline),
  ];
}

function reconciliation({ records, rows, duplicates, rejects }: Account): Violation[] {
  const rejected = sum(rejects);
  if (records === rows + duplicates + rejected) return [];
  const text = `the sums do not close: ${records} records are not ${rows} rows, ${duplicates} duplicates and ${rejected} rejects`;
  return [{ kind: "disagreement", text }];
}

/** A second empty file says nothing new. */
function emptiness({ rows, records }: Account, baseline: Baseline): Violation[] {
  if (rows > 0 || baseline.rows === 0) return [];
  const file =
    baseline.rows === undefined ? "no file is published yet" : `the published file has ${baseline.rows}`;
  return [{ kind: "empty", text: `the run has 0 rows of ${records} records, and ${file}` }];
}

function quality({ records, rejects, mistyped, filled }: Account, { guard, columns }: Dataset): Violation[] {
  const found: Violation[] = [];
  const rejected = sum(rejects);
  if (shareOf(rejected, records) > guard.maxRejectPercent) {
    const share = `${percent(shareOf(rejected, records))}; the limit is ${percent(guard.maxRejectPercent)}`;
    found.push({ kind: "quality", text: `${rejected} of ${records} records were rejected (${share})` });
  }
  for (const column of columns) {
    const count = countOf(mistyped, column.name);
    const values = countOf(filled, column.name);
    if (!("type" in column) || shareOf(count, values) <= guard.maxMistypedPercent) continue;
    const text = `${count} of ${values} values of "${column.name}" are not of its type, ${column.type} (the limit is ${percent(guard.maxMistypedPercent)})`;
    found.push({ kind: "quality", text });
  }
  return found;
}

function comparison({ rows, filled }: Account, dataset: Dataset, baseline: Baseline): Violation[] {
  const texts: string[] = [];
  const { maxShrinkPercent } = dataset.guard;
  const before = baseline.rows ?? 0;
  const lost = shareOf(before - rows, before);
  if (lost > maxShrinkPercent) {
    texts.push(
      `rows fell from ${before} to ${rows} (by ${percent(lost)}; the limit is ${percent(maxShrinkPercent)})`,
    );
  }
  if (rows === 0) return texts.map((text) => ({ kind: "comparison", text }));
  for (const column of outputColumns(dataset.columns)) {
    if (countOf(filled, column) > 0) continue;
    const hadValues = countOf(baseline.filled ?? {}, column);
    if (hadValues) texts.push(`the column "${column}" vanished: ${hadValues} rows had a value, now none has`);
    // Once a person has published it, an empty column is known.
    else if (!baseline.headers?.includes(column) && rows >= rowsToExpectValues)
      texts.push(`the column "${column}" is new and none of ${rows} rows has a value: check its label`);
  }
  return texts.map((text) => ({ kind: "comparison", text }));
}

/** A column may be called `constructor`, which every object has. */
function countOf(counts: Record<string, number>, column: string): number {
  return Object.hasOwn(counts, column) ? (counts[column] ?? 0) : 0;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** In percent; 0 of nothing. */
function shareOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (part / whole) * 100;
}

function percent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}
