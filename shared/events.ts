// The schemas of the events on the pipeline's bus. Events carry ids and keys instead of payloads, and are parsed when
// they are emitted and when they are received.
import * as z from "zod/mini";
import { envelope, isoDate, nonNegativeInt, positiveInt, reasonText } from "./schemas.ts";
import { traceFields } from "./trace.ts";

/** The `source` of every event of the pipeline. */
export const eventSource = "libinsight.pipeline";

const runFields = { runId: z.string(), dataset: z.string(), ...traceFields };

/** A request to start or stop instances of the stage. */
const instanceRequest = z
  .strictObject({
    /** The only instance to start or stop. Default: all instances of the stage. */
    instanceId: z.optional(z.string().check(z.regex(/^[\w-]{1,64}$/))),
    /** The dataset whose run starts or has ended. Missing if a person sent the request. */
    dataset: z.optional(z.string()),
    reason: reasonText,
    /** The scheduled time, if it is earlier than the event. */
    requestedAt: z.optional(z.iso.datetime()),
  })
  .check(
    z.refine(
      ({ instanceId, dataset }) => !(instanceId && dataset),
      "name a dataset, which needs all instances, or one instance, but not both",
    ),
  );
const instanceFields = {
  instanceId: z.string(),
  /** The dataset whose run needed it. Missing if a person sent the request. */
  dataset: z.optional(z.string()),
};

/** The schema of each event's detail, by detail-type. */
export const eventDetails = {
  /** A request to collect a dataset. Two requests with the same `requestId` (default: the event's id) are one run. */
  "run.requested": z.strictObject({
    dataset: z.string(),
    from: z.optional(isoDate),
    to: z.optional(isoDate),
    reason: reasonText,
    requestId: z.optional(z.string().check(z.minLength(1), z.maxLength(200))),
    /** Why the run may differ from the published file, for example because it has other dates. */
    skipComparison: z.optional(reasonText),
    /** Whether to collect everything, also if the dataset's `refresh` would reuse windows of an earlier run. */
    full: z.optional(z.boolean()),
  }),
  "run.started": z.strictObject({ ...runFields, from: isoDate, to: isoDate, windows: positiveInt }),
  "run.transformed": z.strictObject({ ...runFields, attempt: positiveInt }),
  "run.published": z.strictObject({
    ...runFields,
    bucket: z.string(),
    key: z.string(),
    rows: nonNegativeInt,
  }),
  /** A request to write the de-identified file again: after a rollback, or with other names or pseudonyms. */
  "deidentification.requested": z.strictObject({ dataset: z.string(), reason: reasonText }),
  /** `dataset` is the name of the de-identified file's entry (shared/privacy/deidentified.ts). */
  "deidentified.published": z.strictObject({
    ...runFields,
    bucket: z.string(),
    key: z.string(),
    rows: nonNegativeInt,
  }),
  /** The run is complete but violates its guard. Nothing is published until a person decides. */
  "run.held": z.strictObject({ ...runFields, reason: z.string() }),
  "run.failed": z.strictObject({ ...runFields, reason: z.string() }),
  /** A later run has already published. No action needed. */
  "run.superseded": z.strictObject({ ...runFields, reason: z.string() }),
  /** A person's request to send dead letters back to the queue that they came from. */
  "deadletter.replay.requested": z.strictObject({
    queue: z.optional(z.string()),
    run: z.optional(z.string()),
    reason: reasonText,
  }),
  "results.published": z.strictObject({
    ...runFields,
    queryExecutionId: z.string(),
    bucket: z.string(),
    key: z.string(),
    rows: nonNegativeInt,
  }),
  /** The published file is not usable. The tables and the earlier result stay. */
  "file.refused": z.strictObject({ ...runFields, bucket: z.string(), key: z.string(), reason: z.string() }),
  "query.failed": z.strictObject({ ...runFields, queryExecutionId: z.string(), reason: z.string() }),
  /** A refresh has no job id if Tableau already had one pending. */
  "tableau.refreshed": z.strictObject({
    ...runFields,
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
  "tableau.failed": z.strictObject({ ...runFields, reason: z.string() }),
  /** The daily check of the age of a dataset's published file. */
  "freshness.check.requested": z.strictObject({ dataset: z.string() }),
  /** The daily check of how long the stage's instances have been running. */
  "instances.check.requested": z.strictObject({}),
  "instance.start.requested": instanceRequest,
  "instance.stop.requested": instanceRequest,
  /** The instance is running. `reason` is that of the request. */
  "instance.started": z.strictObject({ ...instanceFields, reason: z.string() }),
  /** The instance is stopped. */
  "instance.stopped": z.strictObject({ ...instanceFields, reason: z.string() }),
  /** The request was refused or had no effect. `reason` says why and what to do. */
  "instance.failed": z.strictObject({
    ...instanceFields,
    /** Missing if no instance was found. */
    instanceId: z.optional(z.string()),
    reason: z.string(),
  }),
};

export type EventType = keyof typeof eventDetails;
export type EventDetail<T extends EventType> = z.infer<(typeof eventDetails)[T]>;

/**
 * Returns the schema of an event as EventBridge delivers it to a queue. It and the unions below are marked as free of
 * side effects, so that a function's bundle includes only the events that the function receives.
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

/** `deidentified.published` as it arrives in the athena queue. */
export const deidentifiedPublished = delivered("deidentified.published");

/** The events that arrive in the deidentifier queue. */
export const deidentificationWanted = /* @__PURE__ */ z.discriminatedUnion("detail-type", [
  delivered("run.published"),
  delivered("deidentification.requested"),
]);

/** The events that arrive in the reporter queue. */
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

/** The events that arrive in the renderer queue. */
export const reportWanted = /* @__PURE__ */ z.discriminatedUnion("detail-type", [
  delivered("results.published"),
  delivered("run.held"),
  delivered("run.failed"),
]);

/** `instance.*.requested` as they arrive in the ec2 queue. */
export const instanceRequested = /* @__PURE__ */ z.union([
  delivered("instance.start.requested"),
  delivered("instance.stop.requested"),
]);
export type InstanceRequested = z.infer<typeof instanceRequested>;

/** The events that end a run, as they arrive in the ec2 queue. */
export const runEnded = /* @__PURE__ */ z.union([
  delivered("run.published"),
  delivered("run.held"),
  delivered("run.failed"),
  delivered("run.superseded"),
]);
export type RunEnded = z.infer<typeof runEnded>;
