// Injects faults: which requests fail, how, and how often. Faults are used up in the order of their list.
import * as z from "zod/mini";
import { isoDate, nonEmpty, nonNegativeInt, positiveInt } from "../../../shared/schemas.ts";
import { type Endpoint, endpoints } from "./kinds/kinds.ts";
import {
  credentialsRefused,
  failure,
  json,
  miscounts,
  type SimulatedResponse,
  tokenRefused,
} from "./simulated-responses.ts";

const common = {
  /** Selects requests; a missing field selects all. A request for a range without a page number is for page 1. */
  where: z._default(
    z.strictObject({
      endpoint: z.optional(z.enum(endpoints)),
      from: z.optional(isoDate),
      page: z.optional(positiveInt),
      /** `hourly` or `daily`, for gate counts. */
      aggregate: z.optional(nonEmpty),
    }),
    {},
  ),
  times: z._default(z.int().check(z.positive(), z.maximum(1_000_000)), 1),
};

export const fault = z.discriminatedUnion("kind", [
  /** Responds with this HTTP status and an error in JSON. */
  z.strictObject({
    kind: z.literal("status"),
    status: z.int().check(z.minimum(400), z.maximum(599)),
    ...common,
  }),
  /** Responds with 429, and with Retry-After, in seconds or as an HTTP date, if it is given. */
  z.strictObject({
    kind: z.literal("rate-limited"),
    retryAfter: z.optional(z.union([nonNegativeInt, z.string().check(z.regex(/^[\x20-\x7e]+$/))])),
    ...common,
  }),
  /** Responds with an HTML page. */
  z.strictObject({
    kind: z.literal("html"),
    status: z._default(z.int().check(z.minimum(200), z.maximum(599)), 200),
    ...common,
  }),
  /** Responds with half of the JSON, in a complete response. */
  z.strictObject({ kind: z.literal("broken-json"), ...common }),
  /** Responds with `"type":"error"` and HTTP 200. The real payload's shape is unknown, so any payload can be given. */
  z.strictObject({ kind: z.literal("error-at-200"), payload: z.optional(z.unknown()), ...common }),
  /** Does not respond until the client disconnects or the server is closed. */
  z.strictObject({ kind: z.literal("hang"), ...common }),
  /** Resets the connection instead of responding. */
  z.strictObject({ kind: z.literal("reset"), ...common }),
  /** Closes the connection in the middle of the body. */
  z.strictObject({ kind: z.literal("cut-body"), ...common }),
  /** Responds with one entry too few, one too many, one repeated, or a wrong total, if the response has entries. */
  z.strictObject({ kind: z.enum(miscounts), ...common }),
  /** Responds with 401 and revokes the request's token. */
  z.strictObject({ kind: z.literal("unauthorized"), ...common }),
]);
/** A fault, with `where` and `times` optional. */
export type FaultSetting = z.input<typeof fault>;
export type Fault = z.output<typeof fault>;

export type FaultPlan = {
  add(faults: readonly Fault[]): void;
  /** Returns the first remaining fault for this request, and counts it as used once. */
  take(endpoint: Endpoint, parameters: URLSearchParams): Fault | undefined;
};

export function faultPlan(): FaultPlan {
  const plan: { fault: Fault; left: number }[] = [];
  return {
    add(faults) {
      plan.push(...faults.map((fault) => ({ fault, left: fault.times })));
    },
    take(endpoint, parameters) {
      const from = parameters.get("from");
      const page = parameters.get("page") ?? (from === null ? null : "1");
      const aggregate = parameters.get("aggregate");
      const next = plan.find(({ left, fault: { where } }) => {
        return (
          left > 0 &&
          (where.endpoint ?? endpoint) === endpoint &&
          (where.from ?? from) === from &&
          (where.page === undefined || String(where.page) === page) &&
          (where.aggregate ?? aggregate) === aggregate
        );
      });
      if (next) next.left--;
      return next?.fault;
    },
  };
}

const loginPage =
  "<!DOCTYPE html>\n<html><head><title>LibApps Login</title></head><body><h1>Please log in</h1></body></html>\n";

/** Returns the response with the fault applied. */
export function withFault(response: SimulatedResponse, fault: Fault, endpoint: Endpoint): SimulatedResponse {
  switch (fault.kind) {
    case "status":
      return failure(fault.status, `Simulated status ${fault.status}.`);
    case "rate-limited": {
      const after: Record<string, string> =
        fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) };
      return failure(429, "Too many requests.", after);
    }
    case "html":
      return {
        status: fault.status,
        headers: { "content-type": "text/html; charset=utf-8" },
        body: loginPage,
        ending: "whole",
      };
    case "broken-json":
      return { ...response, body: response.body.slice(0, response.body.length / 2) };
    case "error-at-200":
      return json(200, {
        type: "error",
        payload: fault.payload === undefined ? { message: "Simulated error." } : fault.payload,
      });
    case "hang":
      return { ...response, ending: "never" };
    case "reset":
      return { ...response, ending: "reset" };
    case "cut-body":
      return { ...response, ending: "cut" };
    case "too-few":
    case "too-many":
    case "repeated":
    case "other-total":
      return response.miscounted?.(fault.kind) ?? response;
    case "unauthorized":
      return endpoint === "token" ? credentialsRefused : tokenRefused;
  }
}
