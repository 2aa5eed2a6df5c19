import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IdSet } from "../../../services/assembler/id-set.ts";
import { Ledger } from "../../../services/assembler/ledger.ts";
import { addDays } from "../../../shared/dates.ts";
import type { Recount } from "../../../shared/kinds/kind.ts";
import type { Totals } from "../../../shared/messages.ts";
import type { PageSummary } from "../../../shared/run.ts";
import { summaryOf } from "../../factories/summaries.ts";

type Content = { pages: PageSummary[]; totals: Totals };

/** Adds the windows. @returns the ledger, and the indexes of the duplicate rows of each page */
function addAll(...contents: Content[]) {
  const ledger = new Ledger("entry");
  const skipped: number[][] = [];
  for (const [index, { pages, totals }] of contents.entries()) {
    const number = index + 1;
    const window = { number, from: `${2020 + number}-01-01`, to: `${2020 + number}-12-31` };
    ledger.beginWindow(window);
    for (const page of pages) skipped.push(ledger.addPart(page));
    ledger.endWindow();
    ledger.endPeriod(window, { totalRecords: totals.totalRecords });
  }
  return { ledger, skipped };
}

/** Returns a window whose pages agree with LibInsight's totals. */
function agreeing(ids: number[][]): Content {
  const totals = { totalPages: ids.length, totalRecords: ids.flat().length };
  return { totals, pages: ids.map((own, index) => summaryOf(index + 1, own, { totals })) };
}

test("adds up the counts of all pages and windows", () => {
  const totals = { totalPages: 1, totalRecords: 4 };
  const page = summaryOf(1, [1], {
    totals,
    records: 4,
    rejects: { "missing _id": 2, other: 1 },
    furtherAnswers: { a: 3 },
    mistyped: { b: 1 },
    undeclared: { c: 2 },
    filled: { _id: 1 },
    appended: ["c"],
  });
  const second = { ...page, ids: [2], appended: ["B", "c"] };
  const { ledger } = addAll({ totals, pages: [page] }, { totals, pages: [second] });
  const { rejects, furtherAnswers, mistyped, undeclared, filled } = ledger;
  expect(ledger).toMatchObject({ records: 8, rows: 2, duplicates: 0, appended: ["B", "c"] });
  const counts = [rejects, furtherAnswers, mistyped, undeclared, filled];
  expect(counts.map((each) => Object.fromEntries(each))).toEqual([
    { "missing _id": 4, other: 2 },
    { a: 6 },
    { b: 2 },
    { c: 4 },
    { _id: 2 },
  ]);
  expect(ledger.disagreements.size).toBe(0);
});

test.each<[what: string, sum: number | undefined, recounted: Recount, text: string | undefined]>([
  ["the same sum", 1_234, { sum: 1_234 }, undefined],
  ["another sum", 1_234, { sum: 1_240 }, "the records add up to 1,234, and LibInsight's total is 1,240"],
  ["a sum and no other", 1_234, {}, undefined],
  ["neither", undefined, {}, undefined],
])(
  "a period with %s of its amounts disagrees if they differ, and is unreconciled without a total",
  (...given) => {
    const [, sum, recounted, text] = given;
    const totals = { totalPages: 1, totalRecords: 1, sum };
    const window = { number: 1, from: "2024-01-01", to: "2024-01-07" };
    const ledger = new Ledger("entry");
    ledger.beginWindow(window);
    ledger.addPart(summaryOf(1, [1], { totals }));
    ledger.endWindow();
    ledger.endPeriod(window, recounted);
    expect(ledger.periodDisagreements.get(1)).toEqual(text && `2024-01-01 to 2024-01-07: ${text}`);
    expect(ledger.disagreements.size).toBe(0);
    expect(ledger.windows.get(1)?.unreconciled).toBe(recounted.sum === undefined ? true : undefined);
  },
);

