// Compares the new file with the published one while it is written, and stores the changes in the work bucket. After the
// publication they are copied to the data bucket, so an assembler that died in between loses none, and a run that is held
// or superseded publishes none. If there is nothing to compare with, the published file itself becomes a file of changes:
// a snapshot.
import * as z from "zod/mini";
import { storeNames } from "../../../shared/column-names.ts";
import { csvFieldText, splitCsvRow } from "../../../shared/csv.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { type RefreshResult, readKeptIndex, refreshResult } from "../../../shared/kept.ts";
import { keys } from "../../../shared/keys.ts";
import { parquetContentType } from "../../../shared/parquet.ts";
import type { ObjectInfo, ObjectStore } from "../../../shared/ports.ts";
import { dateColumn } from "../../../shared/profile.ts";
import { publishContended } from "../../../shared/publish.ts";
import { type FileChanges, fileChanges, type Run } from "../../../shared/run.ts";
import { FileUpload, type WriteRows } from "../../../shared/write-files.ts";
import { ChangesRows } from "./changes-rows.ts";
import { LineReader } from "./line-reader.ts";
import { RowMerge, type RowPair } from "./merge-rows.ts";
import { MissedChanges } from "./missed.ts";
import { ChangeCounts, rowChanges, sameHeaders } from "./row-changes.ts";

const newline = 0x0a;
/** Rows that wait for their counterpart. Some 190,000 rows of 200 bytes. */
const maxWaitingBytes = 64 * 1024 * 1024;

export type ChangesDeps = { work: ObjectStore; data: ObjectStore; results: ObjectStore };
type ChangedRun = Pick<Run, "runId" | "requestedAt" | "refresh">;

/** `changes.json`: the counts, and the ETag of the file of changes, unless the published file becomes a snapshot. */
const storedChanges = z.strictObject({
  changes: fileChanges,
  /** What a full run found in windows that the publication before had reused. */
  missed: refreshResult.shape.missed,
  knownAt: z.iso.datetime(),
  etag: z.optional(z.string()),
});

/** Returns `writeRows` so that it also stores the changes of the files that it keeps. */
export function recordChanges(
  writeRows: WriteRows,
  run: ChangedRun,
  dataset: Dataset,
  deps: ChangesDeps,
): WriteRows {
  return async (write) => {
    const base = await baseOf(run, dataset, deps.data);
    if (!base) return writeRows(write);
    const comparison = new FileComparison(run, dataset, base, deps);
    try {
      const decision = await writeRows(async (rows) => {
        await Promise.all([write(rows), comparison.add(rows.csv)]);
      });
      if (decision === "keep") await comparison.store();
      return decision;
    } finally {
      await comparison.close();
    }
  };
}

/**
 * Publishes the changes of a run whose file is in place. Idempotent.
 * @param csv the published file
 * @throws PipelineError `PublishContended`
 */
export async function publishChanges(
  run: ChangedRun,
  csv: Pick<ObjectInfo, "etag">,
  dataset: Dataset,
  deps: ChangesDeps,
): Promise<FileChanges> {
  const { work, data } = deps;
  const { runId, requestedAt } = run;
  const stored = (await work.getJson(keys.changes(runId), storedChanges)) ?? {
    ...{ changes: snapshotBecause("another version of the pipeline published the file"), etag: undefined },
    knownAt: knownAtOf(run).toISOString(),
  };
  const key = keys.changesFile(dataset.name, runId);
  if (await data.head(key)) return stored.changes;
  const isStored =
    stored.etag !== undefined && (await work.head(keys.changedRows(runId)))?.etag === stored.etag;
  const body = isStored
    ? await work.stream(keys.changedRows(runId))
    : snapshotOf(run, new Date(stored.knownAt), csv, dataset, deps);
  const metadata = { "run-id": runId, "requested-at": requestedAt, "known-at": stored.knownAt };
  try {
    await data.upload(key, body, {
      contentType: parquetContentType,
      metadata: { dataset: dataset.name, ...metadata },
      condition: "absent",
    });
    // Another writer that was in the way may still fail.
    if (!(await data.head(key))) throw publishContended(key, run);
  } catch (error) {
    // The next run finds no changes of the file that is in place then, and stores a snapshot.
    if (!(error instanceof FileReplaced)) throw error;
  }
  return stored.changes;
}

