// How a run ends whose pages are all there: its parts are read once and written as they are read; at the end the counts
// decide whether the files count. Published, held or failed, with the reason and every count.
import * as z from "zod/mini";
import { countCsvRows, csvFieldText, csvRows, splitCsvRow } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectInfo, ObjectStore } from "../../shared/ports.ts";
import { pagesOf, type Run, type RunResult, runResult } from "../../shared/run.ts";
import { type Baseline, violations } from "./guard.ts";
import { Ledger, type WindowAccount } from "./ledger.ts";
import { fitPart } from "./part.ts";
import { readParts } from "./read.ts";
import { type Target, writeFiles } from "./write.ts";

/** A form has some dozens of fields. Hundreds of undeclared ones mean that something else arrived. */
const maxAppended = 300;
/** The first reading may find columns or violations that were not expected; then the parts are read again. */
const maxReadings = 4;
/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;

export type Reading = {
  run: Run;
  attempt: number;
  accounts: WindowAccount[];
  /** Whether windows that do not agree may be fetched again. */
  mayFetchAgain: boolean;
  /** A person's reason to publish in spite of violations. */
  force?: string | undefined;
};
export type ConcludeDeps = { work: ObjectStore; data: ObjectStore; datasets: readonly Dataset[] };

/** The result, except for the time when it was written. */
export type Conclusion = Omit<RunResult, "finishedAt">;
/** Windows whose numbers do not agree, and why. */
export type FetchAgain = { fetchAgain: number[]; because: string[] };

type Account = Omit<Conclusion, "state">;
type Verdict =
  | FetchAgain
  | { state: "failed"; reason: string }
  | { state: "held" | "published"; violations: string[]; forced: boolean };
/** What a reading writes: which files, with which undeclared columns. */
type Plan = { state: "held" | "published"; appended: string[] };

/** @throws PipelineError `PublishContended`, `PartsChanging`, `PartUnreadable` */
export async function conclude(reading: Reading, deps: ConcludeDeps): Promise<Conclusion | FetchAgain> {
  const { run, accounts } = reading;
  const { runId } = run;
  const { work, data } = deps;
  const dataset = findDataset(run.dataset, deps.datasets);
  const { csv, jsonl } = dataset.publish;
  const declared = outputColumns(dataset.columns);
  const published = await data.head(csv);
  const baseline = await baselineOf(published, dataset, deps);
  const columnsOf = ({ appended }: Pick<Ledger, "appended">) => [...declared, ...appended];
  let plan: Plan = { state: "published", appended: await undeclaredIn(published, dataset, data) };

  for (let readings = 1; readings <= maxReadings; readings++) {
    let ledger = new Ledger();
    let verdict: Verdict | undefined;
    const { state, appended } = plan;
    const target: Target =
      state === "published"
        ? { store: data, csv, jsonl }
        : { store: work, csv: keys.held(runId), jsonl: keys.heldLines(runId) };
    const outcome = await writeFiles(target, run, async (write) => {
      ledger = new Ledger();
      const header = csvRows([[...declared, ...appended]]);
      await write({ csv: Buffer.from(header), jsonl: new Uint8Array() });
      await readParts({ runId, accounts, work }, ledger, async (part, skip) => {
        // What cannot become the file is not written on.
        if (!isWithin(ledger.appended, appended) || (reading.mayFetchAgain && ledger.disagreements.size > 0))
          return;
        await write(fitPart(part, { appended: part.summary.appended, allAppended: appended, skip }));
      });
      verdict = judge(ledger, accountOf(reading, ledger, columnsOf(ledger)), reading, dataset, baseline);
      const isAsPlanned = "state" in verdict && verdict.state === state && isSame(ledger.appended, appended);
      return isAsPlanned ? "keep" : "discard";
    });

    if (outcome.state === "superseded") {
      // An interrupted reading has counted some parts.
      ledger = new Ledger();
      await readParts({ runId, accounts, work }, ledger, async () => {});
      const account = accountOf(reading, ledger, columnsOf(ledger));
      return {
        ...account,
        state: "superseded",
        reason: `A later run (${outcome.by}) has already published; its file stays. No action needed.`,
      };
    }
    if (verdict && "fetchAgain" in verdict) return verdict;
    const account = accountOf(reading, ledger, columnsOf(ledger));
    if (verdict?.state === "failed") return { ...account, ...verdict };
    if (verdict && outcome.state === "written") {
      const judged = { ...account, ...previousOf(published, baseline, run), violations: verdict.violations };
      if (verdict.state === "held")
        return { ...judged, state: "held", reason: heldReason(runId, verdict.violations) };
      const { files } = outcome;
      return {
        ...judged,
        ...(verdict.forced && { force: reading.force ?? run.force }),
        state: "published",
        published: {
          bucket: data.bucket,
          csv: { key: csv, etag: files.csv.etag, bytes: files.csv.bytes },
          jsonl: { key: jsonl, etag: files.jsonl.etag, bytes: files.jsonl.bytes },
        },
      };
    }
    if (verdict) plan = { state: verdict.state, appended: ledger.appended };
  }
  throw new PipelineError("PartsChanging", {
    message: `The run's parts changed during each of ${maxReadings} readings, because pages were delivered again.`,
    advice: "Retried automatically. If it persists, request the run again.",
    kind: "transient",
    ids: { run: runId },
  });
}

