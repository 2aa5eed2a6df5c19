// Turns the parts of a complete run into the published file: reconciles the sums, fetches windows again that do
// not agree, and streams the parts into place. All of it may be repeated; what was decided is written down first.
import { pMapIterable } from "p-map";
import type { Publish } from "../../shared/aws/bus.ts";
import { messageBody, type Queue } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { Facts } from "../../shared/logger.ts";
import type { AssembleTask, FetchTask } from "../../shared/messages.ts";
import {
  attemptsOfWindows,
  maxPages,
  pageSummary,
  type Run,
  type RunAttempt,
  type RunResult,
  runAttempt,
  runResult,
  run as runSchema,
  windowTotals,
} from "../../shared/run.ts";
import { type ConcludeEffects, type Conclusion, conclude, gaveUp } from "./conclude.ts";
import { PartChanged, readAhead } from "./files.ts";
import { Ledger, type WindowAccount } from "./ledger.ts";

/** How often a window is fetched before its run fails. */
const maxAttempts = 3;

export type AssemblerEffects = ConcludeEffects & { fetchQueue: Queue; publish: Publish; now: () => Date };

/** @throws PipelineError `RunMissing`, `PublishContended`, `AttemptMissing` */
export async function assemble(task: AssembleTask, effects: AssemblerEffects): Promise<Facts> {
  const { work, publish } = effects;
  const { runId } = task;
  const [run, ended, next] = await Promise.all([
    work.getJson(keys.run(runId), runSchema),
    work.getJson(keys.result(runId), runResult),
    work.getJson(keys.attempt(runId, task.attempt + 1), runAttempt),
  ]);
  if (!run) throw missing("RunMissing", runId);
  if (ended && !(ended.state === "held" && task.force)) return announce(ended, publish);
  if (next) return fetchAgain(run, next, effects);

  const attempts = await attemptsOfWindows(run, task.attempt, work);
  const accounts = await Promise.all(
    run.windows.map(async (window, index): Promise<WindowAccount> => {
      const attempt = attempts[index] ?? 1;
      const totals = await work.getJson(keys.window({ runId, window: window.number, attempt }), windowTotals);
      if (!totals) throw missing("WindowMissing", runId);
      return { window, attempt, totals };
    }),
  );
  const ledger = new Ledger();
  for (const account of accounts) await ledger.addWindow(account, summariesOf(runId, account, work));

  const isLast = task.attempt >= maxAttempts;
  const begin = (windows: number[], because: string[]) =>
    beginAttempt({ run, attempt: task.attempt + 1, accounts, windows, because }, effects);
  const disagreeing = disagreeingWindows(ledger);
  const disagreements = reasons(ledger, disagreeing);
  if (disagreeing.length > 0 && !isLast) return begin(disagreeing, disagreements);
  const { attempt, force } = task;
  const reconciled = { run, attempt, ledger, accounts, disagreements, force };
  let conclusion: Conclusion;
  try {
    conclusion = await conclude(reconciled, effects);
  } catch (error) {
    if (!(error instanceof PartChanged)) throw error;
    if (!isLast) return begin([error.window], [error.message]);
    // Trying again would find the same parts.
    conclusion = gaveUp(reconciled, error.sentence);
  }
  const result: RunResult = { ...conclusion, finishedAt: effects.now().toISOString() };
  await work.put(keys.result(runId), JSON.stringify(runResult.parse(result), null, 2), "application/json");
  return announce(result, publish);
}

type NextAttempt = RunAttempt & { run: Run; accounts: WindowAccount[] };

/** Writes down which windows are fetched again, and asks for them. @param windows their numbers */
async function beginAttempt(
  { run, attempt, accounts, windows, because }: NextAttempt,
  effects: AssemblerEffects,
): Promise<Facts> {
  const decided: RunAttempt = {
    attempt,
    windows: accounts.map(({ window, attempt: kept }) => (windows.includes(window.number) ? attempt : kept)),
    because,
  };
  const key = keys.attempt(run.runId, attempt);
  const isFirst = await effects.work.putOnce(key, decided);
  // Two assemblers at once may decide differently, where a part changed between them; the first one holds.
  const holding = isFirst ? decided : await effects.work.getJson(key, runAttempt);
  return fetchAgain(run, holding ?? decided, effects);
}

/**
 * Windows whose numbers do not agree. A window that holds an `_id` twice has shifted while it was read, and then lacks
 * another record, though its sums close. Where that stays so to the last attempt, a person decides.
 */
function disagreeingWindows(ledger: Ledger): number[] {
  const numbers = new Set([...ledger.disagreements.keys(), ...ledger.windowsWithDuplicates]);
  return [...numbers].sort((a, b) => a - b);
}

function reasons(ledger: Ledger, windows: number[]): string[] {
  return windows.flatMap(
    (window) =>
      ledger.disagreements.get(window) ?? [`window ${window}: records occur twice, its pages have shifted`],
  );
}

async function fetchAgain(run: Run, decided: RunAttempt, { fetchQueue }: AssemblerEffects): Promise<Facts> {
  const { attempt } = decided;
  const tasks = run.windows
    .filter((_, index) => decided.windows[index] === attempt)
    .map((window): FetchTask => ({ runId: run.runId, dataset: run.dataset, window, attempt, page: 1 }));
  await fetchQueue.sendAll(tasks.map(messageBody));
  return { run: run.runId, outcome: "fetching again", attempt, windows: tasks.length };
}

async function* summariesOf(runId: string, { window, attempt }: WindowAccount, work: Store) {
  yield* pMapIterable(
    work.objects(keys.summaries({ runId, window: window.number, attempt }), maxPages),
    async ({ key }) => {
      const summary = await work.getJson(key, pageSummary);
      if (!summary) throw missing("PartMissing", runId);
      return summary;
    },
    { concurrency: readAhead },
  );
}

async function announce(result: RunResult, publish: Publish): Promise<Facts> {
  const { runId, dataset, rows, published } = result;
  if (result.state === "published" && published) {
    await publish("run.published", {
      runId,
      dataset,
      bucket: published.bucket,
      key: published.csv.key,
      rows,
    });
  } else {
    await publish(result.state === "held" ? "run.held" : "run.failed", {
      runId,
      dataset,
      reason: result.reason ?? `The run ended as ${result.state}.`,
      ...(result.state === "superseded" && { superseded: true }),
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
