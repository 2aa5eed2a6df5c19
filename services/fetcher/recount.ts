// Counts a period again after all pages of its run were transformed. If the date of a record changes during the run, the
// record may move from a window that is not fetched yet to one that is. Then no page has it, but the recount of its period
// does.
import { sendAssembleTask } from "../../shared/assembler-queue.ts";
import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { RecountTask } from "../../shared/messages.ts";
import type { MessageQueue } from "../../shared/ports.ts";
import { spanFields } from "../../shared/trace.ts";
import { type FetcherDeps, rangeRequest } from "./fetch.ts";

export type RecountDeps = FetcherDeps & { assemblerQueue: MessageQueue };

/**
 * Stores the period's current totals unless it was recounted before, and enqueues the run when all periods are recounted.
 * @param task its `attempt` is the run's
 * @throws PipelineError by LibInsight's error policy
 */
export async function recount(task: RecountTask, deps: RecountDeps): Promise<LogFields> {
  const { work, libInsight, assemblerQueue } = deps;
  const { runId, dataset, attempt, period, periods } = task;
  const counted = await libInsight.recount(rangeRequest(period, findDataset(dataset, deps.datasets)));
  await work.putOnce(keys.recount(runId, attempt, period.number), { ...counted, ...spanFields(runId) });
  // A listing includes every write that ended before it, so the recount of the last period finds all of them.
  const recounted = await work.list(keys.recounts(runId, attempt), periods);
  if (recounted.length === periods)
    await sendAssembleTask({ runId, dataset, attempt }, assemblerQueue, "recounted");
  return { run: runId, period: period.number, recount: attempt };
}
