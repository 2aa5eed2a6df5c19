// Writes the CSV and the JSON lines from one reading of the parts. Each appears in one atomic step, the CSV first, and
// only once the reading has ended well.
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { PipelineError } from "../../shared/errors.ts";
import type { ObjectInfo, ObjectStore } from "../../shared/ports.ts";
import { isNewer } from "../../shared/publish.ts";
import type { Run } from "../../shared/run.ts";

/** Runs of one dataset are weekly and assembled one at a time, so another writer wins at most a few times in a row. */
const attempts = 5;
/** Bytes of each file that wait for its upload. */
const bufferBytes = 1024 * 1024;

/** Where the files go. */
export type Target = { store: ObjectStore; csv: string; jsonl: string };
export type Rows = { csv: Uint8Array; jsonl: Uint8Array };
/** Writes all rows, and decides at the end whether they count. */
export type Fill = (write: (rows: Rows) => Promise<void>) => Promise<"keep" | "discard">;
export type Written = { csv: ObjectInfo; jsonl: ObjectInfo };

export type Outcome =
  | { state: "written"; files: Written }
  | { state: "superseded"; by: string }
  | { state: "discarded" };

/**
 * Writes both files unless a newer run's files are in place. A store compares ETags, which are those of the bytes: where a
 * newer run has put the very same bytes in place meanwhile, they stay under this run's name.
 * @param fill runs again where another writer interferes
 * @param beforePublish runs when all is written, right before the CSV takes its place
 * @throws what `fill` and `beforePublish` throw, and PipelineError `PublishContended`
 */
export async function writeFiles(
  target: Target,
  run: Pick<Run, "runId" | "dataset" | "requestedAt"> & { entry: string },
  now: Date,
  fill: Fill,
  beforePublish?: () => Promise<void>,
): Promise<Outcome> {
  const { store } = target;
  const { dataset, runId, requestedAt, entry } = run;
  const metadata = { dataset, "run-id": runId, "requested-at": requestedAt, entry };
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const [csvNow, jsonlNow] = await Promise.all([store.head(target.csv), store.head(target.jsonl)]);
    for (const current of [csvNow, jsonlNow]) {
      if (current && isNewer(current.metadata, run, now))
        return { state: "superseded", by: current.metadata["run-id"] ?? "a newer run" };
    }
    const upload = (key: string, contentType: string, current: ObjectInfo | undefined) =>
      new FileUpload((body) =>
        store.upload(key, body, {
          contentType,
          metadata,
          condition: current ? { ifMatch: current.etag } : "absent",
        }),
      );
    const csv = upload(target.csv, "text/csv; charset=utf-8", csvNow);
    const jsonl = upload(target.jsonl, "application/x-ndjson", jsonlNow);
    try {
      const verdict = await fill(async (rows) => {
        await Promise.all([csv.write(rows.csv), jsonl.write(rows.jsonl)]);
      });
      if (verdict === "discard") return { state: "discarded" };
      await beforePublish?.();
      // The CSV is what readers rely on, so it goes first: the JSON lines can follow whatever happens in between.
      const files = { csv: await csv.finish(), jsonl: await jsonl.finish() };
      const [csvInfo, jsonlInfo] = await Promise.all([store.head(target.csv), store.head(target.jsonl)]);
      // Where another writer's object is in place already, the next round sees whether it is newer.
      if (csvInfo && csvInfo.etag === files.csv && jsonlInfo && jsonlInfo.etag === files.jsonl)
        return { state: "written", files: { csv: csvInfo, jsonl: jsonlInfo } };
    } catch (error) {
      if (!(error instanceof ConditionFailed)) throw error;
    } finally {
      await Promise.all([csv.abort(), jsonl.abort()]);
    }
  }
  throw new PipelineError("PublishContended", {
    message: `Other writers changed ${target.csv} at every one of ${attempts} attempts.`,
    advice: "Retried automatically. If this persists, check for another writer to this key.",
    kind: "transient",
    ids: { run: run.runId },
  });
}

/** The object in place is not the one that was seen before the upload. */
class ConditionFailed extends Error {
  override readonly name = "ConditionFailed";
}

/** An upload that is fed piece by piece, and holds a bounded number of bytes. */
class FileUpload {
  readonly #stream = new PassThrough({ highWaterMark: bufferBytes });
  readonly #uploaded: Promise<string | undefined>;
  readonly #endedEarly: Promise<never>;

  constructor(start: (body: AsyncIterable<Uint8Array>) => Promise<string | undefined>) {
    this.#uploaded = start(this.#stream);
    this.#endedEarly = this.#uploaded.then(() => {
      throw new ConditionFailed();
    });
    // Their errors are thrown by `write` or `finish`.
    this.#endedEarly.catch(() => {});
    this.#stream.on("error", () => {});
  }

  /** @throws what the upload throws, and ConditionFailed where it ended early */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.#stream.write(bytes)) return;
    await Promise.race([once(this.#stream, "drain"), this.#endedEarly]);
  }

  /** Completes the upload. @returns the ETag @throws ConditionFailed */
  async finish(): Promise<string> {
    this.#stream.end();
    const etag = await this.#uploaded;
    if (etag === undefined) throw new ConditionFailed();
    return etag;
  }

  /** Ends an upload that was not completed: nothing is written. After `finish` it does nothing. */
  async abort(): Promise<void> {
    if (!this.#stream.writableEnded) this.#stream.destroy(new Error("The upload is discarded."));
    await this.#uploaded.catch(() => {});
  }
}
