// Turns the parts of a complete run into the published file: reconciles the sums, fetches windows again that do
// not agree, and streams the parts into place. All of it may be repeated; what was decided is written down first.
import { Readable } from "node:stream";
import { pMapIterable } from "p-map";
import type { Publish } from "../../shared/aws/bus.ts";
import { messageBody, type Queue } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import { csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { AssembleTask, FetchTask } from "../../shared/messages.ts";
import { publishNewest } from "../../shared/publish.ts";
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
import { Ledger, type PartPlan, type WindowAccount } from "./ledger.ts";
import { fitCsv, fitJsonl, isCopiedAsIs } from "./part.ts";

/** How often a window is fetched before its run fails. */
const maxAttempts = 3;
/** Objects read ahead of the one that is being copied: hides S3's latency, holds some 8 parts in memory. */
const readAhead = 8;
/** A form has some dozens of fields. Hundreds of undeclared ones mean that something else arrived. */
const maxAppended = 300;

export type AssemblerEffects = {
  work: Store;
  data: Store;
  fetchQueue: Queue;
  publish: Publish;
  now: () => Date;
};

/** @throws PipelineError `RunMissing`, `PartChanged`, `PublishContended`, `AttemptMissing` */
export async function assemble(task: AssembleTask, effects: AssemblerEffects): Promise<void> {
  const { work, publish } = effects;
  const { runId } = task;
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) throw missing("RunMissing", runId);
  const ended = await work.getJson(keys.result(runId), runResult);
  if (ended) return announce(ended, publish);
  const next = await work.getJson(keys.attempt(runId, task.attempt + 1), runAttempt);
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

  const again = windowsToFetchAgain(ledger, task.attempt < maxAttempts);
  if (again.length > 0 && task.attempt < maxAttempts) {
    const attempt = task.attempt + 1;
    const decided: RunAttempt = {
      attempt,
      windows: accounts.map(({ window, attempt: kept }) => (again.includes(window.number) ? attempt : kept)),
      because: reasons(ledger, again),
    };
    await work.putOnce(keys.attempt(runId, attempt), decided);
    return fetchAgain(run, decided, effects);
  }
  const result = await conclude({ run, task, ledger, accounts }, again, effects);
  await work.put(keys.result(runId), JSON.stringify(runResult.parse(result), null, 2), "application/json");
  await announce(result, publish);
}

/**
 * Windows whose numbers do not agree. A window that holds an `_id` twice has probably shifted while it was read, and
 * then lacks another record; but where that stays so to the last attempt, it is what LibInsight has.
 */
function windowsToFetchAgain(ledger: Ledger, duplicatesCount: boolean): number[] {
  const numbers = new Set(ledger.disagreements.keys());
  if (duplicatesCount) for (const window of ledger.windowsWithDuplicates) numbers.add(window);
  return [...numbers].sort((a, b) => a - b);
}

function reasons(ledger: Ledger, windows: number[]): string[] {
  return windows.flatMap(
    (window) =>
      ledger.disagreements.get(window) ?? [`window ${window}: records occur twice, its pages have shifted`],
  );
}

async function fetchAgain(run: Run, decided: RunAttempt, { fetchQueue }: AssemblerEffects): Promise<void> {
  const { attempt } = decided;
  const tasks = run.windows
    .filter((_, index) => decided.windows[index] === attempt)
    .map((window): FetchTask => ({ runId: run.runId, dataset: run.dataset, window, attempt, page: 1 }));
  await fetchQueue.sendAll(tasks.map(messageBody));
}

async function* summariesOf(runId: string, { window, attempt }: WindowAccount, work: Store) {
  const found = await work.list(keys.summaries({ runId, window: window.number, attempt }), maxPages);
  yield* pMapIterable(
    found,
    async (key) => {
      const summary = await work.getJson(key, pageSummary);
      if (!summary) throw missing("PartMissing", runId);
      return summary;
    },
    { concurrency: readAhead },
  );
}

type Reconciled = { run: Run; task: AssembleTask; ledger: Ledger; accounts: WindowAccount[] };

/** Publishes, or says why not. */
async function conclude(
  reconciled: Reconciled,
  disagreeing: number[],
  effects: AssemblerEffects,
): Promise<RunResult> {
  const { run, ledger } = reconciled;
  const dataset = findDataset(run.dataset);
  const appended = ledger.appended;
  const account = accountOf(reconciled, [...outputColumns(dataset.columns), ...appended], effects.now());
  if (disagreeing.length > 0) {
    const because = reasons(ledger, disagreeing).join("; ");
    return {
      ...account,
      state: "failed",
      reason: `LibInsight's numbers did not agree in ${maxAttempts} attempts (${because}). The earlier file stays. Request the run again when LibInsight is quiet.`,
    };
  }
  if (appended.length > maxAppended) {
    return {
      ...account,
      state: "failed",
      reason: `LibInsight sent ${appended.length} undeclared fields; the limit is ${maxAppended}. The earlier file stays. Look at the form's fields and at "undeclared" in shared/datasets.ts.`,
    };
  }
  return publishFiles(account, reconciled, dataset, effects);
}

