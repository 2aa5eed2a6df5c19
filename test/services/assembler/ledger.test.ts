import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ledger } from "../../../services/assembler/ledger.ts";
import type { Totals } from "../../../shared/messages.ts";
import type { PageSummary } from "../../../shared/run.ts";
import { summaryOf } from "../../factories/summaries.ts";

type Content = { pages: PageSummary[]; totals: Totals; number?: number; attempt?: number };

async function ledgerOf(...contents: Content[]): Promise<Ledger> {
  const ledger = new Ledger();
  for (const [index, { pages, totals, number = index + 1, attempt = 1 }] of contents.entries()) {
    const window = { number, from: `${2020 + number}-01-01`, to: `${2020 + number}-12-31` };
    await ledger.addWindow({ window, attempt, totals }, oneByOne(pages));
  }
  return ledger;
}

async function* oneByOne<T>(values: T[]) {
  yield* values;
}

/** A window that agrees with what LibInsight announced. */
function agreeing(ids: number[][]): Content {
  const totals = { totalPages: ids.length, totalRecords: ids.flat().length };
  return { totals, pages: ids.map((own, index) => summaryOf(index + 1, own, { totals })) };
}

test("what agrees has no disagreements, and its parts stand in order", async () => {
  const ledger = await ledgerOf(agreeing([[1, 2], [3]]), agreeing([[4]]));
  expect(ledger.disagreements).toEqual(new Map());
  expect(ledger.windowsWithDuplicates).toEqual(new Set());
  expect(ledger).toMatchObject({ records: 4, rows: 4, duplicates: 0 });
  expect(ledger.parts.map(({ window, attempt, page, skip }) => [window, attempt, page, skip])).toEqual([
    [1, 1, 1, []],
    [1, 1, 2, []],
    [2, 1, 1, []],
  ]);
});

test("an empty window agrees with its one page without records", async () => {
  const totals = { totalPages: 0, totalRecords: 0 };
  const ledger = await ledgerOf({ totals, pages: [summaryOf(1, [], { totals })] });
  expect(ledger.disagreements.size).toBe(0);
  expect(ledger).toMatchObject({ records: 0, rows: 0 });
});

test("counts of all pages and windows are added up", async () => {
  const totals = { totalPages: 1, totalRecords: 4 };
  const page = summaryOf(1, [1], {
    totals,
    records: 4,
    rejects: { "no _id": 2, other: 1 },
    furtherAnswers: { a: 3 },
    mistyped: { b: 1 },
    undeclared: { c: 2 },
    appended: ["c"],
  });
  const ledger = await ledgerOf(
    { totals, pages: [page] },
    { totals, pages: [{ ...page, ids: [2], appended: ["B", "c"] }] },
  );
  expect(ledger).toMatchObject({ records: 8, rows: 2, duplicates: 0, appended: ["B", "c"] });
  expect(ledger.rejects).toEqual(
    new Map([
      ["no _id", 4],
      ["other", 2],
    ]),
  );
  expect(ledger.furtherAnswers).toEqual(new Map([["a", 6]]));
  expect(ledger.mistyped).toEqual(new Map([["b", 2]]));
  expect(ledger.undeclared).toEqual(new Map([["c", 4]]));
  expect(ledger.disagreements.size).toBe(0);
});

describe("duplicates", () => {
  test("within a page and across its window's pages are left out and make the window suspect", async () => {
    const ledger = await ledgerOf(
      agreeing([
        [1, 2, 1],
        [2, 3],
      ]),
      agreeing([[4]]),
    );
    expect(ledger.parts.map(({ skip }) => skip)).toEqual([[2], [0], []]);
    expect(ledger).toMatchObject({ records: 6, rows: 4, duplicates: 2 });
    expect(ledger.windowsWithDuplicates).toEqual(new Set([1]));
  });

  test("across windows are left out, and make none suspect", async () => {
    const ledger = await ledgerOf(agreeing([[1, 2]]), agreeing([[2, 3], [1]]));
    expect(ledger.parts.map(({ skip }) => skip)).toEqual([[], [0], [0]]);
    expect(ledger).toMatchObject({ records: 5, rows: 3, duplicates: 2 });
    expect(ledger.windowsWithDuplicates).toEqual(new Set());
  });
});

