// Forms of values that settings, messages, events and the work bucket have in common.
import * as z from "zod";

/** A date that exists in the calendar, as `YYYY-MM-DD`. */
export const isoDate = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}$/, "a date is written YYYY-MM-DD")
  .check(z.iso.date("this date is not in the calendar"));
