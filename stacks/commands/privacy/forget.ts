// Removes records from everything that the pipeline keeps: the published files and their earlier versions, the history, the
// intermediate objects of runs, dead letters and raw query results. The forgotten list, which is stored first, keeps later
// runs from storing them again (shared/privacy/forgotten.ts). The next call finishes an interrupted one first.
import * as z from "zod/mini";
import { RowProfile } from "../../../services/assembler/profile-rows.ts";
import {
  deleteDeadLetters,
  inspectDeadLetters,
  type QueuePair,
} from "../../../services/replay/dead-letter-queues.ts";
import { childTables } from "../../../shared/child-tables.ts";
import { csvFieldText, splitCsvRow } from "../../../shared/csv.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { datasets } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { headersOf } from "../../../shared/header-change.ts";
import { keys, previousKey } from "../../../shared/keys.ts";
import { parquetKey, runFolders } from "../../../shared/parquet-file.ts";
import type { Eraser, ObjectInfo, ObjectStore, StoredVersion } from "../../../shared/ports.ts";
import { allEntries, deidentified } from "../../../shared/privacy/deidentified.ts";
import {
  type ForgottenList,
  forgottenList,
  joinedLists,
  maxForgotten,
  readForgotten,
} from "../../../shared/privacy/forgotten.ts";
import { type RunResult, runResult } from "../../../shared/run.ts";
import { nonNegativeInt } from "../../../shared/schemas.ts";
import type { QueueName } from "../../../shared/topology.ts";
import { accounts } from "../runs/run-account.ts";
import { datedBefore, filesToChange } from "./forget-changes.ts";
import { reportsNaming } from "./forget-reports.ts";
import {
  csvFilter,
  eachLine,
  type Filtered,
  type IsForgotten,
  jsonFilter,
  parquetFilter,
  type RowFilter,
} from "./forget-rows.ts";

/** A query ends within 30 minutes, or its message is a dead letter. */
const maxQueryMs = 60 * 60_000;
const stalledAfterSeconds = 15 * 60;
const maxObjects = 1_000_000;
const maxDeadLetters = 10_000;
const erasedAtOnce = 1_000;

/** Their messages hold records, or make a function store records that it has read. A blocked run may have some too. */
const queuesOfRecords: readonly QueueName[] = ["fetcher", "transformer", "assembler", "deidentifier"];

type Place = "work" | "data" | "results";
export type ForgetRequest = {
  dataset: Dataset;
  ids: readonly number[];
  before?: string | undefined;
  /** Counts, and changes nothing. */
  dryRun: boolean;
};
export type ForgetDeps = Record<Place, ObjectStore> & {
  erasers: Record<Place, Eraser>;
  queuePairs: readonly QueuePair[];
  now: () => Date;
  /** Passed to `MessageQueue.receive`. */
  waitSeconds: number;
};

/** What was done at a place, which is a key, or a folder with its "/". */
export type Step = { bucket: Place | "queue"; key: string } & ({ rows: number } | { deleted: number });
export type Forgetting = {
  at: string;
  dataset: string;
  /** The number of listed ids, and the date of the list. */
  listed: number;
  before?: string;
  /** The number of records in the published file and its history. */
  records: number;
  steps: Step[];
  /** Dead letters that another receiver holds at the moment. */
  unseen: number;
};

/**
 * @throws PipelineError `RunInProgress`, `PublishedFileForeign`, `ForgottenListFull`, `FileReplaced`
 */
