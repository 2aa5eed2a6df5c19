// The schemas of LibInsight's responses, as far as they are known: no public samples exist.
import * as z from "zod/mini";
import { nonEmpty, nonNegativeInt } from "../schemas.ts";

export const tokenResponse = z.object({
  access_token: nonEmpty,
  /** Seconds. A missing or invalid value counts as one minute: an extra token is cheaper than a refused one. */
  expires_in: z.catch(z.coerce.number().check(z.positive()), 60),
});

const digits = z.pipe(z.string().check(z.regex(/^\d+$/)), z.transform(Number));
const count = z.pipe(z.union([z.number(), digits]), nonNegativeInt);

/** A page of data-grid. The transformer checks each record. */
export const pageResponse = z.object({
  type: z.literal("success"),
  payload: z.object({
    records: z.array(z.unknown()),
    total_pages: count,
    total_records: count,
    displayed_page: z.optional(count),
  }),
});

export const errorResponse = z.object({ type: z.literal("error") });
