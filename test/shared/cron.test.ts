// Cron expressions: which of them EventBridge Scheduler rejects, and when the others fire.
import fc from "fast-check";
import { expect, test } from "vitest";
import { firesAt, firesWithin, nextTime, parseCron } from "../../shared/cron.ts";

const day = (text: string) => new Date(`${text}T00:00:00Z`);

function cronOf(schedule: string) {
  const cron = parseCron(schedule);
  if ("problem" in cron) throw new Error(cron.problem);
  return cron;
}

/** Returns the days of a year on which a schedule fires, as MM-DD. */
function daysIn(year: number, schedule: string): string[] {
  const { firesOn } = cronOf(schedule);
  const days = Array.from({ length: 366 }, (_, n) => new Date(Date.UTC(year, 0, 1 + n)));
  return days
    .filter((each) => each.getUTCFullYear() === year && firesOn(each))
    .map((each) => each.toISOString().slice(5, 10));
}

test.each([
  ["cron(99 99 ? * MON *)", 'minutes: "99" is not in 0 to 59'],
  ["cron(0 24 ? * MON *)", 'hours: "24" is not in 0 to 23'],
  ["cron(0 6 * * MON *)", "write ? for exactly one of day-of-month and day-of-week"],
  ["cron(0 6 1 * MON *)", "write ? for exactly one"],
  ["cron(0 6 ? * ? *)", "write ? for exactly one"],
  ["cron(0 6 * * * *)", "write ? for exactly one"],
  ["cron(0 6 ? * MON)", "write six fields"],
  ["cron(0 6 ? * MON * *)", "write six fields"],
  ["cron(0 6 ? * MON *", "write six fields"],
  ["cron( 0 6 ? * MON)", "write six fields"],
  ["rate(1 day)", "write six fields"],
  ["cron(0 6 32 * ? *)", 'day-of-month: "32" is not in 1 to 31'],
  ["cron(0 6 0W * ? *)", 'day-of-month: "0" is not in 1 to 31'],
  ["cron(0 6 ? 13 MON *)", 'month: "13" is not in 1 to 12 or JAN to DEC'],
  ["cron(0 6 ? jan MON *)", 'month: "jan"'],
  ["cron(0 6 ? * 0 *)", 'day-of-week: "0" is not in 1 to 7 or SUN to SAT'],
  ["cron(0 6 ? * 8 *)", 'day-of-week: "8"'],
  ["cron(0 6 ? * MONDAY *)", 'day-of-week: "MONDAY"'],
  ["cron(0 6 ? * FRI-MON *)", 'day-of-week: "FRI-MON"'],
  ["cron(0 6 ? * 2/2 *)", 'day-of-week: "2/2"'],
  ["cron(0 6 ? * 3#6 *)", 'day-of-week: "3#6"'],
  ["cron(0 6 ? * 3#1,6#3 *)", 'day-of-week: "3#1"'],
  ["cron(0 6 ? * MON 1969)", 'year: "1969" is not in 1970 to 2199'],
  ["cron(0 6 ? * MON 2200)", 'year: "2200"'],
  ["cron(0/0 6 ? * MON *)", 'minutes: "0/0"'],
  ["cron(5-1 6 ? * MON *)", 'minutes: "5-1"'],
  ["cron(*-5 6 ? * MON *)", 'minutes: "*-5"'],
  ["cron(1,,2 6 ? * MON *)", 'minutes: "" is not'],
  ["cron(-1 6 ? * MON *)", 'minutes: "-1"'],
  ["cron(? 6 ? * MON *)", 'minutes: "?"'],
  ["cron(1.5 6 ? * MON *)", 'minutes: "1.5"'],
])("refuses %s and names the field", (schedule, problem) => {
  expect(parseCron(schedule)).toEqual({ problem: expect.stringContaining(problem) });
});

