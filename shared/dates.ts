// Calendar dates as LibInsight uses them: `YYYY-MM-DD`, without a time and a time zone.
// Uses the functions of the Temporal polyfill, because a bundle would include all of its classes.
import * as Calendar from "temporal-polyfill/fns/Calendar";
import * as PlainDate from "temporal-polyfill/fns/PlainDate";
import { dayIn } from "./time-zone.ts";

/** Returns the day before the current day in `timeZone`. */
export function yesterday(now: Date, timeZone: string): string {
  return addToDate(dayIn(timeZone, now), { days: -1 });
}

/** Returns the date moved by years, then by days. 29 February becomes the 28th in a year without it. */
export function addToDate(date: string, by: { years?: number; days?: number }): string {
  const { years = 0, days = 0 } = by;
  return PlainDate.toString(
    PlainDate.addDays(PlainDate.addYears(PlainDate.fromString(date, Calendar.getISO), years), days),
  );
}
