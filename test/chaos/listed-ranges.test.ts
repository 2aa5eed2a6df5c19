import { expect, test } from "vitest";
import { listed, listedRanges } from "./listed-ranges.ts";

const window = { from: "2024-01-01", to: "2024-01-08" };

/** @param names the ends of keys; one with an asterisk is of an empty object */
function found(...names: string[]) {
  return names.map((name) =>
    listed({ key: `runs/r/parts/000001/1/${name.replace("*", "")}`, bytes: name.endsWith("*") ? 0 : 9 }),
  );
}
const whole = "2024-01-01_2024-01-08";

test("a window of one part is one range, even if pieces of it exist", () => {
  expect(listedRanges(window, found("2024-01-01_2024-01-04", whole))).toEqual([{ ...window, pages: 1 }]);
});

test("a split window has the ranges of its pieces, and their pieces and pages", () => {
  const parts = found(
    "2024-01-01_2024-01-01*",
    "2024-01-01_2024-01-01_000001_000002",
    "2024-01-01_2024-01-01_000002_000002",
    "2024-01-01_2024-01-04*",
    `${whole}*`,
    "2024-01-02_2024-01-04",
    "2024-01-05_2024-01-08",
  );
  expect(listedRanges(window, parts)).toEqual([
    { from: "2024-01-01", to: "2024-01-01", pages: 2 },
    { from: "2024-01-02", to: "2024-01-04", pages: 1 },
    { from: "2024-01-05", to: "2024-01-08", pages: 1 },
  ]);
});

test.each([
  ["a window without a part", [], /2024-01-01 to 2024-01-08 has no part/],
  ["a missing piece", [`${whole}*`, "2024-01-01_2024-01-04"], /leave a gap/],
  ["a gap between pieces", [`${whole}*`, "2024-01-01_2024-01-03", "2024-01-05_2024-01-08"], /leave a gap/],
  ["pieces that overlap", [`${whole}*`, "2024-01-01_2024-01-05", "2024-01-05_2024-01-08"], /overlap/],
])("finds %s", (_, names, problem) => {
  expect(() => listedRanges(window, found(...names))).toThrow(problem);
});

test("finds a missing page of a day", () => {
  const day = { from: "2024-01-01", to: "2024-01-01" };
  const pages = ["2024-01-01_2024-01-01*", "2024-01-01_2024-01-01_000001_000002"];
  expect(() => listedRanges(day, found(...pages))).toThrow("no part of some of its pages");
});
