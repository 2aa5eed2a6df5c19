// test/shared/kinds/records/periods.test.ts tests how dates are moved by years and days.
import fc from "fast-check";
import { expect, test } from "vitest";
import { addDays, daysBetween, daysOfFiscalYear, fiscalYearOf, yesterday } from "../../shared/dates.ts";

const zones = [
  ...["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Auckland", "UTC"],
  // A day without midnight, both sides of the date line, and an offset with minutes.
  ...["America/Sao_Paulo", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"],
];
/** Midnights in these zones, nights with clock changes, and days after leap days. */
const edges = [
  ..."2024-03-10T05:00Z 2024-03-11T04:00Z 2024-11-03T04:00Z 2024-11-04T05:00Z 2018-11-04T03:00Z".split(" "),
  ..."2024-01-01T10:00Z 2024-01-01T11:00Z 2024-06-30T18:15Z 2024-03-01T12:00Z 2100-03-01T12:00Z".split(" "),
].map((text) => Date.parse(text));

test("returns the day before the current day of the library's time zone", () => {
  const instant = fc.oneof(
    fc.date({ min: new Date("1990-01-01"), max: new Date("2090-01-01"), noInvalidDate: true }),
    fc
      .tuple(fc.constantFrom(...edges), fc.constantFrom(-1, 0))
      .map(([edge, milliseconds]) => new Date(edge + milliseconds)),
  );
  fc.assert(
    fc.property(instant, fc.constantFrom(...zones), (now, timeZone) => {
      const today = new Intl.DateTimeFormat("en-CA", { timeZone }).format(now);
      expect(addDays(yesterday(now, timeZone), 1)).toBe(today);
    }),
    { numRuns: 500 },
  );
});

test("a fiscal year has all days between the one before and the one after, from any month", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1990, max: 2090 }), fc.integer({ min: 1, max: 12 }), (year, firstMonth) => {
      const { from, to } = daysOfFiscalYear(year, firstMonth);
      const before = addDays(from, -1);
      const after = addDays(to, 1);
      expect([before, from, to, after].map((day) => fiscalYearOf(day, firstMonth))).toEqual([
        year - 1,
        year,
        year,
        year + 1,
      ]);
      expect([364, 365]).toContain(daysBetween(from, to));
    }),
  );
});
