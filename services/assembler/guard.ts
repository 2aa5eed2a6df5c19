// The publish guard: finds the reasons to hold a complete run for review. Pure.
import { type Dataset, filledColumns, outputColumns } from "../../shared/dataset-schema.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type RunResult, rejectedCount, type Violation } from "../../shared/run.ts";

export type RunCounts = Pick<
  RunResult,
  "records" | "rows" | "duplicates" | "rejects" | "forgotten" | "filled" | "mistyped"
>;

/** The published file, as far as it is known. */
export type Baseline = {
  /** Undefined if no file is published. */
  rows?: number | undefined;
  /** Undefined if the pipeline did not write the file. */
  headers?: readonly string[] | undefined;
  /** Rows with a value, by column. Undefined if the result of its run has expired. */
  filled?: RunResult["filled"] | undefined;
};

/** With fewer rows, a column may be empty by chance. */
const rowsToExpectValues = 100;

/** Returns every violation with its counts; none if the run may be published. */
export function violations(counts: RunCounts, dataset: Dataset, baseline: Baseline): Violation[] {
  return [
    ...reconciliation(counts),
    ...emptiness(counts, baseline),
    ...quality(counts, dataset),
    ...comparison(counts, dataset, baseline),
  ];
}

function reconciliation(counts: RunCounts): Violation[] {
  const { records, rows, duplicates, forgotten = 0 } = counts;
  const rejected = rejectedCount(counts);
  if (records === rows + duplicates + rejected + forgotten) return [];
  const text = `the counts do not reconcile: ${quantity(records, "record")}, but ${quantity(rows, "row")}, ${quantity(duplicates, "duplicate")} and ${quantity(rejected, "reject")}`;
  return [{ kind: "disagreement", text }];
}

/** An empty file may replace an empty file. */
function emptiness({ rows, records }: RunCounts, baseline: Baseline): Violation[] {
  if (rows > 0 || baseline.rows === 0) return [];
  const file =
    baseline.rows === undefined
      ? "no file is published yet"
      : `the published file has ${quantity(baseline.rows, "row")}`;
  return [{ kind: "empty", text: `the run has 0 rows from ${quantity(records, "record")}, and ${file}` }];
}

function quality(counts: RunCounts, { guard, columns }: Dataset): Violation[] {
  const { records, mistyped, filled } = counts;
  const found: Violation[] = [];
  const rejected = rejectedCount(counts);
  if (shareOf(rejected, records) > guard.maxRejectPercent) {
    const share = `${percent(shareOf(rejected, records))}; the limit is ${percent(guard.maxRejectPercent)}`;
    found.push({
      kind: "quality",
      text: `${count(rejected)} of ${quantity(records, "record")} were rejected (${share})`,
    });
  }
  for (const column of columns) {
    const wrong = countOf(mistyped, column.name);
    const values = countOf(filled, column.name);
    if (!("type" in column) || shareOf(wrong, values) <= guard.maxMistypedPercent) continue;
    const text = `${count(wrong)} of ${quantity(values, "value")} of "${column.name}" are not of type ${column.type} (the limit is ${percent(guard.maxMistypedPercent)})`;
    found.push({ kind: "quality", text });
  }
  return found;
}

function comparison({ rows, filled }: RunCounts, dataset: Dataset, baseline: Baseline): Violation[] {
  const texts: string[] = [];
  const { maxShrinkPercent } = dataset.guard;
  const before = baseline.rows ?? 0;
  const lost = shareOf(before - rows, before);
  if (lost > maxShrinkPercent) {
    texts.push(
      `rows fell from ${count(before)} to ${count(rows)} (by ${percent(lost)}; the limit is ${percent(maxShrinkPercent)})`,
    );
  }
  if (rows === 0) return texts.map((text) => ({ kind: "comparison", text }));
  const expected = filledColumns(dataset.columns);
  for (const column of outputColumns(dataset.columns)) {
    if (countOf(filled, column) > 0) continue;
    const hadValues = countOf(baseline.filled ?? {}, column);
    if (hadValues)
      texts.push(`the column "${column}" has no values, but ${quantity(hadValues, "published row")} had one`);
    // A person has already accepted a column that is empty in the published file.
    else if (!baseline.headers?.includes(column) && expected.includes(column) && rows >= rowsToExpectValues)
      texts.push(
        `the new column "${column}" has no value in any of ${quantity(rows, "row")}: check its label`,
      );
  }
  return texts.map((text) => ({ kind: "comparison", text }));
}

/** Reads only own properties, because a column may be called `constructor`. */
function countOf(counts: Record<string, number>, column: string): number {
  return Object.hasOwn(counts, column) ? (counts[column] ?? 0) : 0;
}

/** Returns a share in percent; 0 if the whole is 0. */
function shareOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (part / whole) * 100;
}

function percent(value: number): string {
  return `${Math.round(value * 10) / 10}%`;
}
