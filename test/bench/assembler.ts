// Measures how fast the assembler turns parts into the published files on MiniStack's S3. The baseline is a copy of the same
// objects with the same client: it lists them, reads 32 at once, and writes their bytes as two objects.
import { PassThrough } from "node:stream";
import { CreateBucketCommand, DeleteObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import pMap, { pMapIterable } from "p-map";
import { assemble } from "../../services/assembler/assemble.ts";
import { transform } from "../../services/transformer/transform.ts";
import { S3Store, uploadPartBytes, uploadsAtOnce } from "../../shared/aws/s3.ts";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { partContentType } from "../../shared/part.ts";
import type { MessageQueue } from "../../shared/ports.ts";
import { maxPages, type RangeSplit, type Run } from "../../shared/run.ts";
import { startEmulator } from "../emulator/emulator.ts";
import { clientsFor } from "../emulator/emulator-clients.ts";
import { installMiniStack } from "../emulator/install.ts";
import { ScriptedQueryEngine } from "../support/scripted-query-engine.ts";
import { secondsOf } from "./statistics.ts";
import { recordedPages } from "./transformer.ts";

/** The number of parts that the assembler reads ahead. */
const readsAtOnce = 32;
const dataset = defaultDataset.name;

/** Seconds of each round. `megabytes` is the size of all parts. */
export type Assembled = { megabytes: number; rounds: { ours: number; copy: number }[] };

/** @throws Error if MiniStack cannot be installed */
export async function measureAssembler(pages: number, rounds: number): Promise<Assembled> {
  installMiniStack();
  const emulator = await startEmulator();
  const { s3, close } = clientsFor(emulator);
  try {
    return await measureOn(s3, pages, rounds);
  } finally {
    close();
    await emulator.close();
  }
}

async function measureOn(s3: S3Client, pages: number, rounds: number): Promise<Assembled> {
  const work = new S3Store(s3, "bench-work");
  const data = new S3Store(s3, "bench-data");
  const results = new S3Store(s3, "bench-results");
  for (const { bucket } of [work, data, results]) await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  const run = await recordRun(pages, work);
  const parts = await Array.fromAsync(work.objects(keys.allParts(run.runId), maxPages));
  const measured: Assembled["rounds"] = [];
  // The first round only fills caches.
  for (let round = 0; round <= rounds; round++) {
    await remove(s3, work, keys.result(run.runId));
    await remove(s3, data, defaultDataset.publish.csv);
    await remove(s3, data, defaultDataset.publish.jsonl);
    // Both alternate, so that a machine that slows down affects both.
    const ours = await secondsOf(() => assembleOnce(run, pages, { work, data, results }));
    const copy = await secondsOf(() => copyParts(s3, run, work, data.bucket));
    if (round > 0) measured.push({ ours, copy });
  }
  return { megabytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6, rounds: measured };
}

/** Creates a run of one window whose pages are transformed. */
async function recordRun(pages: number, work: S3Store): Promise<Run> {
  const messages = recordedPages(pages, `${dataset}-0123456789ab`);
  const [first] = messages;
  if (!first) throw new Error("A run has at least one page.");
  const { task, totals } = first;
  const { runId, window, attempt } = task;
  await pMap(messages, (message) => transform(message, { work, datasets }), { concurrency: readsAtOnce });
  const { from, to } = window;
  const address = { runId, window: window.number, attempt, from, to, page: 1, pages: 1 };
  await work.putOnce(keys.split(address), { totals } satisfies RangeSplit);
  await work.create(keys.part(address), "", partContentType);
  await work.putOnce(keys.recount(runId, attempt, 1), { totalRecords: totals.totalRecords });
  const requestedAt = "2026-03-02T06:00:00Z";
  const run = { runId, dataset, requestId: "bench", requestedAt, reason: "benchmark", from, to };
  const recorded: Run = { ...run, periods: [window], windows: [window] };
  await work.putOnce(keys.run(runId), recorded);
  return recorded;
}

async function assembleOnce(
  { runId }: Run,
  pages: number,
  stores: Record<"work" | "data" | "results", S3Store>,
): Promise<void> {
  const fields = await assemble(
    { runId, dataset, attempt: 1 },
    {
      ...stores,
      datasets,
      tables: new ScriptedQueryEngine(),
      fetcherQueue: noQueue,
      emit: async () => {},
      now: () => new Date(),
    },
  );
  if (fields.outcome === "published" && fields.records === pages * 100) return;
  throw new Error(`The run was not published: ${JSON.stringify(fields)}`);
}

const unexpected = () =>
  Promise.reject(new Error("The benchmark does not expect a window to be fetched again."));
const noQueue: MessageQueue = {
  isFifo: false,
  send: unexpected,
  sendAll: unexpected,
  receive: unexpected,
  delete: unexpected,
  retryAfter: unexpected,
  release: unexpected,
  count: unexpected,
};

async function copyParts(s3: S3Client, { runId }: Run, work: S3Store, Bucket: string): Promise<void> {
  const listed = work.objects(keys.allParts(runId), maxPages);
  const parts = pMapIterable(listed, ({ key }) => work.getBytes(key), {
    concurrency: readsAtOnce,
    backpressure: readsAtOnce,
  });
  const copies = ["copy-1", "copy-2"].map((Key) => {
    const Body = new PassThrough({ highWaterMark: 1024 * 1024 });
    const params = { Bucket, Key, Body };
    const upload = new Upload({ client: s3, partSize: uploadPartBytes, queueSize: uploadsAtOnce, params });
    return { body: Body, done: upload.done() };
  });
  for await (const part of parts) {
    if (!part) throw new Error("A part that was listed does not exist.");
    const middle = part.length >> 1;
    for (const [index, half] of [part.subarray(0, middle), part.subarray(middle)].entries()) {
      const body = copies[index]?.body;
      if (body && !body.write(half)) await new Promise((drained) => body.once("drain", drained));
    }
  }
  for (const { body } of copies) body.end();
  await Promise.all(copies.map(({ done }) => done));
}

async function remove(s3: S3Client, { bucket }: S3Store, key: string): Promise<void> {
  await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
}