test("compares the windows of a period with its recount, and the pieces of a window with their own totals", () => {
  const ledger = new Ledger("entry");
  const windows = [
    { number: 1, from: "2024-01-01", to: "2024-01-07" },
    { number: 2, from: "2024-01-08", to: "2024-01-14" },
  ];
  const period = { number: 1, from: "2024-01-01", to: "2024-01-14" };
  let id = 0;
  for (const window of windows) {
    ledger.beginWindow(window);
    const middle = addDays(window.from, 3);
    for (const [from, to, count] of [
      [window.from, middle, 2],
      [addDays(middle, 1), window.to, 1],
    ] as const) {
      const ids = Array.from({ length: count }, () => (id += 1));
      // The first piece of the second window sent fewer records than it announced.
      const announced = ids.length + (from === "2024-01-08" ? 1 : 0);
      ledger.addPart(summaryOf(1, ids, { from, to, totals: { totalPages: 1, totalRecords: announced } }));
    }
    ledger.endWindow();
  }
  ledger.endPeriod(period, { totalRecords: 8 });
  expect([...ledger.windows.values()]).toMatchObject([
    { totalRecords: 3, pages: 2, rows: 3 },
    { totalRecords: 4, pages: 2, rows: 3 },
  ]);
  expect([...ledger.disagreements]).toEqual([
    [2, ["2024-01-08 to 2024-01-11: LibInsight announced 3 records and sent 2"]],
  ]);
  expect(ledger.periodDisagreements.get(1)).toBe(
    "2024-01-01 to 2024-01-14: LibInsight announced 7 records at first and 8 in the recount",
  );
});

test("keeps the first row of any id, reconciles, and names the windows that repeat an id", () => {
  // Few values, so that they repeat, and values around powers of two and the largest safe integer.
  const id = fc.oneof(
    { weight: 4, arbitrary: fc.nat(8) },
    fc.integer({ min: 65_530, max: 65_545 }),
    fc.nat(70),
    fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, 2 ** 32, 2 ** 32 + 65_536, 2 ** 31),
    fc.maxSafeNat(),
  );
  const pages = fc.array(fc.array(id, { maxLength: 8 }), { minLength: 1, maxLength: 3 });
  const windows = fc.array(pages, { maxLength: 3 });
  fc.assert(
    fc.property(windows, (ids) => {
      const { ledger, skipped } = addAll(...ids.map(agreeing));
      const pages = ids.flat();
      const kept = skipped.flatMap((skip, index) =>
        (pages[index] ?? []).filter((_, row) => !skip.includes(row)),
      );
      expect(kept).toEqual([...new Set(pages.flat())]);
      expect(ledger.rows).toBe(kept.length);
      expect(ledger.disagreements.size).toBe(0);
      expect(ledger.rows + ledger.duplicates).toBe(ledger.records);
      const repeating = ids.flatMap((own, index) =>
        new Set(own.flat()).size < own.flat().length ? [index + 1] : [],
      );
      expect([...ledger.windowsWithDuplicates]).toEqual(repeating);
    }),
    { numRuns: 500 },
  );
});