test("whatever the ids: the rows that are left are the first of each id, and nothing is lost from the sum", async () => {
  const windows = fc.array(fc.array(fc.array(fc.nat(8), { maxLength: 5 }), { minLength: 1, maxLength: 3 }), {
    maxLength: 3,
  });
  await fc.assert(
    fc.asyncProperty(windows, async (ids) => {
      const ledger = await ledgerOf(...ids.map(agreeing));
      const pages = ids.flat();
      const kept = ledger.parts.flatMap(({ skip }, index) =>
        (pages[index] ?? []).filter((_, row) => !skip.includes(row)),
      );
      expect(kept).toEqual([...new Set(pages.flat())]);
      expect(ledger.rows).toBe(kept.length);
      expect(ledger.rows + ledger.duplicates).toBe(ledger.records);
      const suspect = ids.flatMap((own, index) =>
        new Set(own.flat()).size < own.flat().length ? [index + 1] : [],
      );
      expect([...ledger.windowsWithDuplicates]).toEqual(suspect);
    }),
    { numRuns: 200 },
  );
});

describe("a window disagrees", () => {
  const totals = { totalPages: 2, totalRecords: 3 };
  const pages = [summaryOf(1, [1, 2], { totals }), summaryOf(2, [3], { totals })];
  const sentences = async (content: Content) => (await ledgerOf(content)).disagreements.get(1);

  test("where it gave fewer records than LibInsight announced", async () => {
    const short = [summaryOf(1, [1, 2], { totals }), summaryOf(2, [], { totals })];
    expect(await sentences({ totals, pages: short })).toEqual([
      "2021-01-01 to 2021-12-31: LibInsight announced 3 records and gave 2",
    ]);
  });

  test("where it gave more", async () => {
    const long = [...pages, summaryOf(3, [4], { totals })];
    expect(await sentences({ totals, pages: long })).toEqual([
      "2021-01-01 to 2021-12-31: LibInsight announced 3 records and gave 4",
    ]);
  });

  test("where a page is missing, even if the sums agree", async () => {
    const gap = [summaryOf(1, [1, 2], { totals }), summaryOf(3, [3], { totals })];
    expect(await sentences({ totals, pages: gap })).toEqual(["2021-01-01 to 2021-12-31: page 2 is missing"]);
  });

  test.each([
    { totalPages: 2, totalRecords: 4 },
    { totalPages: 3, totalRecords: 3 },
  ])("where a later page was told other totals, %j, even if the sums agree", async (later) => {
    const told = [summaryOf(1, [1, 2], { totals }), summaryOf(2, [3], { totals: later })];
    expect(await sentences({ totals, pages: told })).toEqual([
      expect.stringMatching(/announced 3 records on page 1 and \d on page 2$/),
    ]);
  });

  test("where a page's rows and rejects are not its records", async () => {
    const lost = [summaryOf(1, [1], { totals, records: 2 }), summaryOf(2, [3], { totals })];
    expect(await sentences({ totals, pages: lost })).toEqual([
      "2021-01-01 to 2021-12-31: page 1 had 2 records but 1 rows and 0 rejects",
    ]);
  });

  test("alone; the others agree", async () => {
    const ledger = await ledgerOf(agreeing([[10]]), { totals, pages: pages.slice(0, 1) }, agreeing([[11]]));
    expect([...ledger.disagreements.keys()]).toEqual([2]);
  });

  test("in three sentences at most", async () => {
    const many = Array.from({ length: 20 }, (_, index) => summaryOf(index + 2, [index], { totals }));
    expect(await sentences({ totals, pages: many })).toHaveLength(3);
  });
});
