// After pages were transformed: is the run complete? Whoever sees it complete hands it on. S3 lists what was written
// before the call, so the transformer that writes the last summary always sees all of them; two that see it at once
// send the same task, which the FIFO queue takes once.
import type { Publish } from "../../shared/aws/bus.ts";
import { messageBody, type Queue } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import { PipelineError } from "../../shared/errors.ts";
import { type AttemptAddress, keys } from "../../shared/keys.ts";
import type { AssembleTask, FetchTask } from "../../shared/messages.ts";
import { attemptsOfWindows, maxPages, run as runSchema, windowTotals } from "../../shared/run.ts";

export type CompletionEffects = { work: Store; assembleQueue: Queue; publish: Publish };

/** @param tasks of the pages that were just transformed */
export async function handOnCompleteRuns(
  tasks: readonly FetchTask[],
  effects: CompletionEffects,
): Promise<void> {
  const byRun = Map.groupBy(tasks, ({ runId, attempt }) => `${runId} ${attempt}`);
  // A batch is ten pages at most, and mostly of one run.
  for (const [task, ...further] of byRun.values()) {
    if (task) await handOnIfComplete(task, [task, ...further], effects);
  }
}

/** @param tasks of the same attempt at the same run */
async function handOnIfComplete(
  { runId, dataset, attempt }: FetchTask,
  tasks: readonly FetchTask[],
  { work, assembleQueue, publish }: CompletionEffects,
): Promise<void> {
  // These first: but for the last pages of a run, one of them is not complete yet.
  const touched = new Set(tasks.map(({ window }) => window.number));
  for (const window of touched) {
    if (!(await isWindowComplete({ runId, window, attempt }, work))) return;
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
  const others = run.windows.map(({ number }, index) => ({ window: number, attempt: attempts[index] ?? 1 }));
  const complete = await Promise.all(
    others
      .filter((other) => !(touched.has(other.window) && other.attempt === attempt))
      .map((other) => isWindowComplete({ runId, ...other }, work)),
  );
  if (!complete.every(Boolean)) return;
  const assemble: AssembleTask = { runId, dataset, attempt };
  await assembleQueue.send(messageBody(assemble), {
    groupId: dataset,
    deduplicationId: `${runId}-${attempt}`,
  });
  await publish("run.transformed", { runId, dataset, attempt });
}

async function isWindowComplete(address: AttemptAddress, work: Store): Promise<boolean> {
  const totals = await work.getJson(keys.window(address), windowTotals);
  if (!totals) return false;
  // An empty range still has its page 1.
  const pages = Math.max(totals.totalPages, 1);
  // While the last page is missing, whoever writes it will look again. Without this, each batch would list the window,
  // at a price that grows with its pages.
  if (!(await work.head(keys.summary({ ...address, page: pages })))) return false;
  let page = 0;
  for await (const { key } of work.objects(keys.summaries(address), maxPages)) {
    page += 1;
    // The first gap is enough.
    if (key !== keys.summary({ ...address, page })) return false;
  }
  return page >= pages;
}
