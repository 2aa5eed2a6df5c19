// Tests shifted schedules, in the syntax of EventBridge Scheduler.
import fc from "fast-check";
import { expect, test } from "vitest";
import { shiftSchedule } from "../../stacks/eventbridge-cron.ts";

test.each([
  ["cron(0 6 ? * MON *)", -15, "cron(45 5 ? * MON *)"],
  ["cron(0 6 ? * MON *)", 240, "cron(0 10 ? * MON *)"],
  ["cron(5 0 ? * MON *)", -15, "cron(50 23 ? * SUN *)"],
  ["cron(0 0 ? * SUN,WED *)", -1, "cron(59 23 ? * SAT,TUE *)"],
  ["cron(30 23 ? * SAT *)", 60, "cron(30 0 ? * SUN *)"],
  ["cron(30 23 ? * 7 *)", 60, "cron(30 0 ? * SUN *)"],
  ["cron(0 0 * * ? *)", -15, "cron(45 23 * * ? *)"],
  ["cron(0 0 ? * * *)", -15, "cron(45 23 ? * * *)"],
  ["cron(0 6 1 * ? *)", -15, "cron(45 5 1 * ? *)"],
  ["cron(0 6 ? * MON-FRI 2027)", -15, "cron(45 5 ? * MON-FRI 2027)"],
] as const)("%s shifted by %i minutes is %s", (schedule, minutes, expected) => {
  expect(shiftSchedule(schedule, minutes)).toBe(expected);
});

test.each([
  ["cron(0 6,18 ? * MON *)", "it runs several times a day"],
  ["cron(0/5 6 ? * MON *)", "it runs several times a day"],
  ["cron(0 0 1 * ? *)", "the result falls on other days"],
  ["cron(0 0 ? * MON-FRI *)", "the result falls on other days"],
  ["cron(0 0 ? * MON#1 *)", "the result falls on other days"],
  ["cron(0 0 ? * 8 *)", "the result falls on other days"],
  ["cron(0 0 ? JAN MON *)", "the result falls on other days"],
  ["cron(0 0 ? * MON 2027)", "the result falls on other days"],
] as const)("%s shifted to before midnight fails: %s", (schedule, reason) => {
  expect(() => shiftSchedule(schedule, -15)).toThrow(reason);
});

test("shifting a schedule back restores it", () => {
  const time = fc.tuple(fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 23 }));
  const days = fc.uniqueArray(fc.constantFrom("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), {
    minLength: 1,
  });
  fc.assert(
    fc.property(time, days, fc.integer({ min: -1439, max: 1439 }), (minuteAndHour, weekdays, minutes) => {
      const schedule = `cron(${minuteAndHour.join(" ")} ? * ${weekdays.join()} *)` as const;
      expect(shiftSchedule(shiftSchedule(schedule, minutes), -minutes)).toBe(schedule);
    }),
  );
});
