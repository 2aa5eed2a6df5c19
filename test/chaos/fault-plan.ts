// What happens in one plan, as data: the records, the requests, and which faults occur when. A plan decides everything
// that the harness can decide, so a plan that failed can be run again alone.
import fc from "fast-check";

type ValueOf<A> = A extends fc.Arbitrary<infer Value> ? Value : never;

const count = (most: number) => fc.integer({ min: 1, max: most });
/** Of some calls and queues there are few, and beginnings matter most. */
const early = (most: number) => fc.oneof(count(5), count(most));

/** Spoils the n-th to the (n+times-1)-th request for a page. */
const libInsightFault = fc.record({
  at: fc.constant("libinsight"),
  kind: fc.constantFrom(
    ...(["429", "429-retry-after", "500", "502-html", "hang", "reset", "cut-body", "broken-json"] as const),
    ...(["error-at-200", "401", "token-500", "token-refused"] as const),
    ...(["too-few", "too-many", "repeated", "other-total"] as const),
  ),
  nth: early(25),
  times: fc.oneof(count(2), count(8)),
});

/** Changes a record right before the n-th request for a page is answered; `pick` is in thousandths of all. */
const sourceChange = fc.record({
  at: fc.constant("source"),
  kind: fc.constantFrom("add", "edit", "move", "remove"),
  nth: early(25),
  pick: fc.integer({ min: 0, max: 999 }),
});

/** Calls of the ports, as services make them. `create` is any conditional write of a whole object. */
const portCalls = [
  ...(["put", "create", "getBytes", "getStart", "stream", "head", "objects", "upload"] as const),
  ...(["send", "sendAll", "retryAfter", "publish"] as const),
  ...(["engine", "notify", "ec2"] as const),
];
export type PortCall = (typeof portCalls)[number];
const passing = ["before", "after", "slow-down", "throttled", "internal"] as const;
const deaths = ["dies-before", "dies-after"] as const;

/** Spoils the n-th to the (n+times-1)-th call of a port; each try of an adapter counts. */
function portFault<K extends string>(kinds: readonly K[], calls: readonly PortCall[] = portCalls) {
  return fc.record({
    at: fc.constant("port"),
    kind: fc.constantFrom(...kinds),
    call: fc.constantFrom(...calls),
    nth: early(40),
    times: fc.oneof(count(2), count(16)),
  });
}
const passingFault = portFault(passing);
const death = portFault(deaths);
const conflict = portFault(["conflict"], ["create", "upload"]);
const inPart = portFault(["in-part"], ["sendAll", "publish"]);

/** Ends the n-th upload after so many bytes of its body: the connection breaks, or the handler dies. */
const uploadFault = fc.record({
  at: fc.constant("upload"),
  kind: fc.constantFrom("breaks", "dies"),
  nth: early(12),
  bytes: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 20_000 })),
});

/** Those of a plan with the services alone that collect, and those that follow them. */
export const collecting = ["kickoff", "fetcher", "transformer", "assembler"] as const;
export const following = ["athena", "tableau", "reporter", "ec2", "replay"] as const;
export const queues = [...collecting, ...following] as const;
export type ChaosQueue = (typeof queues)[number];

/**
 * Concerns the n-th batch that a queue delivers: it comes again, `steps` after it succeeded; it comes again while it is
 * worked on; it waits for so many steps.
 */
const deliveryFault = fc.record({
  at: fc.constant("delivery"),
  kind: fc.constantFrom("duplicate", "visibility", "delay"),
  queue: fc.constantFrom(...queues),
  nth: early(12),
  steps: count(60),
});

/** The n-th query that ends fails, or ends without an announcement. */
const queryFault = fc.record({
  at: fc.constant("query"),
  kind: fc.constantFrom("fails", "silent"),
  nth: count(5),
});

/** S3's n-th notification does not arrive, or EC2's. */
const lostMessage = fc.record({
  at: fc.constant("notification"),
  kind: fc.constantFrom("lost"),
  nth: count(4),
});

