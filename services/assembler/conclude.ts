// How a run ends whose pages are all there: its parts are read once and written as they are read; at the end the counts
// decide whether the files count. Published, held or failed, with the reason and every count.
import { csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { holdTable } from "../../shared/header-change.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore, TableCatalog } from "../../shared/ports.ts";
import { pagesOf, type Run, type RunResult, type Violation } from "../../shared/run.ts";
import { strayObjects, strayText } from "../../shared/stray-objects.ts";
import { baselineOf, type PublishedFile, previousOf } from "./baseline.ts";
import { fitPart } from "./fit-part.ts";
import { violations } from "./guard.ts";
import { Ledger, maxAppended, type WindowAccount } from "./ledger.ts";
import { readParts } from "./read.ts";
import { type Fill, type Target, type Written, writeFiles } from "./write.ts";

/** The first reading may find columns or violations that were not expected; then the parts are read again. */
const maxReadings = 4;

export type Reading = {
  run: Run;
  attempt: number;
  accounts: WindowAccount[];
  /** Whether windows that do not agree may be fetched again. */
  mayFetchAgain: boolean;
};
export type ConcludeDeps = { work: ObjectStore; data: ObjectStore; tables: TableCatalog; now: () => Date };

/** The result, except for the time when it was written. */
export type Conclusion = Omit<RunResult, "finishedAt">;
/** Windows whose numbers do not agree, and why. */
export type FetchAgain = { fetchAgain: number[]; because: string[] };

type Account = Omit<Conclusion, "state">;
type Verdict =
  | FetchAgain
  | { state: "failed"; reason: string }
  | { state: "held" | "published"; violations: Violation[] };
/** What a reading writes: which files, with which undeclared columns. */
type Plan = { state: "held" | "published"; appended: string[] };

/** @throws PipelineError `PublishContended`, `PartsChanging`, `PartUnreadable`, `StrayObjects`, `TableChanged` */
export async function conclude(
  reading: Reading,
  dataset: Dataset,
  deps: ConcludeDeps,
): Promise<Conclusion | FetchAgain> {
  const { run, accounts, mayFetchAgain } = reading;
  const { runId } = run;
  const { work } = deps;
  const published = await baselineOf(dataset, deps);
  const begun = begunBy(run, published);
  const entry = begun?.entry ?? fingerprintOf(dataset);
  // The header of a file that was begun has its undeclared columns too.
  const declaredBeside = (appended: readonly string[]) =>
    begun ? begun.headers.filter((header) => !appended.includes(header)) : outputColumns(dataset.columns);
  const headersWith = (appended: readonly string[]) => [...declaredBeside(appended), ...appended];
  const accountOf = (ledger: Ledger) => accountFor(reading, ledger, entry, headersWith(ledger.appended));
  const read = (ledger: Ledger, each: Parameters<typeof readParts>[2]) =>
    readParts({ runId, accounts, work }, ledger, each);
  let plan: Plan = { state: "published", appended: begun ? [] : (published?.undeclared ?? []) };

  for (let readings = 1; readings <= maxReadings; readings++) {
    let ledger = new Ledger(entry);
    let verdict: Verdict | undefined;
    const { state, appended } = plan;
    const target = targetOf(state, runId, dataset, deps);
    const fill: Fill = async (write) => {
      ledger = new Ledger(entry);
      const header = csvRows([headersWith(appended)]);
      await write({ csv: Buffer.from(header), jsonl: new Uint8Array() });
      await read(ledger, async (part, skip) => {
        // What cannot become the file is not written on.
        if (!isWithin(ledger.appended, appended) || ledger.mixesEntries) return;
        if (mayFetchAgain && ledger.disagreements.size > 0) return;
        await write(fitPart(part, { appended: part.summary.appended, allAppended: appended, skip }));
      });
      const guarded = begun ? [] : violations(accountOf(ledger), dataset, published ?? {});
      verdict = judge(ledger, reading, guarded);
      const isAsPlanned = "state" in verdict && verdict.state === state && isSame(ledger.appended, appended);
      return isAsPlanned ? "keep" : "discard";
    };
    const outcome = await writeFiles(target, { ...run, entry }, deps.now(), fill, async () => {
      if (state === "published") await preparePublication(run, dataset, headersWith(appended), deps);
    });

    if (outcome.state === "superseded") {
      // An interrupted reading has counted some parts.
      ledger = new Ledger(entry);
      await read(ledger, async () => {});
      return { ...accountOf(ledger), state: "superseded", reason: supersededReason(outcome.by) };
    }
    if (verdict && "fetchAgain" in verdict) return verdict;
    if (verdict?.state === "failed") return { ...accountOf(ledger), ...verdict };
    if (verdict && outcome.state === "written") {
      const account = { ...accountOf(ledger), ...previousOf(published, run), violations: verdict.violations };
      const files = filesOf(target, outcome.files);
      if (verdict.state === "held")
        return { ...account, state: "held", reason: heldReason(runId, verdict.violations), held: files };
      return {
        ...account,
        ...(verdict.violations.length > 0 && { force: run.skipComparison }),
        state: "published",
        published: { bucket: deps.data.bucket, ...files },
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

/** Where a run's files go: into their place, or aside until a person has decided. */
export function targetOf(
  state: "held" | "published",
  runId: string,
  { publish }: Dataset,
  { work, data }: Pick<ConcludeDeps, "work" | "data">,
): Target {
  return state === "published"
    ? { store: data, csv: publish.csv, jsonl: publish.jsonl }
    : { store: work, csv: keys.held(runId), jsonl: keys.heldLines(runId) };
}

export function filesOf(target: Target, { csv, jsonl }: Written): NonNullable<RunResult["held"]> {
  return {
    csv: { key: target.csv, etag: csv.etag, bytes: csv.bytes },
    jsonl: { key: target.jsonl, etag: jsonl.etag, bytes: jsonl.bytes },
  };
}

export function supersededReason(by: string): string {
  return `A later run (${by}) has already published; its file stays. No action needed.`;
}

function judge(
  ledger: Ledger,
  { run, attempt, mayFetchAgain }: Reading,
  guarded: readonly Violation[],
): Verdict {
  const disagreeing = disagreeingWindows(ledger);
  const because = disagreeing.flatMap(
    (window) =>
      ledger.disagreements.get(window) ?? [`window ${window}: records occur twice, its pages have shifted`],
  );
  if (disagreeing.length > 0 && mayFetchAgain) return { fetchAgain: disagreeing, because };
  if (ledger.mixesEntries) {
    return {
      state: "failed",
      reason: `The dataset's entry in shared/datasets.ts changed during each of ${attempt} attempts, so the pages have different columns. The earlier file stays. Request the run again.`,
    };
  }
  if (ledger.appended.length > maxAppended) {
    return {
      state: "failed",
      reason: `LibInsight sent more than ${maxAppended} undeclared fields. The earlier file stays. Check the form's fields and "undeclared" in shared/datasets.ts.`,
    };
  }
  const found = [
    ...because.map((what): Violation => {
      const text = `LibInsight's numbers did not agree in ${attempt} attempts: ${what}`;
      return { kind: "disagreement", text };
    }),
    ...guarded,
  ];
  const isSkipped = ({ kind }: Violation) => kind === "comparison" && run.skipComparison !== undefined;
  return { state: found.every(isSkipped) ? "published" : "held", violations: found };
}

/**
 * Windows whose numbers do not agree. A window that holds an `_id` twice has shifted while it was read, and then lacks
 * another record, though its sums close. Where that stays so to the last attempt, a person decides.
 */
function disagreeingWindows(ledger: Ledger): number[] {
  const numbers = new Set([...ledger.disagreements.keys(), ...ledger.windowsWithDuplicates]);
  return [...numbers].sort((a, b) => a - b);
}

function heldReason(runId: string, found: Violation[]): string {
  const texts = found.map(({ text }) => text).join("; ");
  return `The run is held and nothing is published: ${texts}. The earlier file stays. Compare; if the new one is right, publish it: npm run runs -- publish ${runId} --force --reason TEXT`;
}

function isWithin(some: readonly string[], all: readonly string[]): boolean {
  return some.every((each) => all.includes(each));
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && isWithin(some, others);
}

/**
 * Returns the run's own file, where an assembler put it in place and died before the JSON lines or the result were there.
 * That publication was decided and readers have it, so it is completed by the entry that began it, whatever is deployed now.
 */
function begunBy({ runId }: Run, published: PublishedFile | undefined) {
  if (published?.runId !== runId || published.entry === undefined || !published.headers) return undefined;
  return { entry: published.entry, headers: [...published.headers] };
}

/**
 * Runs right before a file takes its place: no reader may see a value under another column's name, nor rows that are not
 * the file's.
 * @throws PipelineError `StrayObjects`, `TableChanged`
 */
export async function preparePublication(
  { runId }: Run,
  dataset: Dataset,
  headers: readonly string[],
  deps: Pick<ConcludeDeps, "data" | "tables">,
): Promise<void> {
  const stray = await strayObjects(dataset, deps.data);
  if (stray.length > 0) {
    throw new PipelineError("StrayObjects", {
      message: "There are objects beside the published file. Nothing is published.",
      advice: `${strayText(stray, deps.data.bucket)}. Then replay this dead letter.`,
      ids: { run: runId },
    });
  }
  await holdTable(dataset, headers, deps);
}

/** Every count of the run. */
function accountFor(
  { run, attempt, accounts }: Reading,
  ledger: Ledger,
  entry: string,
  columns: string[],
): Account {
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
    entry,
  };
}
