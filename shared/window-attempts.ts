// Reads from the work bucket which attempt of each window belongs to an attempt of the run.
import { PipelineError } from "./errors.ts";
import { type AttemptAddress, keys } from "./keys.ts";
import type { Window } from "./messages.ts";
import type { ObjectStore } from "./ports.ts";
import { type Run, runAttempt } from "./run.ts";

/**
 * Returns the run's windows in order, each with the address of its attempt in an attempt of the run.
 * @throws PipelineError `AttemptMissing` if the run has no such attempt
 */
export async function windowAttempts(
  { runId, windows }: Run,
  attempt: number,
  work: ObjectStore,
): Promise<{ window: Window; address: AttemptAddress }[]> {
  const decided = attempt === 1 ? undefined : await work.getJson(keys.attempt(runId, attempt), runAttempt);
  if (attempt > 1 && !decided) {
    throw new PipelineError("AttemptMissing", {
      message: "The message refers to an unknown attempt.",
      advice: "Archive the dead letter and request the run again.",
      ids: { run: runId, attempt },
    });
  }
  return windows.map((window, index) => ({
    window,
    address: { runId, window: window.number, attempt: decided?.windows[index] ?? 1 },
  }));
}
