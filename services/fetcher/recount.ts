// Counts a window again after all pages of its run were transformed. If the date of a record changes during
// the run, the record may move from a window that is not fetched yet to one that is. Then no page has it, but the recount
// of its new window does.

import { sendAssembleTask } from "../../shared/assembler-queue.ts";
import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import { type FetchTask, pageAddress } from "../../shared/messages.ts";
import type { MessageQueue } from "../../shared/ports.ts";
import { spanFields } from "../../shared/trace.ts";
import { type FetcherDeps, pageRequest } from "./fetch.ts";

export type RecountDeps = FetcherDeps & { assemblerQueue: MessageQueue };

/**
 * Stores the window's current totals unless it was recounted before, and enqueues the run when all windows are recounted.
 * @param task its `attempt` is the run's
 * @param windows number of windows of the run
 * @throws PipelineError by LibInsight's error policy
 */
export async function recount(task: FetchTask, windows: number, deps: RecountDeps): Promise<LogFields> {
  const { work, libInsight, assemblerQueue } = deps;
  const { runId, dataset, attempt, window } = task;
  const { page: _page, ...request } = pageRequest(task, findDataset(dataset, deps.datasets));
  const counted = await libInsight.recount(request);
  await work.putOnce(keys.recount(pageAddress(task)), { ...counted, ...spanFields(runId) });
  // A listing includes every write that ended before it, so the recount of the last window finds all of them.
  const recounted = await work.list(keys.recounts(runId, attempt), windows);
  if (recounted.length === windows)
    await sendAssembleTask({ runId, dataset, attempt }, assemblerQueue, "recounted");
  return { run: runId, window: window.number, recount: attempt };
}
