// The schemas of LibInsight's token and error responses. They allow variations, because no public samples exist.
import * as z from "zod/mini";
import { nonEmpty } from "../schemas.ts";

export const tokenResponse = z.object({
  access_token: nonEmpty,
  /** Seconds. A missing or invalid value counts as one minute: an extra token is cheaper than a refused one. */
  expires_in: z.catch(z.coerce.number().check(z.positive()), 60),
});

export const errorResponse = z.object({ type: z.literal("error") });
