// The schemas of the JSON objects of a run in the work bucket.
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { PipelineError } from "./errors.ts";
import { refreshResult, reusedParts, runRefresh } from "./kept.ts";
import { type FetchTask, forgottenIds, type Totals, totals, type Window, window } from "./messages.ts";
import { isoDate, nonNegativeInt, positiveInt } from "./schemas.ts";
import { spans } from "./trace.ts";

/**
 * Returns a run's id: the dataset's name and twelve hexadecimal digits. The digits are a hash of the request's id,
 * which may hold characters that keys must not have.
 */
export function runIdOf(dataset: string, requestId: string): string {
  return `${dataset}-${createHash("sha256").update(`${dataset}\n${requestId}`).digest("hex").slice(0, 12)}`;
}

const plannedWindow = z.strictObject({
  ...window.shape,
  /** If the run takes the parts of an earlier run: which one, and what LibInsight announced then. */
  reused: z.optional(reusedParts),
});
export type PlannedWindow = z.infer<typeof plannedWindow>;

/** `run.json`: the request and its windows. Written once. */
export const run = z.strictObject({
  runId: z.string(),
  dataset: z.string(),
  /** Together with the dataset it determines the run's id. */
  requestId: z.string(),
  /** In UTC. The run with the later request is the newer one. */
  requestedAt: z.iso.datetime(),
  reason: z.string(),
  /** Why the run may differ from the published file. Reconciliation is never skipped. */
  skipComparison: z.optional(z.string()),
  from: isoDate,
  to: isoDate,
  /** What LibInsight counts again after all windows are fetched. Each is at most a year. Missing in runs of older versions. */
  periods: z._default(z.array(window), []),
  /** What is fetched. Each window is in one period. */
  windows: z.array(plannedWindow),
  /** Missing if the dataset's entry has no `refresh`. */
  refresh: z.optional(runRefresh),
  spans,
});
export type Run = z.infer<typeof run>;

/** Ten million records in a day. A response with more pages is treated as an error. */
export const maxPages = 100_000;
/** Some 100 million records with all attempts. */
export const maxParts = 3_000_000;

/** `splits/{window}/{attempt}/{range}.json`: how a range is read that does not fit one page. Without pieces it is paged. */
export const rangeSplit = z.strictObject({
  totals,
  pieces: z.optional(z.array(z.strictObject({ from: isoDate, to: isoDate }))),
  spans,
});
export type RangeSplit = z.infer<typeof rangeSplit>;

/** `recounts/{attempt}/{period}.json` */
export const periodRecount = z.strictObject({
  totalRecords: z.optional(nonNegativeInt),
  sum: z.optional(z.number()),
  spans,
});

/** Returns the number of a range's pages. An empty range has one page without records. */
export function pageCount({ totalPages }: Pick<Totals, "totalPages">): number {
  return Math.max(totalPages, 1);
}

/** Returns the tasks that fetch these windows. */
export function fetchTasksOf(
  { runId, dataset }: Pick<Run, "runId" | "dataset">,
  windows: readonly Window[],
  attempt: number,
): FetchTask[] {
  const last = windows.at(-1);
  if (!last) return [];
  return windows.map(({ number, from, to }) => ({
    ...{ runId, dataset, attempt, page: 1 },
    window: { number, from, to },
    range: { from, to },
    last: { number: last.number, from: last.from, to: last.to },
  }));
}

/** Counts by name. Not z.record, which drops `__proto__`, a possible name of a LibInsight field. */
const counts = z.custom<Record<string, number>>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((count) => Number.isSafeInteger(count) && count > 0),
  "must be names with counts",
);

/** The first line of a part. records = rows + sum of rejects + forgotten. */
export const pageSummary = z.strictObject({
  /** The range that was requested, and the page of it. */
  from: isoDate,
  to: isoDate,
  page: positiveInt,
  /** Fingerprint (shared/fingerprint.ts) of the dataset entry that transformed the page. */
  entry: z.string(),
  /** The totals that LibInsight sent with this page. If they differ between pages, the source has changed. */
  totals,
  records: nonNegativeInt,
  /** Records whose date is outside the window. */
  outside: nonNegativeInt,
  /** The `_id` of each row, in order. */
  ids: z.array(nonNegativeInt),
  forgotten: z.optional(forgottenIds),
  /** Headers of the undeclared fields at the end of the part's rows, in order. */
  appended: z.array(z.string()),
  /** By reason. */
  rejects: counts,
  /** By column: answers that were not kept because only the first is. */
  furtherAnswers: counts,
  /** By column: values that do not match its type and were kept as text. */
  mistyped: counts,
  /** By undeclared field: records that have it. */
  undeclared: counts,
  /** By column: rows with a value. */
  filled: counts,
  /** For each column with a child table: the number of answers of each row, in the order of `ids`. */
  answers: z.optional(z.array(z.strictObject({ column: z.string(), counts: z.array(nonNegativeInt) }))),
  /** Size of the rows as CSV and as JSON Lines, and of the rows of each child table. */
  bytes: z.strictObject({
    csv: nonNegativeInt,
    jsonl: nonNegativeInt,
    children: z.optional(z.array(nonNegativeInt)),
  }),
  spans,
});
export type PageSummary = z.infer<typeof pageSummary>;