/** Returns what a full run found in windows that the publication before had reused. */
export async function missedChanges(
  runId: string,
  work: Pick<ObjectStore, "getJson">,
): Promise<RefreshResult["missed"]> {
  return (await work.getJson(keys.changes(runId), storedChanges))?.missed;
}

/** The publication that the new file is compared with. `knownAt` is the time in its file of changes. */
type Base = { runId: string; requestedAt: string; knownAt: string };

/**
 * Returns the published file if its changes are stored, so that the changes of all files since a snapshot describe it.
 * Otherwise returns why not, such as a rollback, which gives a file another time. Returns undefined if the file is the run's
 * own: another assembler has stored the changes and published it meanwhile.
 */
async function baseOf(
  run: ChangedRun,
  { name, publish }: Dataset,
  data: ObjectStore,
): Promise<Base | { snapshot: string } | undefined> {
  const file = await data.head(publish.csv);
  if (!file) return { snapshot: "no file was published before" };
  const { "run-id": runId, "requested-at": requestedAt, "rolled-back-at": rolledBackAt } = file.metadata;
  if (runId === undefined || requestedAt === undefined)
    return { snapshot: "no run wrote the file that was published before" };
  if (rolledBackAt !== undefined) return { snapshot: "the file before was restored by a rollback" };
  if (runId === run.runId) return undefined;
  const { metadata = {} } = (await data.head(keys.changesFile(name, runId))) ?? {};
  const knownAt = metadata["known-at"];
  if (metadata["requested-at"] !== requestedAt || knownAt === undefined)
    return { snapshot: "the changes of the file before are not stored" };
  return { runId, requestedAt, knownAt };
}

/** Returns the time of a publication in whole seconds, which is later than that of the publication before. */
function knownAtOf({ requestedAt }: ChangedRun, before?: string): Date {
  const seconds = Math.floor(Date.parse(requestedAt) / 1000);
  const next = before === undefined ? 0 : Date.parse(before) / 1000 + 1;
  return new Date(Math.max(seconds, next) * 1000);
}

function snapshotBecause(reason: string): FileChanges {
  return { snapshot: reason, ...new ChangeCounts().result() };
}

/** @param line with one character for each byte */
function utf8Of(line: string): string {
  return Buffer.from(line, "latin1").toString("utf8");
}

function headersIn(line: string): string[] {
  return splitCsvRow(line).map(csvFieldText);
}

/** Returns a function that returns a header's name in Athena. */
async function namesOf(
  headers: readonly string[],
  dataset: Dataset,
  results: ObjectStore,
): Promise<(header: string) => string> {
  const names = await storeNames([...new Set(headers)], dataset, results);
  return (header) => names.get(header) ?? "";
}

type Comparison = {
  before: LineReader;
  merge: RowMerge;
  counts: ChangeCounts;
  rows: ChangesRows;
  upload: FileUpload;
};

class FileComparison {
  readonly #run: ChangedRun;
  readonly #dataset: Dataset;
  readonly #base: Base | undefined;
  readonly #deps: ChangesDeps;
  /** Why nothing is compared. */
  #snapshot: string | undefined;
  /** The header of the new file, until it is complete. */
  #header: Uint8Array[] = [];
  #comparison: Comparison | undefined;
  #missed: MissedChanges | undefined;

  constructor(run: ChangedRun, dataset: Dataset, base: Base | { snapshot: string }, deps: ChangesDeps) {
    this.#run = run;
    this.#dataset = dataset;
    this.#deps = deps;
    if ("snapshot" in base) this.#snapshot = base.snapshot;
    else this.#base = base;
  }

  get #knownAt(): Date {
    return knownAtOf(this.#run, this.#base?.knownAt);
  }

  /** Returns a count of the changes that the publication before has missed, if this run collects everything. */
  async #missedChanges(): Promise<MissedChanges | undefined> {
    const { refresh } = this.#run;
    if (!refresh || refresh.lastFull) return undefined;
    const index = await readKeptIndex(this.#dataset.name, this.#deps.work);
    return index?.runId === this.#base?.runId && index ? new MissedChanges(index) : undefined;
  }

