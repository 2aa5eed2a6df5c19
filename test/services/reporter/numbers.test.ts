import { expect, test } from "vitest";
import { numbersOf } from "../../../services/reporter/numbers.ts";
import { firstResultOf, resultOf } from "../../factories/results.ts";

const transformedAt = new Date("2026-11-23T11:00:30Z");

test("a run in numbers", () => {
  expect(numbersOf(resultOf(), transformedAt)).toMatchInlineSnapshot(`
    {
      "AssembleSeconds": 11.321,
      "CollectSeconds": 30,
      "Duplicates": 2,
      "RefetchedWindows": 0,
      "Rejects": 3,
      "RowsChange": 132,
      "RowsPublished": 10412,
    }
  `);
});

test("where it is not known what was published before there is no change", () => {
  expect(numbersOf(firstResultOf(), transformedAt)).not.toHaveProperty("RowsChange");
});

test("windows that were fetched again are counted, however often they were", () => {
  const [first, second] = resultOf().windows;
  if (!first || !second) throw new Error("The result has two windows.");
  const windows = [{ ...first, attempt: 3 }, second, { ...second, attempt: 2 }];
  expect(numbersOf(resultOf({ windows }), undefined)).toMatchObject({ RefetchedWindows: 2 });
});

test("a run that was forced may have waited for a person, and has no seconds", () => {
  const forced = numbersOf(resultOf({ force: "somebody looked" }), transformedAt);
  expect(Object.keys(forced).filter((name) => name.endsWith("Seconds"))).toEqual([]);
});

test("a page that was delivered again after the end makes no time negative", () => {
  const late = new Date("2026-11-23T11:05:00Z");
  expect(numbersOf(resultOf(), late)).toMatchObject({ CollectSeconds: 300, AssembleSeconds: 0 });
});
