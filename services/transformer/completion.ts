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
  const touched = new Map(tasks.map((task) => [`${task.runId} ${task.window.number} ${task.attempt}`, task]));
  // A batch is ten pages at most, so this is ten lists at most, and mostly one.
  for (const task of touched.values()) await handOnIfComplete(task, effects);
}

async function handOnIfComplete(
  task: FetchTask,
  { work, assembleQueue, publish }: CompletionEffects,
): Promise<void> {
  const { runId, dataset, attempt } = task;
  if (!(await isWindowComplete({ runId, window: task.window.number, attempt }, work))) return;
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) {
    throw new PipelineError("RunMissing", {
      message: "A page arrived whose run is not in the work bucket, which keeps runs for 30 days.",
      advice: "Request the run again.",
      ids: { run: runId },
    });
  }
  const attempts = await attemptsOfWindows(run, attempt, work);
  const complete = await Promise.all(
    run.windows.map(({ number }, index) =>
      isWindowComplete({ runId, window: number, attempt: attempts[index] ?? 1 }, work),
    ),
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
  const summaries = await work.list(keys.summaries(address), maxPages);
  // An empty range still has its page 1.
  return summaries.length >= Math.max(totals.totalPages, 1);
}
