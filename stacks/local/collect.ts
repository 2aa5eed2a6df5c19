// One run on this machine, from the request to the files in the output folder.
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { knownNames } from "../../services/athena/names.ts";
import { inspectDeadLetters, replayDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { keys } from "../../shared/keys.ts";
import { libInsightClient } from "../../shared/libinsight/client.ts";
import { folderError } from "../../shared/local/disk.ts";
import { type Local, localDatabaseName, openLocal } from "../../shared/local/open-local.ts";
import type { Log } from "../../shared/logger.ts";
import { runIdOf } from "../../shared/run.ts";
import { type Dictionary, dictionaryOf } from "../commands/dictionary/columns-of-dataset.ts";
import { markdownOf } from "../commands/dictionary/markdown.ts";
import type { Source } from "./collected-source.ts";
import { forget, planStart, type Start } from "./earlier.ts";
import { settingsLine } from "./env-file.ts";
import { localFolder } from "./local-folder.ts";
import type { LocalSettings } from "./local-settings.ts";
import { isSimulated } from "./origin.ts";
import { copyLive, rememberOut, whole } from "./out.ts";
import { preview } from "./preview.ts";
import { bars, type Display, lines, Progress, silence } from "./progress.ts";
import type { Command } from "./start-args.ts";
import type { RunReport } from "./summary.ts";
import { firstRows } from "./views.ts";
import { drain, maxDeadLetters, type RunEnd, RunWatch } from "./watch.ts";
import { startWorkers, type Workers } from "./workers.ts";

const drawMs = 100;
/** How often the story of --faults replays dead letters before it ends as failed. */
const maxReplays = 3;

export type Collection = {
  command: Command;
  source: Source;
  settings: LocalSettings;
  logOf: ((service: string) => Log) | undefined;
  requestId: string;
  /** Names of the variables that .env set. */
  settingsFrom: readonly string[];
  signal: AbortSignal;
};

/** `preview`: for a person; empty where it is not shown. */
export type Collected = { report: RunReport; preview: string };

/** @throws PipelineError whose sentence says why nothing was published or queried, and what to do */
export async function collect(collection: Collection): Promise<Collected> {
  const { command, source, logOf, signal } = collection;
  const startedAt = Date.now();
  const { dataset, from, to } = command;
  const isStory = command.simulation.faultSeed !== undefined;
  // A story does not wait for its retries.
  const settings = isStory ? { ...collection.settings, retryBaseSeconds: 0 } : collection.settings;
  const say = (line: string): void => {
    if (!command.json && !command.quiet) process.stdout.write(`${line}\n`);
  };
  let onEvent: (event: unknown) => void = () => {};
  const local = await openLocal(localFolder, { onEvent: (event) => onEvent(event) });
  let workers: Workers | undefined;
  let libInsight: Awaited<ReturnType<Source["open"]>> | undefined;
  let stopDrawing = (): void => {};
  try {
    const { start, continued, replacesSimulated, says } = await planStart(
      dataset,
      startOf(command, source, collection.requestId),
      local,
    );
    const { runId, requestId } = start;
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
    say(`Collecting ${dataset.name} from ${source.title}, ${from} to ${to}`);
    if (collection.settingsFrom.length > 0) say(settingsLine(collection.settingsFrom));
    for (const line of [...says, ""]) say(line);
    libInsight = await source.open();
    const display = await displayFor(command, progress, say);
    let drawing: NodeJS.Timeout | undefined = setInterval(() => display.update(), drawMs);
    stopDrawing = () => {
      if (drawing) display.stop();
      clearInterval(drawing);
      drawing = undefined;
    };
    const { baseUrl, clientId, clientSecret } = libInsight;
    const timeoutMs = settings.libInsightTimeoutMs;
    const onErrorText = (text: string): void => progress.note(`LibInsight says: ${text}`);
    const client = libInsightClient({ baseUrl, clientId, clientSecret, timeoutMs, onErrorText });
    await rememberOut(localFolder, { dataset: dataset.name, out: command.out });
    const { engine } = local;
    let isWarm = false;
    const warmUp = (): void => {
      if (!isWarm) void engine.warmUp();
      isWarm = true;
    };
    workers = startWorkers({
      local,
      settings,
      libInsight: client,
      origin: source.origin,
      logOf,
      events: {
        onHandled: (queue, fields) => {
          watch.moved();
          progress.onHandled(queue, fields);
          // While LibInsight prepares the other pages.
          if (queue === "fetcher") warmUp();
        },
        onRetry: (_, retry) => {
          watch.onRetry(retry);
          progress.onRetry(retry);
        },
        onBroken: (error) => watch.onBroken(error),
        onDeadLetter: (queue) => watch.onDeadLetter(queue),
      },
    });
    if (!continued) {
      await local.emit("run.requested", {
        dataset: dataset.name,
        from,
        to,
        reason: "npm start",
        requestId,
        ...skippingComparison(command, replacesSimulated),
      });
    }
    let end = await watch.end(local, signal);
    for (let round = 1; isStory && end.state === "dead letter" && round <= maxReplays; round++) {
      await replay(end, runId, local, say, signal);
      end = await watch.end(local, signal);
    }
    if (end.state !== "published and queried") {
      // What waits among the run's own dead letters goes on with the next start.
      if (end.state === "failed" || end.deadLetter.run !== runId) await forget(dataset.name, local);
      throw failure(end, runId);
    }
    progress.queried = true;
    const { result, query } = end;
    const { published } = result;
    if (!published) throw new Error(`The result of run ${runId} names no published files.`);
    const report: RunReport = {
      ...result,
      work: { bucket: local.work.bucket, prefix: keys.folder(runId) },
      query: { ...query, bucket: local.results.bucket },
      athena: {
        database: localDatabaseName,
        table: dataset.publish.table,
        ...viewNames(dataset.publish.table),
      },
      files: {
        csv: join(command.out, basename(published.csv.key)),
        jsonl: join(command.out, basename(published.jsonl.key)),
        results: join(command.out, basename(query.key)),
        dictionary: join(command.out, "dictionary.md"),
        run: join(command.out, "run.json"),
      },
      seconds: Math.round((Date.now() - startedAt) / 100) / 10,
    };
    const names = await knownNames(dataset, local.results);
    const dictionary = dictionaryOf(dataset, report.columns, names);
    await writeFiles(report, dictionary, local, command);
    await forget(dataset.name, local);
    stopDrawing();
    const isShown = !command.json && !command.quiet;
    const shown = isShown
      ? await previewOf(dataset, local, report, dictionary, isSimulated(source.origin))
      : "";
    if (settings.tableau) say(`\n${aboutTableau(dataset)}`);
    await drain(local, settings.tableauRefreshTimeoutMs, signal);
    if (watch.tableau?.state === "failed") process.stderr.write(`${watch.tableau.sentence}\n`);
    else if (watch.tableau) say(watch.tableau.sentence);
    // They are in the published files now; what was rejected stays.
    await local.work.prune(
      [keys.allParts(runId), keys.pages(runId)].map((prefix) => ({ prefix, before: new Date() })),
    );
    return { report, preview: shown };
  } finally {
    stopDrawing();
    await workers?.stop();
    await local.close();
    await libInsight?.close();
  }
}

function startOf(command: Command, { origin }: Source, requestId: string): Start {
  const { dataset, from, to, simulation } = command;
  return {
    runId: runIdOf(dataset.name, requestId),
    requestId,
    requestedAt: new Date().toISOString(),
    from,
    to,
    entry: fingerprintOf(dataset),
    flags: JSON.stringify({ ...skippingComparison(command), faults: simulation.faultSeed }),
    origin,
  };
}

/**
 * Named dates are meant, however few rows they hold; a renamed field is meant to lose its values; how many rows a
 * simulation had says nothing.
 */
function skippingComparison(
  { datesGiven, simulation }: Command,
  replacesSimulated = false,
): { skipComparison?: string } {
  const meant = [
    ...(datesGiven ? ["--from or --to"] : []),
    ...(simulation.renames.length > 0 ? ["--rename"] : []),
    ...(replacesSimulated ? ["a LibInsight instead of the simulation"] : []),
  ];
  return meant.length === 0 ? {} : { skipComparison: `npm start with ${meant.join(" and ")}` };
}

async function displayFor(
  command: Command,
  progress: Progress,
  say: (line: string) => void,
): Promise<Display> {
  if (command.json || command.quiet) return silence;
  // Bars leave no room for a story.
  if (process.stdout.isTTY && command.simulation.faultSeed === undefined)
    return bars(progress, process.stdout);
  return lines(progress, say);
}

function aboutTableau({ tableau }: Dataset): string {
  if (tableau) return "Refreshing Tableau, which may take some minutes";
  return "Tableau is not refreshed: the dataset's entry in shared/datasets.ts names nothing in it";
}

function failure(end: Exclude<RunEnd, { state: "published and queried" }>, runId: string): PipelineError {
  if (end.state === "failed") return new PipelineError("RunFailed", { message: end.reason, advice: "" });
  const { queue, error, errorText, window, page, run } = end.deadLetter;
  const place = [window && `window ${window}`, page && `page ${page}`].filter(Boolean).join(", ");
  const kept = end.pagesKept === 1 ? "1 page is kept" : `${end.pagesKept} pages are kept`;
  const filter = run === undefined ? `--queue ${queue}` : `--run ${runId}`;
  return new PipelineError(error ?? "RunStopped", {
    message: `${errorText ?? `The ${queue} service failed repeatedly without a reason; set POWERTOOLS_LOG_LEVEL=INFO to see its log.`} Run ${runId} stopped${place && ` at ${place}`}; ${kept}.`,
    advice: `Fix the cause, then continue: npm run replay -- send ${filter} --wait`,
  });
}

/** Does what an operator does: lists the dead letters, and sends them back. */
async function replay(
  { deadLetter }: Extract<RunEnd, { state: "dead letter" }>,
  runId: string,
  local: Local,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  // Other messages of the run may fail meanwhile.
  await drain(local, 0, signal);
  const deps = { queuePairs: local.queuePairs, now: () => new Date(), waitSeconds: 0 };
  const { deadLetters } = await inspectDeadLetters(deps, { run: runId }, maxDeadLetters);
  say(`\nDead letters: ${deadLetters.length}. ${deadLetter.errorText ?? ""}`);
  for (const { queue, window, page, error } of deadLetters) {
    say(`  ${queue}, window ${window ?? "?"}, page ${page ?? "?"}: ${error ?? "no reason given"}`);
  }
  const { moved } = await replayDeadLetters(deps, { filter: { run: runId }, max: maxDeadLetters });
  say(`Replayed ${moved.length}, as this does: npm run replay -- send --run ${runId}\n`);
}

/** For a terminal that is wide enough; a file gets lines of a hundred. */
async function previewOf(
  dataset: Dataset,
  { engine }: Local,
  { files }: RunReport,
  dictionary: Dictionary,
  simulated: boolean,
): Promise<string> {
  const views = await firstRows(dataset, engine);
  const width = Math.min(Math.max(process.stdout.columns ?? 100, 80), 120);
  return preview(views, dictionary, { file: files.dictionary, width, simulated });
}

/** @throws PipelineError `LocalFolderUnusable` */
async function writeFiles(
  report: RunReport,
  dictionary: Dictionary,
  local: Local,
  { dataset, out }: Command,
): Promise<void> {
  try {
    await copyLive(dataset, out, local);
    await whole(report.files.dictionary, (draft) => writeFile(draft, markdownOf([dictionary])));
    await whole(report.files.run, (draft) => writeFile(draft, `${JSON.stringify(report, null, 2)}\n`));
  } catch (error) {
    throw folderError(error, out);
  }
}
