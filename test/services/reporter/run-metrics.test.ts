import { expect, test } from "vitest";
import { runMetrics } from "../../../services/reporter/run-metrics.ts";
import { firstResultOf, resultOf } from "../../factories/results.ts";

const transformedAt = new Date("2026-11-23T11:00:30Z");

test("a run without a known previous file has no change in rows", () => {
  expect(runMetrics(firstResultOf(), transformedAt)).not.toHaveProperty("RowsChange");
});

test("a refetched window counts once for any number of attempts", () => {
  const [first, second] = resultOf().windows;
  if (!first || !second) throw new Error("The result has two windows.");
  const windows = [{ ...first, attempt: 3 }, second, { ...second, attempt: 2 }];
  expect(runMetrics(resultOf({ windows }), undefined)).toMatchObject({ RefetchedWindows: 2 });
});

test("a run published by force has no durations, because it waited for a decision", () => {
  const forced = runMetrics(resultOf({ force: "the new numbers are right" }), transformedAt);
  expect(Object.keys(forced).filter((name) => name.endsWith("Seconds"))).toEqual([]);
});

test("a page delivered again after the run has ended causes no negative duration", () => {
  const late = new Date("2026-11-23T11:05:00Z");
  expect(runMetrics(resultOf(), late)).toMatchObject({ CollectSeconds: 300, AssembleSeconds: 0 });
});
