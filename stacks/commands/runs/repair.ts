// Repairs a run: sends its missing tasks again, or publishes it although the guard holds it. Both may be repeated, because
// every service tolerates duplicate messages.
import { createHash } from "node:crypto";
import { sendAssembleTask } from "../../../shared/assembler-queue.ts";
import { PipelineError } from "../../../shared/errors.ts";
import type { FetchTask } from "../../../shared/messages.ts";
import { type MessageQueue, messageBody } from "../../../shared/ports.ts";
import { fetchTasksOf, type RunResult } from "../../../shared/run.ts";
import type { RunAccount } from "./run-account.ts";

export type Resumed = { pages: number; assemble: boolean };

/**
 * Enqueues a task for each missing page; if no page is missing, the task to assemble the run.
 * @throws PipelineError `RunEnded`
 */
export async function resume(
  account: RunAccount,
  queues: { fetcher: MessageQueue; assembler: MessageQueue },
  now: Date,
): Promise<Resumed> {
  const { run, result, windows, attempt } = account;
  const { runId, dataset } = run;
  if (result) {
    throw new PipelineError("RunEnded", {
      message: `The run has ended: it is ${result.state}.`,
      advice: account.next,
      ids: { run: runId },
    });
  }
  const tasks = [...Map.groupBy(windows, (window) => window.attempt)].flatMap(([attempt, own]) =>
    fetchTasksOf(run, own, attempt).flatMap((task, index) =>
      (own[index]?.missing ?? []).map(
        ({ from, to, page, pages }): FetchTask => ({
          ...{ ...task, range: { from, to }, page },
          ...(pages > 1 && { pages }),
        }),
      ),
    ),
  );
  if (tasks.length > 0) {
    await queues.fetcher.sendAll(tasks.map(messageBody));
    return { pages: tasks.length, assemble: false };
  }
  // The transformer's own id may have been used in the last five minutes; the queue would drop this task as a duplicate.
  const minute = now.toISOString().slice(0, "2026-01-01T00:00".length);
  await sendAssembleTask({ runId, dataset, attempt }, queues.assembler, `resumed-${minute}`);
  return { pages: 0, assemble: true };
}

/** @throws PipelineError `RunNotHeld` */
export function heldResult({ run, result, state, next }: RunAccount): RunResult {
  if (result?.state === "held") return result;
  throw new PipelineError("RunNotHeld", {
    message: `Only a held run can be published with --force, and this one is ${state}.`,
    advice: next,
    ids: { run: run.runId },
  });
}

/**
 * Enqueues the publication of a held run.
 * @param reason recorded in result.json
 * @throws PipelineError `RunNotHeld`
 */
export async function publishHeld(
  account: RunAccount,
  reason: string,
  assembler: MessageQueue,
): Promise<void> {
  const { runId, dataset, attempt } = heldResult(account);
  const hash = createHash("sha256").update(reason).digest("hex").slice(0, 12);
  await sendAssembleTask({ runId, dataset, attempt, force: reason }, assembler, `forced-${hash}`);
}