function judge(
  ledger: Ledger,
  account: Account,
  { run, attempt, mayFetchAgain, force = run.force }: Reading,
  dataset: Dataset,
  baseline: Baseline,
): Verdict {
  const disagreeing = disagreeingWindows(ledger);
  const because = disagreeing.flatMap(
    (window) =>
      ledger.disagreements.get(window) ?? [`window ${window}: records occur twice, its pages have shifted`],
  );
  if (disagreeing.length > 0 && mayFetchAgain) return { fetchAgain: disagreeing, because };
  const { appended } = ledger;
  if (appended.length > maxAppended) {
    return {
      state: "failed",
      reason: `LibInsight sent ${appended.length} undeclared fields; the limit is ${maxAppended}. The earlier file stays. Check the form's fields and "undeclared" in shared/datasets.ts.`,
    };
  }
  const found = [
    ...because.map((what) => `LibInsight's numbers did not agree in ${attempt} attempts: ${what}`),
    ...violations(account, dataset, baseline),
  ];
  const forced = found.length > 0 && force !== undefined;
  return { state: found.length === 0 || forced ? "published" : "held", violations: found, forced };
}

/**
 * Windows whose numbers do not agree. A window that holds an `_id` twice has shifted while it was read, and then lacks
 * another record, though its sums close. Where that stays so to the last attempt, a person decides.
 */
function disagreeingWindows(ledger: Ledger): number[] {
  const numbers = new Set([...ledger.disagreements.keys(), ...ledger.windowsWithDuplicates]);
  return [...numbers].sort((a, b) => a - b);
}

function heldReason(runId: string, found: string[]): string {
  return `The run is held and nothing is published: ${found.join("; ")}. The earlier file stays. Compare; if the new one is right, publish it: npm run runs -- publish ${runId} --force --reason TEXT`;
}

function isWithin(some: readonly string[], all: readonly string[]): boolean {
  return some.every((each) => all.includes(each));
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && isWithin(some, others);
}

/** Returns the undeclared columns of the published file, which are likely to be in this run too. */
async function undeclaredIn(
  published: ObjectInfo | undefined,
  { columns, publish }: Dataset,
  data: ObjectStore,
): Promise<string[]> {
  // The predecessor's file has its own columns.
  if (published?.metadata["run-id"] === undefined) return [];
  const [line = ""] = (await data.getStart(publish.csv, headerBytes)).split("\n");
  const declared = outputColumns(columns);
  return splitCsvRow(line)
    .map(csvFieldText)
    .filter((header) => !declared.includes(header))
    .sort();
}

/** A file that no run wrote says nothing. Rows are counted where the work bucket no longer has the run's result. */
async function baselineOf(
  published: ObjectInfo | undefined,
  { publish }: Dataset,
  { work, data }: ConcludeDeps,
): Promise<Baseline> {
  const runId = published?.metadata["run-id"];
  if (runId === undefined) return {};
  const result = await work.getJson(keys.result(runId), runResult);
  const rows = result?.rows ?? (await countCsvRows(await data.stream(publish.csv)));
  return { rows, filled: result?.filled };
}

/**
 * The publication that this one follows. Where the run's own file is in place already (an assembler died before it could
 * write the result), the earlier publication is unknown.
 */
function previousOf(
  published: ObjectInfo | undefined,
  { rows }: Baseline,
  run: Run,
): Pick<RunResult, "previous"> {
  if (rows === undefined || published?.metadata["run-id"] === run.runId) return {};
  // Another writer's metadata may be anything.
  const requestedAt = z.iso.datetime().safeParse(published?.metadata["requested-at"]);
  return requestedAt.success ? { previous: { rows, requestedAt: requestedAt.data } } : {};
}

/** Every count of the run. */
function accountOf({ run, attempt, accounts }: Reading, ledger: Ledger, columns: string[]): Account {
  return {
    runId: run.runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    requestedAt: run.requestedAt,
    violations: [],
    attempt,
    windows: accounts.map(({ window, attempt, totals }) => ({
      from: window.from,
      to: window.to,
      attempt,
      pages: pagesOf(totals),
      totalRecords: totals.totalRecords,
    })),
    records: ledger.records,
    rows: ledger.rows,
    duplicates: ledger.duplicates,
    rejects: Object.fromEntries(ledger.rejects),
    furtherAnswers: Object.fromEntries(ledger.furtherAnswers),
    mistyped: Object.fromEntries(ledger.mistyped),
    undeclared: Object.fromEntries(ledger.undeclared),
    filled: Object.fromEntries(ledger.filled),
    columns,
  };
}
