// Faults on purpose: which request goes wrong, how, and how often. Declared in a list, used up in its order.
import * as z from "zod/mini";
import { isoDate, nonNegativeInt, positiveInt } from "../../../shared/schemas.ts";
import { type Answer, credentialsRefused, failure, json, tokenRefused } from "./answers.ts";

export const endpoints = ["token", "data-grid", "fields"] as const;
export type Endpoint = (typeof endpoints)[number];

const common = {
  /** What is left out matches every request. A request without a page asks for page 1. */
  where: z._default(
    z.strictObject({
      endpoint: z.optional(z.enum(endpoints)),
      from: z.optional(isoDate),
      page: z.optional(positiveInt),
    }),
    {},
  ),
  times: z._default(z.int().check(z.positive(), z.maximum(1_000_000)), 1),
};

export const fault = z.discriminatedUnion("kind", [
  /** An HTTP status with an error in JSON. */
  z.strictObject({
    kind: z.literal("status"),
    status: z.int().check(z.minimum(400), z.maximum(599)),
    ...common,
  }),
  /** 429. Retry-After in seconds or as an HTTP date; without it there is no such header. */
  z.strictObject({
    kind: z.literal("rate-limited"),
    retryAfter: z.optional(z.union([nonNegativeInt, z.string().check(z.regex(/^[\x20-\x7e]+$/))])),
    ...common,
  }),
  /** A page for people instead of JSON. */
  z.strictObject({
    kind: z.literal("html"),
    status: z._default(z.int().check(z.minimum(200), z.maximum(599)), 200),
    ...common,
  }),
  /** A whole answer, whose JSON ends in the middle. */
  z.strictObject({ kind: z.literal("broken-json"), ...common }),
  /** `"type":"error"` with HTTP 200. The payload's shape is not known, so that any can be given. */
  z.strictObject({ kind: z.literal("error-at-200"), payload: z.optional(z.unknown()), ...common }),
  /** No answer until the client gives up or the server is closed. */
  z.strictObject({ kind: z.literal("hang"), ...common }),
  /** The connection is reset instead of an answer. */
  z.strictObject({ kind: z.literal("reset"), ...common }),
  /** The connection is closed in the middle of the body. */
  z.strictObject({ kind: z.literal("cut-body"), ...common }),
  /** A page with a record too few, with one too many, with one twice, or with another sum than there is. */
  z.strictObject({ kind: z.enum(["too-few", "too-many", "repeated", "other-total"]), ...common }),
  /** 401, and the token that came with the request is forgotten. */
  z.strictObject({ kind: z.literal("unauthorized"), ...common }),
]);
/** With `where` and `times` optional. */
export type FaultSetting = z.input<typeof fault>;
export type Fault = z.output<typeof fault>;

export type FaultPlan = {
  add(faults: readonly Fault[]): void;
  /** The first fault that is left for this request; it is used up by one. */
  take(request: {
    endpoint: Endpoint;
    from: string | undefined;
    page: string | undefined;
  }): Fault | undefined;
};

export function faultPlan(): FaultPlan {
  const plan: { fault: Fault; left: number }[] = [];
  return {
    add(faults) {
      plan.push(...faults.map((fault) => ({ fault, left: fault.times })));
    },
    take({ endpoint, from, page = "1" }) {
      const next = plan.find(({ left, fault: { where } }) => {
        return (
          left > 0 &&
          (where.endpoint ?? endpoint) === endpoint &&
          (where.from ?? from) === from &&
          (where.page === undefined || (endpoint === "data-grid" && String(where.page) === page))
        );
      });
      if (next) next.left--;
      return next?.fault;
    },
  };
}

const loginPage =
  "<!DOCTYPE html>\n<html><head><title>LibApps Login</title></head><body><h1>Please log in</h1></body></html>\n";

/** The answer as the fault leaves it. */
export function spoiled(answer: Answer, fault: Fault, endpoint: Endpoint): Answer {
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
      return { ...answer, body: answer.body.slice(0, answer.body.length / 2) };
    case "error-at-200":
      return json(200, {
        type: "error",
        payload: fault.payload === undefined ? { message: "Simulated error." } : fault.payload,
      });
    case "hang":
      return { ...answer, ending: "never" };
    case "reset":
      return { ...answer, ending: "reset" };
    case "cut-body":
      return { ...answer, ending: "cut" };
    case "too-few":
      return changed(answer, ({ records, ...rest }) => ({ ...rest, records: records.slice(1) }));
    case "too-many":
      return changed(answer, ({ records, ...rest }) => ({
        ...rest,
        records: [...records, ...records.slice(0, 1)],
      }));
    case "repeated":
      return changed(answer, ({ records, ...rest }) => ({
        ...rest,
        records: [...records.slice(0, -1), ...records.slice(0, 1)],
      }));
    case "other-total":
      return changed(answer, ({ total_records, ...rest }) => ({
        ...rest,
        total_records: total_records + 1,
      }));
    case "unauthorized":
      return endpoint === "token" ? credentialsRefused : tokenRefused;
  }
}

const gridAnswer = z.object({
  type: z.literal("success"),
  payload: z.looseObject({ records: z.array(z.unknown()), total_records: z.number() }),
});
type Grid = z.infer<typeof gridAnswer>["payload"];

/** A page of records as `change` leaves it; any other answer stays. */
function changed(answer: Answer, change: (grid: Grid) => Grid): Answer {
  const grid = gridAnswer.safeParse(JSON.parse(answer.body));
  return grid.success
    ? { ...answer, body: JSON.stringify({ type: "success", payload: change(grid.data.payload) }) }
    : answer;
}
