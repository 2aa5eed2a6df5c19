// Starts a run: records what it is, once, and enqueues the first page of each of its windows.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { RunRequested } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { FetchTask } from "../../shared/messages.ts";
import { type Emit, type MessageQueue, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { isFuture } from "../../shared/publish.ts";
import { run as runSchema } from "../../shared/run.ts";
import { planRun } from "./plan.ts";

export type KickoffDeps = {
  work: ObjectStore;
  fetcherQueue: MessageQueue;
  emit: Emit;
  datasets: readonly Dataset[];
  now: () => Date;
};

/**
 * A request delivered again finds its run recorded. It sends the tasks again, because the first delivery may have died
 * before it did; they lead to the same keys. A run that has ended is not repeated.
 * @throws PipelineError `RequestFromTheFuture`, `UnknownDataset`, `RangeImpossible`
 */
export async function kickoff(
  request: RunRequested,
  { work, fetcherQueue, emit, datasets, now }: KickoffDeps,
): Promise<LogFields> {
  requirePast(request, now());
  const planned = planRun(request, findDataset(request.detail.dataset, datasets));
  const { runId } = planned;
  const isNew = await work.putOnce(keys.run(runId), planned);
  if (!isNew && (await work.head(keys.result(runId)))) return { run: runId, ended: true };
  // The run that was written first holds, in case the dataset's entry changed between two deliveries.
  const run = isNew ? planned : ((await work.getJson(keys.run(runId), runSchema)) ?? planned);
  const tasks = run.windows.map(
    (window): FetchTask => ({ runId, dataset: run.dataset, window, attempt: 1, page: 1 }),
  );
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

/** A run of the future would supersede every run until then. */
function requirePast({ time, detail }: RunRequested, now: Date): void {
  if (!isFuture(time, now)) return;
  throw new PipelineError("RequestFromTheFuture", {
    message: `A run was requested at ${time}, and now it is ${now.toISOString()}.`,
    advice: "Correct the clock of the sender, archive this dead letter, and request the run again.",
    ids: { dataset: detail.dataset.slice(0, 64) },
  });
}
