// Parses the cron expressions of EventBridge Scheduler and finds when they fire. Pure functions.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
import { offsets } from "./time-zone.ts";

export const weekdays: readonly string[] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

export type Cron = {
  /** Minutes since midnight. */
  times: readonly number[];
  /** @param midnight start of the day, as if local time were UTC */
  firesOn: (midnight: Date) => boolean;
};

class InvalidCron extends Error {}

type Range = { min: number; max: number; names?: readonly string[] };

/** Returns the schedule, or a `problem` that names the field that EventBridge Scheduler would reject. */
export function parseCron(schedule: string): Cron | { problem: string } {
  try {
    return cronOf(schedule);
  } catch (error) {
    if (error instanceof InvalidCron) return { problem: error.message };
    throw error;
  }
}

function cronOf(schedule: string): Cron {
  const fields = /^cron\((.*)\)$/.exec(schedule)?.[1]?.split(/\s+/) ?? [];
  const [minute = "", hour = "", dayOfMonth = "", month = "", dayOfWeek = "", year = ""] = fields;
  if (fields.length !== 6 || fields.includes(""))
    throw new InvalidCron("write six fields: minutes hours day-of-month month day-of-week year");
  const minutes = numbersOf("minutes", minute, { min: 0, max: 59 });
  const hours = numbersOf("hours", hour, { min: 0, max: 23 });
  const inMonth = numbersOf("month", month, { min: 1, max: 12, names: months });
  const inYear = numbersOf("year", year, { min: 1970, max: 2199 });
  if ((dayOfMonth === "?") === (dayOfWeek === "?"))
    throw new InvalidCron("write ? for exactly one of day-of-month and day-of-week");
  const onDay = dayOfWeek === "?" ? daysOfMonth(dayOfMonth) : daysOfWeek(dayOfWeek);
  return {
    times: [...hours].flatMap((at) => [...minutes].map((past) => at * 60 + past)),
    firesOn: (midnight) =>
      inMonth.has(midnight.getUTCMonth() + 1) && inYear.has(midnight.getUTCFullYear()) && onDay(midnight),
  };
}

/** Returns whether the schedule fires on any of the `days`. @param from first midnight, as if local time were UTC */
export function firesWithin({ firesOn }: Cron, from: Date, days: number): boolean {
  for (let day = 0; day < days; day++) if (firesOn(new Date(from.getTime() + day * dayMs))) return true;
  return false;
}

/** Returns whether the schedule fires at a time. @param time a whole minute, as if local time were UTC */
export function firesAt({ times, firesOn }: Cron, time: Date): boolean {
  const sinceMidnight = time.getTime() % dayMs;
  return times.includes(sinceMidnight / minuteMs) && firesOn(new Date(time.getTime() - sinceMidnight));
}

/**
 * Returns when the schedule fires next, or undefined if it does not in the next `days`.
 * @param after a time; the schedule must not fire at a local time that clocks skip
 */
export function nextTime(
  { times, firesOn }: Cron,
  timeZone: string,
  after: Date,
  days: number,
): Date | undefined {
  const offset = offsets(timeZone);
  const from = after.getTime() + offset(after.getTime());
  const today = from - (from % dayMs);
  for (let midnight = today; midnight <= today + days * dayMs; midnight += dayMs) {
    if (!firesOn(new Date(midnight))) continue;
    const locals = times.map((minutes) => midnight + minutes * minuteMs).filter((local) => local > from);
    if (locals.length === 0) continue;
    const local = Math.min(...locals);
    // The first offset is of a time some hours away, when clocks may not have changed yet.
    return new Date(local - offset(local - offset(local)));
  }
  return undefined;
}

/** Returns a field's numbers. It lists `*`, `n` or `n-m`, each with an optional step (`/n`). */
function numbersOf(field: string, text: string, range: Range, mayStep = true): Set<number> {
  const { min, max } = range;
  const found = new Set<number>();
  for (const item of text.split(",")) {
    const [, first = "", last, step] = /^(\*|\w+)(?:(?<!\*)-(\w+))?(?:\/(\d{1,4}))?$/.exec(item) ?? [];
    const from = first === "*" ? min : numberOf(first, range);
    const to = last !== undefined ? numberOf(last, range) : first === "*" || step ? max : from;
    const by = Number(step ?? 1);
    if (from === undefined || to === undefined || from > to || by < 1 || (step && !mayStep)) {
      const names = range.names ? ` or ${range.names[0]} to ${range.names.at(-1)}` : "";
      throw new InvalidCron(`${field}: "${item}" is not in ${min} to ${max}${names}`);
    }
    for (let n = from; n <= to; n += by) found.add(n);
  }
  return found;
}

function numberOf(text: string, { min, max, names = [] }: Range): number | undefined {
  const index = names.indexOf(text);
  const number = index >= 0 ? index + min : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  return number >= min && number <= max ? number : undefined;
}

type OnDay = (midnight: Date) => boolean;

const lastDay = (of: Date): number =>
  new Date(Date.UTC(of.getUTCFullYear(), of.getUTCMonth() + 1, 0)).getUTCDate();

/** `L` is the last day of the month. `15W` is the weekday nearest to the 15th, in the same month. */
function daysOfMonth(text: string): OnDay {
  if (text === "L") return (day) => day.getUTCDate() === lastDay(day);
  const range = { min: 1, max: 31 };
  const [, near] = /^(\d{1,2})W$/.exec(text) ?? [];
  const days = numbersOf("day-of-month", near ?? text, range);
  if (near === undefined) return (day) => days.has(day.getUTCDate());
  return (day) => day.getUTCDate() === nearestWeekday(day, Math.min(Number(near), lastDay(day)));
}

function nearestWeekday(month: Date, date: number): number {
  const weekday = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth(), date)).getUTCDay();
  if (weekday === 6) return date === 1 ? 3 : date - 1;
  if (weekday === 0) return date === lastDay(month) ? date - 2 : date + 1;
  return date;
}

/** 1 is Sunday, `L` is Saturday, `6L` is the last Friday of the month, and `6#3` is its third Friday. */
function daysOfWeek(text: string): OnDay {
  const range = { min: 1, max: 7, names: weekdays };
  const [, of, nth] = /^(\w{1,3}?)(?:L|#([1-5]))$/.exec(text) ?? [];
  const days = numbersOf("day-of-week", of ?? (text === "L" ? "SAT" : text), range, false);
  return (day) => {
    if (!days.has(day.getUTCDay() + 1)) return false;
    const date = day.getUTCDate();
    if (of === undefined) return true;
    return nth === undefined ? date + 7 > lastDay(day) : Math.ceil(date / 7) === Number(nth);
  };
}
