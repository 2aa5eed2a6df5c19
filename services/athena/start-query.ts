// Starts a dataset's query and enqueues delayed checks of it, because Athena's state change events are best effort.
import { createHash } from "node:crypto";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { QueryTask } from "../../shared/messages.ts";
import {
  growingDelay,
  type MessageQueue,
  messageBody,
  type ObjectStore,
  type QueryEngine,
} from "../../shared/ports.ts";
import { type QueryOrigin, queryOrigin } from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";
import { loadQuery } from "./queries.ts";
import { withRunComment } from "./sql.ts";

/** 105 minutes with the default first delay of one minute. Athena ends a running query after 30 minutes. */
const maxChecks = 10;
/** Includes the first attempt. */
export const maxAttempts = 3;

export type StartDeps = {
  engine: QueryEngine;
  work: ObjectStore;
  athenaQueue: Pick<MessageQueue, "send">;
  /** Delay of the first check. Each further delay doubles. */
  checkSeconds: number;
  datasets: readonly Dataset[];
};

/**
 * Starts the query of a dataset's published file and enqueues its first check.
 * @param seed identifies the reason for the query; the engine runs a query once per seed
 * @returns the query's id
 * @throws PipelineError `QueryFileUnusable`, `UnknownDataset`
 */
export async function startQuery(origin: QueryOrigin, seed: string, deps: StartDeps): Promise<string> {
  const { engine, work } = deps;
  const { runId } = origin;
  const dataset = findDataset(origin.dataset, deps.datasets);
  const query = withRunComment(await loadQuery(dataset, engine.database), origin);
  const token = createHash("sha256").update(`${seed}\n${query}`).digest("hex");
  const id = await engine.start(query, dataset.publish.queryResults, token);
  await work.put(
    keys.queryOrigin(id),
    JSON.stringify({ ...origin, ...spanFields(runId) }),
    "application/json",
  );
  await enqueueLater({ task: "check", runId, dataset: dataset.name, queryExecutionId: id, checks: 0 }, deps);
  return id;
}

/** Returns the run and dataset of a query, or undefined if it is not a dataset's query. */
export function readQueryOrigin(
  queryExecutionId: string,
  work: ObjectStore,
): Promise<QueryOrigin | undefined> {
  return work.getJson(keys.queryOrigin(queryExecutionId), queryOrigin);
}

/** Starts a failed query again, once even if its message is delivered twice. */
export async function retryQuery({ queryExecutionId }: QueryTask, deps: StartDeps): Promise<string> {
  const origin = await readQueryOrigin(queryExecutionId, deps.work);
  if (!origin) throw unfinished(queryExecutionId, "cannot be retried, because its origin is unknown");
  return startQuery({ ...origin, attempt: origin.attempt + 1 }, queryExecutionId, deps);
}

/**
 * Enqueues a check or retry of a query with a delay that doubles with each check.
 * @throws PipelineError `QueryUnfinished` after ten checks
 */
export async function enqueueLater(
  task: QueryTask,
  { athenaQueue, checkSeconds }: Pick<StartDeps, "athenaQueue" | "checkSeconds">,
): Promise<void> {
  if (task.checks >= maxChecks)
    throw unfinished(task.queryExecutionId, `has not ended after ${maxChecks} checks`);
  await athenaQueue.send(messageBody(task), { delaySeconds: growingDelay(checkSeconds, task.checks) });
}

function unfinished(query: string, what: string): PipelineError {
  return new PipelineError("QueryUnfinished", {
    message: `A dataset's query ${what}.`,
    advice:
      "Look up the query in Athena's history by its ID. When it has ended, replay this dead letter, or request a run.",
    ids: { query },
  });
}