// 2027 begins on a Friday.
test.each([
  ["cron(0 6 ? 1 MON *)", ["01-04", "01-11", "01-18", "01-25"]],
  ["cron(0 6 ? JAN 2 2027)", ["01-04", "01-11", "01-18", "01-25"]],
  ["cron(0 6 ? 1 MON 2028)", []],
  ["cron(0 6 ? 1 MON 2020/7)", ["01-04", "01-11", "01-18", "01-25"]],
  ["cron(0 6 1,15 1-2 ? *)", ["01-01", "01-15", "02-01", "02-15"]],
  ["cron(0 6 1/10 JAN ? *)", ["01-01", "01-11", "01-21", "01-31"]],
  ["cron(0 6 31 * ? *)", ["01-31", "03-31", "05-31", "07-31", "08-31", "10-31", "12-31"]],
  ["cron(0 6 L 1-3 ? *)", ["01-31", "02-28", "03-31"]],
  // 3 January is a Sunday, 16 January a Saturday; 1 May is a Saturday, 31 October a Sunday.
  ["cron(0 6 3W JAN ? *)", ["01-04"]],
  ["cron(0 6 16W JAN ? *)", ["01-15"]],
  ["cron(0 6 5W JAN ? *)", ["01-05"]],
  ["cron(0 6 1W MAY ? *)", ["05-03"]],
  ["cron(0 6 31W OCT ? *)", ["10-29"]],
  ["cron(0 6 ? JAN L *)", ["01-02", "01-09", "01-16", "01-23", "01-30"]],
  ["cron(0 6 ? 1-2 6L *)", ["01-29", "02-26"]],
  ["cron(0 6 ? JAN FRI#5 *)", ["01-29"]],
  ["cron(0 6 ? 1-2 3#2 *)", ["01-12", "02-09"]],
  [
    "cron(0 6 ? JAN SUN,TUE-WED *)",
    "03 05 06 10 12 13 17 19 20 24 26 27 31".split(" ").map((n) => `01-${n}`),
  ],
  ["cron(0 6 29 2 ? *)", []],
])("fires %s in 2027 on the days %j", (schedule, days) => {
  expect(daysIn(2027, schedule)).toEqual(days);
});

test.each([
  ["cron(0 6 ? * MON *)", ["06:00"]],
  ["cron(0,30 6-7 ? * MON *)", ["06:00", "06:30", "07:00", "07:30"]],
  ["cron(10/25 0/12 ? * MON *)", ["00:10", "00:35", "12:10", "12:35"]],
  ["cron(*/40 23 ? * MON *)", ["23:00", "23:40"]],
  ["cron(5-20/5 4 ? * MON *)", ["04:05", "04:10", "04:15", "04:20"]],
])("fires %s at %j", (schedule, times) => {
  const cron = cronOf(schedule);
  const monday = Date.UTC(2027, 0, 4);
  const minutes = Array.from({ length: 24 * 60 }, (_, n) => new Date(monday + n * 60_000));
  const fired = minutes.filter((minute) => firesAt(cron, minute));
  expect(fired.map((minute) => minute.toISOString().slice(11, 16))).toEqual(times);
  expect(firesAt(cron, new Date(monday - 60_000))).toBe(false);
});

test("finds whether a schedule fires within a number of days", () => {
  const leapDay = cronOf("cron(0 6 29 2 ? *)");
  expect(firesWithin(leapDay, day("2027-01-01"), 424)).toBe(false);
  expect(firesWithin(leapDay, day("2027-01-01"), 425)).toBe(true);
  expect(firesWithin(cronOf("cron(0 6 30 2 ? *)"), day("2027-01-01"), 3_660)).toBe(false);
  expect(firesWithin(cronOf("cron(0 6 ? * MON 2026)"), day("2027-01-01"), 3_660)).toBe(false);
});

test("parses any text to a schedule or a problem", () => {
  const field = fc.string({ unit: fc.constantFrom(..."0123456789*?,-/LW#MONJA "), maxLength: 12 });
  fc.assert(
    fc.property(fc.array(field, { maxLength: 8 }), (fields) => {
      const cron = parseCron(`cron(${fields.join(" ")})`);
      if (!("problem" in cron)) expect(cron.times.length).toBeGreaterThan(0);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ["cron(0 6 ? * MON *)", "America/New_York", "2026-11-23T10:59:59Z", "2026-11-23T11:00:00.000Z"],
  ["cron(0 6 ? * MON *)", "America/New_York", "2026-11-23T11:00:00Z", "2026-11-30T11:00:00.000Z"],
  ["cron(30,0 18,6 * * ? *)", "Asia/Tokyo", "2026-11-22T21:10:00Z", "2026-11-22T21:30:00.000Z"],
  // Clocks go forward and back at 2:00 on these days.
  ["cron(0 6 8 3 ? *)", "America/New_York", "2026-01-01T00:00:00Z", "2026-03-08T10:00:00.000Z"],
  ["cron(0 6 1 11 ? *)", "America/New_York", "2026-11-01T05:00:00Z", "2026-11-01T11:00:00.000Z"],
  ["cron(0 0 29 2 ? *)", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00.000Z"],
])("%s in %s fires next after %s at %s", (schedule, timeZone, after, next) => {
  expect(nextTime(cronOf(schedule), timeZone, new Date(after), 3 * 366)?.toISOString()).toBe(next);
});

test("a schedule that does not fire in the given days has no next time", () => {
  expect(nextTime(cronOf("cron(0 0 29 2 ? *)"), "UTC", day("2026-01-01"), 366)).toBeUndefined();
});
