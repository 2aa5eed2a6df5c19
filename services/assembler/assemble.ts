// Assembles a complete run: checks its counts, has windows fetched again that disagree with LibInsight, and concludes the
// run. Every step may run twice, because each decision is stored before it takes effect.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { Recount } from "../../shared/kinds/kind.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { AssembleTask, Window } from "../../shared/messages.ts";
import { type Emit, type MessageQueue, messageBody } from "../../shared/ports.ts";
import {
  expired,
  fetchTaskOf,
  type Run,
  type RunAttempt,
  type RunResult,
  runAttempt,
  runResult,
  run as runSchema,
  windowRecount,
  windowTotals,
} from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";
import { windowAttempts } from "../../shared/window-attempts.ts";
import { type ConcludeDeps, type Conclusion, conclude } from "./conclude.ts";
import { publishHeld } from "./held.ts";
import type { CountedWindow } from "./ledger.ts";

/** How often a window is fetched before its run is held or fails. */
const maxAttempts = 3;

export type AssemblerDeps = ConcludeDeps & {
  fetcherQueue: MessageQueue;
  emit: Emit;
  datasets: readonly Dataset[];
};

/**
 * Concludes the run, or enqueues what is missing for that. If the run has a result, emits its outcome again.
 * @throws PipelineError `RunMissing`, `WindowMissing`, `PublishContended`, `AttemptMissing`, `PartsChanging`,
 * `EntryChanged`, `HeldFilesChanged`, `StrayObjects`, `TableChanged`
 */
export async function assemble(task: AssembleTask, deps: AssemblerDeps): Promise<LogFields> {
  const { work, emit } = deps;
  const { runId, attempt, force } = task;
  const [run, result, nextAttempt] = await Promise.all([
    work.getJson(keys.run(runId), runSchema),
    work.getJson(keys.result(runId), runResult),
    work.getJson(keys.attempt(runId, attempt + 1), runAttempt),
  ]);
  if (!run) throw expired("RunMissing", { what: "The run", ids: { run: runId } });
  const dataset = findDataset(run.dataset, deps.datasets);
  if (result?.state === "held" && force)
    return finish(await publishHeld(run, result, force, dataset, deps), deps);
  if (result) return emitOutcome(result, emit);
  if (nextAttempt) return enqueueAttempt(run, nextAttempt, deps);

  const addressed = await windowAttempts(run, attempt, work);
  const windows = await Promise.all(
    addressed.map(async ({ window, address }) => {
      const [totals, recounted] = await Promise.all([
        work.getJson(keys.window(address), windowTotals),
        work.getJson(keys.recount({ ...address, attempt }), windowRecount),
      ]);
      if (!totals)
        throw expired("WindowMissing", {
          what: "A window of the run",
          ids: { run: runId, window: window.number },
        });
      return { window, attempt: address.attempt, totals, recounted };
    }),
  );
  const counted = windows.flatMap(({ recounted, ...window }): CountedWindow[] =>
    recounted ? [{ ...window, recounted }] : [],
  );
  if (counted.length < windows.length) return enqueueRecounts(run, attempt, windows, deps);
  const mayRefetch = attempt < maxAttempts;
  const conclusion = await conclude({ run, attempt, windows: counted, mayRefetch }, dataset, deps);
  if (!("refetch" in conclusion)) return finish(conclusion, deps);
  const { refetch, because } = conclusion;
  const next = attempt + 1;
  const attempts = counted.map((each) => (refetch.includes(each.window.number) ? next : each.attempt));
  return startAttempt(run, { attempt: next, windows: attempts, because }, deps);
}

/** Enqueues a recount of each window that has none. The fetcher that recounts the last one enqueues the run again. */
async function enqueueRecounts(
  run: Run,
  attempt: number,
  windows: readonly { window: Window; recounted: Recount | undefined }[],
  { fetcherQueue }: AssemblerDeps,
): Promise<LogFields> {
  const tasks = windows
    .filter(({ recounted }) => !recounted)
    .map(({ window }) => ({ ...fetchTaskOf(run, window, attempt), recount: run.windows.length }));
  await fetcherQueue.sendAll(tasks.map(messageBody));
  return { run: run.runId, outcome: "recounting", attempt, windows: tasks.length };
}

async function finish(conclusion: Conclusion, { work, now, emit }: AssemblerDeps): Promise<LogFields> {
  // A held run that a person publishes has the spans of both decisions.
  const spans = [...(conclusion.spans ?? []), ...(spanFields(conclusion.runId).spans ?? [])];
  const result: RunResult = {
    ...conclusion,
    finishedAt: now().toISOString(),
    ...(spans.length > 0 && { spans }),
  };
  const json = JSON.stringify(runResult.parse(result), null, 2);
  await work.put(keys.result(result.runId), json, "application/json");
  return emitOutcome(result, emit);
}

/** Stores which windows are fetched again, and enqueues them. */
async function startAttempt(run: Run, decided: RunAttempt, deps: AssemblerDeps): Promise<LogFields> {
  const key = keys.attempt(run.runId, decided.attempt);
  const isFirst = await deps.work.putOnce(key, { ...decided, ...spanFields(run.runId) });
  // Two assemblers may decide differently at once, if a part changed between them. The first decision wins.
  const stored = isFirst ? decided : await deps.work.getJson(key, runAttempt);
  return enqueueAttempt(run, stored ?? decided, deps);
}

async function enqueueAttempt(
  run: Run,
  { attempt, windows }: RunAttempt,
  { fetcherQueue }: AssemblerDeps,
): Promise<LogFields> {
  const tasks = run.windows
    .filter((_, index) => windows[index] === attempt)
    .map((window) => fetchTaskOf(run, window, attempt));
  await fetcherQueue.sendAll(tasks.map(messageBody));
  return { run: run.runId, outcome: "refetching", attempt, windows: tasks.length };
}

/** A result that says `published` but names no files is emitted as a failure. */
const unpublishedEvents = {
  held: "run.held",
  superseded: "run.superseded",
  failed: "run.failed",
  published: "run.failed",
} as const;

async function emitOutcome(result: RunResult, emit: Emit): Promise<LogFields> {
  const { runId, dataset, rows, published } = result;
  if (result.state === "published" && published) {
    await emit("run.published", {
      runId,
      dataset,
      bucket: published.bucket,
      key: published.csv.key,
      rows,
    });
  } else {
    await emit(unpublishedEvents[result.state], {
      runId,
      dataset,
      reason: result.reason ?? `The run ended as ${result.state}.`,
    });
  }
  return { run: runId, outcome: result.state, attempt: result.attempt, records: result.records, rows };
}
