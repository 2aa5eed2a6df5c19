import fc from "fast-check";
import { expect, test } from "vitest";
import { records } from "../../../../shared/kinds/records/records.ts";

const dayMs = 86_400_000;
const day = (text: string) => Date.parse(`${text}T00:00:00Z`) / dayMs;
const iso = (days: number) => new Date(days * dayMs).toISOString().slice(0, 10);

const leapDays = Array.from({ length: 101 }, (_, index) => `${2000 + index}-02-29`).filter(
  (date) => iso(day(date)) === date,
);
const date = fc.oneof(
  fc.integer({ min: day("2000-01-01"), max: day("2100-12-31") }).map(iso),
  fc.constantFrom(...leapDays),
);
const range = fc.tuple(date, date).map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a }));

/** Returns the first day beyond LibInsight's limit for a query: the same date a year later, February 28 for the 29th. */
function yearLater(date: string): string {
  const same = `${Number(date.slice(0, 4)) + 1}${date.slice(4)}`;
  return same.endsWith("-02-29") ? same.replace(/29$/, "28") : same;
}

test("covers the range in order without gaps or overlaps", () => {
  fc.assert(
    fc.property(range, ({ from, to }) => {
      const periods = records.periods({ from, to });
      expect(periods[0]?.from).toBe(from);
      expect(periods.at(-1)?.to).toBe(to);
      periods.forEach((period, index) => {
        expect(period.from <= period.to).toBe(true);
        const before = periods[index - 1];
        if (before) expect(period.from).toBe(iso(day(before.to) + 1));
      });
    }),
    { numRuns: 500 },
  );
});

test("ends each period before the same date a year later, and makes all but the last a whole year", () => {
  fc.assert(
    fc.property(range, ({ from, to }) => {
      const periods = records.periods({ from, to });
      periods.forEach((period, index) => {
        expect(period.to < yearLater(period.from)).toBe(true);
        if (index < periods.length - 1) expect(iso(day(period.to) + 1)).toBe(yearLater(period.from));
      });
    }),
    { numRuns: 500 },
  );
});