export async function forget(request: ForgetRequest, deps: ForgetDeps): Promise<Forgetting> {
  const { dataset, dryRun } = request;
  const { work, data } = deps;
  const list = await storeList(request, work);
  const runs = await endedRuns(dataset, deps);
  const file = await data.head(dataset.publish.csv);
  if (file && file.metadata["run-id"] === undefined) throw foreign(dataset);
  const removal = new Removal(request, runs, file?.metadata["run-id"], deps);
  const key = keys.forgettingNow(dataset.name);
  const interrupted = await work.getJson(key, plan);
  if (interrupted && !dryRun) await removal.remove(interrupted);
  const { ids: listed, before } = list;
  const dated = before === undefined ? [] : await datedBefore(before, dataset, deps);
  const ids = [...new Set([...listed, ...dated, ...(interrupted?.ids ?? [])])];
  const now: Plan = { at: deps.now().toISOString(), ids };
  if (!dryRun) await work.put(key, JSON.stringify(now), "application/json");
  await removal.remove(now);
  const done: Forgetting = {
    ...{ at: now.at, dataset: dataset.name, listed: listed.length, ...(before !== undefined && { before }) },
    ...{ records: removal.records, steps: [...removal.steps], unseen: removal.unseen },
  };
  if (dryRun) return done;
  await work.put(keys.forgetting(dataset.name, now.at), JSON.stringify(done, null, 2), "application/json");
  await removal.erase("work", key);
  return done;
}

/** `forgotten/{dataset}/pending.json`: which records a call removes, also if it is interrupted and repeated. */
const plan = z.strictObject({ at: z.iso.datetime(), ids: z.array(nonNegativeInt) });
type Plan = z.infer<typeof plan>;

const attempts = 5;

/** Adds the request to the forgotten list, and returns the list. */
async function storeList(
  { dataset, ids, before, dryRun }: ForgetRequest,
  work: ObjectStore,
): Promise<ForgottenList> {
  const key = keys.forgotten(dataset.name);
  for (let attempt = 1; ; attempt++) {
    const stored = await work.head(key);
    const known = (await readForgotten(dataset.name, work)) ?? { ids: [] };
    const list = joinedLists(known, { ids: [...ids], ...(before !== undefined && { before }) });
    if (list.ids.length > maxForgotten) {
      throw new PipelineError("ForgottenListFull", {
        message: `The forgotten list would have more than ${maxForgotten} ids. Nothing was removed.`,
        advice: "Use --before, which has no limit.",
        ids: { dataset: dataset.name },
      });
    }
    if (dryRun) return list;
    const value = forgottenList.parse(list);
    const isStored = stored
      ? await work.replaceJson(key, value, stored.etag)
      : await work.putOnce(key, value);
    if (isStored) return list;
    if (attempt === attempts) throw replaced(key, dataset);
  }
}

function replaced(key: string, { name }: Dataset): PipelineError {
  return new PipelineError("FileReplaced", {
    message: `Another writer replaced ${key} meanwhile.`,
    advice: "Repeat the command: it removes what is left.",
    ids: { dataset: name },
  });
}

/**
 * Returns the ids of the dataset's runs. Later runs find the forgotten list.
 * @throws PipelineError `RunInProgress` if messages or queries in progress could store records again
 */
async function endedRuns(dataset: Dataset, deps: ForgetDeps): Promise<string[]> {
  const { work, queuePairs, now, waitSeconds } = deps;
  const inspected = await inspectDeadLetters({ queuePairs, now, waitSeconds }, {}, maxDeadLetters);
  const all = await accounts({ work, now, stalledAfterSeconds, deadLetters: inspected.deadLetters });
  const own = all.filter((each) => "stage" in each && each.run.dataset === dataset.name);
  const active = own.filter(({ state }) => ["requested", "fetching", "assembling"].includes(state));
  const busy = active.map(({ run }) => `run ${run.runId}`);
  for (const { name, source } of queuePairs) {
    if (queuesOfRecords.includes(name) && (await source.count()) > 0)
      busy.push(`a message in the ${name} queue`);
  }
  if (await isQueryInProgress(work, now())) busy.push("a query of a published file");
  if (busy.length > 0) {
    throw new PipelineError("RunInProgress", {
      message: `${busy.join(", ")} is in progress and could store records again. Nothing was removed, but later runs drop the records.`,
      advice: "Wait until it ends (npm run runs -- list), then repeat the command.",
      ids: { dataset: dataset.name },
    });
  }
  return own.map(({ run }) => run.runId);
}

