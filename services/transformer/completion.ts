// Finds out whether a run is complete after pages were transformed. A listing includes every write that ended before it, so
// the transformer that writes the last part finds all parts. If two transformers find them at once, both send the same
// task, and the FIFO queue drops the second one.

import { sendAssembleTask } from "../../shared/assembler-queue.ts";
import { windowAttempts } from "../../shared/attempts.ts";
import { keys } from "../../shared/keys.ts";
import type { FetchTask, PageMessage } from "../../shared/messages.ts";
import type { Emit, MessageQueue, ObjectStore } from "../../shared/ports.ts";
import { expired, type Run, run as runSchema } from "../../shared/run.ts";
import { windowParts } from "../../shared/window-parts.ts";

export type CompletionDeps = { work: ObjectStore; assemblerQueue: MessageQueue; emit: Emit };

/** Enqueues the runs that are complete now. @param pages the pages of one batch, just transformed */
export async function enqueueCompleteRuns(
  pages: readonly Pick<PageMessage, "task">[],
  deps: CompletionDeps,
): Promise<void> {
  const byRun = Map.groupBy(pages, ({ task: { runId, attempt } }) => `${runId} ${attempt}`);
  // A batch has at most ten pages, mostly of one run.
  for (const [first] of byRun.values()) if (first) await enqueueIfComplete(first.task, deps);
}

async function enqueueIfComplete(
  { runId, dataset, attempt, last }: FetchTask,
  { work, assemblerQueue, emit }: CompletionDeps,
): Promise<void> {
  // Windows are fetched in their order, so until the last batches this is missing. Without this test, every batch would
  // list all parts.
  const { number: window, from, to } = last;
  const lastPart = keys.part({ runId, window, attempt, from, to, page: 1, pages: 1 });
  if ((await work.head(lastPart)) === undefined) return;
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) throw expired("RunMissing", { what: "The run of a page", ids: { run: runId } });
  if (!(await isComplete(run, attempt, work))) return;
  await sendAssembleTask({ runId, dataset, attempt }, assemblerQueue, "transformed");
  await emit("run.transformed", { runId, dataset, attempt });
}

async function isComplete(run: Run, attempt: number, work: ObjectStore): Promise<boolean> {
  const windows = await windowAttempts(run, attempt, work);
  for await (const { missing } of windowParts(run, windows, work)) if (missing.length > 0) return false;
  return true;
}
