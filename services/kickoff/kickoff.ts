// Starts a run: writes run.json once and enqueues each window.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { RunRequested } from "../../shared/events.ts";
import { readKeptIndex } from "../../shared/kept.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import {
  type Emit,
  type MessageQueue,
  messageBody,
  type ObjectInfo,
  type ObjectStore,
} from "../../shared/ports.ts";
import { type Profile, readProfile } from "../../shared/profile.ts";
import { isFuture } from "../../shared/publish.ts";
import { fetchTasksOf, run as runSchema } from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";
import { planRun } from "./plan.ts";

export type KickoffDeps = {
  work: ObjectStore;
  data: ObjectStore;
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
export async function kickoff(request: RunRequested, deps: KickoffDeps): Promise<LogFields> {
  const { work, fetcherQueue, emit, datasets, now } = deps;
  rejectFutureRequest(request, now());
  const dataset = findDataset(request.detail.dataset, datasets);
  const file = await deps.data.head(dataset.publish.csv);
  const [profile, index] = await Promise.all([
    publishedProfile(file, work),
    dataset.refresh && readKeptIndex(dataset.name, work),
  ]);
  const planned = planRun(request, dataset, profile, { file, index });
  const { runId } = planned;
  const isNew = await work.putOnce(keys.run(runId), { ...planned, ...spanFields(runId) });
  if (!isNew && (await work.head(keys.result(runId)))) return { run: runId, ended: true };
  // The first run.json wins, because the dataset's entry may have changed between two deliveries.
  const run = isNew ? planned : ((await work.getJson(keys.run(runId), runSchema)) ?? planned);
  const fetched = run.windows.filter(({ reused }) => !reused);
  const tasks = fetchTasksOf(run, fetched, 1);
  await fetcherQueue.sendAll(tasks.map(messageBody));
  await emit("run.started", {
    runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    windows: fetched.length,
  });
  const reused = run.windows.length - fetched.length;
  return { run: runId, isNew, from: run.from, to: run.to, windows: fetched.length, reused };
}

/** Returns the profile of the published file, if a run wrote the file and its profile has not expired. */
async function publishedProfile(
  file: ObjectInfo | undefined,
  work: ObjectStore,
): Promise<Profile | undefined> {
  const { "run-id": runId } = file?.metadata ?? {};
  return runId === undefined ? undefined : readProfile(runId, work);
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
