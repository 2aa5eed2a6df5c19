import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Account, type Baseline, violations } from "../../../services/assembler/guard.ts";
import { defaultDataset } from "../../../shared/datasets.ts";

const good: Account = {
  records: 1_000,
  rows: 990,
  duplicates: 5,
  rejects: { "no _start_date": 5 },
  filled: { _id: 990, mode: 900 },
};
const before: Baseline = { rows: 1_000, filled: { _id: 1_000, mode: 950 } };
const judge = (account: Partial<Account> = {}, baseline: Baseline = before) =>
  violations({ ...good, ...account }, defaultDataset, baseline);

/** An account of so many rows whose sums close. */
const ofRows = (rows: number): Partial<Account> => ({ rows, records: rows, duplicates: 0, rejects: {} });

test("a run like the one before it has no violations", () => {
  expect(judge()).toEqual([]);
});

describe("rows that fell", () => {
  test.each([
    [900, []],
    [899, ["rows fell from 1000 to 899 (by 10.1 %; the limit is 10 %)"]],
    [0, ["rows fell from 1000 to 0 (by 100 %; the limit is 10 %)"]],
    [5_000, []],
  ])("from 1,000 to %i", (rows, expected) => {
    expect(judge(ofRows(rows))).toEqual(expected);
  });

  test("are no violation where no number is known, or nothing was published", () => {
    expect(judge(ofRows(1), {})).toEqual([]);
    expect(judge(ofRows(1), { rows: 0 })).toEqual([]);
  });
});

describe("rejects", () => {
  test.each([
    [50, []],
    [51, ["51 of 1000 records were rejected (5.1 %; the limit is 5 %)"]],
  ])("%i of 1,000 records", (count, expected) => {
    expect(judge({ rows: 1_000 - count, duplicates: 0, rejects: { a: count - 1, b: 1 } })).toEqual(expected);
  });

  test("of no records are none", () => {
    expect(judge(ofRows(0), {})).toEqual([]);
  });
});

describe("a column that lost its values", () => {
  test("is named, with how many it had", () => {
    expect(judge({ filled: { _id: 990 } })).toEqual([
      'the column "mode" vanished: 950 rows had a value, now none has',
    ]);
  });

  test.each([
    ["had none before", { rows: 1_000, filled: { _id: 1_000 } }],
    ["is not known", { rows: 1_000 }],
  ])("and %s is no violation", (_what, baseline) => {
    expect(judge({ filled: { _id: 990 } }, baseline)).toEqual([]);
  });

  test("because there are no rows is reported as fallen rows only", () => {
    expect(judge({ ...ofRows(0), filled: {} })).toHaveLength(1);
  });
});

test("sums that do not close are a violation", () => {
  const count = fc.nat({ max: 100_000 });
  fc.assert(
    fc.property(count, count, count, count, (rows, duplicates, rejected, records) => {
      const found = violations(
        { rows, duplicates, rejects: { x: rejected }, records, filled: {} },
        defaultDataset,
        {},
      );
      const reported = found.some((sentence) => sentence.startsWith("the sums do not close"));
      expect(reported).toBe(records !== rows + duplicates + rejected);
    }),
  );
});
