// Forms of values that settings, messages, events and the work bucket have in common.
// zod/mini, as in all that functions load: a bundle is 100 KB smaller than with zod, whose methods no bundler leaves out.
import * as z from "zod/mini";

/** A date that exists in the calendar, as `YYYY-MM-DD`. */
export const isoDate = z
  .string()
  .check(
    z.regex(/^\d{4}-\d{2}-\d{2}$/, "a date is written YYYY-MM-DD"),
    z.iso.date("this date is not in the calendar"),
  );

/** What is counted from 1, or has to be there. */
export const positiveInt = z.int().check(z.positive());

export const nonNegativeInt = z.int().check(z.nonnegative());

export const nonEmpty = z.string().check(z.minLength(1));

/** The reason of a request, for messages and logs. */
export const reasonText = z.string().check(z.minLength(1), z.maxLength(500));

/** The envelope in which EventBridge delivers to a queue. */
export function envelope<T extends string, D extends z.core.SomeType>(detailType: T, detail: D) {
  return z.object({
    id: nonEmpty,
    source: z.string(),
    time: z.iso.datetime(),
    "detail-type": z.literal(detailType),
    detail,
  });
}
