// The events on the pipeline's bus, defined once. They are in the past tense where something happened, carry ids
// and keys rather than payloads, and are parsed when they arrive as well as when they leave.
import * as z from "zod/mini";
import { envelope, isoDate, nonNegativeInt, positiveInt, reasonText } from "./schemas.ts";

/** `source` of everything that the pipeline says. */
export const eventSource = "libinsight.pipeline";

const ofRun = { runId: z.string(), dataset: z.string() };

/** A request that the instances of the stage start, or stop. */
const instanceRequest = z
  .strictObject({
    /** One of them; else all. */
    instanceId: z.optional(z.string().check(z.regex(/^[\w-]{1,64}$/))),
    /** Whose run needs them, or needs them no longer; else a person asks. */
    dataset: z.optional(z.string()),
    reason: reasonText,
    /** When, if earlier than the event: a schedule's time. */
    requestedAt: z.optional(z.iso.datetime()),
  })
  .check(
    z.refine(
      ({ instanceId, dataset }) => !(instanceId && dataset),
      "a dataset needs all instances of the stage: name it or an instance",
    ),
  );
const ofInstance = {
  instanceId: z.string(),
  /** For whose run; else a person asked. */
  dataset: z.optional(z.string()),
};

/** The detail of each event, by detail-type. */
export const eventDetails = {
  /** A request to collect a dataset. `requestId` makes two requests one; default: the event's id. */
  "run.requested": z.strictObject({
    dataset: z.string(),
    from: z.optional(isoDate),
    to: z.optional(isoDate),
    reason: reasonText,
    requestId: z.optional(z.string().check(z.minLength(1), z.maxLength(200))),
    /** Why the comparison with the published file does not count, as where dates are named. */
    skipComparison: z.optional(reasonText),
  }),
  "run.started": z.strictObject({ ...ofRun, from: isoDate, to: isoDate, windows: positiveInt }),
  "run.transformed": z.strictObject({ ...ofRun, attempt: positiveInt }),
  "run.published": z.strictObject({
    ...ofRun,
    bucket: z.string(),
    key: z.string(),
    rows: nonNegativeInt,
  }),
  /** It is complete but doubtful: nothing is published until a person says so. */
  "run.held": z.strictObject({ ...ofRun, reason: z.string() }),
  "run.failed": z.strictObject({ ...ofRun, reason: z.string() }),
  /** A later run has already published; no action is needed. */
  "run.superseded": z.strictObject({ ...ofRun, reason: z.string() }),
  /** An operator's request: dead letters go back to the queue they came from. */
  "deadletter.replay.requested": z.strictObject({
    queue: z.optional(z.string()),
    run: z.optional(z.string()),
    reason: reasonText,
  }),
  "results.published": z.strictObject({
    ...ofRun,
    queryExecutionId: z.string(),
    bucket: z.string(),
    key: z.string(),
    rows: nonNegativeInt,
  }),
  /** The published file can't be what its readers expect: the tables and the earlier result stay. */
  "file.refused": z.strictObject({ ...ofRun, bucket: z.string(), key: z.string(), reason: z.string() }),
  "query.failed": z.strictObject({ ...ofRun, queryExecutionId: z.string(), reason: z.string() }),
  /** Without a job where Tableau had one waiting already. */
  "tableau.refreshed": z.strictObject({
    ...ofRun,
    refreshed: z
      .array(
        z.strictObject({
          kind: z.enum(["data source", "workbook"]),
          name: z.string(),
          jobId: z.optional(z.string()),
        }),
      )
      .check(z.minLength(1)),
  }),
  "tableau.failed": z.strictObject({ ...ofRun, reason: z.string() }),
  /** The daily look at how old a dataset's published file is. */
  "freshness.check.requested": z.strictObject({ dataset: z.string() }),
  /** The daily look at how long the stage's instances have been running. */
  "instances.check.requested": z.strictObject({}),
  "instance.start.requested": instanceRequest,
  "instance.stop.requested": instanceRequest,
  /** It runs, or did already. `reason`: why that was asked for. */
  "instance.started": z.strictObject({ ...ofInstance, reason: z.string() }),
  /** It is stopped, or was already. */
  "instance.stopped": z.strictObject({ ...ofInstance, reason: z.string() }),
  /** What was asked for was refused, or did not come about: why, and what to do. */
  "instance.failed": z.strictObject({
    ...ofInstance,
    /** Missing where none could be found. */
    instanceId: z.optional(z.string()),
    reason: z.string(),
  }),
};

export type EventType = keyof typeof eventDetails;
export type EventDetail<T extends EventType> = z.infer<(typeof eventDetails)[T]>;

/**
 * One of them as EventBridge delivers it to a queue. Marked as free of deps, as are the unions below, so that a
 * function's bundle makes those that the function hears of and no others.
 */
/* @__NO_SIDE_EFFECTS__ */
function delivered<T extends EventType>(type: T) {
  return envelope(type, eventDetails[type]);
}

/** `run.requested` as it arrives in the kickoff queue. */
export const runRequested = delivered("run.requested");
export type RunRequested = z.infer<typeof runRequested>;

/** `deadletter.replay.requested` as it arrives in the replay queue. */
export const replayRequested = delivered("deadletter.replay.requested");
export type ReplayRequested = z.infer<typeof replayRequested>;

/** `results.published` as it arrives in the tableau queue. */
export const resultsPublished = delivered("results.published");

/** `run.published` as it arrives in the athena queue. */
export const runPublished = delivered("run.published");

/** What arrives in the reporter queue. */
export const reportable = /* @__PURE__ */ z.discriminatedUnion("detail-type", [
  delivered("run.published"),
  delivered("run.held"),
  delivered("run.failed"),
  delivered("run.superseded"),
  delivered("results.published"),
  delivered("file.refused"),
  delivered("query.failed"),
  delivered("tableau.failed"),
  delivered("instance.failed"),
  delivered("freshness.check.requested"),
  delivered("instances.check.requested"),
]);
export type Reportable = z.infer<typeof reportable>;

/** `instance.*.requested` as they arrive in the ec2 queue. */
export const instanceRequested = /* @__PURE__ */ z.union([
  delivered("instance.start.requested"),
  delivered("instance.stop.requested"),
]);
export type InstanceRequested = z.infer<typeof instanceRequested>;

/** The ends of a run as they arrive in the ec2 queue. */
export const runEnded = /* @__PURE__ */ z.union([
  delivered("run.published"),
  delivered("run.held"),
  delivered("run.failed"),
  delivered("run.superseded"),
]);
export type RunEnded = z.infer<typeof runEnded>;
