// Builds the responses that all kinds of datasets share, and validates queries. The real API's error payloads and most of its error
// statuses are unknown; the comment of each error says what was chosen.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { addYears } from "../../../shared/dates.ts";
import { isoDate } from "../../../shared/schemas.ts";

export type SimulatedResponse = {
  status: number;
  headers: Record<string, string>;
  body: string;
  /** When the connection ends: after the body, within the body, before the response, or never. */
  ending: "whole" | "cut" | "reset" | "never";
  /** Returns the response with wrong entries or a wrong total. Missing if the response has no entries. */
  miscounted?: (miscount: Miscount) => SimulatedResponse;
};

export const miscounts = ["too-few", "too-many", "repeated", "other-total"] as const;
/** One entry too few, one too many, one repeated instead of another, or a total that is too large by 1. */
export type Miscount = (typeof miscounts)[number];

export function json(
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): SimulatedResponse {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(value),
    ending: "whole",
  };
}

export function success(payload: unknown): SimulatedResponse {
  return json(200, { type: "success", payload });
}

/**
 * Returns a response with entries.
 * @param write returns the payload as JSON text; `surplus` is what its total is too large by
 */
export function listed<T>(
  entries: readonly T[],
  write: (entries: readonly T[], surplus: number) => string,
): SimulatedResponse {
  const response = (written: readonly T[], surplus = 0): SimulatedResponse => ({
    ...success(null),
    body: `{"type":"success","payload":${write(written, surplus)}}`,
  });
  const first = entries.slice(0, 1);
  return {
    ...response(entries),
    miscounted(miscount) {
      switch (miscount) {
        case "too-few":
          return response(entries.slice(1));
        case "too-many":
          return response([...entries, ...first]);
        case "repeated":
          return response([...entries.slice(0, -1), ...first]);
        case "other-total":
          return response(entries, 1);
      }
    },
  };
}

export function failure(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): SimulatedResponse {
  return json(status, { type: "error", payload: { message } }, headers);
}

/** Follows RFC 6749, section 5.2. */
export const credentialsRefused = json(
  401,
  { error: "invalid_client", error_description: "The client id or the client secret is wrong." },
  { "www-authenticate": 'Basic realm="libinsight"' },
);

export const tokenRefused = failure(401, "The access token is missing, unknown or expired.", {
  "www-authenticate": 'Bearer error="invalid_token"',
});

/** LibInsight's own status is unknown. 404 follows HTTP; the fault `error-at-200` simulates the alternative. */
export const datasetUnknown = failure(404, "There is no such dataset.");

export const dateRange = { from: isoDate, to: isoDate };

/** Returns an error at status 200 for an invalid query, as LibInsight may, and the response to any other query. */
export function answered<T extends { from: string; to: string }>(
  parameters: URLSearchParams,
  schema: z.ZodMiniType<T>,
  respond: (query: T) => SimulatedResponse,
): SimulatedResponse {
  if (new Set(parameters.keys()).size < parameters.size) return failure(200, "A parameter is given twice.");
  const query = schema.safeParse(Object.fromEntries(parameters), { error: en().localeError });
  if (!query.success) return failure(200, z.prettifyError(query.error));
  const { from, to } = query.data;
  if (from > to) return failure(200, "from is after to.");
  if (to >= addYears(from, 1)) return failure(200, "A query covers at most one year.");
  return respond(query.data);
}
