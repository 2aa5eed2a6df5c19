// Starts a run: writes run.json once and enqueues page 1 of each window.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { RunRequested } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import { type Emit, type MessageQueue, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { isFuture } from "../../shared/publish.ts";
import { fetchTaskOf, run as runSchema } from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";
import { planRun } from "./plan.ts";

export type KickoffDeps = {
  work: ObjectStore;
  fetcherQueue: MessageQueue;
  emit: Emit;
  datasets: readonly Dataset[];
  now: () => Date;
};

/**
 * Starts the run of a request. A second delivery of the request sends the same tasks again, because the first one may
 * have died before it sent them. A run that has ended is not repeated.
 * @throws PipelineError `RequestFromTheFuture`, `UnknownDataset`, `RangeImpossible`
 */
export async function kickoff(
  request: RunRequested,
  { work, fetcherQueue, emit, datasets, now }: KickoffDeps,
): Promise<LogFields> {
  rejectFutureRequest(request, now());
  const planned = planRun(request, findDataset(request.detail.dataset, datasets));
  const { runId } = planned;
  const isNew = await work.putOnce(keys.run(runId), { ...planned, ...spanFields(runId) });
  if (!isNew && (await work.head(keys.result(runId)))) return { run: runId, ended: true };
  // The first run.json wins, because the dataset's entry may have changed between two deliveries.
  const run = isNew ? planned : ((await work.getJson(keys.run(runId), runSchema)) ?? planned);
  const tasks = run.windows.map((window) => fetchTaskOf(run, window, 1));
  await fetcherQueue.sendAll(tasks.map(messageBody));
  await emit("run.started", {
    runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    windows: run.windows.length,
  });
  return { run: runId, isNew, from: run.from, to: run.to, windows: run.windows.length };
}

/** A run requested in the future would supersede every run before that time. */
function rejectFutureRequest({ time, detail }: RunRequested, now: Date): void {
  if (!isFuture(time, now)) return;
  throw new PipelineError("RequestFromTheFuture", {
    message: `The request is dated ${time}, but it is ${now.toISOString()} now.`,
    advice: "Correct the sender's clock, archive this dead letter, and request the run again.",
    ids: { dataset: detail.dataset.slice(0, 64) },
  });
}
