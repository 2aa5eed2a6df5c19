// Schedules derived from another schedule: some minutes before it or after it.
import { weekdays } from "../shared/cron.ts";

type Cron = `cron(${string})`;

const minutesOfDay = 24 * 60;

/**
 * Returns the schedule moved by some minutes.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
 * @param schedule `cron(minutes hours day-of-month month day-of-week year)` with one minute and one hour
 * @param minutes less than a day, in either direction
 * @throws Error where the schedule has several times a day, or the move leads to days that do not follow from its days
 */
export function moved(schedule: Cron, minutes: number): Cron {
  const [, minute, hour, ...days] =
    /^cron\((\d{1,2}) (\d{1,2}) (\S+) (\S+) (\S+) (\S+)\)$/.exec(schedule) ?? [];
  if (minute === undefined || hour === undefined) throw unmovable(schedule, "it has several times a day");
  const time = Number(hour) * 60 + Number(minute) + minutes;
  const byDays = Math.floor(time / minutesOfDay);
  const ofDay = time - byDays * minutesOfDay;
  const on = byDays === 0 ? days : movedDays(days, byDays);
  if (!on)
    throw unmovable(schedule, "the result falls on other days, and only days of the week can be moved");
  return `cron(${[ofDay % 60, Math.floor(ofDay / 60), ...on].join(" ")})`;
}

function movedDays([dayOfMonth = "", month = "", dayOfWeek = "", year = ""]: string[], by: number) {
  if (month !== "*" || year !== "*") return undefined;
  const isDaily = [dayOfMonth, dayOfWeek].toSorted().join("") === "*?";
  if (isDaily) return [dayOfMonth, month, dayOfWeek, year];
  const moved = dayOfWeek.split(",").map((day) => {
    // By name, or by number from Sunday as 1.
    const index = /^[1-7]$/.test(day) ? Number(day) - 1 : weekdays.indexOf(day);
    return index === -1 ? undefined : weekdays[(index + by + weekdays.length) % weekdays.length];
  });
  return moved.includes(undefined) ? undefined : ["?", month, moved.join(","), year];
}

function unmovable(schedule: string, why: string): Error {
  return new Error(
    `The schedule ${schedule} cannot be moved for the EC2 instances: ${why}. Write it with one time on days of the week (shared/datasets.ts), or set the stage's instances to "none" (stacks/stage.ts).`,
  );
}
