// A query has ended: a good result is copied to the key that never changes; a bad one changes nothing there.
import { countCsvRows, countedRows } from "../../shared/csv.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { QueryTask } from "../../shared/messages.ts";
import { once } from "../../shared/once.ts";
import type { Emit, ObjectStore, Query } from "../../shared/ports.ts";
import { publishNewest } from "../../shared/publish.ts";
import { type QueryOrigin, runResult } from "../../shared/run.ts";
import { maxAttempts, originOf, type StartDeps, sendLater } from "./start-query.ts";

export type FinishDeps = StartDeps & {
  data: ObjectStore;
  results: ObjectStore;
  emit: Emit;
  now: () => Date;
};

/**
 * Queries that are not a dataset's (DDL statements, an analyst's in the same workgroup) are left alone.
 * @param task of a message that checks: it checks again later where it is too early
 * @throws PipelineError `ResultElsewhere`, `QueryUnfinished`, `PublishContended`
 */
export async function finishQuery(
  queryExecutionId: string,
  deps: FinishDeps,
  task?: QueryTask,
): Promise<LogFields> {
  const origin = await originOf(queryExecutionId, deps.work);
  if (!origin) return { query: queryExecutionId, ours: false };
  // Events arrive in any order; the engine's current state is what holds.
  const query = await deps.engine.get(queryExecutionId);
  const fields = { run: origin.runId, query: queryExecutionId, state: query.state };
  const hasEnded = ["SUCCEEDED", "FAILED", "CANCELLED"].includes(query.state);
  const outcome = hasEnded
    ? await once(keys.queryEnd(queryExecutionId), deps.work, deps.now, () => conclude(query, origin, deps))
    : "running";
  if (outcome === "done") return { ...fields, done: "before" };
  if (outcome !== "claimed" && outcome !== "running") return { ...fields, ...outcome };
  // Nothing is lost of an event that comes too early: every query has a message that checks.
  if (task) await sendLater({ ...task, checks: task.checks + 1 }, deps);
  return { ...fields, later: outcome };
}

async function conclude(query: Query, origin: QueryOrigin, deps: FinishDeps): Promise<LogFields> {
  const dataset = findDataset(origin.dataset, deps.datasets);
  const other = await otherFile(origin, dataset, deps.data);
  if (other) return { supersededBy: other };
  if (query.state === "SUCCEEDED") return publishResult(query, origin, dataset, deps);
  if (query.state === "FAILED" && query.retryable && origin.attempt < maxAttempts) {
    const { runId } = origin;
    const checks = origin.attempt - 1;
    await sendLater(
      { task: "retry", runId, dataset: dataset.name, queryExecutionId: query.id, checks },
      deps,
    );
    return { retry: origin.attempt + 1 };
  }
  const failure = {
    what: `Athena's query ended as ${query.state} (${query.reason})`,
    advice: `Look up query ${query.id} in Athena's history and fix the cause`,
  };
  return fail(query, origin, failure, deps);
}

/**
 * Returns the run of the file in place, where that is another publication than the query's. It has a query of its own,
 * and this one may have read either file. Times alone do not tell: two runs may be requested in one second.
 */
async function otherFile(
  origin: QueryOrigin,
  dataset: Dataset,
  data: ObjectStore,
): Promise<string | undefined> {
  const { metadata } = (await data.head(dataset.publish.csv)) ?? {};
  const { "run-id": runId, "requested-at": requestedAt } = metadata ?? {};
  const isOwn = runId === origin.runId && requestedAt === origin.requestedAt;
  return metadata === undefined || isOwn ? undefined : (runId ?? "another writer");
}

class FileReplaced extends Error {
  override readonly name = "FileReplaced";
  readonly by: string;

  constructor(by: string) {
    super(`The published file is of ${by}.`);
    this.by = by;
  }
}

/** The result has another number of rows than the published file. */
class RowsDiffer extends Error {
  override readonly name = "RowsDiffer";
}

async function publishResult(
  query: Query,
  origin: QueryOrigin,
  dataset: Dataset,
  deps: FinishDeps,
): Promise<LogFields> {
  const { results, emit } = deps;
  const { output } = query;
  if (output === undefined) throw resultElsewhere(query.id);
  const expected = dataset.publish.rowPreserving ? await publishedRows(origin, dataset, deps) : undefined;
  let rows = 0;
  // Counted while it is copied: what does not have the expected rows is never completed.
  const body = async () => {
    // After the result in place was read: where another file's result takes its place now, this one is not written.
    const other = await otherFile(origin, dataset, deps.data);
    if (other) throw new FileReplaced(other);
    return countedRows(await results.stream(output), (count) => {
      rows = count;
      if (expected !== undefined && count !== expected) throw new RowsDiffer();
    });
  };
  try {
    const published = await publishNewest(results, dataset.publish.results, origin, body, {
      contentType: "text/csv; charset=utf-8",
      metadata: { dataset: dataset.name, "query-execution-id": query.id },
      now: deps.now(),
    });
    if (published.superseded) return { supersededBy: published.by };
  } catch (error) {
    if (error instanceof FileReplaced) return { supersededBy: error.by };
    if (!(error instanceof RowsDiffer)) throw error;
    const mismatch = {
      what: `The result of Athena's query has ${rows} rows, where ${expected} were published`,
      advice:
        "If the query is meant to change their number, set rowPreserving: false in shared/datasets.ts; if not, fix its SQL in services/athena/queries",
    };
    return fail(query, origin, mismatch, deps);
  }
  await emit("results.published", {
    runId: origin.runId,
    dataset: dataset.name,
    queryExecutionId: query.id,
    bucket: results.bucket,
    key: dataset.publish.results,
    rows,
  });
  return { rows };
}

/** By the run's result; the file itself is counted where the work bucket does not have that result. */
async function publishedRows(
  { runId }: QueryOrigin,
  { publish }: Dataset,
  { work, data }: FinishDeps,
): Promise<number> {
  const result = await work.getJson(keys.result(runId), runResult);
  return result?.rows ?? countCsvRows(await data.stream(publish.csv));
}

async function fail(
  { id }: Query,
  { runId, dataset }: QueryOrigin,
  { what, advice }: { what: string; advice: string },
  { emit }: FinishDeps,
): Promise<LogFields> {
  const reason = `${what}. The earlier result stays. ${advice}. Then request a run: npm run runs -- request --dataset ${dataset}`;
  await emit("query.failed", { runId, dataset, queryExecutionId: id, reason });
  return { failed: what };
}

function resultElsewhere(query: string): PipelineError {
  return new PipelineError("ResultElsewhere", {
    message: "Athena wrote a query's result to another bucket than the results bucket.",
    advice: "Set the workgroup's result location to the results bucket.",
    ids: { query },
  });
}
