// What happens in one plan, as data: the records, the requests, and what goes wrong when. A plan decides everything
// that the harness can decide, so a plan that failed can be run again alone.
import fc from "fast-check";
import { z } from "zod";

const nth = (most: number) => z.int().min(1).max(most);

/** Spoils the n-th to the (n+times-1)-th request for a page. */
const libInsightFault = z.strictObject({
  at: z.literal("libinsight"),
  kind: z.enum([
    "429",
    "429-retry-after",
    "500",
    "502-html",
    "hang",
    "reset",
    "cut-body",
    "broken-json",
    "error-at-200",
    "401",
    "token-500",
    "token-refused",
    "too-few",
    "too-many",
    "repeated",
    "other-total",
  ]),
  nth: nth(200),
  times: nth(8),
});

/** Changes a record right before the n-th request for a page is answered. */
const sourceChange = z.strictObject({
  at: z.literal("source"),
  kind: z.enum(["add", "edit", "remove"]),
  nth: nth(200),
  /** Which record, in thousandths of all. */
  pick: z.int().min(0).max(999),
});

/** Calls of the ports, as services make them; `putOnce` is any conditional write. */
export const portCalls = [
  "put",
  "putOnce",
  "getBytes",
  "getStart",
  "stream",
  "head",
  "objects",
  "upload",
  "send",
  "sendAll",
  "retryAfter",
  "publish",
] as const;
export type PortCall = (typeof portCalls)[number];

/** Spoils the n-th to the (n+times-1)-th call of a port; each try of an adapter counts. */
const portFault = z.strictObject({
  at: z.literal("port"),
  kind: z.enum([
    "before",
    "after",
    "slow-down",
    "throttled",
    "internal",
    "conflict",
    "in-part",
    "dies-before",
    "dies-after",
  ]),
  call: z.enum(portCalls),
  nth: nth(200),
  times: nth(16),
});

/** Ends the n-th upload after so many bytes of its body: the connection breaks, or the handler dies. */
const uploadFault = z.strictObject({
  at: z.literal("upload"),
  kind: z.enum(["breaks", "dies"]),
  nth: nth(50),
  bytes: z.int().min(0).max(100_000),
});

export const queues = ["kickoff", "fetcher", "transformer", "assembler"] as const;
export type ChaosQueue = (typeof queues)[number];

/** Concerns the n-th batch that a queue delivers. */
const deliveryFault = z.strictObject({
  at: z.literal("delivery"),
  /** It comes again after it succeeded; it comes again while it is worked on; it waits for `steps` others. */
  kind: z.enum(["duplicate", "visibility", "delay"]),
  queue: z.enum(queues),
  nth: nth(100),
  steps: nth(100),
});

const fault = z.discriminatedUnion("at", [
  libInsightFault,
  sourceChange,
  portFault,
  uploadFault,
  deliveryFault,
]);
export type Fault = z.infer<typeof fault>;
export type FaultAt<A extends Fault["at"]> = Extract<Fault, { at: A }>;

export const plan = z.strictObject({
  /** Decides the order of deliveries and calls, and the records. */
  seed: z.int().min(0).max(0xffff_ffff),
  records: z.int().min(0).max(200),
  pageSize: z.int().min(1).max(50),
  /** Handlers that run at the same time. */
  concurrency: z.int().min(1).max(8),
  /** How often an adapter tries a call that failed and may pass: the AWS SDK does it three times. */
  tries: z.int().min(1).max(3),
  /** Whether an earlier run's file is published already. */
  earlierFile: z.boolean(),
  /** A record whose comment makes its page larger than a message. */
  oversized: z.boolean(),
  /** A record without `_id`. */
  rejected: z.boolean(),
  /** A field that nobody declared, which only the later records have. */
  addedField: z.boolean(),
  /** `id` makes two requests one; `day` is how far the clock that made them was off. */
  requests: z
    .array(z.strictObject({ id: z.enum(["a", "b"]), day: z.int().min(-1).max(1) }))
    .min(1)
    .max(3),
  faults: z.array(fault).max(20),
});
export type Plan = z.infer<typeof plan>;

/** Nothing goes wrong. */
export const undisturbed: Plan = {
  seed: 1,
  records: 40,
  pageSize: 7,
  concurrency: 3,
  tries: 1,
  earlierFile: false,
  oversized: false,
  rejected: false,
  addedField: false,
  requests: [{ id: "a", day: 0 }],
  faults: [],
};

const count = (most: number) => fc.integer({ min: 1, max: most });
/** Of some commands and queues there are few, and beginnings matter most. */
const early = (most: number) => fc.oneof(count(5), count(most));
const rarely = fc.integer({ min: 0, max: 9 }).map((n) => n === 9);

const anyFault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    at: fc.constant("libinsight" as const),
    kind: fc.constantFrom(...libInsightFault.shape.kind.options),
    nth: early(25),
    times: fc.oneof(count(2), count(8)),
  }),
  fc.record({
    at: fc.constant("source" as const),
    kind: fc.constantFrom(...sourceChange.shape.kind.options),
    nth: early(25),
    pick: fc.integer({ min: 0, max: 999 }),
  }),
  fc.record({
    at: fc.constant("port" as const),
    kind: fc.constantFrom(...portFault.shape.kind.options),
    call: fc.constantFrom(...portCalls),
    nth: early(40),
    times: fc.oneof(count(2), count(16)),
  }),
  fc.record({
    at: fc.constant("upload" as const),
    kind: fc.constantFrom(...uploadFault.shape.kind.options),
    nth: early(12),
    bytes: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 20_000 })),
  }),
  fc.record({
    at: fc.constant("delivery" as const),
    kind: fc.constantFrom(...deliveryFault.shape.kind.options),
    queue: fc.constantFrom(...queues),
    nth: early(12),
    steps: count(60),
  }),
);

export const anyPlan: fc.Arbitrary<Plan> = fc.record({
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  records: fc.integer({ min: 0, max: 50 }),
  pageSize: fc.integer({ min: 4, max: 20 }),
  concurrency: fc.integer({ min: 1, max: 6 }),
  tries: fc.constantFrom(1, 3),
  earlierFile: fc.boolean(),
  oversized: rarely,
  rejected: fc.boolean(),
  addedField: fc.boolean(),
  requests: fc.array(
    fc.record({ id: fc.constantFrom("a" as const, "b" as const), day: fc.integer({ min: -1, max: 1 }) }),
    { minLength: 1, maxLength: 3 },
  ),
  faults: fc.array(anyFault, { maxLength: 12 }),
});
