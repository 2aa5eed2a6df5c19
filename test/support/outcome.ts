import type { BatchResult } from "../../shared/message-loop.ts";

export type Outcome = "done" | "retried" | "dead letter";

/** Returns how the only message of a batch ended. */
export function outcomeOf({ done, retried, deadLetters }: BatchResult): Outcome {
  if (done.length + retried.length + deadLetters.length !== 1)
    throw new Error("The batch had not one message.");
  if (done.length === 1) return "done";
  return retried.length === 1 ? "retried" : "dead letter";
}
