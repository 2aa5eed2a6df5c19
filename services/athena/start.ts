// Starting a dataset's query, and looking after it: Athena tells when it has ended, at best effort, so a delayed message
// looks too.
import { createHash } from "node:crypto";
import type { QueryEngine } from "../../shared/aws/query-engine.ts";
import { messageBody, type Queue } from "../../shared/aws/queue.ts";
import type { Dataset } from "../../shared/dataset.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { QueryTask } from "../../shared/messages.ts";
import { datasetQuery, originOf, type QueryOrigin } from "./sql.ts";

/** SQS's longest delay. */
const maxDelaySeconds = 900;
/** With the default of a minute these are 105 minutes; Athena ends a query after 30, when it has begun. */
const maxChecks = 10;
/** Of one query, the first included. */
export const maxAttempts = 3;

export type StartEffects = {
  engine: QueryEngine;
  resultsBucket: string;
  /** AthenaQueue. */
  queue: Pick<Queue, "send">;
  /** Until the first look; it doubles. */
  checkSeconds: number;
};

export type DatasetQuery = {
  sql: string;
  origin: QueryOrigin;
  /** `s3://bucket/prefix/` of the result. */
  output: string;
  /** What the query is started for: for one seed Athena runs the same query once. */
  seed: string;
};

/** @returns the query's id */
export async function startQuery(
  { sql, origin, output, seed }: DatasetQuery,
  effects: Pick<StartEffects, "engine" | "queue" | "checkSeconds">,
): Promise<string> {
  const query = datasetQuery(sql, origin);
  const token = createHash("sha256").update(`${seed}\n${query}`).digest("hex");
  const id = await effects.engine.start(query, output, token);
  const { runId, dataset } = origin;
  await sendLater({ task: "check", runId, dataset, queryExecutionId: id, checks: 0 }, effects);
  return id;
}

/** Where Athena writes a query's result, unless its workgroup says otherwise. */
export function outputOf(publish: Dataset["publish"], resultsBucket: string): string {
  return `s3://${resultsBucket}/${publish.queryResults}/`;
}

/** Starts a query that failed once more, after the delay that it was sent with. However often it is asked to, once. */
export async function retryQuery({ queryExecutionId }: QueryTask, effects: StartEffects): Promise<string> {
  const failed = await effects.engine.get(queryExecutionId);
  const found = originOf(failed.sql);
  if (!found) throw unfinished(queryExecutionId, "can't be started again, because it is not a dataset's");
  const { origin, sql } = found;
  const output = outputOf(findDataset(origin.dataset).publish, effects.resultsBucket);
  const again = { ...origin, attempt: origin.attempt + 1 };
  return startQuery({ sql, origin: again, output, seed: queryExecutionId }, effects);
}

/**
 * Has a query looked at (again) later.
 * @throws PipelineError `QueryUnfinished` when it was looked at often enough
 */
export async function sendLater(
  task: QueryTask,
  { queue, checkSeconds }: Pick<StartEffects, "queue" | "checkSeconds">,
): Promise<void> {
  if (task.checks >= maxChecks) throw unfinished(task.queryExecutionId, "has not ended in all this time");
  const delaySeconds = Math.min(checkSeconds * 2 ** task.checks, maxDelaySeconds);
  await queue.send(messageBody(task), { delaySeconds });
}

function unfinished(query: string, what: string): PipelineError {
  return new PipelineError("QueryUnfinished", {
    message: `A dataset's query ${what}.`,
    advice:
      "Look it up in Athena's history by its id; replay this dead letter when it has ended, or request a run.",
    ids: { query },
  });
}