async function isQueryInProgress(work: ObjectStore, now: Date): Promise<boolean> {
  const found = new Map<string, Date>();
  for await (const { key, at } of work.objects(keys.queries, maxObjects)) found.set(key, at);
  return [...found].some(
    ([key, at]) =>
      key.endsWith("/origin.json") &&
      !found.has(key.replace("/origin.json", "/end.json")) &&
      now.getTime() - at.getTime() < maxQueryMs,
  );
}

class Removal {
  readonly #request: ForgetRequest;
  readonly #runs: readonly string[];
  readonly #live: string | undefined;
  readonly #deps: ForgetDeps;
  readonly #found = new Set<number>();
  readonly steps: Step[] = [];
  unseen = 0;

  /** @param live the run of the published file */
  constructor(request: ForgetRequest, runs: readonly string[], live: string | undefined, deps: ForgetDeps) {
    this.#request = request;
    this.#runs = runs;
    this.#live = live;
    this.#deps = deps;
  }

  get records(): number {
    return this.#found.size;
  }

  async remove({ at, ids }: Plan): Promise<void> {
    const { dataset } = this.#request;
    const { data } = this.#deps;
    const listed = new Set(ids);
    const isForgotten = (id: number): boolean => {
      const isListed = listed.has(id);
      if (isListed) this.#found.add(id);
      return isListed;
    };
    await this.erase("results", keys.reportsFolder(dataset.name), ({ isLatest }) => !isLatest);
    // First, because it reads the rows. The report of the live run is written again after its CSV.
    for (const key of await reportsNaming(dataset, isForgotten, this.#deps)) await this.erase("results", key);
    for (const { key, info, removed, write } of await filesToChange(dataset, data, isForgotten, at))
      await this.#write("data", key, info, removed, write);
    await this.erase("data", keys.changesFolder(dataset.name), ({ isLatest }) => !isLatest);
    if (this.#live !== undefined) await this.#correctCounts(this.#live, isForgotten);
    for (const entry of [deidentified(dataset), dataset]) await this.#rewriteFiles(entry, isForgotten);
    await this.#eraseResults();
    for (const runId of this.#runs) await this.#eraseRun(runId, runId === this.#live);
    await this.erase("work", keys.keptFolder(dataset.name));
    await this.#deleteDeadLetters();
  }

  /** Removes the rows from the files of the live run, and deletes those of all other runs, with every earlier version. */
  async #rewriteFiles(entry: Dataset, isForgotten: IsForgotten): Promise<void> {
    const { csv, jsonl } = entry.publish;
    const live = (await this.#deps.data.head(csv))?.metadata["run-id"];
    if (live !== undefined) {
      for (const { keyOf } of childTables(entry))
        await this.#rewrite("data", keyOf(live), csvFilter, isForgotten);
      await this.#rewrite("data", parquetKey(csv, live), parquetFilter, isForgotten);
    }
    await this.#rewrite("data", previousKey(csv), csvFilter, isForgotten);
    await this.#rewrite("data", jsonl, jsonFilter, isForgotten);
    await this.#rewriteResults(entry, isForgotten);
    await this.#rewrite("data", csv, csvFilter, isForgotten);
    for (const key of [csv, jsonl, previousKey(csv)])
      await this.erase("data", key, ({ isLatest }) => !isLatest);
    for (const { folder } of runFolders(entry)) {
      const isOfOther = ({ key, isLatest }: StoredVersion) =>
        !isLatest || !key.startsWith(`${folder}${live}/`);
      await this.erase("data", folder, isOfOther);
    }
  }

  /** Writes an object again without the rows of forgotten records, unless it has none. */
  async #rewrite(bucket: Place, key: string, filter: RowFilter, isForgotten: IsForgotten): Promise<void> {
    const store = this.#deps[bucket];
    const object = await store.head(key);
    if (!object) return;
    let rows = 0;
    for await (const { removed } of filter(await store.stream(key), isForgotten)) rows += removed;
    const write = async function* () {
      yield* filter(await store.stream(key), isForgotten);
    };
    if (rows > 0) await this.#write(bucket, key, object, rows, write);
  }

  async #write(
    bucket: Place,
    key: string,
    { contentType, metadata, etag }: ObjectInfo,
    rows: number,
    write: () => AsyncIterable<Filtered>,
  ): Promise<void> {
    this.steps.push({ bucket, key, rows });
    if (this.#request.dryRun) return;
    const options = { contentType, metadata, condition: { ifMatch: etag } };
    const written = await this.#deps[bucket].upload(key, bytesOf(write()), options);
    if (written === undefined) throw replaced(key, this.#request.dataset);
  }

  /** The query of a dataset may return other columns. Then the file is deleted; the query runs again for the new CSV. */
  async #rewriteResults({ publish }: Dataset, isForgotten: IsForgotten): Promise<void> {
    const { results: key } = publish;
    const { results } = this.#deps;
    if (!(await results.head(key))) return;
    const [first] = (await headersOf(key, results)) ?? [];
    if (first === "_id") await this.#rewrite("results", key, csvFilter, isForgotten);
    else await this.erase("results", key);
    await this.erase("results", key, ({ isLatest }) => !isLatest);
  }

  /** Deletes versions below a prefix for good. */
  async erase(
    bucket: Place,
    prefix: string,
    selects: (version: StoredVersion) => boolean = () => true,
  ): Promise<void> {
    const eraser = this.#deps.erasers[bucket];
    let deleted = 0;
    const batch: StoredVersion[] = [];
    const flush = async () => {
      deleted += batch.length;
      const versions = batch.splice(0);
      if (!this.#request.dryRun) await eraser.erase(versions);
    };
    for await (const version of eraser.versions(prefix)) {
      // Another key may begin with this one.
      if ((!prefix.endsWith("/") && version.key !== prefix) || !selects(version)) continue;
      batch.push(version);
      if (batch.length === erasedAtOnce) await flush();
    }
    await flush();
    if (deleted > 0) this.steps.push({ bucket, key: prefix, deleted });
  }

  /** Raw results of the pipeline's queries and of the analysts' may hold any row. */
  async #eraseResults(): Promise<void> {
    const kept = new Set(allEntries(datasets).map(({ publish }) => publish.results));
    const own = `${this.#request.dataset.publish.queryResults}/`;
    for (const folder of [own, ...Object.values(keys.analystsResults)])
      await this.erase("results", folder, ({ key }) => !kept.has(key));
  }

  async #eraseRun(runId: string, isLive: boolean): Promise<void> {
    const { work } = this.#deps;
    const rows = [keys.allParts(runId), keys.pages(runId), keys.allRejects(runId), keys.allHeld(runId)];
    for (const prefix of [...rows, keys.changedRows(runId)]) await this.erase("work", prefix);
    // Its answers are those of all records.
    if (!isLive) await this.erase("work", keys.profile(runId));
    const result = await work.getJson(keys.result(runId), runResult);
    if (!result) return;
    if (result.state === "held") await this.erase("results", keys.runReport(result.dataset, runId));
    await this.#putResult(withoutAnswers(result));
  }

  async #putResult(result: RunResult): Promise<void> {
    if (this.#request.dryRun) return;
    const json = JSON.stringify(runResult.parse(result), null, 2);
    await this.#deps.work.put(keys.result(result.runId), json, "application/json");
  }

  /** Corrects the counts of the live run before its CSV, because the next run and the query's result are compared with them. */
  async #correctCounts(runId: string, isForgotten: IsForgotten): Promise<void> {
    const { dataset, dryRun } = this.#request;
    const { work, data } = this.#deps;
    const { csv } = dataset.publish;
    const result = await work.getJson(keys.result(runId), runResult);
    const headers = await headersOf(csv, data);
    if (dryRun || !result || !headers) return;
    const profile = new RowProfile(dataset, result, headers);
    const filled = new Map<string, number>();
    let [rows, isHeader] = [0, true];
    for await (const bytes of bytesOf(csvFilter(await data.stream(csv), isForgotten))) {
      for (const line of eachLine(bytes)) {
        if (!isHeader) {
          rows += 1;
          profile.add(line);
          const fields = splitCsvRow(Buffer.from(line).toString("utf8").trimEnd());
          for (const [index, field] of fields.entries())
            if (csvFieldText(field) !== "")
              filled.set(headers[index] ?? "", (filled.get(headers[index] ?? "") ?? 0) + 1);
        }
        isHeader = false;
      }
    }
    if (rows === result.rows) return;
    await work.put(keys.profile(runId), JSON.stringify(profile.profile()), "application/json");
    const forgotten = (result.forgotten ?? 0) + result.rows - rows;
    await this.#putResult({ ...result, rows, forgotten, filled: Object.fromEntries(filled) });
  }

  /** Only the transformer's messages hold records. Runs whose pages they were fetch these again (npm run runs -- resume). */
  async #deleteDeadLetters(): Promise<void> {
    const { queuePairs, now, waitSeconds, work } = this.#deps;
    const { dataset, dryRun } = this.#request;
    const holdsRecords = (body: string) =>
      datasetOfPage(body) === undefined || datasetOfPage(body) === dataset.name;
    for (const queuePair of queuePairs.filter(({ name }) => name === "transformer")) {
      const found = await deleteDeadLetters(
        { queuePairs: [queuePair], now, waitSeconds },
        holdsRecords,
        dryRun,
      );
      this.unseen = found.unseen;
      if (found.deleted > 0)
        this.steps.push({ bucket: "queue", key: "transformer dead letters", deleted: found.deleted });
    }
    for (const key of await work.list(keys.deadLetters("transformer"), maxObjects)) {
      const archived = await work.getJson(key, z.object({ body: z.string() }));
      if (archived && holdsRecords(archived.body)) await this.erase("work", key);
    }
  }
}