/** Another entry of the dataset is deployed right before the n-th call of a port. Handlers that run keep theirs. */
const deploy = fc.record({
  at: fc.constant("deploy"),
  kind: fc.constantFrom("declares a field", "drops a column", "renames a column"),
  nth: fc.integer({ min: 1, max: 300 }),
});

/** The machine's clock jumps right before the n-th call of a port: over a window of deduplication, a day, or back. */
const clockJump = fc.record({
  at: fc.constant("clock"),
  kind: fc.constantFrom("minutes", "a day", "back"),
  nth: fc.integer({ min: 1, max: 300 }),
});

const fault = fc.oneof(
  { weight: 4, arbitrary: libInsightFault },
  { weight: 3, arbitrary: sourceChange },
  { weight: 5, arbitrary: passingFault },
  { weight: 3, arbitrary: death },
  { weight: 1, arbitrary: conflict },
  { weight: 1, arbitrary: inPart },
  { weight: 1, arbitrary: uploadFault },
  { weight: 3, arbitrary: deliveryFault },
  { weight: 1, arbitrary: queryFault },
  { weight: 1, arbitrary: lostMessage },
  { weight: 2, arbitrary: deploy },
  { weight: 1, arbitrary: clockJump },
);
export type Fault = ValueOf<typeof fault>;
export type FaultAt<A extends Fault["at"]> = Extract<Fault, { at: A }>;

const rarely = fc.constantFrom(...Array.from({ length: 40 }, (_, n) => n === 39));

export const anyPlan = fc.record({
  /** Decides the order of deliveries and calls, and the records. */
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  records: fc.integer({ min: 0, max: 50 }),
  pageSize: fc.integer({ min: 4, max: 20 }),
  /** Handlers that run at the same time. */
  concurrency: count(6),
  /** How often an adapter tries a call that failed and may pass: the AWS SDK does it three times. */
  tries: fc.constantFrom(1, 3),
  /** What is published already: an earlier run's file with as many rows, or with twice as many, or the predecessor's. */
  earlierFile: fc.constantFrom("none", "ours", "larger", "foreign"),
  /** Whether the services that follow a run take part. */
  follows: fc.boolean(),
  /** Whether an instance is started for the run. */
  instance: fc.boolean(),
  /** Whether queries run in DuckDB; rarely, because it takes ten times as long. */
  duckDb: rarely,
  /** A record whose comment makes its page larger than a message; rarely, because it takes ten times as long. */
  oversized: rarely,
  /** A record without `_id`. */
  rejected: fc.boolean(),
  /** An undeclared field, which only the later records have. */
  addedField: fc.boolean(),
  /** Whether a person publishes each run that is held. */
  approves: fc.boolean(),
  /**
   * `id` makes two requests one; `day` is how far the clock that made them was off; `skips`: the comparison with the
   * published file does not count.
   */
  requests: fc.array(
    fc.record({
      id: fc.constantFrom("a", "b"),
      // The run of a clock that is a day ahead is refused, so there are few.
      day: fc.constantFrom(0, 0, 0, -1, -1, 1),
      skips: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  faults: fc.array(fault, { maxLength: 12 }),
});
export type Plan = ValueOf<typeof anyPlan>;

/** Reads a plan as a report writes it. @throws Error where no plan is like that */
export function planOf(json: string): Plan {
  const plan: unknown = JSON.parse(json);
  if (anyPlan.canShrinkWithoutContext(plan)) return plan;
  throw new Error("This is not a plan. Copy it from the report of a failure.");
}

/** No faults. */
export const undisturbed: Plan = {
  seed: 1,
  records: 40,
  pageSize: 7,
  concurrency: 3,
  tries: 1,
  earlierFile: "none",
  follows: true,
  instance: true,
  duckDb: false,
  oversized: false,
  rejected: false,
  addedField: false,
  approves: false,
  requests: [{ id: "a", day: 0, skips: false }],
  faults: [],
};