  /** Adds bytes of the new file. */
  async add(csv: Uint8Array): Promise<void> {
    if (!this.#base || this.#snapshot !== undefined) return;
    if (this.#comparison) return this.#addRows(this.#comparison, csv);
    this.#header.push(csv);
    if (!csv.includes(newline)) return;
    const bytes = Buffer.concat(this.#header);
    const end = bytes.indexOf(newline);
    this.#comparison = await this.#start(bytes.toString("utf8", 0, end));
    await this.#addRows(this.#comparison, bytes.subarray(end + 1));
  }

  async #start(header: string): Promise<Comparison> {
    const { data, work, results } = this.#deps;
    const { runId } = this.#run;
    const before = new LineReader(await data.stream(this.#dataset.publish.csv));
    await before.read();
    const headers = { before: headersIn(utf8Of(before.take())), now: headersIn(header) };
    const file = {
      ...{ runId, knownAt: this.#knownAt, ...headers },
      nameOf: await namesOf([...headers.now, ...headers.before], this.#dataset, results),
    };
    this.#missed = await this.#missedChanges();
    const counts = new ChangeCounts(this.#missed);
    const rows = new ChangesRows(file);
    const current = await work.head(keys.changedRows(runId));
    const upload = new FileUpload((body) =>
      work.upload(keys.changedRows(runId), body, {
        contentType: parquetContentType,
        metadata: {},
        condition: current ? { ifMatch: current.etag } : "absent",
      }),
    );
    const changeOf = rowChanges({ ...headers, dateHeader: dateColumn(this.#dataset) });
    const onDifferences = async (pairs: RowPair[]): Promise<void> => {
      for (const change of pairs.map(changeOf)) {
        counts.add(change);
        for (const bytes of rows.change(change)) await upload.write(bytes);
      }
    };
    for (const bytes of rows.published(header, false)) await upload.write(bytes);
    const comparesBytes = sameHeaders(headers.before, headers.now);
    const merge = new RowMerge(before, { onDifferences, comparesBytes, maxWaitingBytes });
    return { before, merge, counts, rows, upload };
  }

  async #addRows({ merge }: Comparison, rows: Uint8Array): Promise<void> {
    if (!(await merge.add(rows))) await this.#giveUp();
  }

  async #giveUp(): Promise<void> {
    this.#snapshot = "too many rows are at another place to compare the files";
    await this.close();
  }

  /** Stores the changes after the last row. */
  async store(): Promise<void> {
    const comparison = this.#comparison;
    if (comparison && this.#snapshot === undefined && !(await comparison.merge.finish()))
      await this.#giveUp();
    const knownAt = this.#knownAt.toISOString();
    if (!comparison || !this.#base || this.#snapshot !== undefined)
      return this.#put({ changes: snapshotBecause(this.#snapshot ?? "the file has no header"), knownAt });
    const { counts, rows, upload } = comparison;
    for (const bytes of rows.finish()) await upload.write(bytes);
    const etag = await upload.finish();
    const since = { runId: this.#base.runId, requestedAt: this.#base.requestedAt };
    const missed = this.#missed?.result();
    await this.#put({ changes: { since, ...counts.result() }, ...(missed && { missed }), knownAt, etag });
  }

  async #put(stored: z.infer<typeof storedChanges>): Promise<void> {
    await this.#deps.work.put(keys.changes(this.#run.runId), JSON.stringify(stored), "application/json");
  }

  /** Ends the reading of the published file. If the changes are not stored, discards them. */
  async close(): Promise<void> {
    await this.#comparison?.before.close();
    await this.#comparison?.upload.abort();
  }
}

/** Another file was published while the snapshot was made. */
class FileReplaced extends Error {
  override readonly name = "FileReplaced";
}

/** Yields a file of changes with every row of the published file. @throws FileReplaced */
async function* snapshotOf(
  { runId }: ChangedRun,
  knownAt: Date,
  { etag }: Pick<ObjectInfo, "etag">,
  dataset: Dataset,
  { data, results }: ChangesDeps,
): AsyncGenerator<Uint8Array> {
  const { csv } = dataset.publish;
  const reader = new LineReader(await data.stream(csv));
  try {
    await reader.read();
    const header = utf8Of(reader.take());
    const now = headersIn(header);
    const rows = new ChangesRows({
      runId,
      knownAt,
      before: [],
      now,
      nameOf: await namesOf(now, dataset, results),
    });
    yield* rows.published(header, true);
    for (let place = 1; reader.hasLine || (await reader.read()); place++) {
      const line = utf8Of(reader.take());
      const row = {
        kind: "restated",
        place,
        line,
        fields: splitCsvRow(line),
        columns: [],
        day: undefined,
      } as const;
      for (const bytes of rows.change(row)) yield bytes;
    }
    if ((await data.head(csv))?.etag !== etag) throw new FileReplaced();
    yield* rows.finish();
  } finally {
    await reader.close();
  }
}
