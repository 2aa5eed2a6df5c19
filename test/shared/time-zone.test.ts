import { expect, test } from "vitest";
import { dayIn, isTimeZone, skippedMinutes } from "../../shared/time-zone.ts";

test.each([
  "America/New_York",
  "US/Eastern",
  "Asia/Kolkata",
  "America/Argentina/Buenos_Aires",
  "UTC",
  "Etc/UTC",
])("accepts the time zone %s", (zone) => {
  expect(isTimeZone(zone)).toBe(true);
});

test.each([
  ...["+05:30", "-03", "+0530", "GMT+5", "UTC+1"],
  ...["PST", "EST", "JST", "Z", "utc", "america/new_york", "US/eastern", "SystemV/EST5"],
  ...["", " America/New_York", "America/Blacksburg", "Etc/Unknown"],
])("refuses %j, which EventBridge Scheduler does not accept", (zone) => {
  expect(isTimeZone(zone)).toBe(false);
});

test("returns the day in a time zone", () => {
  const now = new Date("2026-11-28T03:00:00Z");
  expect(dayIn("America/New_York", now)).toBe("2026-11-27");
  expect(dayIn("UTC", now)).toBe("2026-11-28");
  expect(dayIn("Pacific/Kiritimati", new Date("2026-11-28T12:00:00Z"))).toBe("2026-11-29");
});

/** Returns the first and the last skipped minute of each day. */
function skippedIn(zone: string, years: number): [string, string][] {
  const minutes = skippedMinutes(zone, new Date("2026-11-28T06:00:00.500Z"), years).map((minute) =>
    minute.toISOString().slice(0, 16),
  );
  const days = Map.groupBy(minutes, (minute) => minute.slice(0, 10));
  return [...days.values()].map((of) => [of[0] ?? "", of.at(-1) ?? ""]);
}

test.each<[string, [string, string][]]>([
  [
    "America/New_York",
    [
      ["2027-03-14T02:00", "2027-03-14T02:59"],
      ["2028-03-12T02:00", "2028-03-12T02:59"],
    ],
  ],
  [
    "Europe/Berlin",
    [
      ["2027-03-28T02:00", "2027-03-28T02:59"],
      ["2028-03-26T02:00", "2028-03-26T02:59"],
    ],
  ],
  [
    "Australia/Lord_Howe",
    [
      ["2027-10-03T02:00", "2027-10-03T02:29"],
      ["2028-10-01T02:00", "2028-10-01T02:29"],
    ],
  ],
  [
    "Antarctica/Troll",
    [
      ["2027-03-28T01:00", "2027-03-28T02:59"],
      ["2028-03-26T01:00", "2028-03-26T02:59"],
    ],
  ],
  ["America/Phoenix", []],
  ["UTC", []],
])("finds the minutes that %s skips: %j", (zone, expected) => {
  expect(skippedIn(zone, 2)).toEqual(expected);
});

test("finds clock changes only between 22:00 and 05:00, the only hours that shared/dataset-schema.ts checks", () => {
  const now = new Date();
  const hours = Intl.supportedValuesOf("timeZone").flatMap((zone) =>
    skippedMinutes(zone, now, 1).map((minute) => minute.getUTCHours()),
  );
  expect(hours.length).toBeGreaterThan(1_000);
  expect([...new Set(hours)].filter((hour) => hour >= 5 && hour < 22)).toEqual([]);
});
