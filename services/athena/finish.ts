// A query has ended: a good result is copied to the key that never changes; a bad one changes nothing there.
import type { Publish } from "../../shared/aws/bus.ts";
import type { QueryEngine } from "../../shared/aws/query-engine.ts";
import type { Store } from "../../shared/aws/store.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Facts } from "../../shared/logger.ts";
import { publishNewest } from "../../shared/publish.ts";
import { originOf } from "./sql.ts";

export type FinishEffects = { results: Store; engine: QueryEngine; publish: Publish };

/** Queries that are not a dataset's (statements of our own, an analyst's in the same workgroup) are left alone. */
export async function finishQuery(
  queryExecutionId: string,
  { results, engine, publish }: FinishEffects,
): Promise<Facts> {
  // The event is told in any order; what Athena says now is what holds.
  const query = await engine.get(queryExecutionId);
  const origin = originOf(query.sql);
  if (!origin) return { query: queryExecutionId, ours: false };
  const { runId } = origin;
  const facts = { run: runId, query: queryExecutionId, state: query.state };
  const dataset = findDataset(origin.dataset);
  if (query.state === "FAILED" || query.state === "CANCELLED") {
    const reason = `Athena's query ended as ${query.state} (${query.reason}). The earlier result stays.`;
    await publish("query.failed", { runId, dataset: dataset.name, queryExecutionId, reason });
  }
  if (query.state !== "SUCCEEDED") return facts;
  const key = resultKey(query.output, results.bucket, queryExecutionId);
  const published = await publishNewest(results, dataset.publish.results, origin, () => results.stream(key), {
    contentType: "text/csv; charset=utf-8",
    metadata: { dataset: dataset.name, "query-execution-id": queryExecutionId },
  });
  if (published.superseded) return { ...facts, supersededBy: published.by };
  await publish("results.published", {
    runId,
    dataset: dataset.name,
    queryExecutionId,
    bucket: results.bucket,
    key: dataset.publish.results,
  });
  return facts;
}

function resultKey(output: string, bucket: string, queryExecutionId: string): string {
  const prefix = `s3://${bucket}/`;
  if (output.startsWith(prefix)) return output.slice(prefix.length);
  throw new PipelineError("ResultElsewhere", {
    message: "Athena wrote a query's result to another bucket than the results bucket.",
    advice: "Let the workgroup's result location name the results bucket.",
    ids: { query: queryExecutionId },
  });
}
