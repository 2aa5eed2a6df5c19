import fc from "fast-check";
import { expect, test } from "vitest";
import { type Account, type Baseline, violations } from "../../../services/assembler/guard.ts";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import type { Violation } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const good: Account = {
  records: 1_000,
  rows: 990,
  duplicates: 5,
  rejects: { "no _start_date": 5 },
  filled: { _id: 990, mode: 900 },
  mistyped: {},
};
const headers = outputColumns(defaultDataset.columns);
const before: Baseline = { rows: 1_000, headers, filled: { _id: 1_000, mode: 950 } };

/** An account of so many rows whose sums close. */
const ofRows = (rows: number): Partial<Account> => ({ rows, records: rows, duplicates: 0, rejects: {} });

const rejecting = (count: number) => ({
  rows: 1_000 - count,
  duplicates: 0,
  rejects: { a: count - 1, b: 1 },
});
const mistyped = { "Duration (in minutes)": 714 };
const says = (kind: Violation["kind"], text: string): Violation[] => [{ kind, text }];
const fell = (to: number, by: number) =>
  says("comparison", `rows fell from 1000 to ${to} (by ${by} %; the limit is 10 %)`);

test.each<[what: string, account: Partial<Account>, baseline: Baseline, expected: Violation[]]>([
  ["like the one before it", {}, before, []],
  ["of 10 % fewer rows", ofRows(900), before, []],
  ["of fewer", ofRows(899), before, fell(899, 10.1)],
  // Not that all columns vanished, too.
  [
    "of none",
    { ...ofRows(0), filled: {} },
    before,
    [...says("empty", "the run has 0 rows of 0 records, and the published file has 1000"), ...fell(0, 100)],
  ],
  ["of more rows", ofRows(5_000), before, []],
  ["of few rows, with no earlier number", ofRows(1), {}, []],
  ["of few rows, where none were published", ofRows(1), { rows: 0, headers }, []],
  ["of no rows, where none were published", ofRows(0), { rows: 0, headers }, []],
  [
    "of no rows, where no file is published",
    ofRows(0),
    {},
    says("empty", "the run has 0 rows of 0 records, and no file is published yet"),
  ],
  ["of 5 % rejects", rejecting(50), before, []],
  [
    "of more",
    rejecting(51),
    before,
    says("quality", "51 of 1000 records were rejected (5.1 %; the limit is 5 %)"),
  ],
  [
    "that lost a column's values",
    { filled: { _id: 990 } },
    before,
    says("comparison", 'the column "mode" vanished: 950 rows had a value, now none has'),
  ],
  ["whose column had none before", { filled: { _id: 990 } }, { ...before, filled: { _id: 1_000 } }, []],
  ["whose column is not known", { filled: { _id: 990 } }, { rows: 1_000, headers }, []],
  [
    "with a declared column that was not published before and has no value",
    {},
    { ...before, headers: headers.filter((header) => header !== "studio") },
    says("comparison", 'the column "studio" is new and none of 990 rows has a value: check its label'),
  ],
  ["of few rows with such a column", ofRows(99), {}, []],
  [
    "of 100 rows with such a column",
    { ...ofRows(100), filled: Object.fromEntries(headers.slice(0, -1).map((header) => [header, 100])) },
    {},
    says(
      "comparison",
      `the column "${headers.at(-1)}" is new and none of 100 rows has a value: check its label`,
    ),
  ],
  [
    "whose values are mostly not of their column's type",
    { mistyped, filled: { ...good.filled, "Duration (in minutes)": 714 } },
    before,
    says(
      "quality",
      '714 of 714 values of "Duration (in minutes)" are not of its type, number (the limit is 50 %)',
    ),
  ],
  [
    "half of whose values are not of their column's type",
    { mistyped, filled: { ...good.filled, "Duration (in minutes)": 1_428 } },
    before,
    [],
  ],
])("a run %s", (_what, account, baseline, expected) => {
  expect(violations({ ...good, ...account }, defaultDataset, baseline)).toEqual(expected);
});

test("sums that do not close are a violation", () => {
  const count = fc.nat({ max: 100_000 });
  fc.assert(
    fc.property(count, count, count, count, (rows, duplicates, rejected, records) => {
      const found = violations(
        { rows, duplicates, rejects: { x: rejected }, records, filled: {}, mistyped: {} },
        defaultDataset,
        {},
      );
      const reported = found.some(
        ({ kind, text }) => kind === "disagreement" && text.startsWith("the sums do not close"),
      );
      expect(reported).toBe(records !== rows + duplicates + rejected);
    }),
  );
});

test("a column called constructor or toString is judged by its own counts", () => {
  const dataset = datasetOf([
    { name: "constructor", type: "number" },
    { name: "toString", type: "text" },
  ]);
  const filled = { _id: 990, constructor: 990, toString: 990 };
  const known = { rows: 1_000, headers: outputColumns(dataset.columns), filled };
  expect(violations({ ...good, filled }, dataset, known)).toEqual([]);
  const vanished = violations({ ...good, filled: { _id: 990 } }, dataset, known);
  expect(vanished.map(({ text }) => text)).toEqual([
    'the column "constructor" vanished: 990 rows had a value, now none has',
    'the column "toString" vanished: 990 rows had a value, now none has',
  ]);
});