/** Returns the number of windows without a second total. */
export function unreconciledCount({
  windows,
}: {
  windows: readonly { unreconciled?: boolean | undefined }[];
}) {
  return windows.filter(({ unreconciled }) => unreconciled).length;
}

/** Returns that LibInsight has no second total of some of the windows, in a sentence, or an empty text. */
export function unreconciledText(result: Pick<RunResult, "windows">): string {
  const [count, all] = [unreconciledCount(result), result.windows.length];
  if (count === 0) return "";
  const which = count === all ? "these dates" : `${count} of ${all} windows`;
  return `LibInsight gives no second total for ${which}, so nothing outside their pages proves that they are complete.`;
}

/** Returns the number of rejected records of a page or a run. */
export function rejectedCount({ rejects }: Pick<PageSummary, "rejects">): number {
  return Object.values(rejects).reduce((sum, count) => sum + count, 0);
}

/** `attempts/{n}.json`: the attempt of each window, in the run's order, and why windows were fetched again. */
export const runAttempt = z.strictObject({
  attempt: z.int().check(z.minimum(2)),
  windows: z.array(positiveInt),
  because: z.array(z.string()),
  spans,
});
export type RunAttempt = z.infer<typeof runAttempt>;

/** `searches/{n}.json`: the windows that attempt n fetches again, and the periods in which it has to find others. */
export const windowSearch = z.strictObject({
  attempt: z.int().check(z.minimum(2)),
  windows: z.array(positiveInt),
  periods: z.array(
    z.strictObject({
      /** What LibInsight counts now. */
      counted: nonNegativeInt,
      /** What it announced when each window was fetched. */
      windows: z.array(z.strictObject({ ...window.shape, records: nonNegativeInt })),
    }),
  ),
  because: z.array(z.string()),
  spans,
});
export type WindowSearch = z.infer<typeof windowSearch>;

/**
 * Returns the error for an object of a run that has expired in the work bucket.
 * @param object.what subject of the error's message, such as "The run"
 */
export function expired(name: string, { what, ids }: { what: string; ids: PipelineError["ids"] }) {
  return new PipelineError(name, {
    message: `${what} is not in the work bucket, which keeps runs for 30 days.`,
    advice: "Request the run again.",
    ids,
  });
}

/** `queries/{id}/origin.json`: the dataset and run of a query. */
export const queryOrigin = z.strictObject({
  runId: z.string(),
  dataset: z.string(),
  requestedAt: z.iso.datetime(),
  /** From 1. A query is retried if the engine says that it can succeed. */
  attempt: positiveInt,
  spans,
});
export type QueryOrigin = z.infer<typeof queryOrigin>;

/**
 * Why a run is not published without a person's decision:
 * - `disagreement`: the records do not match LibInsight's totals or the requested dates
 * - `empty`: the file would have no rows
 * - `quality`: too many records were rejected, or too many values do not match their column's type
 * - `comparison`: the file differs too much from the published one
 * - `expectation`: an expectation with the action `hold` is not met
 */
const violation = z.strictObject({
  kind: z.enum(["disagreement", "empty", "quality", "comparison", "expectation"]),
  /** A sentence without the period. */
  text: z.string(),
});
export type Violation = z.infer<typeof violation>;

/** Whether a run met an expectation of its dataset (shared/expectations.ts). Texts name columns and answers, never a record. */
export const expectationOutcome = z.strictObject({
  /** "Newest record is at most 7 days old" */
  title: z.string(),
  state: z.enum(["met", "unmet", "unknown"]),
  /** Whether a run that does not meet it is held. */
  holds: z.boolean(),
  /** "9 days", or an empty text. */
  found: z.string(),
  /** "7 days" */
  limit: z.string(),
  /** If it is unmet or unknown: why, in a sentence without the period. Otherwise an empty text. */
  text: z.string(),
});
export type ExpectationOutcome = z.infer<typeof expectationOutcome>;

const file = z.strictObject({ key: z.string(), etag: z.string(), bytes: nonNegativeInt });

