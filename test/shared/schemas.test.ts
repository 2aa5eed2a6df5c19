import fc from "fast-check";
import { expect, test } from "vitest";
import { isoDate } from "../../shared/schemas.ts";

test.each(["2023-02-29", "2100-02-29", "2024-02-30", "2024-04-31", "2024-13-01", "2024-00-10", "2024-01-00"])(
  "refuses %s, which is not in the calendar",
  (text) => {
    expect(problems(text)).toEqual(["use a date that is in the calendar"]);
  },
);

test.each([
  "",
  "2024-1-1",
  "20240101",
  "01.02.2024",
  " 2024-01-01",
  "2024-01-01\n",
  "-000001-01-01",
  "٢٠٢٤-01-01",
])("refuses %j, which is not written as a date", (text) => {
  expect(problems(text)).toContain("write the date as YYYY-MM-DD");
});

function problems(text: string): string[] {
  return (isoDate.safeParse(text).error?.issues ?? []).map((issue) => issue.message);
}

test("accepts exactly the days that exist", () => {
  const digits = (max: number, length: number) =>
    fc.integer({ min: 0, max }).map((n) => String(n).padStart(length, "0"));
  fc.assert(
    fc.property(fc.tuple(digits(9999, 4), digits(13, 2), digits(32, 2)), (parts) => {
      const text = parts.join("-");
      const time = Date.parse(`${text}T00:00:00Z`);
      // Date.parse reads 30 February as 1 March.
      const exists = !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
      expect(isoDate.safeParse(text).success).toBe(exists);
    }),
    { numRuns: 500 },
  );
});