async function publishFiles(
  account: Omit<RunResult, "state">,
  { run, ledger }: Reconciled,
  dataset: Dataset,
  { work, data }: AssemblerEffects,
): Promise<RunResult> {
  const files = filesOf(run.runId, ledger, account.columns, work);
  const options = { metadata: { dataset: run.dataset, rows: String(ledger.rows) } };
  const { csv: csvKey, jsonl: jsonlKey } = dataset.publish;
  // The CSV goes last: its arrival is what Athena follows.
  const jsonl = await publishNewest(data, jsonlKey, run, async () => Readable.from(files.jsonl()), {
    ...options,
    contentType: "application/x-ndjson",
  });
  if (jsonl.superseded) return superseded(account, jsonl.by);
  const csv = await publishNewest(data, csvKey, run, async () => Readable.from(files.csv()), {
    ...options,
    contentType: "text/csv; charset=utf-8",
  });
  if (csv.superseded) return superseded(account, csv.by);
  return {
    ...account,
    state: "published",
    published: {
      bucket: data.bucket,
      csv: { key: csvKey, etag: csv.object.etag, bytes: csv.object.bytes },
      jsonl: { key: jsonlKey, etag: jsonl.object.etag, bytes: jsonl.object.bytes },
    },
  };
}

function superseded(account: Omit<RunResult, "state">, by: string): RunResult {
  return {
    ...account,
    state: "superseded",
    reason: `A later run (${by}) has already published; its file stays. Nothing is to be done.`,
  };
}

/** The published files, as streams of parts in output order: by window, then page, then row. */
function filesOf(runId: string, ledger: Ledger, columns: string[], work: Store) {
  const allAppended = ledger.appended;
  async function* copied(
    keyOf: (address: PartPlan & { runId: string }) => string,
    etagOf: (part: PartPlan) => string,
    fitTo: typeof fitCsv,
  ) {
    const bodies = pMapIterable(
      ledger.parts,
      async (part) => ({ part, body: await partBody(keyOf({ runId, ...part }), etagOf(part), work, runId) }),
      { concurrency: readAhead },
    );
    for await (const { part, body } of bodies) {
      const fitted = { ...part, allAppended };
      yield isCopiedAsIs(fitted) ? body : Buffer.from(fitTo(Buffer.from(body).toString("utf8"), fitted));
    }
  }
  return {
    async *csv() {
      yield Buffer.from(csvRows([columns]));
      yield* copied(keys.part, (part) => part.etags.csv, fitCsv);
    },
    jsonl: () => copied(keys.partLines, (part) => part.etags.jsonl, fitJsonl),
  };
}

async function partBody(key: string, etag: string, work: Store, runId: string): Promise<Uint8Array> {
  const body = await work.getBytes(key, etag);
  if (body !== "changed") return body;
  throw new PipelineError("PartChanged", {
    message: "A part changed while it was assembled, because its page was delivered twice.",
    advice: "It is assembled again by itself.",
    kind: "transient",
    ids: { run: runId },
  });
}

/** Every count of the run. */
function accountOf(
  { run, task, ledger, accounts }: Reconciled,
  columns: string[],
  now: Date,
): Omit<RunResult, "state"> {
  return {
    runId: run.runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    requestedAt: run.requestedAt,
    finishedAt: now.toISOString(),
    attempt: task.attempt,
    windows: accounts.map(({ window, attempt, totals }) => ({
      from: window.from,
      to: window.to,
      attempt,
      pages: Math.max(totals.totalPages, 1),
      totalRecords: totals.totalRecords,
    })),
    records: ledger.records,
    rows: ledger.rows,
    duplicates: ledger.duplicates,
    rejects: Object.fromEntries(ledger.rejects),
    furtherAnswers: Object.fromEntries(ledger.furtherAnswers),
    mistyped: Object.fromEntries(ledger.mistyped),
    undeclared: Object.fromEntries(ledger.undeclared),
    columns,
  };
}

async function announce(result: RunResult, publish: Publish): Promise<void> {
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
    await publish("run.failed", {
      runId,
      dataset,
      reason: result.reason ?? `The run ended as ${result.state}.`,
    });
  }
}

function missing(name: string, runId: string): PipelineError {
  return new PipelineError(name, {
    message: "Something of this run is no longer in the work bucket, which keeps runs for 30 days.",
    advice: "Request the run again.",
    ids: { run: runId },
  });
}
