// Tests what the report says about the rows of earlier runs.
import { expect, test } from "vitest";
import { reusedWindows } from "../../../services/renderer/reused.ts";
import type { RunResult } from "../../../shared/run.ts";
import { resultOf } from "../../factories/results.ts";

const dataset = { timeZone: "America/New_York" };
const textOf = (given: Partial<RunResult>) =>
  reusedWindows(resultOf(given), dataset)
    .map(({ source }) => source.replaceAll(/<[^>]*>/g, "|").replaceAll("\u00a0", " "))
    .join("\n");

test("names the dates whose rows are those of earlier runs, by the day on which they were fetched", () => {
  const window = (from: string, to: string, at?: string) => ({
    ...{ from, to, attempt: 1, pages: 1, totalRecords: 90, period: 1 },
    ...(at !== undefined && { reused: { runId: "r", at } }),
  });
  const windows = [
    window("2026-01-01", "2026-01-31", "2026-11-03T11:00:00Z"),
    // Still November 9 in New York.
    window("2026-02-01", "2026-02-28", "2026-11-10T04:00:00Z"),
    window("2026-03-01", "2026-03-31", "2026-11-03T11:00:00Z"),
    window("2026-04-01", "2026-04-30"),
  ];
  const refresh = { full: false, reason: "", reused: 3, oldest: "2026-11-03T11:00:00Z" };
  const text = textOf({ windows, refresh });
  expect(text).toContain(
    "3 of 4 windows were not fetched: their rows are those of earlier runs, the oldest of 2026-11-03",
  );
  expect(text).toContain("|Nov 3, 2026||Jan 1, 2026 – Mar 31, 2026||2 windows|");
  expect(text).toContain("|Nov 9, 2026||Feb 1, 2026 – Feb 28, 2026||1 window|");
  expect(text.indexOf("Nov 3, 2026|")).toBeLessThan(text.indexOf("Nov 9, 2026|"));
});

test("hides a small number of changes in windows that had been reused", () => {
  const missed = (changes: number) => ({ changes, since: "2026-10-05T11:00:00Z", adviceDays: 61 });
  const refresh = { full: true, reason: "it is the first run of the month", reused: 0 };
  expect(textOf({ refresh: { ...refresh, missed: missed(4) } })).toContain("found fewer than 5 changes in");
  expect(textOf({ refresh: { ...refresh, missed: missed(5) } })).toContain("found 5 changes in");
  expect(textOf({ refresh })).toBe("");
  expect(textOf({})).toBe("");
});
