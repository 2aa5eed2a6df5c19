// Calendar dates as LibInsight uses them: `YYYY-MM-DD`, without a time and a time zone.
// Uses Date in UTC, because a polyfill of Temporal would be in the bundle of every function.
import { dayIn } from "./time-zone.ts";

/** Returns the day before the current day in `timeZone`. */
export function yesterday(now: Date, timeZone: string): string {
  return addDays(dayIn(timeZone, now), -1);
}

/** Returns the date moved by years. 29 February becomes the 28th in a year without it. */
export function addYears(date: string, years: number): string {
  return addMonths(date, 12 * years);
}

/** Returns the date moved by months. A day that the month does not have becomes its last day. */
export function addMonths(date: string, months: number): string {
  const [year = 0, month = 1, day = 1] = date.split("-").map(Number);
  // Day 0 of the next month is the last day of this one.
  const lastDay = new Date(Date.UTC(year, month + months, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 + months, Math.min(day, lastDay))).toISOString().slice(0, 10);
}

const dayMs = 24 * 60 * 60_000;

/** Returns the number of days from one date to another; negative if `to` is earlier. */
export function daysBetween(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / dayMs;
}

/** Returns the date moved by days. */
export function addDays(date: string, days: number): string {
  return new Date(Date.parse(date) + days * dayMs).toISOString().slice(0, 10);
}

/** Returns the Monday of the date's week. */
export function mondayOf(date: string): string {
  // 1970-01-05 was a Monday.
  const weekday = ((daysBetween("1970-01-05", date) % 7) + 7) % 7;
  return addDays(date, -weekday);
}

/** Returns the fiscal year of a date, which is named after the year in which it ends. @param firstMonth 1 to 12 */
export function fiscalYearOf(date: string, firstMonth: number): number {
  const [year, month] = [Number(date.slice(0, 4)), Number(date.slice(5, 7))];
  return firstMonth > 1 && month >= firstMonth ? year + 1 : year;
}

/** Returns the first day of the date's fiscal year. @param firstMonth 1 to 12 */
export function startOfFiscalYear(date: string, firstMonth: number): string {
  const endsIn = fiscalYearOf(date, firstMonth);
  return `${firstMonth > 1 ? endsIn - 1 : endsIn}-${String(firstMonth).padStart(2, "0")}-01`;
}

/** Returns the days of a fiscal year. @param firstMonth 1 to 12 */
export function daysOfFiscalYear(fiscalYear: number, firstMonth: number): { from: string; to: string } {
  const from = startOfFiscalYear(`${fiscalYear}-01-01`, firstMonth);
  return { from, to: addDays(addYears(from, 1), -1) };
}
