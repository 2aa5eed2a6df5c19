import fc from "fast-check";
import { expect, test } from "vitest";
import { addToDate, yesterday } from "../../shared/dates.ts";
import { isoDate } from "../../shared/schemas.ts";

const newYork = "America/New_York";

test.each([
  // The night that loses an hour (10 March 2024, 02:00).
  ["2024-03-10T04:59:59.999Z", newYork, "2024-03-08"],
  ["2024-03-10T05:00:00.000Z", newYork, "2024-03-09"],
  ["2024-03-11T03:59:59.999Z", newYork, "2024-03-09"],
  ["2024-03-11T04:00:00.000Z", newYork, "2024-03-10"],
  // The night that has an hour twice (3 November 2024, 02:00).
  ["2024-11-03T03:59:59.999Z", newYork, "2024-11-01"],
  ["2024-11-03T04:00:00.000Z", newYork, "2024-11-02"],
  ["2024-11-04T04:59:59.999Z", newYork, "2024-11-02"],
  ["2024-11-04T05:00:00.000Z", newYork, "2024-11-03"],
  // A day without a midnight: it began at 01:00.
  ["2018-11-04T02:59:59.999Z", "America/Sao_Paulo", "2018-11-02"],
  ["2018-11-04T03:00:00.000Z", "America/Sao_Paulo", "2018-11-03"],
  // Both sides of the date line, 25 hours apart.
  ["2024-01-01T09:59:59.999Z", "Pacific/Kiritimati", "2023-12-31"],
  ["2024-01-01T10:00:00.000Z", "Pacific/Kiritimati", "2024-01-01"],
  ["2024-01-01T10:59:59.999Z", "Pacific/Pago_Pago", "2023-12-30"],
  ["2024-01-01T11:00:00.000Z", "Pacific/Pago_Pago", "2023-12-31"],
  // Not a whole hour from UTC.
  ["2024-06-30T18:14:59.999Z", "Asia/Kathmandu", "2024-06-29"],
  ["2024-06-30T18:15:00.000Z", "Asia/Kathmandu", "2024-06-30"],
  // Leap days: 2024 and 2000 have one, 2023 and 2100 do not.
  ["2024-03-01T12:00:00Z", "UTC", "2024-02-29"],
  ["2023-03-01T12:00:00Z", "UTC", "2023-02-28"],
  ["2000-03-01T12:00:00Z", "UTC", "2000-02-29"],
  ["2100-03-01T12:00:00Z", "UTC", "2100-02-28"],
  ["2025-01-01T12:00:00Z", "UTC", "2024-12-31"],
])("at %s in %s yesterday is %s", (now, timeZone, expected) => {
  expect(yesterday(new Date(now), timeZone)).toBe(expected);
});

const zones = [newYork, "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Auckland", "UTC"];

test("the day after yesterday is the day on the library's calendar", () => {
  const instant = fc.date({ min: new Date("1990-01-01"), max: new Date("2090-01-01"), noInvalidDate: true });
  fc.assert(
    fc.property(instant, fc.constantFrom(...zones), (now, timeZone) => {
      const today = new Intl.DateTimeFormat("en-CA", { timeZone }).format(now);
      expect(addToDate(yesterday(now, timeZone), { days: 1 })).toBe(today);
    }),
  );
});

const date = fc
  .date({ min: new Date("1900-01-01"), max: new Date("2199-12-31"), noInvalidDate: true })
  .map((day) => day.toISOString().slice(0, 10));

test("days are added as the calendar counts them, and taken away again", () => {
  fc.assert(
    fc.property(date, fc.integer({ min: -2000, max: 2000 }), (from, days) => {
      const to = addToDate(from, { days });
      expect((Date.parse(to) - Date.parse(from)) / 86_400_000).toBe(days);
      expect(addToDate(to, { days: -days })).toBe(from);
    }),
  );
});

test("years keep month and day, but for a 29 February that becomes the 28th", () => {
  fc.assert(
    fc.property(
      fc.oneof(date, fc.constant("2024-02-29")),
      fc.integer({ min: -50, max: 50 }),
      (from, years) => {
        const [year, monthAndDay] = [Number(from.slice(0, 4)) + years, from.slice(4)];
        const same = `${year}${monthAndDay}`;
        const expected = isoDate.safeParse(same).success ? same : `${year}-02-28`;
        expect(addToDate(from, { years })).toBe(expected);
      },
    ),
  );
});

test.each([
  ["2024-02-29", { years: 1, days: 1 }, "2025-03-01"],
  ["2024-02-29", { years: 1, days: -1 }, "2025-02-27"],
  ["2023-03-01", { years: 1, days: -1 }, "2024-02-29"],
  ["2021-12-02", { years: 1, days: -1 }, "2022-12-01"],
  ["2021-12-02", {}, "2021-12-02"],
])("%s moved by %j, years before days, is %s", (from, by, expected) => {
  expect(addToDate(from, by)).toBe(expected);
});
