// The shapes of LibInsight's answers, as far as they are known (no public samples exist).
import * as z from "zod";

export const tokenAnswer = z.object({
  access_token: z.string().min(1),
  /** Seconds. A missing or odd value counts as one minute: a token too many is cheaper than a refused one. */
  expires_in: z.coerce.number().positive().catch(60),
});

const count = z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).pipe(z.int().nonnegative());

/** A page of data-grid. Records are looked at one by one where they are transformed. */
export const pageAnswer = z.object({
  type: z.literal("success"),
  payload: z.object({
    records: z.array(z.unknown()),
    total_pages: count,
    total_records: count,
    displayed_page: count.optional(),
  }),
});

export const errorAnswer = z.object({ type: z.literal("error") });
