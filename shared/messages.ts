// The messages in the queues. Each is parsed where it arrives.
import * as z from "zod/mini";
import type { PageAddress } from "./keys.ts";
import { type MessageQueue, messageBody } from "./ports.ts";
import { isoDate, nonEmpty, nonNegativeInt, positiveInt, reasonText, runId } from "./schemas.ts";

/** A window as its run numbers it: from 1, both dates inclusive. */
export const window = z.strictObject({ number: positiveInt, from: isoDate, to: isoDate });
export type Window = z.infer<typeof window>;

/** Fetcher queue: fetch one page of one window. */
export const fetchTask = z.strictObject({
  runId,
  dataset: z.string(),
  window,
  attempt: positiveInt,
  page: positiveInt,
  /** How many pages the window has, at least 1; unknown until page 1 is fetched. */
  pages: z.optional(positiveInt),
  /** Only count the window again, as one of so many windows of the run's attempt `attempt`. */
  recount: z.optional(positiveInt),
});
export type FetchTask = z.infer<typeof fetchTask>;

export function pageAddress({ runId, window, attempt, page }: FetchTask): PageAddress {
  return { runId, window: window.number, attempt, page };
}

/** What LibInsight announced for the whole range, on this page. */
export const totals = z.strictObject({
  totalPages: nonNegativeInt,
  totalRecords: nonNegativeInt,
});
export type Totals = z.infer<typeof totals>;

/** Each record is checked once, where it is transformed; z.array would copy them all here. */
const records = z.custom<unknown[]>(Array.isArray, "a list of records is expected");

/** Transformer queue: one fetched page, its records in the message or, where they do not fit, in the work bucket. */
export const pageMessage = z.strictObject({
  task: fetchTask,
  totals,
  /** How many pages the window has by the totals that hold for it (`windowTotals`), at least 1. */
  pages: positiveInt,
  records: z.union([z.strictObject({ inline: records }), z.strictObject({ key: nonEmpty })]),
  /** The page's records that are beyond the limits of shared/libinsight/limits.ts; each is a reject. */
  leftOut: z.optional(
    z.array(z.strictObject({ index: nonNegativeInt, reason: nonEmpty, id: z.optional(nonNegativeInt) })),
  ),
});
export type PageMessage = z.infer<typeof pageMessage>;

/** A page's records as stored in the work bucket. */
export const storedPage = records;

/** Assembler queue: every page of this attempt at the run is transformed. */
export const assembleTask = z.strictObject({
  runId,
  dataset: z.string(),
  attempt: positiveInt,
  /** Publish the files of the held run in spite of its violations: a person's reason. */
  force: z.optional(reasonText),
});
export type AssembleTask = z.infer<typeof assembleTask>;

/**
 * Sends a task to the assembler queue.
 * @param sender the queue drops a second task from the same sender for the same attempt within five minutes
 */
export async function sendAssembleTask(
  task: AssembleTask,
  queue: MessageQueue,
  sender: string,
): Promise<void> {
  const { runId, dataset, attempt } = task;
  await queue.send(messageBody(task), { group: dataset, deduplicationId: `${runId}-${attempt}-${sender}` });
}

/** Athena queue: check whether a query has ended, because Athena's own event is best effort; or start it again. */
export const queryTask = z.strictObject({
  task: z.enum(["check", "retry"]),
  runId,
  dataset: z.string(),
  queryExecutionId: z.string().check(z.minLength(1), z.maxLength(100)),
  /** How often it was checked before. */
  checks: nonNegativeInt,
});
export type QueryTask = z.infer<typeof queryTask>;

/** EC2 queue: check whether an instance reached its desired state, because EC2's own event is best effort. */
export const instanceTask = z.strictObject({
  task: z.literal("check"),
  instanceId: z.string().check(z.minLength(1), z.maxLength(64)),
  /** Which desired state; the check is obsolete where the instance has another one by now. */
  goal: z.string().check(z.minLength(1), z.maxLength(64)),
  /** How often it was checked before. */
  checks: nonNegativeInt,
});
export type InstanceTask = z.infer<typeof instanceTask>;
