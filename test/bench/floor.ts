// What the assembler can't go below: the same bytes read from S3 and written to S3, and nothing else done. Once from the
// objects in which they lie, with the assembler's own reading ahead; once as one object.
import { Readable } from "node:stream";
import { GetObjectCommand, HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { pMapIterable } from "p-map";
import { z } from "zod";
import { readAhead } from "../../services/assembler/files.ts";
import { uploadPartBytes, uploadsAtOnce } from "../../shared/aws/store.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys, type PageAddress } from "../../shared/keys.ts";
import { names } from "../../stacks/local/wiring.ts";
import { inputOf, say } from "./child.ts";

const input = inputOf(
  z.strictObject({
    source: z.enum(["same objects", "one object"]),
    run: z.string(),
    windows: z.int(),
    pages: z.int(),
  }),
);
const s3 = new S3Client({});
const { work, data } = names.buckets;

const start = performance.now();
const { csv, jsonl } = defaultDataset.publish;
for (const [key, partOf] of [
  [csv, keys.part],
  [jsonl, keys.partLines],
] as const) {
  const body = input.source === "one object" ? await wholeOf(key) : Readable.from(objects(partOf));
  const upload = new Upload({
    client: s3,
    params: { Bucket: work, Key: `floor/${key}`, Body: body },
    partSize: uploadPartBytes,
    queueSize: uploadsAtOnce,
  });
  await upload.done();
}
const seconds = (performance.now() - start) / 1000;
let bytes = 0;
for (const key of [csv, jsonl]) {
  const { ContentLength = 0 } = await s3.send(new HeadObjectCommand({ Bucket: work, Key: `floor/${key}` }));
  bytes += ContentLength;
}
say({ bytes, seconds, peakMemoryMb: process.resourceUsage().maxRSS / 1024 });

async function* objects(keyOf: (address: PageAddress) => string) {
  const { run: runId, windows, pages } = input;
  const addresses = Array.from({ length: windows * pages }, (_, n) => ({
    runId,
    window: Math.floor(n / pages) + 1,
    attempt: 1,
    page: (n % pages) + 1,
  }));
  yield* pMapIterable(
    addresses,
    async (address) => {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: work, Key: keyOf(address) }));
      if (!Body) throw new Error("S3 answered without a body.");
      return Body.transformToByteArray();
    },
    { concurrency: readAhead },
  );
}

async function wholeOf(key: string): Promise<Readable> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: data, Key: key }));
  if (Body && "pipe" in Body) return Body;
  throw new Error("S3 answered without a stream.");
}
