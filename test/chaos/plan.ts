// What happens in one plan, as data: the records, the requests, and which faults occur when. A plan decides everything
// that the harness can decide, so a plan that failed can be run again alone.
import fc from "fast-check";
import * as z from "zod/mini";

const whole = z.int().check(z.nonnegative());

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
  nth: whole,
  times: whole,
});

/** Changes a record right before the n-th request for a page is answered; `pick` is in thousandths of all. */
const sourceChange = z.strictObject({
  at: z.literal("source"),
  kind: z.enum(["add", "edit", "move", "remove"]),
  nth: whole,
  pick: whole,
});

/** A call of a port, as services make it. `create` is any conditional write of a whole object. */
const portCall = z.enum([
  "put",
  "create",
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
]);
export type PortCall = z.infer<typeof portCall>;

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
  call: portCall,
  nth: whole,
  times: whole,
});

/** Ends the n-th upload after so many bytes of its body: the connection breaks, or the handler dies. */
const uploadFault = z.strictObject({
  at: z.literal("upload"),
  kind: z.enum(["breaks", "dies"]),
  nth: whole,
  bytes: whole,
});

export const queues = ["kickoff", "fetcher", "transformer", "assembler"] as const;
export type ChaosQueue = (typeof queues)[number];

/**
 * Concerns the n-th batch that a queue delivers: it comes again, `steps` after it succeeded; it comes again while it is
 * worked on; it waits for so many steps.
 */
const deliveryFault = z.strictObject({
  at: z.literal("delivery"),
  kind: z.enum(["duplicate", "visibility", "delay"]),
  queue: z.enum(queues),
  nth: whole,
  steps: whole,
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
  seed: whole,
  records: whole,
  pageSize: whole,
  /** Handlers that run at the same time. */
  concurrency: whole,
  /** How often an adapter tries a call that failed and may pass: the AWS SDK does it three times. */
  tries: whole,
  /** Whether an earlier run's file is published already. */
  earlierFile: z.boolean(),
  /** A record whose comment makes its page larger than a message. */
  oversized: z.boolean(),
  /** A record without `_id`. */
  rejected: z.boolean(),
  /** An undeclared field, which only the later records have. */
  addedField: z.boolean(),
  /** `id` makes two requests one; `day` is how far the clock that made them was off. */
  requests: z.array(z.strictObject({ id: z.enum(["a", "b"]), day: z.int() })),
  faults: z.array(fault),
});
export type Plan = z.infer<typeof plan>;

/** No faults. */
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

function portFaultOf(
  kinds: FaultAt<"port">["kind"][],
  calls: PortCall[] = portCall.options,
): fc.Arbitrary<FaultAt<"port">> {
  return fc.record({
    at: fc.constant("port" as const),
    kind: fc.constantFrom(...kinds),
    call: fc.constantFrom(...calls),
    nth: early(40),
    times: fc.oneof(count(2), count(16)),
  });
}

const anyFault: fc.Arbitrary<Fault> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      at: fc.constant("libinsight" as const),
      kind: fc.constantFrom(...libInsightFault.shape.kind.options),
      nth: early(25),
      times: fc.oneof(count(2), count(8)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      at: fc.constant("source" as const),
      kind: fc.constantFrom(...sourceChange.shape.kind.options),
      nth: early(25),
      pick: fc.integer({ min: 0, max: 999 }),
    }),
  },
  { weight: 5, arbitrary: portFaultOf(["before", "after", "slow-down", "throttled", "internal"]) },
  { weight: 3, arbitrary: portFaultOf(["dies-before", "dies-after"]) },
  { weight: 1, arbitrary: portFaultOf(["conflict"], ["create", "upload"]) },
  { weight: 1, arbitrary: portFaultOf(["in-part"], ["sendAll", "publish"]) },
  {
    weight: 1,
    arbitrary: fc.record({
      at: fc.constant("upload" as const),
      kind: fc.constantFrom(...uploadFault.shape.kind.options),
      nth: early(12),
      bytes: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 20_000 })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      at: fc.constant("delivery" as const),
      kind: fc.constantFrom(...deliveryFault.shape.kind.options),
      queue: fc.constantFrom(...queues),
      nth: early(12),
      steps: count(60),
    }),
  },
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
