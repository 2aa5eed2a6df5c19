// The attempts of a run: which attempt of each window belongs to an attempt of the run, and how an attempt begins.
import { PipelineError } from "./errors.ts";
import { keys } from "./keys.ts";
import { type MessageQueue, messageBody, type ObjectStore } from "./ports.ts";
import { fetchTasksOf, type PlannedWindow, type Run, type RunAttempt, runAttempt } from "./run.ts";
import { spanFields } from "./trace.ts";

export type WindowAttempt = { window: PlannedWindow; attempt: number };

/** Returns whether the window has the parts of an earlier run. */
export function isReused({ window, attempt }: WindowAttempt): boolean {
  return window.reused !== undefined && attempt === 1;
}

/**
 * Returns the run's windows in order, each with its attempt in an attempt of the run.
 * @throws PipelineError `AttemptMissing` if the run has no such attempt
 */
export async function windowAttempts(
  { runId, windows }: Run,
  attempt: number,
  work: ObjectStore,
): Promise<WindowAttempt[]> {
  const decided = attempt === 1 ? undefined : await work.getJson(keys.attempt(runId, attempt), runAttempt);
  if (attempt > 1 && !decided) {
    throw new PipelineError("AttemptMissing", {
      message: "The message refers to an unknown attempt.",
      advice: "Archive the dead letter and request the run again.",
      ids: { run: runId, attempt },
    });
  }
  return windows.map((window, index) => ({ window, attempt: decided?.windows[index] ?? 1 }));
}

/**
 * Stores an attempt and enqueues its windows. If it was stored before, the first decision applies: two assemblers may
 * decide differently at once, if a part changed between them.
 * @returns the number of windows that it fetches
 */
export async function startAttempt(
  run: Run,
  decided: RunAttempt,
  deps: { work: ObjectStore; fetcherQueue: MessageQueue },
): Promise<number> {
  const key = keys.attempt(run.runId, decided.attempt);
  const isFirst = await deps.work.putOnce(key, { ...decided, ...spanFields(run.runId) });
  const stored = isFirst ? decided : await deps.work.getJson(key, runAttempt);
  return enqueueAttempt(run, stored ?? decided, deps.fetcherQueue);
}

/** Enqueues the windows that an attempt fetches. @returns their number */
export async function enqueueAttempt(
  run: Run,
  { attempt, windows }: Pick<RunAttempt, "attempt" | "windows">,
  fetcherQueue: MessageQueue,
): Promise<number> {
  const tasks = fetchTasksOf(
    run,
    run.windows.filter((_, index) => windows[index] === attempt),
    attempt,
  );
  await fetcherQueue.sendAll(tasks.map(messageBody));
  return tasks.length;
}
