// Finds out whether a run is complete after pages were transformed. A listing includes every write that ended before it, so
// the transformer that writes the last part finds all parts. If two transformers find them at once, both send the same
// task, and the FIFO queue drops the second one.

import { sendAssembleTask } from "../../shared/assembler-queue.ts";
import { type AttemptAddress, keys } from "../../shared/keys.ts";
import type { FetchTask, PageMessage } from "../../shared/messages.ts";
import type { Emit, MessageQueue, ObjectStore } from "../../shared/ports.ts";
import { expired, maxPages, pageCount, run as runSchema, windowTotals } from "../../shared/run.ts";
import { windowAttempts } from "../../shared/window-attempts.ts";

export type CompletionDeps = { work: ObjectStore; assemblerQueue: MessageQueue; emit: Emit };

/** Enqueues the runs that are complete now. @param pages the pages of one batch, just transformed */
export async function enqueueCompleteRuns(
  pages: readonly Pick<PageMessage, "task" | "pages">[],
  deps: CompletionDeps,
): Promise<void> {
  const byRun = Map.groupBy(pages, ({ task: { runId, attempt } }) => `${runId} ${attempt}`);
  // A batch has at most ten pages, mostly of one run.
  for (const [first, ...further] of byRun.values()) {
    if (first) await enqueueIfComplete(first.task, [first, ...further], deps);
  }
}

/** @param pages pages of the same attempt at the same run */
async function enqueueIfComplete(
  { runId, dataset, attempt }: FetchTask,
  pages: readonly Pick<PageMessage, "task" | "pages">[],
  { work, assemblerQueue, emit }: CompletionDeps,
): Promise<void> {
  // These windows are checked first: until the last pages of a run, one of them is incomplete.
  const touched = Map.groupBy(pages, ({ task }) => task.window.number);
  for (const [window, ofWindow] of touched) {
    const last = Math.max(...ofWindow.map((page) => page.pages));
    const address = { runId, window, attempt };
    // If the last page is missing, its transformer checks again. Without this test, every batch would list the window, at a
    // cost that grows with its number of pages.
    const hasLast =
      ofWindow.some(({ task }) => task.page === last) ||
      (await work.head(keys.part({ ...address, page: last }))) !== undefined;
    if (!hasLast || !(await hasAllParts(address, last, work))) return;
  }
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) throw expired("RunMissing", { what: "The run of a page", ids: { run: runId } });
  const others = (await windowAttempts(run, attempt, work))
    .map(({ address }) => address)
    .filter((other) => !(touched.has(other.window) && other.attempt === attempt));
  if (!(await areComplete(others, work))) return;
  await sendAssembleTask({ runId, dataset, attempt }, assemblerQueue, "transformed");
  await emit("run.transformed", { runId, dataset, attempt });
}

/** A run may have hundreds of windows, and most batches find one that is incomplete. */
const windowsAtOnce = 16;

/** Begins with the last windows, which are fetched last. */
async function areComplete(addresses: readonly AttemptAddress[], work: ObjectStore): Promise<boolean> {
  for (let end = addresses.length; end > 0; end -= windowsAtOnce) {
    const some = addresses.slice(Math.max(end - windowsAtOnce, 0), end);
    const complete = await Promise.all(some.map((address) => isComplete(address, work)));
    if (!complete.every(Boolean)) return false;
  }
  return true;
}

async function isComplete(address: AttemptAddress, work: ObjectStore): Promise<boolean> {
  const totals = await work.getJson(keys.window(address), windowTotals);
  return totals !== undefined && hasAllParts(address, pageCount(totals), work);
}

async function hasAllParts(address: AttemptAddress, pages: number, work: ObjectStore): Promise<boolean> {
  let page = 0;
  for await (const { key } of work.objects(keys.parts(address), maxPages)) {
    page += 1;
    if (key !== keys.part({ ...address, page })) return false;
  }
  return page >= pages;
}
