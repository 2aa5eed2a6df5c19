// One run on this machine, from the request to the files in the output folder.
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { inspect, send } from "../../services/replay/deadletters.ts";
import { mailboxes } from "../../services/replay/mailboxes.ts";
import { athena, s3, sqs } from "../../shared/aws/clients.ts";
import { QueryEngine } from "../../shared/aws/query-engine.ts";
import { Store } from "../../shared/aws/store.ts";
import { type Dataset, viewNames } from "../../shared/dataset.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import { type RunResult, runIdOf, runResult } from "../../shared/run.ts";
import { type Dictionary, dictionaryOf } from "../commands/dictionary/dictionary.ts";
import { markdownOf } from "../commands/dictionary/markdown.ts";
import type { Command } from "./args.ts";
import { type Machine, startMachine } from "./machine.ts";
import { preview } from "./preview.ts";
import { bars, type Display, lines, Progress, silence } from "./progress.ts";
import type { RunReport } from "./report.ts";
import type { Source } from "./source.ts";
import { firstRows } from "./views.ts";
import { drain, type TableauEnd, type Watch, watchRun } from "./watch.ts";
import { names } from "./wiring.ts";

const dataDir = ".local";
const drawMs = 100;
/** How often dead letters are replayed before the story ends badly. */
const maxReplays = 3;
const maxLetters = 1_000;
const settlingMs = 3_000;

export type Collection = {
  command: Command;
  source: Source;
  /** Undefined where there is no Tableau to refresh. */
  tableauTokenSecret: string | undefined;
  requestId: string;
  signal: AbortSignal;
};

/** `preview`: for a person; empty where nobody looks. */
export type Collected = { report: RunReport; preview: string };

/** @throws PipelineError whose sentence says why nothing was published or queried, and what to do */
export async function collect(collection: Collection): Promise<Collected> {
  const { command, source, tableauTokenSecret, requestId, signal } = collection;
  const startedAt = Date.now();
  const { dataset, from, to } = command;
  const runId = runIdOf(dataset.name, requestId);
  const progress = new Progress(runId);
  const isStory = command.simulation.faultSeed !== undefined;
  // Nobody waits for the retries of a story.
  if (isStory) process.env.RETRY_BASE_SECONDS ??= "0";
  const say = (line: string): void => {
    if (!command.json && !command.quiet) process.stdout.write(`${line}\n`);
  };
  const display = displayFor(command, progress, say);
  say(`Collecting ${dataset.name} from ${source.title}, ${from} to ${to}\n`);
  const libInsight = await source.open();
  let machine: Machine | undefined;
  let tableau: TableauEnd | undefined;
  let drawing: NodeJS.Timeout | undefined = setInterval(() => display.update(), drawMs);
  const stopDrawing = (): void => {
    if (drawing) display.stop();
    clearInterval(drawing);
    drawing = undefined;
  };
  try {
    machine = await startMachine({
      dataDir,
      libInsight,
      tableauTokenSecret,
      onBatch: (queue, batch) => progress.onBatch(queue, batch),
    });
    await machine.request({
      dataset: dataset.name,
      from,
      to,
      reason: "npm start",
      requestId,
      ...forceOf(command),
    });
    const watch: Watch = {
      sqs: sqs(),
      wired: machine.wired,
      runId,
      requestId,
      startedAt,
      lastProgress: () => progress.lastMove,
      onStarted: (windows) => progress.expectWindows(windows),
      onPublished: () => {
        progress.assembled = true;
      },
      onTableau: (end) => {
        tableau = end;
      },
      signal,
    };
    let end = await watchRun(watch);
    for (let round = 1; isStory && end.state === "dead letter" && round <= maxReplays; round++) {
      await tellAndReplay(end.reason, runId, say, signal);
      end = await watchRun(watch);
    }
    if (end.state !== "published and queried")
      throw new PipelineError("RunFailed", { message: end.reason, advice: "" });
    progress.queried = true;
    const result = await resultOf(runId);
    const { queryExecutionId, bucket, key } = end;
    const report: RunReport = {
      ...result,
      work: { bucket: names.buckets.work, prefix: keys.folder(runId) },
      query: { queryExecutionId, bucket, key },
      athena: { database: names.database, table: dataset.publish.table, ...viewNames(dataset.publish.table) },
      files: filesIn(command.out, result, key),
      seconds: Math.round((Date.now() - startedAt) / 100) / 10,
    };
    const dictionary = dictionaryOf(dataset, report.columns);
    await copyOut(report, dictionary, command.out);
    stopDrawing();
    const shown =
      command.json || command.quiet ? "" : await previewOf({ command, source }, report, dictionary, signal);
    if (tableauTokenSecret) say(`\n${aboutTableau(dataset)}`);
    await drain(watch);
    if (tableau?.state === "failed") process.stderr.write(`${tableau.sentence}\n`);
    else if (tableau) say(tableau.sentence);
    return { report, preview: shown };
  } finally {
    stopDrawing();
    await machine?.stop();
    await libInsight.close();
  }
}

