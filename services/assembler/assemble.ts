// Turns the parts of a complete run into the published files: reconciles the sums, fetches windows again that do not
// agree, and streams the parts into place. All of it may be repeated; what was decided is written down first.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { AssembleTask, FetchTask, Totals, Window } from "../../shared/messages.ts";
import { type Emit, type MessageQueue, messageBody } from "../../shared/ports.ts";
import {
  attemptsOfWindows,
  type Run,
  type RunAttempt,
  type RunResult,
  runAttempt,
  runResult,
  run as runSchema,
  windowTotals,
} from "../../shared/run.ts";
import { type ConcludeDeps, type Conclusion, conclude } from "./conclude.ts";
import { publishHeld } from "./held.ts";
import type { WindowAccount } from "./ledger.ts";

/** How often a window is fetched before its run fails. */
const maxAttempts = 3;

export type AssemblerDeps = ConcludeDeps & {
  fetcherQueue: MessageQueue;
  emit: Emit;
  datasets: readonly Dataset[];
};

/**
 * @throws PipelineError `RunMissing`, `PublishContended`, `AttemptMissing`, `PartsChanging`, `EntryChanged`,
 * `HeldFilesChanged`, `StrayObjects`, `TableChanged`
 */
export async function assemble(task: AssembleTask, deps: AssemblerDeps): Promise<LogFields> {
  const { work, emit } = deps;
  const { runId } = task;
  const [run, ended, next] = await Promise.all([
    work.getJson(keys.run(runId), runSchema),
    work.getJson(keys.result(runId), runResult),
    work.getJson(keys.attempt(runId, task.attempt + 1), runAttempt),
  ]);
  if (!run) throw missing("RunMissing", runId);
  const dataset = findDataset(run.dataset, deps.datasets);
  if (ended?.state === "held" && task.force)
    return end(await publishHeld(run, ended, task.force, dataset, deps), deps);
  if (ended) return announce(ended, emit);
  if (next) return fetchAgain(run, next, deps);

  const attempts = await attemptsOfWindows(run, task.attempt, work);
  const { attempt } = task;
  const windows = await Promise.all(
    run.windows.map(async (window, index) => {
      const { number } = window;
      const own = attempts[index] ?? 1;
      const [totals, recounted] = await Promise.all([
        work.getJson(keys.window({ runId, window: number, attempt: own }), windowTotals),
        work.getJson(keys.recount({ runId, window: number, attempt }), windowTotals),
      ]);
      if (!totals) throw missing("WindowMissing", runId);
      return { window, attempt: own, totals, recounted };
    }),
  );
  const accounts = windows.flatMap(({ recounted, ...window }): WindowAccount[] =>
    recounted ? [{ ...window, recounted }] : [],
  );
  if (accounts.length < windows.length) return recount(run, attempt, windows, deps);
  const mayFetchAgain = attempt < maxAttempts;
  const conclusion = await conclude({ run, attempt, accounts, mayFetchAgain }, dataset, deps);
  if ("fetchAgain" in conclusion) {
    const { fetchAgain, because } = conclusion;
    return beginAttempt({ run, attempt: attempt + 1, accounts, windows: fetchAgain, because }, deps);
  }
  return end(conclusion, deps);
}

/** Has every window counted again that was not yet; the fetcher that counts the last one enqueues the run. */
async function recount(
  run: Run,
  attempt: number,
  windows: readonly { window: Window; recounted: Totals | undefined }[],
  { fetcherQueue }: AssemblerDeps,
): Promise<LogFields> {
  const tasks = windows
    .filter(({ recounted }) => !recounted)
    .map(
      ({ window }): FetchTask => ({
        runId: run.runId,
        dataset: run.dataset,
        window,
        attempt,
        page: 1,
        recount: run.windows.length,
      }),
    );
  await fetcherQueue.sendAll(tasks.map(messageBody));
  return { run: run.runId, outcome: "counting again", attempt, windows: tasks.length };
}

async function end(conclusion: Conclusion, { work, now, emit }: AssemblerDeps): Promise<LogFields> {
  const result: RunResult = { ...conclusion, finishedAt: now().toISOString() };
  const json = JSON.stringify(runResult.parse(result), null, 2);
  await work.put(keys.result(result.runId), json, "application/json");
  return announce(result, emit);
}

type NextAttempt = RunAttempt & { run: Run; accounts: WindowAccount[] };

/** Records which windows are fetched again, and enqueues them. @param windows their numbers */
async function beginAttempt(
  { run, attempt, accounts, windows, because }: NextAttempt,
  deps: AssemblerDeps,
): Promise<LogFields> {
  const decided: RunAttempt = {
    attempt,
    windows: accounts.map(({ window, attempt: kept }) => (windows.includes(window.number) ? attempt : kept)),
    because,
  };
  const key = keys.attempt(run.runId, attempt);
  const isFirst = await deps.work.putOnce(key, decided);
  // Two assemblers at once may decide differently, where a part changed between them; the first decision holds.
  const holding = isFirst ? decided : await deps.work.getJson(key, runAttempt);
  return fetchAgain(run, holding ?? decided, deps);
}

async function fetchAgain(
  run: Run,
  decided: RunAttempt,
  { fetcherQueue }: AssemblerDeps,
): Promise<LogFields> {
  const { attempt } = decided;
  const tasks = run.windows
    .filter((_, index) => decided.windows[index] === attempt)
    .map((window): FetchTask => ({ runId: run.runId, dataset: run.dataset, window, attempt, page: 1 }));
  await fetcherQueue.sendAll(tasks.map(messageBody));
  return { run: run.runId, outcome: "fetching again", attempt, windows: tasks.length };
}

/** A run that claims to be published and has no files has failed. */
const unpublishedEvents = {
  held: "run.held",
  superseded: "run.superseded",
  failed: "run.failed",
  published: "run.failed",
} as const;

async function announce(result: RunResult, emit: Emit): Promise<LogFields> {
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

function missing(name: string, runId: string): PipelineError {
  return new PipelineError(name, {
    message: "Something of this run is no longer in the work bucket, which keeps runs for 30 days.",
    advice: "Request the run again.",
    ids: { run: runId },
  });
}
