// Describes the outcome of a message.
import type { BatchResult } from "../../shared/message-loop.ts";

export type Outcome = "done" | "retried" | "dead letter";

/** Returns the outcome of the only message of a batch. */
export function outcomeOf({ done, retried, deadLetters }: BatchResult): Outcome {
  if (done.length + retried.length + deadLetters.length !== 1)
    throw new Error("The batch does not have exactly one message.");
  if (done.length === 1) return "done";
  return retried.length === 1 ? "retried" : "dead letter";
}
