// Handles a query that has ended: copies a valid result to the dataset's stable key, retries, or reports the failure.
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
import { enqueueLater, maxAttempts, readQueryOrigin, type StartDeps } from "./start-query.ts";

export type FinishDeps = StartDeps & {
  data: ObjectStore;
  results: ObjectStore;
  emit: Emit;
  now: () => Date;
};

/**
 * Finishes a dataset's query once, and ignores any other query in the workgroup (DDL statements, analysts' queries).
 * @param task of a delayed check; it is enqueued again if the query has not ended
 * @throws PipelineError `ResultElsewhere`, `QueryUnfinished`, `PublishContended`
 */
export async function finishQuery(
  queryExecutionId: string,
  deps: FinishDeps,
  task?: QueryTask,
): Promise<LogFields> {
  const origin = await readQueryOrigin(queryExecutionId, deps.work);
  if (!origin) return { query: queryExecutionId, skipped: "not a dataset's query" };
  // Events arrive in any order, so only the engine's current state counts.
  const query = await deps.engine.get(queryExecutionId);
  const fields = { run: origin.runId, query: queryExecutionId, state: query.state };
  const hasEnded = ["SUCCEEDED", "FAILED", "CANCELLED"].includes(query.state);
  const outcome = hasEnded
    ? await once(keys.queryEnd(queryExecutionId), deps.work, deps.now, () => handleEnd(query, origin, deps))
    : "running";
  if (outcome === "done") return { ...fields, skipped: "already finished" };
  if (outcome !== "claimed" && outcome !== "running") return { ...fields, ...outcome };
  // An early event needs no check of its own: every query has a delayed check from its start.
  if (task) await enqueueLater({ ...task, checks: task.checks + 1 }, deps);
  return { ...fields, pending: outcome };
}

async function handleEnd(query: Query, origin: QueryOrigin, deps: FinishDeps): Promise<LogFields> {
  const dataset = findDataset(origin.dataset, deps.datasets);
  const newer = await replacedBy(origin, dataset, deps.data);
  if (newer) return { supersededBy: newer };
  if (query.state === "SUCCEEDED") return publishResult(query, origin, dataset, deps);
  if (query.state === "FAILED" && query.retryable && origin.attempt < maxAttempts) {
    const { runId } = origin;
    const checks = origin.attempt - 1;
    await enqueueLater(
      { task: "retry", runId, dataset: dataset.name, queryExecutionId: query.id, checks },
      deps,
    );
    return { retry: origin.attempt + 1 };
  }
  const failure = {
    what: `The query ended as ${query.state} (${query.reason})`,
    advice: `Look up query ${query.id} in Athena's history and fix the cause`,
  };
  return emitFailure(query, origin, failure, deps);
}

/**
 * Returns the run of the published file if that is not the publication that the query was started for. The other
 * publication has its own query, and this query may have read either file. Request times cannot distinguish the two: two
 * runs may be requested within one second.
 */
async function replacedBy(
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
    super(`The published file was replaced by ${by}.`);
    this.by = by;
  }
}

/** The result and the published file have different numbers of rows. */
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
  // The rows are counted during the copy; a copy with an unexpected count is never completed.
  const body = async () => {
    // publishNewest has read the published result's ETag by now, so a newer result fails this write.
    const newer = await replacedBy(origin, dataset, deps.data);
    if (newer) throw new FileReplaced(newer);
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
      what: `The query's result has ${rows} rows, but the published file has ${expected}`,
      advice:
        "If the query changes the number of rows on purpose, set rowPreserving: false in shared/library.ts; otherwise fix its SQL in services/athena/queries",
    };
    return emitFailure(query, origin, mismatch, deps);
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

/** Returns the number of rows from the run's result, or counts the file if that result has expired. */
async function publishedRows(
  { runId }: QueryOrigin,
  { publish }: Dataset,
  { work, data }: FinishDeps,
): Promise<number> {
  const result = await work.getJson(keys.result(runId), runResult);
  return result?.rows ?? countCsvRows(await data.stream(publish.csv));
}

async function emitFailure(
  { id }: Query,
  { runId, dataset }: QueryOrigin,
  { what, advice }: { what: string; advice: string },
  { emit }: FinishDeps,
): Promise<LogFields> {
  const reason = `Athena's results are not updated; the earlier results stay. ${what}. ${advice}. Then request a run: npm run runs -- request --dataset ${dataset}`;
  await emit("query.failed", { runId, dataset, queryExecutionId: id, reason });
  return { failed: what };
}

function resultElsewhere(query: string): PipelineError {
  return new PipelineError("ResultElsewhere", {
    message: "Athena wrote the query's result outside the results bucket.",
    advice: "Set the workgroup's result location to the results bucket, then replay this dead letter.",
    ids: { query },
  });
}
