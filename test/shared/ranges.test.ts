import fc from "fast-check";
import { expect, test } from "vitest";
import { addDays, daysBetween } from "../../shared/dates.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import { densityOf, isOneDay, piecesOf, windowsOf } from "../../shared/ranges.ts";

const firstDay = "2020-01-01";
const severalDays = fc
  .tuple(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 1, max: 366 }))
  .map(([start, more]) => ({ from: addDays(firstDay, start), to: addDays(firstDay, start + more) }));
const daysOf = ({ from, to }: DateRange) => daysBetween(from, to) + 1;

/** Checks that the parts cover the range in order, without gaps or overlaps. */
function expectCover({ from, to }: DateRange, parts: readonly DateRange[]): void {
  expect([parts[0]?.from, parts.at(-1)?.to]).toEqual([from, to]);
  parts.forEach((part, index) => {
    expect(part.from <= part.to).toBe(true);
    const next = parts[index + 1];
    if (next) expect(next.from).toBe(addDays(part.to, 1));
  });
}

test("cuts a range that does not fit one page into pieces of about the same length, as many as its records require", () => {
  const range = { from: "2023-12-30", to: "2024-01-08" };
  expect(piecesOf(range, { totalRecords: 101 })).toEqual([
    { from: "2023-12-30", to: "2024-01-03" },
    { from: "2024-01-04", to: "2024-01-08" },
  ]);
  expect(piecesOf(range, { totalRecords: 195 })).toHaveLength(3);
  expect(piecesOf(range, { totalRecords: 196 })).toHaveLength(4);
});

test("pieces cover their range, and are at least two and at most its days", () => {
  fc.assert(
    fc.property(severalDays, fc.integer({ min: 0, max: 1_000_000 }), (range, totalRecords) => {
      const pieces = piecesOf(range, { totalRecords });
      expectCover(range, pieces);
      const days = daysOf(range);
      expect(pieces.length).toBe(Math.min(Math.max(Math.ceil(totalRecords / 65), 2), days));
      const lengths = pieces.map(daysOf);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
    }),
    { numRuns: 500 },
  );
});

test("a range that is split again and again ends in single days", () => {
  const split = (range: DateRange, totalRecords: number): DateRange[] =>
    isOneDay(range)
      ? [range]
      : piecesOf(range, { totalRecords }).flatMap((piece) => split(piece, totalRecords));
  fc.assert(
    fc.property(severalDays, fc.integer({ min: 0, max: 10_000 }), (range, totalRecords) => {
      const days = split(range, totalRecords);
      expect(days).toHaveLength(daysOf(range));
      expectCover(range, days);
    }),
    { numRuns: 50 },
  );
});

test("a period without records is one window", () => {
  const period = { from: "2023-01-01", to: "2023-12-31" };
  expect(windowsOf(period, () => 0)).toEqual([period]);
});

test("a window has at most 95 expected records, and a busier day is a window of its own", () => {
  const counts = [40, 55, 1, 94, 0, 96, 0, 200, 300];
  const windows = windowsOf({ from: "2024-02-25", to: "2024-03-04" }, (day) => {
    return counts[daysBetween("2024-02-25", day)] ?? 0;
  });
  expect(windows).toEqual([
    { from: "2024-02-25", to: "2024-02-26" },
    { from: "2024-02-27", to: "2024-02-29" },
    { from: "2024-03-01", to: "2024-03-01" },
    { from: "2024-03-02", to: "2024-03-02" },
    { from: "2024-03-03", to: "2024-03-03" },
    { from: "2024-03-04", to: "2024-03-04" },
  ]);
});

test("windows cover their period and are as long as they may be", () => {
  const counts = fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(severalDays, counts, (period, counts) => {
      const expected = (day: string) => counts[daysBetween(period.from, day) % counts.length] ?? 0;
      const windows = windowsOf(period, expected);
      const sum = (range: DateRange) =>
        Array.from({ length: daysOf(range) }, (_, index) => expected(addDays(range.from, index))).reduce(
          (total, count) => total + count,
          0,
        );
      expectCover(period, windows);
      windows.forEach((window, index) => {
        if (!isOneDay(window)) expect(sum(window)).toBeLessThanOrEqual(95);
        const next = windows[index + 1];
        // The first day of the next window does not fit.
        if (next) expect(sum(window) + expected(next.from)).toBeGreaterThan(95);
      });
    }),
  );
});

test("expects on a published day what was published, and on other days one and a half times the mean", () => {
  const days = [...new Array<number>(28).fill(2), ...new Array<number>(28).fill(10)];
  const density = densityOf({ from: "2024-01-01", days });
  expect(density("2024-01-01")).toBe(2);
  expect(density("2024-02-25")).toBe(10);
  // The days after the publication are estimated by its last four weeks, those before it by all days.
  expect(density("2024-02-26")).toBe(15);
  expect(density("2030-01-01")).toBe(15);
  expect(density("2023-12-31")).toBe(9);
});

test("expects no records after a publication without days", () => {
  const density = densityOf({ from: "2024-01-01", days: [] });
  expect([density("2023-12-31"), density("2024-01-01")]).toEqual([0, 0]);
});
