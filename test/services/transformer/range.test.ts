import fc from "fast-check";
import { expect, test } from "vitest";
import { recordsOutside } from "../../../services/transformer/range.ts";

const window = { from: "2023-01-01", to: "2023-06-30" };
const outside = (...dates: unknown[]) =>
  recordsOutside(
    dates.map((_start_date) => ({ _start_date })),
    window,
    "_start_date",
  );

test("counts records dated before or after the window, but not those on its first and last day", () => {
  const day = fc
    .date({ min: new Date("2022-01-01"), max: new Date("2024-12-31"), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 10));
  fc.assert(
    fc.property(fc.array(day), fc.constantFrom("", " 23:59:59", "T00:00"), (days, time) => {
      const expected = days.filter((one) => one < window.from || one > window.to).length;
      expect(outside(...days.map((one) => `${one}${time}`))).toBe(expected);
    }),
  );
  expect(outside("2023-01-01 00:00:00", "2023-06-30 23:59:59")).toBe(0);
  expect(outside("2022-12-31 23:59:59", "2023-07-01")).toBe(2);
});

test("ignores whitespace before a date", () => {
  expect(outside(" \n2022-12-31", "  2023-01-01")).toBe(1);
});

test("does not count records without a date, or values that are not records", () => {
  expect(outside(undefined, null, "", "soon", 20_221_231, ["2022-12-31"], "on 2022-12-31", "2022-1-1")).toBe(
    0,
  );
  expect(recordsOutside([null, "2022-12-31", ["2022-12-31"], 7], window, "_start_date")).toBe(0);
});