const changeCounts = {
  added: nonNegativeInt,
  edited: nonNegativeInt,
  deleted: nonNegativeInt,
  /** Rows with another day in the column with their date. They do not count as edited. */
  moved: nonNegativeInt,
};
/** What changed since the publication before (services/assembler/changes). */
export const fileChanges = z.strictObject({
  /** The publication before. */
  since: z.optional(z.strictObject({ runId: z.string(), requestedAt: z.iso.datetime() })),
  /** Why nothing was compared, in a sentence without the period. Every count is 0 then. */
  snapshot: z.optional(z.string()),
  ...changeCounts,
  /** By column: edited and moved rows with another value. */
  columns: counts,
  /** By month of the row's date, newest first. A deleted row counts in its last one, a moved one in its new one. */
  months: z.array(z.strictObject({ month: z.nullable(z.string()), ...changeCounts })),
});
export type FileChanges = z.infer<typeof fileChanges>;

/** `result.json`: the outcome. records = rows + duplicates + sum of rejects + forgotten. */
export const runResult = z.strictObject({
  runId: z.string(),
  dataset: z.string(),
  state: z.enum(["published", "held", "failed", "superseded"]),
  /** Why the run is not published, in a sentence. */
  reason: z.optional(z.string()),
  /** With violations, the run is held or was published for the reason `force`. */
  violations: z.array(violation),
  /** In the order of the dataset's entry. Missing if the rows were not counted. */
  expectations: z.optional(z.array(expectationOutcome)),
  /** Why it was published in spite of violations: a person's reason, or `skipComparison` of its request. */
  force: z.optional(z.string()),
  from: isoDate,
  to: isoDate,
  requestedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  attempt: positiveInt,
  windows: z.array(
    z.strictObject({
      from: isoDate,
      to: isoDate,
      attempt: positiveInt,
      /** Number of its period. Missing in older results, in which each window is a period. */
      period: z.optional(positiveInt),
      pages: nonNegativeInt,
      totalRecords: nonNegativeInt,
      /** What became of its records. Missing in older results. */
      rows: z.optional(nonNegativeInt),
      duplicates: z.optional(nonNegativeInt),
      rejected: z.optional(nonNegativeInt),
      forgotten: z.optional(nonNegativeInt),
      /** Whether LibInsight has no second total of these records, so that only their number on the pages is known. */
      unreconciled: z.optional(z.boolean()),
      /** If its rows are those of an earlier run: which one, and when that was requested. */
      reused: z.optional(z.strictObject({ runId: z.string(), at: z.iso.datetime() })),
    }),
  ),
  records: nonNegativeInt,
  rows: nonNegativeInt,
  /** The file that was published before, if its metadata has these values. */
  previous: z.optional(
    z.strictObject({ rows: nonNegativeInt, requestedAt: z.iso.datetime(), runId: z.optional(z.string()) }),
  ),
  /** Missing if the dataset's entry has no `refresh`. */
  refresh: z.optional(refreshResult),
  /** Only of published runs. Missing in older results. */
  changes: z.optional(fileChanges),
  /** When another writer put its file in place of a run's, and the run whose file it replaced. */
  foreignFile: z.optional(z.strictObject({ at: z.iso.datetime(), replaced: z.string() })),
  duplicates: nonNegativeInt,
  rejects: counts,
  /** Records that were not kept, because `npm run privacy -- forget` has removed them. Missing if there are none. */
  forgotten: z.optional(positiveInt),
  furtherAnswers: counts,
  mistyped: counts,
  undeclared: counts,
  filled: counts,
  columns: z.array(z.string()),
  /** Fingerprint (shared/fingerprint.ts) of the dataset entry that made the rows. */
  entry: z.string(),
  /**
   * The child files (shared/child-tables.ts), in the bucket of the other files. `rows` is the number of answers, and
   * `records` that of rows with an answer. Missing if there are none.
   */
  children: z.optional(
    z.array(
      z.strictObject({ column: z.string(), rows: nonNegativeInt, records: nonNegativeInt, ...file.shape }),
    ),
  ),
  /** The Parquet file (shared/parquet-file.ts), in the bucket of the other files. Missing in older results. */
  parquet: z.optional(file),
  /** The files in the work bucket that a held run would have published. */
  held: z.optional(z.strictObject({ csv: file, jsonl: file })),
  published: z.optional(
    z.strictObject({
      bucket: z.string(),
      csv: file,
      jsonl: file,
    }),
  ),
  spans,
});
export type RunResult = z.infer<typeof runResult>;

/** `deidentification.json`: what the rules of the columns did for the de-identified file. Counts only, and no text. */
export const deidentification = z.strictObject({
  /** The name of the de-identified file's entry. */
  dataset: z.string(),
  rows: nonNegativeInt,
  /** By column (shared/privacy/rules.ts). */
  counts: z.record(
    z.string(),
    z.strictObject({
      dropped: nonNegativeInt,
      hashed: nonNegativeInt,
      generalized: nonNegativeInt,
      expired: nonNegativeInt,
      /** By kind, such as `email`. */
      redacted: z.record(z.string(), nonNegativeInt),
    }),
  ),
  spans,
});
export type Deidentification = z.infer<typeof deidentification>;
