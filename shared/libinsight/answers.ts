// The shapes of LibInsight's answers, as far as they are known (no public samples exist).
import * as z from "zod/mini";
import { nonEmpty, nonNegativeInt } from "../forms.ts";

export const tokenAnswer = z.object({
  access_token: nonEmpty,
  /** Seconds. A missing or odd value counts as one minute: a token too many is cheaper than a refused one. */
  expires_in: z.catch(z.coerce.number().check(z.positive()), 60),
});

const digits = z.pipe(z.string().check(z.regex(/^\d+$/)), z.transform(Number));
const count = z.pipe(z.union([z.number(), digits]), nonNegativeInt);

/** A page of data-grid. Records are looked at one by one where they are transformed. */
export const pageAnswer = z.object({
  type: z.literal("success"),
  payload: z.object({
    records: z.array(z.unknown()),
    total_pages: count,
    total_records: count,
    displayed_page: z.optional(count),
  }),
});

export const errorAnswer = z.object({ type: z.literal("error") });