describe("a disagreement", () => {
  const totals = { totalPages: 2, totalRecords: 3 };
  const first = summaryOf(1, [1, 2], { totals });
  const second = summaryOf(2, [3], { totals });
  const other = (later: Totals) => [first, summaryOf(2, [3], { totals: later })];

  test.each([
    {
      when: "LibInsight sent fewer records than it announced",
      pages: [first, summaryOf(2, [], { totals })],
      what: "LibInsight announced 3 records and sent 2",
    },
    {
      when: "LibInsight sent more records than it announced",
      pages: [first, second, summaryOf(3, [4], { totals })],
      what: "LibInsight announced 3 records and sent 4",
    },
    {
      when: "a page is missing, even if the counts agree",
      pages: [first, summaryOf(3, [3], { totals })],
      what: "page 2 is missing",
    },
    {
      when: "a later page announced another number of records, even if the counts agree",
      pages: other({ totalPages: 2, totalRecords: 4 }),
      what: "LibInsight announced 3 records in 2 pages on page 1 and 4 records in 2 pages on page 2",
    },
    {
      when: "a later page announced another number of pages",
      pages: other({ totalPages: 3, totalRecords: 3 }),
      what: "LibInsight announced 3 records in 2 pages on page 1 and 3 records in 3 pages on page 2",
    },
    {
      when: "a page's rows and rejects do not add up to its records",
      pages: [summaryOf(1, [1], { totals, records: 2 }), second],
      what: "page 1 had 2 records but 1 rows and 0 rejects",
    },
  ])("finds a disagreement if $when", ({ pages, what }) => {
    const { ledger } = addAll({ totals, pages });
    expect(ledger.disagreements.get(1)).toEqual([`2021-01-01 to 2021-12-31: ${what}`]);
  });

  test("finds a disagreement if a page was transformed with another version of the dataset's entry", () => {
    const { ledger } = addAll({ totals, pages: [first, { ...second, entry: "other" }] });
    expect(ledger.mixesEntries).toBe(true);
    expect(ledger.disagreements.get(1)).toEqual([
      "2021-01-01 to 2021-12-31: page 2 was transformed with another version of the dataset's entry",
    ]);
  });

  test("describes at most three disagreements of a window", () => {
    const pages = Array.from({ length: 20 }, (_, index) => summaryOf(index + 2, [index], { totals }));
    expect(addAll({ totals, pages }).ledger.disagreements.get(1)).toHaveLength(3);
  });
});

test("stores ids far apart in less than 10 MB", () => {
  const bytesOf = (step: number) => {
    const ids = new IdSet();
    const before = process.memoryUsage();
    for (let n = 0; n < 20_000; n++) ids.add(n * step);
    const after = process.memoryUsage();
    expect(ids.add(step)).toBe(false);
    return after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  };
  // A bitmap over their range would take 10 GB.
  expect(bytesOf(2 ** 22)).toBeLessThan(10_000_000);
});

test("keeps at most 1,000 names of each count and 301 undeclared columns", () => {
  const ledger = new Ledger("entry");
  const window = { number: 1, from: "2021-01-01", to: "2021-12-31" };
  ledger.beginWindow(window);
  for (let page = 1; page <= 5; page++) {
    const names = Array.from({ length: 1_000 }, (_, index) => `field ${page} ${index}`);
    const undeclared = Object.fromEntries(names.map((name) => [name, 1]));
    ledger.addPart(summaryOf(page, [], { appended: names, undeclared }));
  }
  expect(ledger.appended.length).toBe(301);
  expect(ledger.undeclared.size).toBe(1_000);
});

test("forgotten records reconcile, and one that comes twice shows that pages shifted", () => {
  const totals = { totalPages: 1, totalRecords: 4 };
  const page = summaryOf(1, [1], { totals, records: 4, rejects: { other: 1 }, forgotten: [7, null] });
  const { ledger } = addAll({ totals, pages: [page] }, agreeing([[2]]));
  expect(ledger).toMatchObject({ records: 5, rows: 2, duplicates: 0, forgotten: 2 });
  expect(ledger.windows.get(1)).toMatchObject({ rows: 1, rejected: 1, forgotten: 2 });
  expect(ledger.windows.get(2)).not.toHaveProperty("forgotten");
  expect([ledger.disagreements.size, ledger.windowsWithDuplicates.size]).toEqual([0, 0]);

  const more = { ...page, records: 5 };
  expect(addAll({ totals, pages: [more] }).ledger.disagreements.get(1)?.[0]).toMatch(
    "had 5 records but 1 rows and 1 rejects",
  );
  for (const [forgotten, found] of [
    [[7, 7], [1]],
    [[1, 7], [1]],
    [[null, null], []],
  ] as const) {
    const { windowsWithDuplicates } = addAll({
      totals,
      pages: [{ ...page, forgotten: [...forgotten] }],
    }).ledger;
    expect([...windowsWithDuplicates]).toEqual(found);
  }
});
