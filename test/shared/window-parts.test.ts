import fc from "fast-check";
import { expect, test } from "vitest";
import type { WindowAttempt } from "../../shared/attempts.ts";
import { addDays } from "../../shared/dates.ts";
import { keys, type PageAddress, type RangeAddress } from "../../shared/keys.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import { partContentType } from "../../shared/part.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { isOneDay, piecesOf } from "../../shared/ranges.ts";
import type { RangeSplit, Run } from "../../shared/run.ts";
import { windowParts } from "../../shared/window-parts.ts";
import { runOf } from "../factories/requests.ts";
import { useLocal } from "../support/local-adapters.ts";

const local = useLocal();

const run = runOf("parts", {
  windows: [
    ["2023-01-01", "2023-01-10"],
    ["2023-01-11", "2023-01-11"],
    ["2023-01-12", "2023-12-31"],
  ],
});

const attemptsOf = ({ windows }: Run, attempts: readonly number[] = []): WindowAttempt[] =>
  windows.map((window, index) => ({ window, attempt: attempts[index] ?? 1 }));
const rangeOf = (window: number, { from, to }: DateRange, attempt = 1): RangeAddress => {
  return { runId: run.runId, window, attempt, from, to };
};
const wholeOf = (window: number, attempt = 1): RangeAddress => {
  const found = run.windows.find(({ number }) => number === window);
  if (!found) throw new Error(`The run has no window ${window}.`);
  return rangeOf(window, found, attempt);
};
const one = (range: RangeAddress): PageAddress => ({ ...range, page: 1, pages: 1 });
const pagesOf = (range: RangeAddress, pages: number): PageAddress[] =>
  Array.from({ length: pages }, (_, index) => ({ ...range, page: index + 1, pages }));

async function putPart(address: PageAddress, work: ObjectStore): Promise<void> {
  await work.create(keys.part(address), "a part", partContentType);
}

/** Marks a range as split, like the fetcher: the split first. */
async function putSplit(range: RangeAddress, split: RangeSplit, work: ObjectStore): Promise<void> {
  await work.putOnce(keys.split(range), split);
  await work.create(keys.part(one(range)), "", partContentType);
}

/** Returns the parts that are found in each window, and the missing ones, as keys. */
async function found(work: ObjectStore, attempts: readonly number[] = []) {
  const windows = await Array.fromAsync(windowParts(run, attemptsOf(run, attempts), work));
  expect(windows.map(({ window }) => window)).toEqual(run.windows);
  return windows.map(({ parts, missing }) => {
    for (const { key, bytes, address } of parts) expect([key, bytes]).toEqual([keys.part(address), 6]);
    return { parts: parts.map(({ address }) => address), missing };
  });
}

const nothing = (window: number) => ({ parts: [], missing: [one(wholeOf(window))] });
const totals = { totalPages: 3, totalRecords: 201 };

test("the part of a window that fits one page is its only one", async () => {
  const work = local.store();
  expect(await found(work)).toEqual([nothing(1), nothing(2), nothing(3)]);
  await putPart(one(wholeOf(3)), work);
  await putPart(one(wholeOf(1)), work);
  expect(await found(work)).toEqual([
    { parts: [one(wholeOf(1))], missing: [] },
    nothing(2),
    { parts: [one(wholeOf(3))], missing: [] },
  ]);
});

test("a window without its part does not hide the parts of later windows, nor those of windows that are not asked for", async () => {
  const work = local.store();
  for (const window of [1, 2, 3]) await putPart(one(wholeOf(window)), work);
  const [, ...others] = attemptsOf(run);
  const windows = await Array.fromAsync(windowParts(run, others.slice(1), work));
  expect(windows).toMatchObject([{ parts: [{ address: one(wholeOf(3)) }], missing: [] }]);
});

test("a split window has the parts of its pieces, and of a piece that is split again, in order", async () => {
  const work = local.store();
  const window = wholeOf(1);
  const pieces = piecesOf(window, totals).map((piece) => rangeOf(1, piece));
  const [first, second, third, fourth] = pieces;
  if (!first || !second || !third || !fourth) throw new Error("201 records are four pieces.");
  await putSplit(window, { totals, pieces: pieces.map(({ from, to }) => ({ from, to })) }, work);
  expect((await found(work))[0]).toEqual({ parts: [], missing: pieces.map(one) });

  const nested = piecesOf(second, totals).map((piece) => rangeOf(1, piece));
  await putSplit(second, { totals, pieces: nested.map(({ from, to }) => ({ from, to })) }, work);
  await putPart(one(fourth), work);
  for (const range of nested.toReversed().slice(0, -1)) await putPart(one(range), work);
  await putPart(one(first), work);
  const [firstNested, ...otherNested] = nested;
  if (!firstNested) throw new Error("A range of several days has at least two pieces.");
  expect((await found(work))[0]).toEqual({
    parts: [one(first), ...otherNested.map(one), one(fourth)],
    missing: [one(firstNested), one(third)],
  });
});

test("a day that does not fit one page has the parts of its pages, in order", async () => {
  const work = local.store();
  const day = wholeOf(2);
  await putSplit(day, { totals }, work);
  const pages = pagesOf(day, 3);
  expect((await found(work))[1]).toEqual({ parts: [], missing: pages });
  for (const page of pages.slice(1).toReversed()) await putPart(page, work);
  expect((await found(work))[1]).toEqual({ parts: pages.slice(1), missing: pages.slice(0, 1) });
  await Promise.all(pages.map((page) => putPart(page, work)));
  expect((await found(work))[1]).toEqual({ parts: pages, missing: [] });
});

