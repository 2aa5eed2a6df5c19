// What travels through the queues. Each message is parsed where it arrives.
import * as z from "zod/mini";
import { givenReason, isoDate, nonEmpty, nonNegativeInt, positiveInt } from "./forms.ts";

const runId = z.string().check(z.regex(/^[a-z][a-z0-9-]{1,63}$/));
/** A window as its run numbers it: from 1, both dates inclusive. */
export const window = z.strictObject({ number: positiveInt, from: isoDate, to: isoDate });
export type Window = z.infer<typeof window>;

/** FetchQueue: fetch one page of one window. */
export const fetchTask = z.strictObject({
  runId,
  dataset: z.string(),
  window,
  attempt: positiveInt,
  page: positiveInt,
});
export type FetchTask = z.infer<typeof fetchTask>;

/** What LibInsight said of the whole range, on this page. */
export const totals = z.strictObject({
  totalPages: nonNegativeInt,
  totalRecords: nonNegativeInt,
});
export type Totals = z.infer<typeof totals>;

/** Each record is looked at where it is transformed, once; z.array would copy them all here. */
const records = z.custom<unknown[]>(Array.isArray, "a list of records is expected");

/** PagesQueue: one fetched page, its records in the message or, where they do not fit, in the work bucket. */
export const pageMessage = z.strictObject({
  task: fetchTask,
  totals,
  records: z.union([z.strictObject({ inline: records }), z.strictObject({ key: nonEmpty })]),
});
export type PageMessage = z.infer<typeof pageMessage>;

/** A page's records where they lie in the work bucket. */
export const storedPage = records;

/** AssembleQueue: every page of this attempt at the run is transformed. */
export const assembleTask = z.strictObject({
  runId,
  dataset: z.string(),
  attempt: positiveInt,
  /** Publish although the guard holds the run: a person's reason. */
  force: z.optional(givenReason),
});
export type AssembleTask = z.infer<typeof assembleTask>;

/** AthenaQueue: look whether a query has ended, because Athena's own event is best effort; or start it once more. */
export const queryTask = z.strictObject({
  task: z.enum(["check", "retry"]),
  runId,
  dataset: z.string(),
  queryExecutionId: z.string().check(z.minLength(1), z.maxLength(100)),
  /** How often it was looked at before. */
  checks: nonNegativeInt,
});
export type QueryTask = z.infer<typeof queryTask>;

/** InstanceQueue: look whether an instance is where it was asked to be, because EC2's own event is best effort. */
export const instanceTask = z.strictObject({
  task: z.literal("check"),
  instanceId: z.string().check(z.minLength(1), z.maxLength(64)),
  /** What it was asked for; where that is something else by now, nobody has to look any more. */
  goal: z.string().check(z.minLength(1), z.maxLength(64)),
  /** How often it was looked at before. */
  checks: nonNegativeInt,
});
export type InstanceTask = z.infer<typeof instanceTask>;
