// After pages were transformed: is the run complete? A listing shows every write that ended before it, so the transformer
// that writes the last part always sees all of them. Two that see it at once send the same task, which the FIFO queue
// takes once.
import { PipelineError } from "../../shared/errors.ts";
import { type AttemptAddress, keys } from "../../shared/keys.ts";
import type { AssembleTask, FetchTask, PageMessage } from "../../shared/messages.ts";
import { type Emit, type MessageQueue, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { attemptsOfWindows, maxPages, pagesOf, run as runSchema, windowTotals } from "../../shared/run.ts";

export type CompletionDeps = { work: ObjectStore; assemblerQueue: MessageQueue; emit: Emit };

/** Enqueues the runs that the pages of one batch made complete. @param pages those that were just transformed */
export async function enqueueCompleteRuns(
  pages: readonly Pick<PageMessage, "task" | "pages">[],
  deps: CompletionDeps,
): Promise<void> {
  const byRun = Map.groupBy(pages, ({ task: { runId, attempt } }) => `${runId} ${attempt}`);
  // A batch is ten pages at most, and mostly of one run.
  for (const [first, ...further] of byRun.values()) {
    if (first) await enqueueIfComplete(first.task, [first, ...further], deps);
  }
}

/** @param pages of the same attempt at the same run */
async function enqueueIfComplete(
  { runId, dataset, attempt }: FetchTask,
  pages: readonly Pick<PageMessage, "task" | "pages">[],
  { work, assemblerQueue, emit }: CompletionDeps,
): Promise<void> {
  // These first: except after the last pages of a run, one of them is not complete yet.
  const touched = Map.groupBy(pages, ({ task }) => task.window.number);
  for (const [window, ofWindow] of touched) {
    const last = Math.max(...ofWindow.map((page) => page.pages));
    const address = { runId, window, attempt };
    // While the last page is missing, its own transformer will check again. Without this, each batch would list the
    // window, at a price that grows with its pages.
    const hasLast =
      ofWindow.some(({ task }) => task.page === last) ||
      (await work.head(keys.part({ ...address, page: last }))) !== undefined;
    if (!hasLast || !(await hasAllParts(address, last, work))) return;
  }
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) {
    throw new PipelineError("RunMissing", {
      message: "A page arrived whose run is not in the work bucket, which keeps runs for 30 days.",
      advice: "Request the run again.",
      ids: { run: runId },
    });
  }
  const attempts = await attemptsOfWindows(run, attempt, work);
  const others = run.windows
    .map(({ number }, index) => ({ runId, window: number, attempt: attempts[index] ?? 1 }))
    .filter((other) => !(touched.has(other.window) && other.attempt === attempt));
  const complete = await Promise.all(others.map((other) => isComplete(other, work)));
  if (!complete.every(Boolean)) return;
  const task: AssembleTask = { runId, dataset, attempt };
  await assemblerQueue.send(messageBody(task), {
    group: dataset,
    deduplicationId: `${runId}-${attempt}`,
  });
  await emit("run.transformed", { runId, dataset, attempt });
}

async function isComplete(address: AttemptAddress, work: ObjectStore): Promise<boolean> {
  const totals = await work.getJson(keys.window(address), windowTotals);
  return totals !== undefined && hasAllParts(address, pagesOf(totals), work);
}

async function hasAllParts(address: AttemptAddress, pages: number, work: ObjectStore): Promise<boolean> {
  let page = 0;
  for await (const { key } of work.objects(keys.parts(address), maxPages)) {
    page += 1;
    // The first gap decides.
    if (key !== keys.part({ ...address, page })) return false;
  }
  return page >= pages;
}
