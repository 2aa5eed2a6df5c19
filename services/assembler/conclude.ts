// Concludes a run whose pages are all transformed: reads its parts, writes the files in the same pass, and decides by the
// counts whether they are published or held, whether the run fails, or whether windows are fetched again.
import { isDeepStrictEqual } from "node:util";
import { isReused, type WindowAttempt } from "../../shared/attempts.ts";
import { type ChildTable, childHeaders, childTables } from "../../shared/child-tables.ts";
import { storeNames } from "../../shared/column-names.ts";
import { csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { holdTable } from "../../shared/header-change.ts";
import { keys } from "../../shared/keys.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import { nounsOf } from "../../shared/kinds/kinds.ts";
import type { ParquetColumn } from "../../shared/parquet.ts";
import { parquetColumns, parquetKey, parquetMetadata } from "../../shared/parquet-file.ts";
import type { TableCatalog } from "../../shared/ports.ts";
import type { Profile } from "../../shared/profile.ts";
import type { ExpectationOutcome, Run, RunResult, Violation, WindowSearch } from "../../shared/run.ts";
import { strayObjects, strayText } from "../../shared/stray-objects.ts";
import { tableColumns } from "../../shared/table-columns.ts";
import { TypedRows } from "../../shared/typed-rows.ts";
import { noRows, type Target, type WriteRows, type Written, writeFiles } from "../../shared/write-files.ts";
import { baselineOf, type PublishedFile, previousOf, previousProfile } from "./baseline.ts";
import { type ChangesDeps, publishChanges, recordChanges } from "./changes/file-changes.ts";
import { ChildRows } from "./child-rows.ts";
import { expectationViolations, judge } from "./expectations/judge.ts";
import { fitPart } from "./fit-part.ts";
import { violations } from "./guard.ts";
import { Ledger, maxAppended } from "./ledger.ts";
import { RowProfile } from "./profile-rows.ts";
import { type CountedPeriod, readParts } from "./read.ts";

/** A pass may find undeclared columns or violations that were not expected. Then the parts are read again. */
const maxPasses = 4;

export type CompleteRun = {
  run: Run;
  attempt: number;
  windows: WindowAttempt[];
  periods: CountedPeriod[];
  /** Whether windows that disagree with LibInsight may be fetched again. */
  mayRefetch: boolean;
};
export type ConcludeDeps = ChangesDeps & { tables: TableCatalog; now: () => Date };

/** The result without the time when it was written. */
export type Conclusion = Omit<RunResult, "finishedAt">;
/** The windows to fetch again, the periods in which others must be found, and the reasons. */
export type Refetch = { refetch: Pick<WindowSearch, "windows" | "periods" | "because"> };

type Counts = Omit<Conclusion, "state">;
type Decision =
  | Refetch
  | { state: "failed"; reason: string }
  | { state: "held" | "published"; violations: Violation[] };
/** What a pass writes: which files, and which undeclared columns they have. */
type Plan = { state: "held" | "published"; appended: string[] };

/**
 * Publishes the run's files, keeps them for review, or decides that it fails or which windows are fetched again.
 * @throws PipelineError `PublishContended`, `PartsChanging`, `PartUnreadable`, `StrayObjects`, `TableChanged`,
 * `NamesContended`, `TooManyColumnNames`
 */
export async function conclude(
  complete: CompleteRun,
  dataset: Dataset,
  deps: ConcludeDeps,
): Promise<Conclusion | Refetch> {
  const { run, mayRefetch } = complete;
  const { runId } = run;
  const { work } = deps;
  const published = await baselineOf(dataset, deps);
  const own = ownPublication(run, published);
  const previous = await previousProfile(published, run, work);
  const entry = own?.entry ?? fingerprintOf(dataset);
  // The header of the run's own file already has the undeclared columns.
  const columnsBefore = (appended: readonly string[]) =>
    own ? own.headers.filter((header) => !appended.includes(header)) : outputColumns(dataset.columns);
  // If another entry is deployed now, the run's other files are complete already, because they precede the CSV.
  const isDeployed = entry === fingerprintOf(dataset);
  const children = isDeployed ? childTables(dataset) : [];
  const headersWith = (appended: readonly string[]) => [...columnsBefore(appended), ...appended];
  const countsOf = (ledger: Ledger) => resultCounts(complete, ledger, entry, headersWith(ledger.appended));
  const read = (ledger: Ledger, each: Parameters<typeof readParts>[2]) =>
    readParts({ ...complete, work }, ledger, each);
  let plan: Plan = { state: "published", appended: own ? [] : (published?.undeclared ?? []) };

  for (let pass = 1; pass <= maxPasses; pass++) {
    const { state, appended } = plan;
    let ledger = new Ledger(entry);
    let decision: Decision | undefined;
    let profile: Profile | undefined;
    let outcomes: ExpectationOutcome[] = [];
    const typed = isDeployed ? await typedColumns(headersWith(appended), dataset, deps) : undefined;
    const target = targetOf(state, runId, dataset, children, deps, typed && parquetMetadata(typed));
    let childRows = new ChildRows(children);
    const writeRows: WriteRows = async (write) => {
      ledger = new Ledger(entry);
      const counted = new RowProfile(dataset, run, headersWith(appended));
      childRows = new ChildRows(children);
      const parquet = typed && new TypedRows(typed, children, { "run-id": runId });
      const header = csvRows([headersWith(appended)]);
      const childHeader = Buffer.from(csvRows([childHeaders]));
      await write({
        csv: Buffer.from(header),
        jsonl: new Uint8Array(),
        children: children.map(() => childHeader),
      });
      await read(ledger, async (part, skip) => {
        // Files that will be discarded are not written any further.
        if (!ledger.appended.every((name) => appended.includes(name)) || ledger.mixesEntries) return;
        if (mayRefetch && ledger.disagreements.size + ledger.periodDisagreements.size > 0) return;
        const rows = fitPart(part, { appended: part.summary.appended, allAppended: appended, skip });
        counted.add(rows.csv);
        const parquetRows = parquet && { parquet: parquet.add(rows.csv, part, skip) };
        await write({ ...rows, children: childRows.add(part, skip), ...parquetRows });
      });
      const counts = countsOf(ledger);
      profile = counted.profile();
      // A pass that discards its files has not counted every row.
      const isWhole = profile.rows === ledger.rows;
      const [windows, nouns] = [periodsOf(run, counts), nounsOf(dataset)];
      outcomes = isWhole ? judge(dataset.expectations, { dataset, profile, previous, windows, nouns }) : [];
      const found = [...violations(counts, dataset, published ?? {}), ...expectationViolations(outcomes)];
      decision = decide(ledger, complete, own ? [] : found);
      const isAsPlanned =
        "state" in decision && decision.state === state && isDeepStrictEqual(ledger.appended, appended);
      if (!isAsPlanned) return "discard";
      if (parquet) await write({ ...noRows, parquet: parquet.finish() });
      return "keep";
    };
    const isNew = state === "published" && !own;
    const write = isNew ? recordChanges(writeRows, run, dataset, deps) : writeRows;
    const outcome = await writeFiles(target, { ...run, entry }, deps.now(), write, async () => {
      if (state === "published") await preparePublication(run, dataset, headersWith(appended), deps);
    });

    if (outcome.state === "superseded") {
      // An interrupted pass may have counted some parts already.
      ledger = new Ledger(entry);
      await read(ledger, async () => {});
      return { ...countsOf(ledger), state: "superseded", reason: supersededReason(outcome.by) };
    }
    if (decision && "refetch" in decision) return decision;
    if (decision?.state === "failed") return { ...countsOf(ledger), ...decision };
    if (decision && outcome.state === "written") {
      await work.put(keys.profile(runId), JSON.stringify(profile), "application/json");
      const counts = {
        ...countsOf(ledger),
        ...previousOf(published, run),
        violations: decision.violations,
        expectations: outcomes,
        ...otherFilesOf(target, outcome.files, childRows.counts),
      };
      const files = filesOf(target, outcome.files);
      if (decision.state === "held")
        return { ...counts, state: "held", reason: heldReason(runId, decision.violations), held: files };
      return {
        ...counts,
        ...(decision.violations.length > 0 && { force: run.skipComparison }),
        state: "published",
        changes: await publishChanges(run, files.csv, dataset, deps),
        published: { bucket: deps.data.bucket, ...files },
      };
    }
    if (decision) plan = { state: decision.state, appended: ledger.appended };
  }
  throw new PipelineError("PartsChanging", {
    message: `The run's parts changed during each of ${maxPasses} passes, because pages were delivered again.`,
    advice: "Retried automatically. If this persists, request the run again.",
    kind: "transient",
    ids: { run: runId },
  });
}

/** Returns the columns of the Parquet file, whose names are stored before any file has them. */
async function typedColumns(
  headers: readonly string[],
  dataset: Dataset,
  { results }: Pick<ConcludeDeps, "results">,
): Promise<ParquetColumn[]> {
  const names = await storeNames(headers, dataset, results);
  return parquetColumns(tableColumns(headers, dataset, names), dataset);
}

/**
 * Returns the location of a run's files: the published files, or in the work bucket until a person has decided.
 * @param parquet metadata of the Parquet file; undefined if it is not written
 */
export function targetOf(
  state: "held" | "published",
  runId: string,
  { publish }: Dataset,
  children: readonly ChildTable[],
  { work, data }: Pick<ConcludeDeps, "work" | "data">,
  parquet: Record<string, string> | undefined,
): Target {
  const parquetAt = (key: string) => parquet && { parquet: { key, metadata: parquet } };
  if (state === "published") {
    const childKeys = children.map(({ keyOf }) => keyOf(runId));
    const { csv, jsonl } = publish;
    return { store: data, csv, jsonl, children: childKeys, ...parquetAt(parquetKey(csv, runId)) };
  }
  const childKeys = children.map(({ name }) => keys.heldChild(runId, name));
  return {
    store: work,
    csv: keys.held(runId),
    jsonl: keys.heldLines(runId),
    children: childKeys,
    ...parquetAt(keys.heldParquet(runId)),
  };
}

export function filesOf(target: Target, { csv, jsonl }: Written): NonNullable<RunResult["held"]> {
  return {
    csv: { key: target.csv, etag: csv.etag, bytes: csv.bytes },
    jsonl: { key: target.jsonl, etag: jsonl.etag, bytes: jsonl.bytes },
  };
}

/** @param counts of each child file, in the order of the target's */
export function otherFilesOf(
  { children, parquet }: Target,
  written: Written,
  counts: ChildRows["counts"],
): Pick<RunResult, "children" | "parquet"> {
  const found = counts.flatMap((each, index) => {
    const [key, info] = [children[index], written.children[index]];
    return key !== undefined && info ? [{ ...each, key, etag: info.etag, bytes: info.bytes }] : [];
  });
  const info = written.parquet;
  return {
    ...(found.length > 0 && { children: found }),
    ...(parquet && info && { parquet: { key: parquet.key, etag: info.etag, bytes: info.bytes } }),
  };
}

export function supersededReason(by: string): string {
  return `A later run (${by}) has already published; its file stays. No action needed.`;
}

function decide(
  ledger: Ledger,
  { run, attempt, mayRefetch, periods }: CompleteRun,
  guardViolations: readonly Violation[],
): Decision {
  const disagreeing = disagreeingWindows(ledger);
  const because = [
    ...disagreeing.flatMap(
      (window) =>
        ledger.disagreements.get(window) ?? [
          `window ${window}: some records occur twice, because pages shifted while they were fetched`,
        ],
    ),
    ...ledger.periodDisagreements.values(),
  ];
  if (because.length > 0 && mayRefetch) {
    const changed = periods
      .filter(({ period }) => ledger.periodDisagreements.has(period.number))
      .map((period) => searchedPeriod(run, period, ledger));
    // There is nothing to search in a period with one window.
    const single = changed.flatMap(({ windows }) => (windows.length === 1 ? windows : []));
    const searched = changed.filter(({ windows }) => windows.length > 1);
    const windows = [...disagreeing, ...single.map(({ number }) => number)];
    return { refetch: { windows, periods: searched, because } };
  }
  if (ledger.mixesEntries) {
    return {
      state: "failed",
      reason: `The dataset's entry in shared/library.ts changed during each of ${attempt} attempts, so the pages have different columns. The earlier file stays. Request the run again.`,
    };
  }
  if (ledger.appended.length > maxAppended) {
    return {
      state: "failed",
      reason: `LibInsight sent more than ${maxAppended} undeclared fields. The earlier file stays. Check the form's fields and "undeclared" in shared/library.ts.`,
    };
  }
  const found = [
    ...because.map((what): Violation => {
      const text = `the counts disagree with LibInsight after ${attempt} attempts: ${what}`;
      return { kind: "disagreement", text };
    }),
    ...guardViolations,
  ];
  const isSkipped = ({ kind }: Violation) => kind === "comparison" && run.skipComparison !== undefined;
  return { state: found.every(isSkipped) ? "published" : "held", violations: found };
}

/**
 * Returns the numbers of the windows that disagree with LibInsight. One that has an `_id` twice is among them even if its
 * counts agree: its pages shifted while they were fetched, so it may lack another record.
 */
function disagreeingWindows(ledger: Ledger): number[] {
  const numbers = new Set([...ledger.disagreements.keys(), ...ledger.windowsWithDuplicates]);
  return [...numbers].sort((a, b) => a - b);
}

/** Returns what is known of a period whose recount disagrees: what LibInsight announced for each window. */
function searchedPeriod(
  run: Run,
  { period, recounted }: CountedPeriod,
  ledger: Ledger,
): WindowSearch["periods"][number] {
  const windows = windowsIn(run, period).map(({ number, from, to }) => {
    return { number, from, to, records: ledger.windows.get(number)?.totalRecords ?? 0 };
  });
  return { counted: recounted.totalRecords ?? 0, windows };
}

function windowsIn({ windows }: Run, { from, to }: DateRange): Run["windows"] {
  return windows.filter((window) => window.from >= from && window.to <= to);
}

/** Returns the run's windows by period. Windows of several days may be empty, periods are not expected to be. */
function periodsOf({ periods }: Run, { windows }: Pick<RunResult, "windows">): RunResult["windows"] {
  const byPeriod = Map.groupBy(windows, ({ period }) => period);
  return periods.flatMap(({ number, from, to }) => {
    const [first, ...others] = byPeriod.get(number) ?? [];
    if (!first) return [];
    const totalRecords = others.reduce((sum, window) => sum + window.totalRecords, first.totalRecords);
    return { ...first, from, to, totalRecords };
  });
}

function heldReason(runId: string, found: Violation[]): string {
  const texts = found.map(({ text }) => text).join("; ");
  return `The run is held and nothing is published: ${texts}. The earlier file stays. Review the held file. If it is right, publish it: npm run runs -- publish ${runId} --force --reason TEXT`;
}

/**
 * Returns the published file if this run wrote it: an assembler published it and died before it wrote the JSON lines or
 * the result. Readers already have that file, so its own entry completes it, even if another entry is deployed now.
 */
function ownPublication({ runId }: Run, published: PublishedFile | undefined) {
  if (published?.runId !== runId || published.entry === undefined || !published.headers) return undefined;
  return { entry: published.entry, headers: [...published.headers] };
}

/**
 * Prepares the table right before the published file is replaced, so that no reader sees a value under another column's
 * name, or rows of other objects.
 * @throws PipelineError `StrayObjects`, `TableChanged`
 */
export async function preparePublication(
  { runId }: Run,
  dataset: Dataset,
  headers: readonly string[],
  deps: Pick<ConcludeDeps, "data" | "tables">,
): Promise<void> {
  const stray = await strayObjects(dataset, deps.data, runId);
  if (stray.length > 0) {
    throw new PipelineError("StrayObjects", {
      message: "The folder of a published file contains other objects. Nothing is published.",
      advice: `${strayText(stray, deps.data.bucket)}. Then replay this dead letter.`,
      ids: { run: runId },
    });
  }
  await holdTable(dataset, { runId, headers }, deps);
}

function resultCounts(
  { run, attempt, windows }: CompleteRun,
  ledger: Ledger,
  entry: string,
  columns: string[],
): Counts {
  const attempts = new Map(windows.map(({ window, attempt }) => [window.number, attempt]));
  return {
    runId: run.runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    requestedAt: run.requestedAt,
    violations: [],
    attempt,
    windows: run.periods.flatMap((period) =>
      windowsIn(run, period).map((window) => {
        const { number, from, to } = window;
        const its = attempts.get(number) ?? 1;
        const reused = isReused({ window, attempt: its }) ? window.reused : undefined;
        return {
          ...{ from, to, attempt: its, period: period.number },
          ...(ledger.windows.get(number) ?? { pages: 0, totalRecords: 0 }),
          ...(reused && { reused: { runId: reused.runId, at: reused.at } }),
        };
      }),
    ),
    records: ledger.records,
    rows: ledger.rows,
    duplicates: ledger.duplicates,
    rejects: Object.fromEntries(ledger.rejects),
    ...(ledger.forgotten > 0 && { forgotten: ledger.forgotten }),
    furtherAnswers: Object.fromEntries(ledger.furtherAnswers),
    mistyped: Object.fromEntries(ledger.mistyped),
    undeclared: Object.fromEntries(ledger.undeclared),
    filled: Object.fromEntries(ledger.filled),
    columns,
    entry,
  };
}
