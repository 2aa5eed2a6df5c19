// Calendar dates as LibInsight takes them: `YYYY-MM-DD`, without a time and without a zone.
// Temporal, by functions: of the polyfill's classes a bundle would hold all.
import * as Calendar from "temporal-polyfill/fns/Calendar";
import * as PlainDate from "temporal-polyfill/fns/PlainDate";
import { dayIn } from "./time-zone.ts";

/** Returns the day before the one that `now` falls on in `timeZone`. */
export function yesterday(now: Date, timeZone: string): string {
  return addToDate(dayIn(timeZone, now), { days: -1 });
}

/** `date` moved by whole years (29 February becomes the 28th where there is none), then by days. */
export function addToDate(date: string, by: { years?: number; days?: number }): string {
  const { years = 0, days = 0 } = by;
  return PlainDate.toString(
    PlainDate.addDays(PlainDate.addYears(PlainDate.fromString(date, Calendar.getISO), years), days),
  );
}
