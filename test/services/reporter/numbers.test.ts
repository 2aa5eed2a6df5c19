import { expect, test } from "vitest";
import { numbersOf } from "../../../services/reporter/numbers.ts";
import { firstResultOf, resultOf } from "../../factories/results.ts";

const transformedAt = new Date("2026-11-23T11:00:30Z");

test("without a known previous file there is no change", () => {
  expect(numbersOf(firstResultOf(), transformedAt)).not.toHaveProperty("RowsChange");
});

test("a window that was fetched again counts once, however often it was fetched", () => {
  const [first, second] = resultOf().windows;
  if (!first || !second) throw new Error("The result has two windows.");
  const windows = [{ ...first, attempt: 3 }, second, { ...second, attempt: 2 }];
  expect(numbersOf(resultOf({ windows }), undefined)).toMatchObject({ RefetchedWindows: 2 });
});

test("a run that was forced has no seconds, because it may have waited for a decision", () => {
  const forced = numbersOf(resultOf({ force: "the new numbers are right" }), transformedAt);
  expect(Object.keys(forced).filter((name) => name.endsWith("Seconds"))).toEqual([]);
});

test("a page that was delivered again after the end makes no time negative", () => {
  const late = new Date("2026-11-23T11:05:00Z");
  expect(numbersOf(resultOf(), late)).toMatchObject({ CollectSeconds: 300, AssembleSeconds: 0 });
});
