import fc from "fast-check";
import { expect, test } from "vitest";
import { type Baseline, type RunCounts, violations } from "../../../services/assembler/guard.ts";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import type { Violation } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const good: RunCounts = {
  records: 1_000,
  rows: 990,
  duplicates: 5,
  rejects: { "missing _start_date": 5 },
  filled: { _id: 990, mode: 900 },
  mistyped: {},
};
const headers = outputColumns(defaultDataset.columns);
const before: Baseline = { rows: 1_000, headers, filled: { _id: 1_000, mode: 950 } };

const ofRows = (rows: number): Partial<RunCounts> => ({ rows, records: rows, duplicates: 0, rejects: {} });

const rejecting = (count: number) => ({
  rows: 1_000 - count,
  duplicates: 0,
  rejects: { a: count - 1, b: 1 },
});
const mistyped = { "Duration (in minutes)": 714 };
const violation = (kind: Violation["kind"], text: string): Violation[] => [{ kind, text }];
const fell = (to: number, by: number) =>
  violation("comparison", `rows fell from 1,000 to ${to} (by ${by}%; the limit is 10%)`);

test.each<[what: string, counts: Partial<RunCounts>, baseline: Baseline, expected: Violation[]]>([
  ["similar to the published one", {}, before, []],
  ["with 10% fewer rows", ofRows(900), before, []],
  ["with more than 10% fewer rows", ofRows(899), before, fell(899, 10.1)],
  // The columns without values are not listed, too.
  [
    "without rows",
    { ...ofRows(0), filled: {} },
    before,
    [
      ...violation("empty", "the run has 0 rows from 0 records, and the published file has 1,000 rows"),
      ...fell(0, 100),
    ],
  ],
  ["with more rows", ofRows(5_000), before, []],
  ["with few rows, if no file is published", ofRows(1), {}, []],
  ["with few rows, if the published file has none", ofRows(1), { rows: 0, headers }, []],
  ["without rows, if the published file has none", ofRows(0), { rows: 0, headers }, []],
  [
    "without rows, if no file is published",
    ofRows(0),
    {},
    violation("empty", "the run has 0 rows from 0 records, and no file is published yet"),
  ],
  ["with 5% rejects", rejecting(50), before, []],
  [
    "with more than 5% rejects",
    rejecting(51),
    before,
    violation("quality", "51 of 1,000 records were rejected (5.1%; the limit is 5%)"),
  ],
  [
    "that lost all values of a column",
    { filled: { _id: 990 } },
    before,
    violation("comparison", 'the column "mode" has no values, but 950 published rows had one'),
  ],
  [
    "with a column that is empty in the published file, too",
    { filled: { _id: 990 } },
    { ...before, filled: { _id: 1_000 } },
    [],
  ],
  [
    "with an empty column, if the published values are unknown",
    { filled: { _id: 990 } },
    { rows: 1_000, headers },
    [],
  ],
  [
    "with a new declared column that has no values",
    {},
    { ...before, headers: headers.filter((header) => header !== "studio") },
    violation("comparison", 'the new column "studio" has no value in any of 990 rows: check its label'),
  ],
  ["with fewer than 100 rows and an empty new column", ofRows(99), {}, []],
  [
    "with 100 rows and an empty new column",
    { ...ofRows(100), filled: Object.fromEntries(headers.slice(0, -1).map((header) => [header, 100])) },
    {},
    violation(
      "comparison",
      `the new column "${headers.at(-1)}" has no value in any of 100 rows: check its label`,
    ),
  ],
  [
    "with more than 50% mistyped values in a column",
    { mistyped, filled: { ...good.filled, "Duration (in minutes)": 714 } },
    before,
    violation(
      "quality",
      '714 of 714 values of "Duration (in minutes)" are not of type number (the limit is 50%)',
    ),
  ],
  [
    "with 50% mistyped values in a column",
    { mistyped, filled: { ...good.filled, "Duration (in minutes)": 1_428 } },
    before,
    [],
  ],
])("finds the violations of a run %s", (_what, counts, baseline, expected) => {
  expect(violations({ ...good, ...counts }, defaultDataset, baseline)).toEqual(expected);
});

test("a column that may be empty is no violation, unless it had values", () => {
  const dataset = datasetOf([{ name: "unused", type: "text", mayBeEmpty: true }]);
  const counts = { ...good, filled: { _id: 990 } };
  expect(violations(counts, dataset, {})).toEqual([]);
  expect(violations(counts, dataset, { rows: 990, filled: { _id: 990, unused: 1 } })).toMatchObject([
    { kind: "comparison", text: expect.stringContaining('the column "unused" has no values') },
  ]);
});

test("finds a violation if the counts do not reconcile", () => {
  const count = fc.nat({ max: 100_000 });
  fc.assert(
    fc.property(
      count,
      count,
      count,
      fc.option(count, { nil: undefined }),
      fc.integer({ min: 0, max: 1 }),
      (rows, duplicates, rejected, forgotten, missing) => {
        const records = rows + duplicates + rejected + (forgotten ?? 0) + missing;
        const found = violations(
          { rows, duplicates, rejects: { x: rejected }, forgotten, records, filled: {}, mistyped: {} },
          defaultDataset,
          {},
        );
        const reported = found.some(
          ({ kind, text }) => kind === "disagreement" && text.startsWith("the counts do not reconcile"),
        );
        expect(reported).toBe(missing > 0);
      },
    ),
  );
});

test("uses the own counts of a column called constructor or toString", () => {
  const dataset = datasetOf([
    { name: "constructor", type: "number" },
    { name: "toString", type: "text" },
  ]);
  const filled = { _id: 990, constructor: 990, toString: 990 };
  const known = { rows: 1_000, headers: outputColumns(dataset.columns), filled };
  expect(violations({ ...good, filled }, dataset, known)).toEqual([]);
  const emptied = violations({ ...good, filled: { _id: 990 } }, dataset, known);
  expect(emptied.map(({ text }) => text)).toEqual([
    'the column "constructor" has no values, but 990 published rows had one',
    'the column "toString" has no values, but 990 published rows had one',
  ]);
});
