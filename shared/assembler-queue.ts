// Sends tasks to the assembler queue.
import type { AssembleTask } from "./messages.ts";
import { type MessageQueue, messageBody } from "./ports.ts";

/**
 * Sends a task to the assembler queue.
 * @param sender the queue drops a second task from the same sender for the same attempt within five minutes
 */
export async function sendAssembleTask(
  task: AssembleTask,
  queue: MessageQueue,
  sender: string,
): Promise<void> {
  const { runId, dataset, attempt } = task;
  await queue.send(messageBody(task), { group: dataset, deduplicationId: `${runId}-${attempt}-${sender}` });
}
