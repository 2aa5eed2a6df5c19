import { expect, test } from "vitest";
import { periodsOf, reconciles, reconciliation } from "../../../services/renderer/reconciliation.ts";
import type { RunResult } from "../../../shared/run.ts";
import { resultOf } from "../../factories/results.ts";

type Window = RunResult["windows"][number];

const windowOf = (from: string, to: string, period?: number): Window => ({
  ...{ from, to, attempt: 1, pages: 1, totalRecords: 10, rows: 8, rejected: 1, duplicates: 1 },
  ...(period !== undefined && { period }),
});

test("the windows of a period are shown as one", () => {
  const windows = [
    windowOf("2023-01-01", "2023-03-31", 1),
    windowOf("2023-04-01", "2023-12-31", 1),
    windowOf("2024-01-01", "2024-02-29", 2),
  ];
  expect(periodsOf({ windows })).toMatchObject([
    {
      from: "2023-01-01",
      to: "2023-12-31",
      pages: 2,
      totalRecords: 20,
      rows: 16,
      rejected: 2,
      duplicates: 2,
    },
    { from: "2024-01-01", to: "2024-02-29", pages: 1, totalRecords: 10 },
  ]);
});

test("each window of an older result is a period", () => {
  const windows = [windowOf("2023-01-01", "2023-12-31"), windowOf("2024-01-01", "2024-02-29")];
  expect(periodsOf({ windows })).toEqual(windows);
});

test("more than 24 periods are shown by the year in which they begin", () => {
  const windows = Array.from({ length: 25 }, (_, n) => {
    const month = `${n < 12 ? 2022 : n < 24 ? 2023 : 2024}-${String((n % 12) + 1).padStart(2, "0")}`;
    return windowOf(`${month}-01`, `${month}-28`, n + 1);
  });
  expect(periodsOf({ windows }).map(({ from, pages }) => [from, pages])).toEqual([
    ["2022-01-01", 12],
    ["2023-01-01", 12],
    ["2024-01-01", 1],
  ]);
});

test("forgotten records are a part of the sum, in all and in each period", () => {
  const windows = [
    { ...windowOf("2023-01-01", "2023-06-30", 1), totalRecords: 13, forgotten: 3 },
    { ...windowOf("2023-07-01", "2023-12-31", 1), totalRecords: 14, forgotten: 4 },
    windowOf("2024-01-01", "2024-12-31", 2),
  ];
  const result = resultOf({ windows, records: 37, rows: 24, duplicates: 3, rejects: { a: 3 }, forgotten: 7 });
  expect(periodsOf(result).map(({ forgotten }) => forgotten)).toEqual([7, undefined]);
  expect([reconciles(result), reconciles({ ...result, forgotten: 6 })]).toEqual([true, false]);
  const { source } = reconciliation(result, undefined, "record");
  expect(source).toContain("Forgotten</th><td><small>+</small> <b>7</b>");
  const failed = (html: string) => html.split('class="failed"').length + html.split("failed").length;
  const wrong = reconciliation(
    { ...result, windows: windows.map((each) => ({ ...each, forgotten: 2 })) },
    undefined,
    "record",
  );
  expect(failed(wrong.source)).toBeGreaterThan(failed(source));
  const { forgotten: _, ...others } = resultOf();
  expect(reconciliation(others, undefined, "record").source).not.toContain("Forgotten");
});