const anyPage = z.object({ task: z.object({ dataset: z.string() }) });

/** Returns the dataset of a page message, or undefined if the message cannot be read: it may hold any record. */
function datasetOfPage(body: string): string | undefined {
  try {
    return anyPage.safeParse(JSON.parse(body)).data?.task.dataset;
  } catch {
    return undefined;
  }
}

async function* bytesOf(filtered: AsyncIterable<Filtered>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of filtered) yield bytes;
}

const removedText = "its text was removed by npm run privacy -- forget";

/** Removes texts that may name an answer. A held run has no files any more. */
function withoutAnswers(result: RunResult): RunResult {
  const { held: _held, ...others } = result;
  const isHeld = result.state === "held";
  return {
    ...(isHeld ? others : result),
    ...(isHeld && {
      state: "failed",
      reason: `npm run privacy -- forget removed the held files. The earlier file stays. Request the run again: npm run runs -- request --dataset ${result.dataset}`,
    }),
    violations: result.violations.map((each) =>
      each.kind === "expectation" ? { ...each, text: removedText } : each,
    ),
    ...(result.expectations && {
      expectations: result.expectations.map((each) => ({ ...each, text: each.text && removedText })),
    }),
  };
}

function foreign({ name, publish }: Dataset): PipelineError {
  return new PipelineError("PublishedFileForeign", {
    message: `No run wrote the published file ${publish.csv}, so the _id of its rows is not known.`,
    advice: `Request a run, which replaces the file without the records, then repeat the command: npm run runs -- request --dataset ${name}`,
    ids: { dataset: name },
  });
}
