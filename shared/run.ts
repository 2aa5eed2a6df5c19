// What the work bucket remembers of a run, as JSON. Parsed where it is read.
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { PipelineError } from "./errors.ts";
import { type AttemptAddress, keys } from "./keys.ts";
import { type FetchTask, type Totals, totals, type Window, window } from "./messages.ts";
import type { ObjectStore } from "./ports.ts";
import { isoDate, nonNegativeInt, positiveInt } from "./schemas.ts";

/**
 * A run's id: the dataset's name and twelve hexadecimal digits of the request's id.
 * The digits are a hash, because request ids come from outside and end up in keys.
 */
export function runIdOf(dataset: string, requestId: string): string {
  return `${dataset}-${createHash("sha256").update(`${dataset}\n${requestId}`).digest("hex").slice(0, 12)}`;
}

/** `run.json`: the request and its windows. Written once, never changed. */
export const run = z.strictObject({
  runId: z.string(),
  dataset: z.string(),
  /** The request's own id; with the dataset it decides the run's id. */
  requestId: z.string(),
  /** When it was requested, ISO 8601 in UTC. Of two runs of one dataset the later request wins. */
  requestedAt: z.iso.datetime(),
  reason: z.string(),
  /** Why the comparison with the published file does not count. Reconciliation always counts. */
  skipComparison: z.optional(z.string()),
  from: isoDate,
  to: isoDate,
  windows: z.array(window),
});
export type Run = z.infer<typeof run>;

/** Ten million records a window. More is taken for a broken answer, not for work. */
export const maxPages = 100_000;

/** `windows/{w}/{attempt}.json` */
export const windowTotals = totals;

/** Returns the number of pages to fetch for a window. An empty range has one page without records. */
export function pageCount({ totalPages }: Pick<Totals, "totalPages">): number {
  return Math.max(totalPages, 1);
}

/** Returns the task that fetches a page of one of the run's windows. */
export function fetchTaskOf(
  { runId, dataset }: Pick<Run, "runId" | "dataset">,
  window: Window,
  attempt: number,
  page = 1,
): FetchTask {
  return { runId, dataset, window, attempt, page };
}

/** By name. Not z.record, which drops `__proto__`; a field of a form may be called so. */
const counts = z.custom<Record<string, number>>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((count) => Number.isSafeInteger(count) && count > 0),
  "names with counts are expected",
);

/** The first line of a part: records = rows + the sum of rejects. */
export const pageSummary = z.strictObject({
  page: positiveInt,
  /** Of the dataset's entry by which it was transformed (shared/fingerprint.ts). */
  entry: z.string(),
  /** What LibInsight announced on this page; a difference shows that the source changed meanwhile. */
  totals,
  records: nonNegativeInt,
  /** Records whose date is not in the window that was requested. */
  outside: nonNegativeInt,
  /** The `_id` of each row, in the part's order. */
  ids: z.array(nonNegativeInt),
  /** Headers of undeclared fields that the part's rows end with, in their order. */
  appended: z.array(z.string()),
  /** By reason. */
  rejects: counts,
  /** By column: answers beyond the first, which the column does not keep. */
  furtherAnswers: counts,
  /** By column: values that are not of its type and were kept as text. */
  mistyped: counts,
  /** By field: records that held a field that is not declared. */
  undeclared: counts,
  /** By column: rows that have a value in it. */
  filled: counts,
  /** Bytes of the part's two bodies. */
  bytes: z.strictObject({ csv: nonNegativeInt, jsonl: nonNegativeInt }),
});
export type PageSummary = z.infer<typeof pageSummary>;

/** Returns the number of rejected records of a page or a run. */
export function rejectedCount({ rejects }: Pick<PageSummary, "rejects">): number {
  return Object.values(rejects).reduce((sum, count) => sum + count, 0);
}

/** `attempts/{n}.json`: which attempt of each window (in the run's order) counts, and why it came to that. */
export const runAttempt = z.strictObject({
  attempt: z.int().check(z.minimum(2)),
  windows: z.array(positiveInt),
  because: z.array(z.string()),
});
export type RunAttempt = z.infer<typeof runAttempt>;

/**
 * Returns the run's windows in order, each with the address of the attempt that counts in the run's attempt n.
 * @throws PipelineError `AttemptMissing` when attempt n was never begun
 */
export async function windowAttempts(
  { runId, windows }: Run,
  attempt: number,
  work: ObjectStore,
): Promise<{ window: Window; address: AttemptAddress }[]> {
  const decided = attempt === 1 ? undefined : await work.getJson(keys.attempt(runId, attempt), runAttempt);
  if (attempt > 1 && !decided) {
    throw new PipelineError("AttemptMissing", {
      message: "The message refers to an unknown attempt.",
      advice: "Archive the dead letter and request the run again.",
      ids: { run: runId, attempt },
    });
  }
  return windows.map((window, index) => ({
    window,
    address: { runId, window: window.number, attempt: decided?.windows[index] ?? 1 },
  }));
}

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

/** `queries/{id}/origin.json`: what a query of a dataset was started for. */
export const queryOrigin = z.strictObject({
  runId: z.string(),
  dataset: z.string(),
  requestedAt: z.iso.datetime(),
  /** From 1; a further query is started where the engine failed for a reason of its own. */
  attempt: positiveInt,
});
export type QueryOrigin = z.infer<typeof queryOrigin>;

/**
 * Why a run is not published without a person's decision:
 * - `disagreement`: the records are not those that LibInsight announced or was asked for
 * - `empty`: the file would have no rows
 * - `quality`: too many records were rejected, or too many values are not of their column's type
 * - `comparison`: the file differs too much from the published one
 */
const violation = z.strictObject({
  kind: z.enum(["disagreement", "empty", "quality", "comparison"]),
  /** A sentence without its full stop. */
  text: z.string(),
});
export type Violation = z.infer<typeof violation>;

const file = z.strictObject({ key: z.string(), etag: z.string(), bytes: nonNegativeInt });

/** `result.json`: records = rows + duplicates + the sum of rejects. */
export const runResult = z.strictObject({
  runId: z.string(),
  dataset: z.string(),
  state: z.enum(["published", "held", "failed", "superseded"]),
  /** Why, where it is not published: a sentence for a person. */
  reason: z.optional(z.string()),
  /** A run that has some is held, or was published for the reason `force`. */
  violations: z.array(violation),
  /** Why it was published in spite of them: a person's reason, or why its request skipped the comparison. */
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
      pages: nonNegativeInt,
      totalRecords: nonNegativeInt,
    }),
  ),
  records: nonNegativeInt,
  rows: nonNegativeInt,
  /** What was published before, where its file says. */
  previous: z.optional(z.strictObject({ rows: nonNegativeInt, requestedAt: z.iso.datetime() })),
  duplicates: nonNegativeInt,
  rejects: counts,
  furtherAnswers: counts,
  mistyped: counts,
  undeclared: counts,
  filled: counts,
  columns: z.array(z.string()),
  /** Of the dataset's entry that made the rows (shared/fingerprint.ts). */
  entry: z.string(),
  /** In the work bucket: what a held run would have published. */
  held: z.optional(z.strictObject({ csv: file, jsonl: file })),
  published: z.optional(
    z.strictObject({
      bucket: z.string(),
      csv: file,
      jsonl: file,
    }),
  ),
});
export type RunResult = z.infer<typeof runResult>;
