// Counts a window again after all pages of its run were transformed. A record whose date was edited meanwhile, from a
// window that was not read yet to one that was, is in no page; its new window then has more records than were read.

import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { AssembleTask, FetchTask } from "../../shared/messages.ts";
import { type MessageQueue, messageBody } from "../../shared/ports.ts";
import { type FetcherDeps, pageRequest } from "./fetch.ts";

export type RecountDeps = FetcherDeps & { assemblerQueue: MessageQueue };

/**
 * Records the totals of now, and enqueues the run when every window was counted. The totals that were written first hold.
 * @param task `attempt` is the run's
 * @param windows how many the run has
 * @throws PipelineError by LibInsight's error policy
 */
export async function recount(task: FetchTask, windows: number, deps: RecountDeps): Promise<LogFields> {
  const { work, libInsight, assemblerQueue } = deps;
  const { runId, dataset, attempt, window } = task;
  const { totals } = await libInsight.fetchPage(pageRequest(task, findDataset(dataset, deps.datasets)));
  await work.putOnce(keys.recount({ runId, window: window.number, attempt }), totals);
  // A listing shows every write that ended before it, so the last of the windows sees all of them.
  const counted = await work.list(keys.recounts(runId, attempt), windows);
  if (counted.length === windows) {
    const assembleTask: AssembleTask = { runId, dataset, attempt };
    // The id of the transformer's task was used some moments ago.
    await assemblerQueue.send(messageBody(assembleTask), {
      group: dataset,
      deduplicationId: `${runId}-${attempt}-recounted`,
    });
  }
  return { run: runId, window: window.number, recount: attempt, ...totals };
}
