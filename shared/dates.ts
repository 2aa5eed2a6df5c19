// Calendar dates as LibInsight takes them: `YYYY-MM-DD`, without a time and without a zone.
import { Temporal } from "temporal-polyfill";
import { z } from "zod";

/** A date that exists in the calendar, as `YYYY-MM-DD`. */
export const isoDate = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}$/, "a date is written YYYY-MM-DD")
  .refine(dateExists, "this date is not in the calendar");

function dateExists(text: string): boolean {
  try {
    Temporal.PlainDate.from(text, { overflow: "reject" });
    return true;
  } catch {
    return false;
  }
}

/** The day before the one that `now` falls on in `timeZone`, as `YYYY-MM-DD`. */
export function yesterday(now: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(now.getTime())
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
    .subtract({ days: 1 })
    .toString();
}

/** `date` moved by whole years (29 February becomes the 28th where there is none), then by days. */
export function addToDate(date: string, by: { years?: number; days?: number }): string {
  const { years = 0, days = 0 } = by;
  return Temporal.PlainDate.from(date).add({ years }).add({ days }).toString();
}
