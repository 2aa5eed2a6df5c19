// The schemas of the messages in the queues. Each message is parsed when it is received.
import * as z from "zod/mini";
import type { PageAddress } from "./keys.ts";
import { isoDate, nonEmpty, nonNegativeInt, positiveInt, reasonText, runId } from "./schemas.ts";
import { traceFields } from "./trace.ts";

/** Both dates are inclusive. */
const range = { from: isoDate, to: isoDate };
/** A window or a period of a run. Numbers start at 1. */
export const window = z.strictObject({ number: positiveInt, ...range });
export type Window = z.infer<typeof window>;

const ofAttempt = { runId, dataset: z.string(), attempt: positiveInt, ...traceFields };

/** Fetcher queue: fetch a range of a window, or a page of a day. */
export const fetchTask = z.strictObject({
  ...ofAttempt,
  window,
  /** Part of the window, or all of it. */
  range: z.strictObject(range),
  page: positiveInt,
  /** The number of the range's pages, if it is a day that does not fit one page. */
  pages: z.optional(positiveInt),
  /** The last window that this attempt fetches. */
  last: window,
});
export type FetchTask = z.infer<typeof fetchTask>;

/** Fetcher queue: count a period's records again. `periods` is the number of the run's periods. */
export const recountTask = z.strictObject({ ...ofAttempt, period: window, periods: positiveInt });
export type RecountTask = z.infer<typeof recountTask>;

/** Fetcher queue: search the windows that `attempt` fetches again. */
export const searchTask = z.strictObject({ ...ofAttempt, search: z.literal(true) });
export type SearchTask = z.infer<typeof searchTask>;

export const fetcherTask = z.union([fetchTask, recountTask, searchTask]);

/** Returns the address of what the task fetches. */
export function pageAddress({ runId, window, attempt, range, page, pages = 1 }: FetchTask): PageAddress {
  return { runId, window: window.number, attempt, ...range, page, pages };
}

/** The totals of the whole date range that LibInsight sent with this page. */
export const totals = z.strictObject({
  totalPages: nonNegativeInt,
  totalRecords: nonNegativeInt,
  /** The sum of the records' amounts, if LibInsight has a second total to compare it with. */
  sum: z.optional(z.number()),
});
export type Totals = z.infer<typeof totals>;

/** Without z.array, which would copy all records. The transformer checks each record. */
const records = z.custom<unknown[]>(Array.isArray, "must be a list of records");

/** The `_id` of each record that the fetcher dropped (shared/privacy/forgotten.ts). Null if it had no valid one. */
export const forgottenIds = z.array(z.nullable(nonNegativeInt));

/** Transformer queue: a fetched page. Its records are in the message or, if they do not fit, in the work bucket. */
export const pageMessage = z.strictObject({
  task: fetchTask,
  totals,
  records: z.union([z.strictObject({ inline: records }), z.strictObject({ key: nonEmpty })]),
  /** The page's records that exceed a limit (shared/kinds/records/limits.ts). Each is a reject. */
  leftOut: z.optional(
    z.array(z.strictObject({ index: nonNegativeInt, reason: nonEmpty, id: z.optional(nonNegativeInt) })),
  ),
  forgotten: z.optional(forgottenIds),
  ...traceFields,
});
export type PageMessage = z.infer<typeof pageMessage>;

/** The records of a page in the work bucket. */
export const storedPage = records;

/** Assembler queue: every page of this attempt of the run is transformed. */
export const assembleTask = z.strictObject({
  runId,
  dataset: z.string(),
  attempt: positiveInt,
  /** A person's reason to publish the files of a held run in spite of its violations. */
  force: z.optional(reasonText),
  ...traceFields,
});
export type AssembleTask = z.infer<typeof assembleTask>;

/** Athena queue: check whether a query has ended, because Athena sends its event only at best effort; or retry it. */
export const queryTask = z.strictObject({
  task: z.enum(["check", "retry"]),
  runId,
  dataset: z.string(),
  queryExecutionId: z.string().check(z.minLength(1), z.maxLength(100)),
  /** The number of earlier checks. */
  checks: nonNegativeInt,
  ...traceFields,
});
export type QueryTask = z.infer<typeof queryTask>;

/** EC2 queue: compare an instance with its desired state, and start or stop it. */
export const instanceTask = z.strictObject({
  task: z.literal("check"),
  instanceId: z.string().check(z.minLength(1), z.maxLength(64)),
  /** Names the desired state. The task is obsolete once the instance has another one. */
  goal: z.string().check(z.minLength(1), z.maxLength(64)),
  /** The number of earlier checks. */
  checks: nonNegativeInt,
});
export type InstanceTask = z.infer<typeof instanceTask>;
