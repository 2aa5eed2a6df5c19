// Schemas that settings, messages, events and the work bucket share.
// zod/mini makes a function's bundle 100 KB smaller than zod, whose methods no bundler can drop.
import * as z from "zod/mini";

/** A date that exists in the calendar, as `YYYY-MM-DD`. */
export const isoDate = z
  .string()
  .check(
    z.regex(/^\d{4}-\d{2}-\d{2}$/, "write the date as YYYY-MM-DD"),
    z.iso.date("use a date that is in the calendar"),
  );

/** A count from 1, or an id. */
export const positiveInt = z.int().check(z.positive());

export const nonNegativeInt = z.int().check(z.nonnegative());

export const nonEmpty = z.string().check(z.minLength(1));

/** Text for a file, a table or Tableau. A row is one line, and UTF-8 has no lone surrogates. */
export const oneLine = z
  .string()
  .check(
    z.regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, "remove line breaks, control characters and lone surrogates"),
  );
/** Why a person or a schedule sent a request. It appears in messages and logs. */
export const reasonText = z.string().check(z.minLength(1), z.maxLength(500));

/** The ids that `runIdOf` makes (shared/run.ts). They become keys, so they hold no other characters. */
export const runIdPattern = /^[a-z][a-z0-9-]{1,63}$/;
export const runId = z.string().check(z.regex(runIdPattern));

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
