// What an operator can do to a run: send what is missing once more, or publish it although the guard holds it. All of
// it may be repeated: every service may get each of its messages again.
import { createHash } from "node:crypto";
import { PipelineError } from "../../../shared/errors.ts";
import { type FetchTask, sendAssembleTask } from "../../../shared/messages.ts";
import { type MessageQueue, messageBody } from "../../../shared/ports.ts";
import { fetchTaskOf, pageCount, type RunResult } from "../../../shared/run.ts";
import type { RunAccount } from "./run-account.ts";

export type Resumed = { pages: number; assemble: boolean };

/**
 * Asks for the pages that are missing; where none is, for the file.
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
  const tasks = windows.flatMap(({ number, from, to, attempt: windowAttempt, totals, missing }) =>
    // Page 1 asks for the rest of its window by itself.
    (missing[0] === 1 ? [1] : missing).map(
      (page): FetchTask => ({
        ...fetchTaskOf(run, { number, from, to }, windowAttempt, page),
        ...(page > 1 && totals && { pages: pageCount(totals) }),
      }),
    ),
  );
  if (tasks.length > 0) {
    await queues.fetcher.sendAll(tasks.map(messageBody));
    return { pages: tasks.length, assemble: false };
  }
  const minute = now.toISOString().slice(0, "2026-01-01T00:00".length);
  await sendAssembleTask({ runId, dataset, attempt }, queues.assembler, `resumed-${minute}`);
  return { pages: 0, assemble: true };
}

/** @throws PipelineError `RunNotHeld` */
export function heldResult({ run, result, state, next }: RunAccount): RunResult {
  if (result?.state === "held") return result;
  throw new PipelineError("RunNotHeld", {
    message: `Only a held run is published by force, and this one is ${state}.`,
    advice: next,
    ids: { run: run.runId },
  });
}

/**
 * Asks the assembler to publish a held run.
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
