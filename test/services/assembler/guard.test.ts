import fc from "fast-check";
import { expect, test } from "vitest";
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

/** An account of so many rows whose sums close. */
const ofRows = (rows: number): Partial<Account> => ({ rows, records: rows, duplicates: 0, rejects: {} });

const rejecting = (count: number) => ({
  rows: 1_000 - count,
  duplicates: 0,
  rejects: { a: count - 1, b: 1 },
});
const vanished = 'the column "mode" vanished: 950 rows had a value, now none has';

test.each<[what: string, account: Partial<Account>, baseline: Baseline, expected: string[]]>([
  ["like the one before it", {}, before, []],
  ["of 10 % fewer rows", ofRows(900), before, []],
  ["of fewer", ofRows(899), before, ["rows fell from 1000 to 899 (by 10.1 %; the limit is 10 %)"]],
  // Not that all columns vanished, too.
  [
    "of none",
    { ...ofRows(0), filled: {} },
    before,
    ["rows fell from 1000 to 0 (by 100 %; the limit is 10 %)"],
  ],
  ["of more rows", ofRows(5_000), before, []],
  ["of few rows, with no earlier number", ofRows(1), {}, []],
  ["of few rows, where none were published", ofRows(1), { rows: 0 }, []],
  ["of 5 % rejects", rejecting(50), before, []],
  ["of more", rejecting(51), before, ["51 of 1000 records were rejected (5.1 %; the limit is 5 %)"]],
  ["of no records", ofRows(0), {}, []],
  ["that lost a column's values", { filled: { _id: 990 } }, before, [vanished]],
  ["whose column had none before", { filled: { _id: 990 } }, { rows: 1_000, filled: { _id: 1_000 } }, []],
  ["whose column is not known", { filled: { _id: 990 } }, { rows: 1_000 }, []],
])("a run %s", (_what, account, baseline, expected) => {
  expect(violations({ ...good, ...account }, defaultDataset, baseline)).toEqual(expected);
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
