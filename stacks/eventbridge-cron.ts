// Derives an EventBridge schedule from another one, some minutes earlier or later.
import { weekdays } from "../shared/cron.ts";

type Cron = `cron(${string})`;

const minutesPerDay = 24 * 60;

/**
 * Returns the schedule shifted by some minutes.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
 * @param schedule `cron(minutes hours day-of-month month day-of-week year)` with one minute and one hour
 * @param minutes less than a day; negative for earlier
 * @throws Error if the schedule runs several times a day, or the shift crosses midnight and its days can't be shifted
 */
export function shiftSchedule(schedule: Cron, minutes: number): Cron {
  const [, minute, hour, ...days] =
    /^cron\((\d{1,2}) (\d{1,2}) (\S+) (\S+) (\S+) (\S+)\)$/.exec(schedule) ?? [];
  if (minute === undefined || hour === undefined) throw shiftError(schedule, "it runs several times a day");
  const time = Number(hour) * 60 + Number(minute) + minutes;
  const dayShift = Math.floor(time / minutesPerDay);
  const minuteOfDay = time - dayShift * minutesPerDay;
  const shiftedDays = dayShift === 0 ? days : shiftDays(days, dayShift);
  if (!shiftedDays)
    throw shiftError(schedule, "the result falls on other days, and only days of the week can be shifted");
  return `cron(${[minuteOfDay % 60, Math.floor(minuteOfDay / 60), ...shiftedDays].join(" ")})`;
}

function shiftDays([dayOfMonth = "", month = "", dayOfWeek = "", year = ""]: string[], by: number) {
  if (month !== "*" || year !== "*") return undefined;
  const isDaily = [dayOfMonth, dayOfWeek].toSorted().join("") === "*?";
  if (isDaily) return [dayOfMonth, month, dayOfWeek, year];
  const shifted = dayOfWeek.split(",").map((day) => {
    // A day is a name, or a number that starts with 1 for Sunday.
    const index = /^[1-7]$/.test(day) ? Number(day) - 1 : weekdays.indexOf(day);
    return index === -1 ? undefined : weekdays[(index + by + weekdays.length) % weekdays.length];
  });
  return shifted.includes(undefined) ? undefined : ["?", month, shifted.join(","), year];
}

function shiftError(schedule: string, reason: string): Error {
  return new Error(
    `Cannot derive the EC2 instances' schedules from ${schedule}: ${reason}. Use one time on days of the week (shared/library.ts), or set the stage's instances to "none" (there or in INSTANCES).`,
  );
}
