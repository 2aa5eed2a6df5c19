// Writes the CSV, the JSON lines, the child files and the Parquet file from one pass over the parts. Each file is replaced in
// one atomic write after the pass succeeded: the child files and the Parquet file first, then the CSV.
import events from "node:events";
import { PassThrough } from "node:stream";
import { parquetContentType } from "./parquet.ts";
import type { ObjectInfo, ObjectStore } from "./ports.ts";
import { isNewer, publishAttempts, publishContended } from "./publish.ts";
import type { Run } from "./run.ts";

/** Bytes of each file that are buffered for its upload. */
const bufferBytes = 1024 * 1024;
const csvType = "text/csv; charset=utf-8";

/** Keys of the files. Only one run writes to the keys of its child files and of its Parquet file. */
export type Target = {
  store: ObjectStore;
  csv: string;
  jsonl: string;
  children: readonly string[];
  parquet?: { key: string; metadata: Record<string, string> };
};
/** `children` in the order of the target's. */
export type Rows = {
  csv: Uint8Array;
  jsonl: Uint8Array;
  children: readonly Uint8Array[];
  parquet?: Uint8Array;
};
const none = new Uint8Array();
export const noRows: Rows = { csv: none, jsonl: none, children: [] };
/** Writes all rows, then decides whether the files are kept. */
export type WriteRows = (write: (rows: Rows) => Promise<void>) => Promise<"keep" | "discard">;
export type Written = {
  csv: ObjectInfo;
  jsonl: ObjectInfo;
  children: ObjectInfo[];
  parquet: ObjectInfo | undefined;
};

export type Outcome =
  | { state: "written"; files: Written }
  | { state: "superseded"; by: string }
  | { state: "discarded" };

/**
 * Writes the files unless a newer run has published. The store compares ETags, which depend on the bytes only: if a newer
 * run publishes the same bytes during the upload, the files carry this run's id.
 * @param writeRows runs again if another writer interferes
 * @param beforePublish runs after all rows and the other files of one run are written, right before the CSV is replaced
 * @throws what `writeRows` and `beforePublish` throw, and PipelineError `PublishContended`
 */
export async function writeFiles(
  target: Target,
  run: Pick<Run, "runId" | "dataset" | "requestedAt"> & { entry: string },
  now: Date,
  writeRows: WriteRows,
  beforePublish?: () => Promise<void>,
): Promise<Outcome> {
  const { store } = target;
  const { dataset, runId, requestedAt, entry } = run;
  const metadata = { dataset, "run-id": runId, "requested-at": requestedAt, entry };
  for (let attempt = 1; attempt <= publishAttempts; attempt++) {
    const [csvNow, jsonlNow, ...othersNow] = await headsOf(target);
    for (const current of [csvNow, jsonlNow]) {
      if (current && isNewer(current.metadata, run, now))
        return { state: "superseded", by: current.metadata["run-id"] ?? "a newer run" };
    }
    const upload = (key: string, contentType: string, current: ObjectInfo | undefined, more = {}) =>
      new FileUpload((body) =>
        store.upload(key, body, {
          contentType,
          metadata: { ...metadata, ...more },
          condition: current ? { ifMatch: current.etag } : "absent",
        }),
      );
    const csv = upload(target.csv, csvType, csvNow);
    const jsonl = upload(target.jsonl, "application/x-ndjson", jsonlNow);
    const children = target.children.map((key, index) => upload(key, csvType, othersNow[index]));
    const parquet =
      target.parquet &&
      upload(target.parquet.key, parquetContentType, othersNow[children.length], target.parquet.metadata);
    const others = parquet ? [...children, parquet] : children;
    try {
      const decision = await writeRows(async (rows) => {
        const childWrites = rows.children.map((bytes, index) => children[index]?.write(bytes));
        const typed = rows.parquet && parquet?.write(rows.parquet);
        await Promise.all([csv.write(rows.csv), jsonl.write(rows.jsonl), ...childWrites, typed]);
      });
      if (decision === "discard") return { state: "discarded" };
      // A reader who finds the run in the CSV's metadata finds its other files too.
      const otherEtags: string[] = [];
      for (const other of others) otherEtags.push(await other.finish());
      await beforePublish?.();
      // The CSV goes first, because readers rely on it. If this handler dies now, the next one completes the JSON lines.
      const etags = [await csv.finish(), await jsonl.finish(), ...otherEtags];
      const found = (await headsOf(target)).filter((info, index) => info?.etag === etags[index]);
      const [csvInfo, jsonlInfo, ...otherInfos] = found.filter((info) => info !== undefined);
      // If another writer has replaced a file already, the next iteration checks whether its run is newer.
      if (csvInfo && jsonlInfo && found.length === etags.length)
        return {
          state: "written",
          files: {
            csv: csvInfo,
            jsonl: jsonlInfo,
            children: otherInfos.slice(0, children.length),
            parquet: otherInfos[children.length],
          },
        };
    } catch (error) {
      if (!(error instanceof ConditionFailed)) throw error;
    } finally {
      await Promise.all([csv, jsonl, ...others].map((file) => file.abort()));
    }
  }
  throw publishContended(target.csv, run);
}

function headsOf({ store, csv, jsonl, children, parquet }: Target): Promise<(ObjectInfo | undefined)[]> {
  const keys = [csv, jsonl, ...children, ...(parquet ? [parquet.key] : [])];
  return Promise.all(keys.map((key) => store.head(key)));
}

/** Another writer changed the object during the upload. */
class ConditionFailed extends Error {
  override readonly name = "ConditionFailed";
}

/** An upload that receives its bytes in chunks and buffers a bounded number of them. */
export class FileUpload {
  readonly #stream = new PassThrough({ highWaterMark: bufferBytes });
  readonly #uploaded: Promise<string | undefined>;
  readonly #endedEarly: Promise<never>;

  constructor(start: (body: AsyncIterable<Uint8Array>) => Promise<string | undefined>) {
    this.#uploaded = start(this.#stream);
    this.#endedEarly = this.#uploaded.then(() => {
      throw new ConditionFailed();
    });
    // `write` and `finish` throw these errors.
    this.#endedEarly.catch(() => {});
    this.#stream.on("error", () => {});
  }

  /** @throws what the upload throws, and ConditionFailed if the store refuses it before the end */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.#stream.write(bytes)) return;
    await Promise.race([events.once(this.#stream, "drain"), this.#endedEarly]);
  }

  /** Completes the upload. @returns the ETag @throws ConditionFailed */
  async finish(): Promise<string> {
    this.#stream.end();
    const etag = await this.#uploaded;
    if (etag === undefined) throw new ConditionFailed();
    return etag;
  }

  /** Cancels the upload, so that nothing is written. Does nothing after `finish`. */
  async abort(): Promise<void> {
    if (!this.#stream.writableEnded) this.#stream.destroy(new Error("The upload is discarded."));
    await this.#uploaded.catch(() => {});
  }
}
