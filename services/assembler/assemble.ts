// Assembles a complete run: checks its counts, has windows fetched again that disagree with LibInsight, and concludes the
// run. Every step may run twice, because each decision is stored before it takes effect.
import { enqueueAttempt, isReused, startAttempt, windowAttempts } from "../../shared/attempts.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { AssembleTask, RecountTask, SearchTask, Window } from "../../shared/messages.ts";
import { type Emit, type MessageQueue, messageBody } from "../../shared/ports.ts";
import {
  expired,
  periodRecount,
  type Run,
  type RunResult,
  runAttempt,
  runResult,
  run as runSchema,
} from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";
import { type ConcludeDeps, type Conclusion, conclude, type Refetch } from "./conclude.ts";
import { publishHeld } from "./held.ts";
import { withRefresh } from "./kept.ts";

/** How often a window is fetched before its run is held or fails. A reused window was not fetched in its first attempt. */
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
  if (nextAttempt) {
    const windows = await enqueueAttempt(run, nextAttempt, deps.fetcherQueue);
    return { run: runId, outcome: "refetching", attempt: nextAttempt.attempt, windows };
  }
  const windows = await windowAttempts(run, attempt, work);
  const recounts = await Promise.all(
    run.periods.map(async (period) => {
      const recounted = await work.getJson(keys.recount(runId, attempt, period.number), periodRecount);
      return { period, recounted };
    }),
  );
  const periods = recounts.flatMap(({ period, recounted }) => (recounted ? [{ period, recounted }] : []));
  if (periods.length < recounts.length) {
    const missing = recounts.filter(({ recounted }) => !recounted).map(({ period }) => period);
    return enqueueRecounts(run, attempt, missing, deps);
  }
  const mayRefetch = attempt < maxAttempts + (run.windows.some(({ reused }) => reused) ? 1 : 0);
  const conclusion = await conclude({ run, attempt, windows, periods, mayRefetch }, dataset, deps);
  if ("refetch" in conclusion) return refetch(run, attempt + 1, conclusion, deps);
  return finish(await withRefresh(conclusion, { run, windows }, work), deps);
}

/** Enqueues a recount of each period that has none. The fetcher that recounts the last one enqueues the run again. */
async function enqueueRecounts(
  { runId, dataset, periods: { length: periods } }: Run,
  attempt: number,
  missing: readonly Window[],
  { fetcherQueue }: AssemblerDeps,
): Promise<LogFields> {
  const tasks = missing.map((period): RecountTask => ({ runId, dataset, attempt, period, periods }));
  await fetcherQueue.sendAll(tasks.map(messageBody));
  return { run: runId, outcome: "recounting", attempt, periods: tasks.length };
}

/** Starts the next attempt, or enqueues the search for its windows. */
async function refetch(
  run: Run,
  attempt: number,
  { refetch: { windows: found, periods, because } }: Refetch,
  deps: AssemblerDeps,
): Promise<LogFields> {
  const { runId, dataset } = run;
  const before = await windowAttempts(run, attempt - 1, deps.work);
  // If a run still disagrees after it has fetched some reused windows, it fetches all of them.
  const reused = attempt > 2 ? before.filter(isReused).map(({ window }) => window.number) : [];
  const again = [...found, ...reused];
  if (periods.length === 0 || reused.length > 0) {
    const windows = before.map((each) => (again.includes(each.window.number) ? attempt : each.attempt));
    const fetched = await startAttempt(run, { attempt, windows, because }, deps);
    return { run: runId, outcome: "refetching", attempt, windows: fetched };
  }
  const wanted = { attempt, windows: again, periods, because };
  await deps.work.putOnce(keys.search(runId, attempt), { ...wanted, ...spanFields(runId) });
  const task: SearchTask = { runId, dataset, attempt, search: true };
  await deps.fetcherQueue.send(messageBody(task));
  return { run: runId, outcome: "searching", attempt, periods: periods.length };
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