/** Who names the dates means them, however few rows they hold; who renames a field means that its column loses it. */
function forceOf({ datesGiven, simulation }: Command): { force?: string } {
  const meant = [
    ...(datesGiven ? ["--from or --to"] : []),
    ...(simulation.renames.length > 0 ? ["--rename"] : []),
  ];
  return meant.length === 0 ? {} : { force: `npm start with ${meant.join(" and ")}` };
}

function displayFor(command: Command, progress: Progress, say: (line: string) => void): Display {
  if (command.json || command.quiet) return silence;
  // Bars leave no room for a story.
  if (process.stdout.isTTY && command.simulation.faultSeed === undefined)
    return bars(progress, process.stdout);
  return lines(progress, say);
}

function aboutTableau({ tableau }: Dataset): string {
  if (tableau) return "Refreshing Tableau, which may take some minutes";
  return "Tableau is left alone: the dataset's entry in shared/datasets.ts names nothing in it";
}

/** What an operator does by hand: looks at the dead letters, and sends them back. */
async function tellAndReplay(
  reason: string,
  runId: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  // Others of the run may fail meanwhile, and looking at dead letters hides them for a moment.
  await delay(settlingMs, undefined, { signal });
  const looking = { mailboxes: mailboxes(), now: () => new Date() };
  const { letters } = await inspect(looking, { run: runId }, maxLetters);
  say(`\nDead letters: ${letters.length}. ${reason}`);
  for (const { queue, window, page, error } of letters) {
    say(
      `  ${queue.toLowerCase()}, window ${window ?? "?"}, page ${page ?? "?"}: ${error ?? "no reason given"}`,
    );
  }
  const { moved } = await send(looking, { filter: { run: runId }, max: maxLetters });
  say(`Replayed ${moved.length}, as this does: npm run replay -- send --run ${runId}\n`);
}

async function resultOf(runId: string): Promise<RunResult> {
  const result = await new Store(s3(), names.buckets.work).getJson(keys.result(runId), runResult);
  if (result) return result;
  throw new Error(`The run ${runId} was published, but its result is not in the work bucket.`);
}

/** Of a terminal that is wide enough; a file gets lines of a hundred. */
async function previewOf(
  { command: { dataset }, source }: Pick<Collection, "command" | "source">,
  { files }: RunReport,
  dictionary: Dictionary,
  signal: AbortSignal,
): Promise<string> {
  const { workgroup, database, buckets } = names;
  // Ctrl-C ends the waiting.
  const sleep = (ms: number): Promise<void> => delay(ms, undefined, { signal });
  const engine = new QueryEngine(athena(), { workgroup, database, sleep });
  const views = await firstRows(dataset, engine, buckets.results);
  const width = Math.min(Math.max(process.stdout.columns ?? 100, 80), 120);
  return preview(views, dictionary, { file: files.dictionary, width, simulated: source.simulated });
}

function filesIn(out: string, { published }: RunResult, resultsKey: string): RunReport["files"] {
  const file = (key: string): string => join(out, key.slice(key.lastIndexOf("/") + 1));
  return {
    csv: file(published?.csv.key ?? "published.csv"),
    jsonl: file(published?.jsonl.key ?? "published.jsonl"),
    results: file(resultsKey),
    dictionary: join(out, "dictionary.md"),
    run: join(out, "run.json"),
  };
}

/** Each file appears whole: it is written beside its place and then moved there. */
async function copyOut(report: RunReport, dictionary: Dictionary, out: string): Promise<void> {
  const { published, query, files } = report;
  if (!published) throw new Error(`The run ${report.runId} says that it was published, but not where.`);
  const data = new Store(s3(), published.bucket);
  await mkdir(out, { recursive: true });
  await copy(data, published.csv.key, files.csv);
  await copy(data, published.jsonl.key, files.jsonl);
  await copy(new Store(s3(), query.bucket), query.key, files.results);
  await whole(files.dictionary, (draft) => writeFile(draft, markdownOf([dictionary])));
  await whole(files.run, (draft) => writeFile(draft, `${JSON.stringify(report, null, 2)}\n`));
}

function copy(from: Store, key: string, to: string): Promise<void> {
  return whole(to, async (draft) => pipeline(await from.stream(key), createWriteStream(draft)));
}

async function whole(path: string, write: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${path}.draft`;
  try {
    await write(draft);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}
