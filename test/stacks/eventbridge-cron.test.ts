// Schedules moved by some minutes, in the scheduler's syntax.
import fc from "fast-check";
import { expect, test } from "vitest";
import { moved } from "../../stacks/eventbridge-cron.ts";

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
] as const)("%s by %i minutes is %s", (schedule, minutes, expected) => {
  expect(moved(schedule, minutes)).toBe(expected);
});

test.each([
  ["cron(0 6,18 ? * MON *)", "it has several times a day"],
  ["cron(0/5 6 ? * MON *)", "it has several times a day"],
  ["cron(0 0 1 * ? *)", "the result falls on other days"],
  ["cron(0 0 ? * MON-FRI *)", "the result falls on other days"],
  ["cron(0 0 ? * MON#1 *)", "the result falls on other days"],
  ["cron(0 0 ? * 8 *)", "the result falls on other days"],
  ["cron(0 0 ? JAN MON *)", "the result falls on other days"],
  ["cron(0 0 ? * MON 2027)", "the result falls on other days"],
] as const)("%s cannot be moved to before midnight, and the error gives the reason", (schedule, why) => {
  expect(() => moved(schedule, -15)).toThrow(why);
});

test("moving a schedule back restores it", () => {
  const time = fc.tuple(fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 23 }));
  const days = fc.uniqueArray(fc.constantFrom("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), {
    minLength: 1,
  });
  fc.assert(
    fc.property(time, days, fc.integer({ min: -1439, max: 1439 }), (at, on, minutes) => {
      const schedule = `cron(${at.join(" ")} ? * ${on.join()} *)` as const;
      expect(moved(moved(schedule, minutes), -minutes)).toBe(schedule);
    }),
  );
});