test("a mark without a stored split is missing", async () => {
  const work = local.store();
  await work.create(keys.part(one(wholeOf(1))), "", partContentType);
  expect((await found(work))[0]).toEqual(nothing(1));
});

test("a split without a mark has no effect: the range is missing, or has a part of its own", async () => {
  const work = local.store();
  const pieces = piecesOf(wholeOf(1), totals);
  await work.putOnce(keys.split(wholeOf(1)), { totals, pieces } satisfies RangeSplit);
  for (const piece of pieces) await putPart(one(rangeOf(1, piece)), work);
  expect((await found(work))[0]).toEqual(nothing(1));
  await putPart(one(wholeOf(1)), work);
  expect((await found(work))[0]).toEqual({ parts: [one(wholeOf(1))], missing: [] });
});

test("the parts of other attempts are ignored", async () => {
  const work = local.store();
  for (const window of [1, 2, 3]) await putPart(one(wholeOf(window)), work);
  await putPart(one(wholeOf(2, 2)), work);
  await putPart(one(wholeOf(2, 10)), work);
  expect(await found(work, [1, 2, 3])).toEqual([
    { parts: [one(wholeOf(1))], missing: [] },
    { parts: [one(wholeOf(2, 2))], missing: [] },
    { parts: [], missing: [one(wholeOf(3, 3))] },
  ]);
});

/** What a range has in the work bucket. `totalRecords` determines the pieces of a split range. */
type Node = { is: "part" | "missing" | "mark without split" } | SplitNode;
type SplitNode = { is: "split"; totalRecords: number; children: Node[] };

const leaf: fc.Arbitrary<Node> = fc.record({
  is: fc.constantFrom<"part" | "missing" | "mark without split">("part", "missing", "mark without split"),
});
const node: fc.Arbitrary<Node> = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.record({
      is: fc.constant<"split">("split"),
      totalRecords: fc.integer({ min: 101, max: 450 }),
      // Further pieces repeat these.
      children: fc.array(tie("node"), { minLength: 1, maxLength: 4 }),
    }),
  ),
})).node;

type Model = { parts: PageAddress[]; missing: PageAddress[] };

/** Puts the objects of a range, and adds its parts and its missing ones to the model. */
async function plant(range: RangeAddress, node: Node, model: Model, work: ObjectStore): Promise<void> {
  if ("children" in node) return plantSplit(range, node, model, work);
  if (node.is === "part") await putPart(one(range), work);
  if (node.is === "mark without split") await work.create(keys.part(one(range)), "", partContentType);
  (node.is === "part" ? model.parts : model.missing).push(one(range));
}

async function plantSplit(
  range: RangeAddress,
  { totalRecords, children }: SplitNode,
  model: Model,
  work: ObjectStore,
): Promise<void> {
  const announced = { totalPages: Math.ceil(totalRecords / 100), totalRecords };
  if (isOneDay(range)) {
    await putSplit(range, { totals: announced }, work);
    for (const [index, page] of pagesOf(range, announced.totalPages).entries()) {
      const isThere = children[index % children.length]?.is === "part";
      (isThere ? model.parts : model.missing).push(page);
      if (isThere) await putPart(page, work);
    }
    return;
  }
  const pieces = piecesOf(range, announced);
  await putSplit(range, { totals: announced, pieces }, work);
  for (const [index, piece] of pieces.entries()) {
    const child = children[index % children.length];
    if (child) await plant({ ...range, ...piece }, child, model, work);
  }
}

test("finds exactly the parts and the missing ones of any tree of splits, in order", async () => {
  const three = fc.tuple(node, node, node);
  const attempts = fc.tuple(...[1, 2, 3].map(() => fc.integer({ min: 1, max: 3 })));
  await fc.assert(
    fc.asyncProperty(three, three, attempts, async (own, others, attempts) => {
      const work = local.store();
      const expected: Model[] = [];
      for (const [index, { number }] of run.windows.entries()) {
        const [attempt = 1, is, other] = [attempts[index], own[index], others[index]];
        if (!is || !other) throw new Error("Each window has a tree.");
        const model: Model = { parts: [], missing: [] };
        await plant(wholeOf(number, attempt), is, model, work);
        await plant(wholeOf(number, attempt + 1), other, { parts: [], missing: [] }, work);
        expected.push(model);
      }
      expect(await found(work, attempts)).toEqual(expected);
      for (const { parts } of expected) {
        const places = parts.map(({ from, page }) => `${from} ${String(page).padStart(3, "0")}`);
        expect(places).toEqual(places.toSorted());
        expect(new Set(places).size).toBe(places.length);
      }
    }),
    { numRuns: 60 },
  );
});

test("a window of a year that is split into single days has a part for each", async () => {
  const work = local.store();
  const days = Array.from({ length: 354 }, (_, index) => addDays("2023-01-12", index));
  const pieces = days.map((day) => ({ from: day, to: day }));
  await putSplit(wholeOf(3), { totals: { totalPages: 300, totalRecords: 30_000 }, pieces }, work);
  const parts = pieces.map((piece) => one(rangeOf(3, piece)));
  await Promise.all(parts.map((part) => putPart(part, work)));
  expect((await found(work))[2]).toEqual({ parts, missing: [] });
});
