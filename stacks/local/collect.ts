// Collects one run on this machine, from the request to the files in the output folder.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeReport } from "../../services/renderer/write-report.ts";
import { inspectDeadLetters, replayDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import { childTables, keptDays } from "../../shared/child-tables.ts";
import { knownNames } from "../../shared/column-names.ts";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { keys } from "../../shared/keys.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";
import { folderError } from "../../shared/local/disk.ts";
import { type Local, localDatabaseName, openLocal } from "../../shared/local/open-local.ts";
import type { Log } from "../../shared/logger.ts";
import { runFolders } from "../../shared/parquet-file.ts";
import { quantity } from "../../shared/quantity.ts";
import { runIdOf } from "../../shared/run.ts";
import { type Dictionary, dictionaryOf } from "../commands/dictionary/columns-of-dataset.ts";
import { markdownOf } from "../commands/dictionary/markdown.ts";
import { partSpans } from "../commands/runs/trace.ts";
import { fitted } from "../commands/text-table.ts";
import { openClient, type Source } from "./collected-source.ts";
import { settingsLine } from "./env-file.ts";
import { localFolder } from "./local-folder.ts";
import type { LocalSettings } from "./local-settings.ts";
import { isSimulated } from "./origin.ts";
import {
  childName,
  copyNames,
  copyPublished,
  copyReport,
  reportName,
  saveOut,
  writeAtomically,
} from "./out.ts";
import { preview } from "./preview.ts";
import { barDisplay, type Display, lineDisplay, Progress, silentDisplay } from "./progress.ts";
import { localPseudonymKey } from "./pseudonym-key.ts";
import type { StartCommand } from "./start-args.ts";
import type { RunReport } from "./summary.ts";
import { clearStarted, planStart, type StartedRun } from "./unfinished-run.ts";
import { firstRows } from "./views.ts";
import { drain, maxDeadLetters, type RunEnd, RunWatch } from "./watch.ts";
import { startWorkers, type Workers } from "./workers.ts";

const drawMs = 100;
/** A response that takes longer is reported, long before its request fails. */
const slowResponseMs = 3_000;
/** How often --faults replays dead letters before the run fails. */
const maxReplays = 3;

export type Collection = {
  command: StartCommand;
  source: Source;
  settings: LocalSettings;
  logOf: ((service: string) => Log) | undefined;
  requestId: string;
  /** Names of the variables that .env has set. */
  settingsFrom: readonly string[];
  signal: AbortSignal;
};

/** `preview` is text for a person, and empty if nothing is shown. */
export type Collected = { report: RunReport; preview: string };

/**
 * Collects, publishes and queries a dataset.
 * @throws PipelineError that says why nothing was published or queried, and what to do
 */
export async function collect(collection: Collection): Promise<Collected> {
  const { command, source, logOf, signal } = collection;
  const startedAt = Date.now();
  const { dataset, from, to } = command;
  const injectsFaults = command.simulation.faultSeed !== undefined;
  // A demonstration does not wait for its retries.
  const settings = injectsFaults ? { ...collection.settings, retryBaseSeconds: 0 } : collection.settings;
  const isShown = !command.json && !command.quiet;
  const print = (line: string): void => {
    if (isShown) process.stdout.write(`${fitted(line, process.stdout.columns)}\n`);
  };
  let onEvent: (event: unknown) => void = () => {};
  const local = await openLocal(localFolder, { onEvent: (event) => onEvent(event) });
  let workers: Workers | undefined;
  let libInsight: Awaited<ReturnType<typeof openClient>> | undefined;
  let stopDrawing = (): void => {};
  let notPosted: PipelineError | undefined;
  try {
    const { run, continued, replacesSimulated, replacesOther, notes } = await planStart(
      dataset,
      runOf(command, source, collection.requestId),
      local,
    );
    const { runId, requestId } = run;
    const progress = new Progress(runId);
    const watch = new RunWatch(runId, dataset);
    onEvent = (event) => watch.onEvent(event);
    watch.onStarted = (windows) => progress.expectWindows(windows);
    watch.onPublished = () => {
      progress.assembled = true;
    };
    if (continued) {
      progress.resume(continued.windows);
      progress.assembled = continued.result !== undefined;
    }
    print(`Collecting ${dataset.name}, ${from} to ${to}`);
    print(`Source: ${source.title}`);
    if (collection.settingsFrom.length > 0) print(settingsLine(collection.settingsFrom));
    for (const line of [...notes, ""]) print(line);
    const timeoutMs = settings.libInsightTimeoutMs;
    const onErrorText = (text: string): void => progress.note(`LibInsight says: ${text}`);
    libInsight = await openClient(source, dataset, { timeoutMs, onErrorText });
    const display = await displayFor(command, progress, print);
    let drawing: NodeJS.Timeout | undefined = setInterval(() => display.update(), drawMs);
    stopDrawing = () => {
      if (drawing) display.stop();
      clearInterval(drawing);
      drawing = undefined;
    };
    await saveOut(localFolder, { dataset: dataset.name, out: command.out });
    const { engine } = local;
    let isWarm = false;
    const warmUp = (): void => {
      if (!isWarm) void engine.warmUp();
      isWarm = true;
    };
    workers = startWorkers({
      local,
      settings,
      libInsight: reportingSlowResponses(libInsight, timeoutMs, (text) => progress.note(text)),
      origin: source.origin,
      pseudonymKey: localPseudonymKey(localFolder),
      logOf,
      events: {
        onHandled: (queue, fields) => {
          watch.onHandled();
          progress.onHandled(queue, fields);
          // The query engine loads while LibInsight prepares the other pages.
          if (queue === "fetcher") warmUp();
        },
        onRetry: (_, retry) => {
          watch.onRetry(retry);
          progress.onRetry(retry);
        },
        onBroken: (error) => watch.onBroken(error),
        onDeadLetter: (queue) => watch.onDeadLetter(queue),
        onNotPosted: (error) => {
          notPosted = error;
        },
      },
    });
    if (!continued) {
      await local.emit("run.requested", {
        dataset: dataset.name,
        from,
        to,
        reason: "npm start",
        requestId,
        ...skippedComparison(command, replacesSimulated),
        ...((command.full || replacesOther) && { full: true }),
      });
    }
    let end = await watch.end(local, signal);
    for (let round = 1; injectsFaults && end.state === "dead letter" && round <= maxReplays; round++) {
      await replay(end, runId, local, print, signal);
      end = await watch.end(local, signal);
    }
    if (end.state !== "published and queried") {
      // The next start continues a run that has dead letters of its own.
      if (end.state === "failed" || end.deadLetter.run !== runId) await clearStarted(dataset.name, local);
      throw failure(end, runId, await reportOfUnpublished(end, local, collection));
    }
    progress.queried = true;
    const { result, query } = end;
    const children = childTables(dataset);
    const copies = copyNames(dataset);
    const report: RunReport = {
      ...result,
      spans: undefined,
      work: { bucket: local.work.bucket, prefix: keys.folder(runId) },
      query: { ...query, bucket: local.results.bucket },
      athena: {
        database: localDatabaseName,
        table: dataset.publish.table,
        ...viewNames(dataset.publish.table),
      },
      files: {
        csv: join(command.out, copies.csv),
        jsonl: join(command.out, copies.jsonl),
        parquet: join(command.out, copies.parquet),
        ...(children.length > 0 && {
          children: children.map((child) => join(command.out, childName(child))),
        }),
        deidentified: join(command.out, copies.deidentified),
        results: join(command.out, copies.results),
        report: join(command.out, reportName),
        dictionary: join(command.out, "dictionary.md"),
        run: join(command.out, "run.json"),
      },
      seconds: Math.round((Date.now() - startedAt) / 100) / 10,
    };
    const names = await knownNames(dataset, local.results);
    const dictionary = dictionaryOf(dataset, report.columns, names);
    await writeFiles(report, dictionary, local, collection);
    await clearStarted(dataset.name, local);
    stopDrawing();
    const shown = isShown
      ? await previewOf(dataset, local, report, dictionary, isSimulated(source.origin))
      : "";
    if (settings.tableau) print(`\n${tableauNotice(dataset)}`);
    await drain(local, settings.tableauRefreshTimeoutMs, signal);
    if (watch.tableau?.state === "failed") process.stderr.write(`${watch.tableau.sentence}\n`);
    else if (watch.tableau) print(watch.tableau.sentence);
    if (notPosted) process.stderr.write(`${notPosted.sentence}\n`);
    // A trace needs the spans of the parts, which are removed next.
    const spans = await partSpans(runId, local.work);
    await local.work.put(keys.spans(runId), JSON.stringify(spans), "application/json");
    // The published files contain these rows. The rejected records are kept.
    await local.work.prune(
      [keys.allParts(runId), keys.pages(runId)].map((prefix) => ({ prefix, before: new Date() })),
    );
    const before = new Date(Date.now() - keptDays * 24 * 60 * 60_000);
    await local.data.prune(runFolders(dataset).map(({ folder }) => ({ prefix: folder, before })));
    return { report, preview: shown };
  } finally {
    stopDrawing();
    await workers?.stop();
    await local.close();
    await libInsight?.close();
  }
}

function runOf(command: StartCommand, { origin }: Source, requestId: string): StartedRun {
  const { dataset, from, to, simulation, full } = command;
  return {
    runId: runIdOf(dataset.name, requestId),
    requestId,
    requestedAt: new Date().toISOString(),
    from,
    to,
    entry: fingerprintOf(dataset),
    flags: JSON.stringify({
      ...skippedComparison(command),
      faults: simulation.faultSeed,
      ...(full && { full }),
    }),
    origin,
  };
}

/**
 * Returns why the run is not compared with the published file. A given date range may have few rows, a renamed field
 * loses its values on purpose, and a simulation's number of rows is arbitrary.
 */
function skippedComparison(
  { datesGiven, simulation }: StartCommand,
  replacesSimulated = false,
): { skipComparison?: string } {
  const reasons = [
    ...(datesGiven ? ["--from or --to"] : []),
    ...(simulation.renames.length > 0 ? ["--rename"] : []),
    ...(replacesSimulated ? ["a LibInsight instead of the simulation"] : []),
  ];
  return reasons.length === 0 ? {} : { skipComparison: `npm start with ${reasons.join(" and ")}` };
}

async function displayFor(
  command: StartCommand,
  progress: Progress,
  print: (line: string) => void,
): Promise<Display> {
  if (command.json || command.quiet) return silentDisplay;
  const canMoveCursor = process.stdout.isTTY && process.env.TERM !== "dumb";
  // --faults prints its dead letters, which bars would overwrite.
  if (canMoveCursor && command.simulation.faultSeed === undefined)
    return barDisplay(progress, process.stdout);
  return lineDisplay(progress, print);
}

function reportingSlowResponses(
  client: LibInsightClient,
  timeoutMs: number,
  note: (text: string) => void,
): LibInsightClient {
  const [slow, limit] = [slowResponseMs, timeoutMs].map((ms) => `${ms / 1_000} s`);
  const reporting = <T>(response: Promise<T>): Promise<T> => {
    const text = `LibInsight has not responded for ${slow}; a request fails after ${limit}`;
    const timer = setTimeout(() => note(text), slowResponseMs);
    return response.finally(() => clearTimeout(timer));
  };
  return {
    fetchPage: (request) => reporting(client.fetchPage(request)),
    recount: (request) => reporting(client.recount(request)),
  };
}

function tableauNotice({ tableau }: Dataset): string {
  if (tableau) return "Refreshing Tableau, which may take some minutes";
  return "Tableau is not refreshed: the dataset's entry in shared/library.ts names no data source or workbook";
}

type Unpublished = Exclude<RunEnd, { state: "published and queried" }>;

/** Writes the report of a run that was held or failed. @returns its path, or undefined if the run has none */
async function reportOfUnpublished(
  end: Unpublished,
  local: Local,
  { command: { out }, settings }: Collection,
): Promise<string | undefined> {
  if (end.state !== "failed" || !end.result) return undefined;
  const key = await writeReport(end.result, reportDeps(local, settings));
  if (key === undefined) return undefined;
  try {
    await copyReport(key, out, local.results);
  } catch (error) {
    throw folderError(error, out);
  }
  return join(out, reportName);
}

/** The run's own message for the renderer may still be in its queue. */
function reportDeps(local: Local, { audience }: LocalSettings) {
  return { ...local, datasets, isScheduled: false, audience, now: () => new Date() };
}

function failure(end: Unpublished, runId: string, report: string | undefined): PipelineError {
  if (end.state === "failed") {
    const last = report === undefined ? "" : `\nReport: ${report}`;
    return new PipelineError("RunFailed", { message: `${end.reason}${last}`, advice: "" });
  }
  const { queue, error, errorText, window, page, run } = end.deadLetter;
  const place = [window && `window ${window}`, page && `page ${page}`].filter(Boolean).join(", ");
  const kept = `${quantity(end.pagesKept, "page")} ${end.pagesKept === 1 ? "is" : "are"} kept`;
  const filter = run === undefined ? `--queue ${queue}` : `--run ${runId}`;
  return new PipelineError(error ?? "RunStopped", {
    message: `${errorText ?? `The ${queue} service failed repeatedly and gave no reason; set POWERTOOLS_LOG_LEVEL=INFO to see its log.`} Run ${runId} stopped${place && ` at ${place}`}; ${kept}.`,
    advice: `Fix the cause, then continue: npm run replay -- send ${filter} --wait`,
  });
}

/** Lists and replays the dead letters, as an operator does. */
async function replay(
  { deadLetter }: Extract<RunEnd, { state: "dead letter" }>,
  runId: string,
  local: Local,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  // Other messages of the run may still fail.
  await drain(local, 0, signal);
  const deps = { queuePairs: local.queuePairs, now: () => new Date(), waitSeconds: 0 };
  const { deadLetters } = await inspectDeadLetters(deps, { run: runId }, maxDeadLetters);
  print(`\nDead letters: ${deadLetters.length}. ${deadLetter.errorText ?? ""}`.trimEnd());
  for (const { queue, window, page, error } of deadLetters) {
    print(`  ${queue}, window ${window ?? "?"}, page ${page ?? "?"}: ${error ?? "no reason given"}`);
  }
  const { moved } = await replayDeadLetters(deps, { filter: { run: runId }, max: maxDeadLetters });
  print(`Replayed ${moved.length}. The command that does it: npm run replay -- send --run ${runId}\n`);
}

/** Returns the preview, as wide as the terminal within limits, or 100 columns wide in a pipe. */
async function previewOf(
  dataset: Dataset,
  { engine }: Local,
  { files }: RunReport,
  dictionary: Dictionary,
  simulated: boolean,
): Promise<string> {
  const views = await firstRows(dataset, engine);
  const width = Math.min(Math.max(process.stdout.columns || 100, 80), 120);
  return preview(views, dictionary, { file: files.dictionary, width, simulated });
}

/** @throws PipelineError `LocalFolderUnusable` */
async function writeFiles(
  report: RunReport,
  dictionary: Dictionary,
  local: Local,
  { command: { dataset, out }, settings }: Collection,
): Promise<void> {
  const { files } = report;
  try {
    await writeReport(report, reportDeps(local, settings));
    await copyPublished(dataset, report.runId, out, local);
    await writeAtomically(files.dictionary, (draft) => writeFile(draft, markdownOf([dictionary])));
    await writeAtomically(files.run, (draft) => writeFile(draft, `${JSON.stringify(report, null, 2)}\n`));
  } catch (error) {
    throw folderError(error, out);
  }
}
