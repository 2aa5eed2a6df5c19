// Starts a run: writes down what it is, once, and asks for the first page of each of its windows.
import type { Publish } from "../../shared/aws/bus.ts";
import type { Queue } from "../../shared/aws/queue.ts";
import { messageBody } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import { findDataset } from "../../shared/datasets.ts";
import type { RunRequested } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { Facts } from "../../shared/logger.ts";
import type { FetchTask } from "../../shared/messages.ts";
import { run as runSchema } from "../../shared/run.ts";
import { planRun } from "./plan.ts";

export type KickoffEffects = { work: Store; fetchQueue: Queue; publish: Publish };

/**
 * A request delivered again finds its run written down. It sends the tasks once more, because the first delivery
 * may have died before it did; they lead to the same keys. Of a run that has ended nothing is repeated.
 * @throws PipelineError `UnknownDataset`, `RangeImpossible`
 */
export async function kickoff(
  request: RunRequested,
  { work, fetchQueue, publish }: KickoffEffects,
): Promise<Facts> {
  const planned = planRun(request, findDataset(request.detail.dataset));
  const { runId } = planned;
  const isNew = await work.putOnce(keys.run(runId), planned);
  if (!isNew && (await work.head(keys.result(runId)))) return { run: runId, ended: true };
  // What was written first holds, should the dataset's entry have changed between two deliveries.
  const run = isNew ? planned : ((await work.getJson(keys.run(runId), runSchema)) ?? planned);
  const tasks = run.windows.map(
    (window): FetchTask => ({ runId, dataset: run.dataset, window, attempt: 1, page: 1 }),
  );
  await fetchQueue.sendAll(tasks.map(messageBody));
  await publish("run.started", {
    runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    windows: run.windows.length,
  });
  return { run: runId, isNew, from: run.from, to: run.to, windows: run.windows.length };
}
