// Starting a dataset's query, and checking it: Athena announces its end at best effort, so a delayed message checks too.
import { createHash } from "node:crypto";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { QueryTask } from "../../shared/messages.ts";
import {
  type MessageQueue,
  maxDelaySeconds,
  messageBody,
  type ObjectStore,
  type QueryEngine,
} from "../../shared/ports.ts";
import { type QueryOrigin, queryOrigin } from "../../shared/run.ts";
import { queryOf } from "./queries.ts";
import { datasetQuery } from "./sql.ts";

/** With the default of a minute these are 105 minutes; Athena ends a query after 30, when it has begun. */
const maxChecks = 10;
/** Of one query, the first included. */
export const maxAttempts = 3;

export type StartDeps = {
  engine: QueryEngine;
  work: ObjectStore;
  athenaQueue: Pick<MessageQueue, "send">;
  /** Until the first check; it doubles. */
  checkSeconds: number;
  datasets: readonly Dataset[];
};

/**
 * Starts the query of a dataset's published file.
 * @param seed what the query is started for: for one seed the engine runs the same query once
 * @returns the query's id
 * @throws PipelineError `QueryFileUnusable`, `UnknownDataset`
 */
export async function startQuery(origin: QueryOrigin, seed: string, deps: StartDeps): Promise<string> {
  const { engine, work } = deps;
  const dataset = findDataset(origin.dataset, deps.datasets);
  const query = datasetQuery(await queryOf(dataset, engine.database), origin);
  const token = createHash("sha256").update(`${seed}\n${query}`).digest("hex");
  const id = await engine.start(query, dataset.publish.queryResults, token);
  await work.put(keys.queryOrigin(id), JSON.stringify(origin), "application/json");
  const { runId } = origin;
  await sendLater({ task: "check", runId, dataset: dataset.name, queryExecutionId: id, checks: 0 }, deps);
  return id;
}

/** Returns what a query was started for; undefined where it is not a dataset's. */
export function originOf(queryExecutionId: string, work: ObjectStore): Promise<QueryOrigin | undefined> {
  return work.getJson(keys.queryOrigin(queryExecutionId), queryOrigin);
}

/** Starts a failed query again, after the delay of its message. However often the message comes, once. */
export async function retryQuery({ queryExecutionId }: QueryTask, deps: StartDeps): Promise<string> {
  const origin = await originOf(queryExecutionId, deps.work);
  if (!origin) throw unfinished(queryExecutionId, "cannot be started again, because its origin is unknown");
  return startQuery({ ...origin, attempt: origin.attempt + 1 }, queryExecutionId, deps);
}

/**
 * Enqueues a later check of a query.
 * @throws PipelineError `QueryUnfinished` when it was checked often enough
 */
export async function sendLater(
  task: QueryTask,
  { athenaQueue, checkSeconds }: Pick<StartDeps, "athenaQueue" | "checkSeconds">,
): Promise<void> {
  if (task.checks >= maxChecks) throw unfinished(task.queryExecutionId, "has not ended in all this time");
  const delaySeconds = Math.min(checkSeconds * 2 ** task.checks, maxDelaySeconds);
  await athenaQueue.send(messageBody(task), { delaySeconds });
}

function unfinished(query: string, what: string): PipelineError {
  return new PipelineError("QueryUnfinished", {
    message: `A dataset's query ${what}.`,
    advice:
      "Look it up in Athena's history by its ID; replay this dead letter when it has ended, or request a run.",
    ids: { query },
  });
}
