// Defines plans: the records, the requests, and which faults occur when. A plan determines everything that varies between
// two runs of the harness, so a failed plan can be run again alone.
import fc from "fast-check";

type ValueOf<A> = A extends fc.Arbitrary<infer Value> ? Value : never;

const count = (most: number) => fc.integer({ min: 1, max: most });
/** Prefers small numbers, because some calls and queues occur only a few times. */
const early = (most: number) => fc.oneof(count(5), count(most));

/** Injects a fault into the n-th to the (n+times-1)-th request for a page. */
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

/** Changes a record right before the response to the n-th request for a page. `pick` selects it, in thousandths of all. */
const sourceChange = fc.record({
  at: fc.constant("source"),
  kind: fc.constantFrom("add", "edit", "move", "remove"),
  nth: early(25),
  pick: fc.integer({ min: 0, max: 999 }),
});

/** The port calls that get faults. `create` is any conditional write of a whole object. */
const portCalls = [
  ...(["put", "create", "getBytes", "getStart", "stream", "head", "objects", "upload"] as const),
  ...(["send", "sendAll", "retryAfter", "emit"] as const),
  ...(["engine", "notify", "ec2"] as const),
];
export type PortCall = (typeof portCalls)[number];
const passing = ["before", "after", "slow-down", "throttled", "internal"] as const;
const deaths = ["dies-before", "dies-after"] as const;

/** Injects a fault into the n-th to the (n+times-1)-th call of a port. Each try of an adapter counts. */
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
const inPart = portFault(["in-part"], ["sendAll", "emit"]);

/** Ends the n-th upload after some bytes of its body: the connection breaks, or the handler dies. */
const uploadFault = fc.record({
  at: fc.constant("upload"),
  kind: fc.constantFrom("breaks", "dies"),
  nth: early(12),
  bytes: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 20_000 })),
});

/** The queues of the services that collect records, and of those that act on the outcome. */
export const collectingQueues = ["kickoff", "fetcher", "transformer", "assembler"] as const;
export const downstreamQueues = [
  "deidentifier",
  "athena",
  "tableau",
  "reporter",
  "renderer",
  "ec2",
  "replay",
] as const;
const queues = [...collectingQueues, ...downstreamQueues] as const;
export type ChaosQueue = (typeof queues)[number];

/**
 * Affects the n-th batch of a queue. "duplicate" delivers it again `steps` after it succeeded, "visibility" delivers it
 * again while it is handled, and "delay" delays it by `steps`.
 */
const deliveryFault = fc.record({
  at: fc.constant("delivery"),
  kind: fc.constantFrom("duplicate", "visibility", "delay"),
  queue: fc.constantFrom(...queues),
  nth: early(12),
  steps: count(60),
});

/** Lets the n-th query fail, or end without a notification. */
const queryFault = fc.record({
  at: fc.constant("query"),
  kind: fc.constantFrom("fails", "silent"),
  nth: count(5),
});

/** Loses the n-th notification of S3. */
const lostMessage = fc.record({
  at: fc.constant("notification"),
  kind: fc.constantFrom("lost"),
  nth: count(4),
});

/** Deploys another dataset entry right before the n-th port call. Running handlers keep theirs. */
const deploy = fc.record({
  at: fc.constant("deploy"),
  kind: fc.constantFrom("declares a field", "drops a column", "renames a column"),
  nth: fc.integer({ min: 1, max: 300 }),
});

/** Moves the clock right before the n-th port call: beyond a deduplication window, by a day, or back. */
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

/** A request after the ones before have ended. In between, records change and a kept part expires. */
const laterRequest = fc.record({
  /** Days since the request before. */
  days: fc.integer({ min: 0, max: 8 }),
  changes: fc.array(sourceChange, { maxLength: 4 }),
  /** Selects the object that expires, in thousandths of all kept ones, or all of them from 900 on. */
  expires: fc.option(fc.integer({ min: 0, max: 999 })),
  /** Whether everything is requested. */
  full: rarely,
  faults: fc.array(fault, { maxLength: 4 }),
});

export const anyPlan = fc.record({
  /** Determines the order of deliveries and calls, and the records. */
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  kind: fc.constantFrom("records", "records", "records", "gate-count", "e-resources"),
  /** The number of records, if the dataset has records. */
  records: fc.integer({ min: 0, max: 50 }),
  pageSize: fc.integer({ min: 4, max: 20 }),
  /** The days of every second record, so that they have several pages; with 0, every record has its own date. */
  busyDays: fc.constantFrom(0, 0, 1, 3),
  /** Handlers that run at the same time. */
  concurrency: count(6),
  /** How often an adapter tries a call with a transient failure. The AWS SDK tries three times. */
  tries: fc.constantFrom(1, 3),
  /** The published file at the start: none, a run's with as many rows, one with twice as many, or the predecessor's. */
  earlierFile: fc.constantFrom("none", "ours", "larger", "foreign"),
  /** Whether the earlier run's file has a profile, so that windows are planned. Otherwise each period is a window. */
  planned: fc.boolean(),
  /** Whether the downstream services take part. */
  follows: fc.boolean(),
  /** Whether an instance is started for the run. */
  instance: fc.boolean(),
  /** Whether queries run in DuckDB. This is rare, because it takes ten times as long. */
  duckDb: rarely,
  /** Whether a record makes its page larger than a message. This is rare, because it takes ten times as long. */
  oversized: rarely,
  /** Whether a record has no `_id`. */
  rejected: fc.boolean(),
  /** Whether the later records have an undeclared field. */
  addedField: fc.boolean(),
  /** Whether two columns of records have child tables. */
  rows: fc.boolean(),
  /** Whether an operator publishes each held run. */
  approves: fc.boolean(),
  /**
   * Requests with the same `id` are one run. `day` is the offset of the clock that made the request. `skips` skips the
   * comparison with the published file.
   */
  requests: fc.array(
    fc.record({
      id: fc.constantFrom("a", "b"),
      // A run from a clock that is a day ahead is refused, so these are few.
      day: fc.constantFrom(0, 0, 0, -1, -1, 1),
      skips: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  faults: fc.array(fault, { maxLength: 12 }),
  /** Whether the runs of a dataset of records are incremental. */
  refresh: fc.option(
    fc.record({
      lookbackDays: fc.constantFrom(1, 60, 366),
      full: fc.constantFrom("weekly", "quarterly", "quarterly"),
    }),
  ),
  later: fc.oneof(
    { weight: 3, arbitrary: fc.array(laterRequest, { maxLength: 0 }) },
    { weight: 1, arbitrary: fc.array(laterRequest, { minLength: 1, maxLength: 2 }) },
  ),
});
export type Plan = ValueOf<typeof anyPlan>;

/** Parses a plan from a report. @throws Error if it is not a plan */
export function planOf(json: string): Plan {
  const plan: unknown = JSON.parse(json);
  if (anyPlan.canShrinkWithoutContext(plan)) return plan;
  throw new Error("This is not a plan. Copy it from the report of a failure.");
}

export const undisturbed: Plan = {
  seed: 1,
  kind: "records",
  records: 40,
  pageSize: 7,
  busyDays: 1,
  concurrency: 3,
  tries: 1,
  earlierFile: "none",
  planned: false,
  follows: true,
  instance: true,
  duckDb: false,
  oversized: false,
  rejected: false,
  addedField: false,
  rows: true,
  approves: false,
  requests: [{ id: "a", day: 0, skips: false }],
  faults: [],
  refresh: null,
  later: [],
};
