// A query has ended: a good result is copied to the key that never changes; a bad one changes nothing there.
import type { Publish } from "../../shared/aws/bus.ts";
import type { Query } from "../../shared/aws/query-engine.ts";
import type { Store } from "../../shared/aws/store.ts";
import type { Dataset } from "../../shared/dataset.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { Facts } from "../../shared/logger.ts";
import type { QueryTask } from "../../shared/messages.ts";
import { once } from "../../shared/once.ts";
import { isNewer, publishNewest } from "../../shared/publish.ts";
import { countRows } from "./rows.ts";
import { originOf, type QueryOrigin } from "./sql.ts";
import { maxAttempts, type StartEffects, sendLater } from "./start.ts";

export type FinishEffects = Omit<StartEffects, "resultsBucket"> & {
  work: Store;
  data: Store;
  results: Store;
  publish: Publish;
  now: () => Date;
};

/**
 * Queries that are not a dataset's (statements of our own, an analyst's in the same workgroup) are left alone.
 * @param task of a message that looks: it looks again later where it is too early
 * @throws PipelineError `ResultElsewhere`, `QueryUnfinished`, `PublishContended`
 */
export async function finishQuery(
  queryExecutionId: string,
  effects: FinishEffects,
  task?: QueryTask,
): Promise<Facts> {
  // The event is told in any order; what Athena says now is what holds.
  const query = await effects.engine.get(queryExecutionId);
  const found = originOf(query.sql);
  if (!found) return { query: queryExecutionId, ours: false };
  const { origin } = found;
  const facts = { run: origin.runId, query: queryExecutionId, state: query.state };
  const hasEnded = ["SUCCEEDED", "FAILED", "CANCELLED"].includes(query.state);
  const outcome = hasEnded
    ? await once(keys.queryEnd(queryExecutionId), effects.work, effects.now, () =>
        conclude(query, origin, effects),
      )
    : "running";
  if (outcome === "done") return { ...facts, done: "before" };
  if (outcome !== "claimed" && outcome !== "running") return { ...facts, ...outcome };
  // Of an event that comes too early nothing is lost: every query has a message that looks.
  if (task) await sendLater({ ...task, checks: task.checks + 1 }, effects);
  return { ...facts, later: outcome };
}

async function conclude(query: Query, origin: QueryOrigin, effects: FinishEffects): Promise<Facts> {
  const dataset = findDataset(origin.dataset);
  const newer = await newerFile(origin, dataset, effects.data);
  if (newer) return { supersededBy: newer };
  if (query.state === "SUCCEEDED") return publishResult(query, origin, dataset, effects);
  if (query.state === "FAILED" && query.retryable && origin.attempt < maxAttempts) {
    const { runId } = origin;
    const attempt = origin.attempt - 1;
    await sendLater(
      { task: "retry", runId, dataset: dataset.name, queryExecutionId: query.id, checks: attempt },
      effects,
    );
    return { retry: origin.attempt + 1 };
  }
  const failure = {
    what: `Athena's query ended as ${query.state} (${query.reason})`,
    advice: `Look query ${query.id} up in Athena's history and mend what it tells of`,
  };
  return fail(query, origin, failure, effects);
}

/** A newer file has a query of its own, and this one may have read either file. */
async function newerFile(origin: QueryOrigin, dataset: Dataset, data: Store): Promise<string | undefined> {
  const file = await data.head(dataset.publish.csv);
  return file && isNewer(file.metadata, origin) ? (file.metadata["run-id"] ?? "a newer run") : undefined;
}

async function publishResult(
  query: Query,
  origin: QueryOrigin,
  dataset: Dataset,
  effects: FinishEffects,
): Promise<Facts> {
  const { results, publish } = effects;
  const key = resultKey(query, results.bucket);
  const rows = await countRows(await results.stream(key));
  if (dataset.publish.rowPreserving && rows !== origin.rows) {
    const mismatch = {
      what: `The result of Athena's query has ${rows} rows, where ${origin.rows} were published`,
      advice:
        "If the query is meant to change their number, say rowPreserving: false in shared/datasets.ts; if not, mend its SQL in services/athena/queries",
    };
    return fail(query, origin, mismatch, effects);
  }
  const published = await publishNewest(results, dataset.publish.results, origin, () => results.stream(key), {
    contentType: "text/csv; charset=utf-8",
    metadata: { dataset: dataset.name, "query-execution-id": query.id, rows: String(rows) },
  });
  if (published.superseded) return { supersededBy: published.by };
  await publish("results.published", {
    runId: origin.runId,
    dataset: dataset.name,
    queryExecutionId: query.id,
    bucket: results.bucket,
    key: dataset.publish.results,
    rows,
  });
  return { rows };
}

async function fail(
  { id }: Query,
  { runId, dataset }: QueryOrigin,
  { what, advice }: { what: string; advice: string },
  { publish }: FinishEffects,
): Promise<Facts> {
  const reason = `${what}. The earlier result stays. ${advice}. Then request a run: npm run runs -- request --dataset ${dataset}`;
  await publish("query.failed", { runId, dataset, queryExecutionId: id, reason });
  return { failed: what };
}

function resultKey({ id, output }: Query, bucket: string): string {
  const prefix = `s3://${bucket}/`;
  if (output.startsWith(prefix)) return output.slice(prefix.length);
  throw new PipelineError("ResultElsewhere", {
    message: "Athena wrote a query's result to another bucket than the results bucket.",
    advice: "Let the workgroup's result location name the results bucket.",
    ids: { query: id },
  });
}
