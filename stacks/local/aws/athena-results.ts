// Results as Athena leaves them in S3, and as GetQueryResults reads them from there.
import { Readable } from "node:stream";
import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { parse } from "csv-parse";
import { z } from "zod";
import { type Field, formatRows } from "./athena-csv.ts";

type Place = { bucket: string; key: string };

/** Writes the rows below their header, as they come; nothing is left where they end in an error. */
export async function writeCsv(
  s3: S3Client,
  place: Place,
  header: readonly string[],
  rows: AsyncIterable<Field[][]>,
  signal: AbortSignal,
): Promise<void> {
  async function* text(): AsyncGenerator<Buffer> {
    yield Buffer.from(formatRows([header]));
    for await (const batch of rows) yield Buffer.from(formatRows(batch));
  }
  await upload(s3, place, Readable.from(text()), "text/csv", signal);
}

/** The result of a statement that has none. */
export async function writeEmpty(s3: S3Client, place: Place, signal: AbortSignal): Promise<void> {
  await upload(s3, place, "", "text/plain", signal);
}

async function upload(
  s3: S3Client,
  { bucket, key }: Place,
  body: Readable | string,
  contentType: string,
  signal: AbortSignal,
): Promise<void> {
  const sending = new Upload({
    client: s3,
    params: { Bucket: bucket, Key: key, Body: body, ContentType: contentType },
  });
  const abort = (): void => void sending.abort();
  signal.addEventListener("abort", abort);
  try {
    signal.throwIfAborted();
    await sending.done();
  } finally {
    signal.removeEventListener("abort", abort);
    if (body instanceof Readable) body.destroy();
  }
}

/** One row, and the position of the next. */
const parsedRow = z.object({
  record: z.array(z.string().nullable()),
  info: z.object({ bytes: z.int() }),
});

/**
 * Up to `count` rows of a result, from a byte position that an earlier call returned, or 0.
 * @returns `next` where there are more
 */
export async function readCsv(
  s3: S3Client,
  { bucket, key }: Place,
  from: number,
  count: number,
): Promise<{ rows: Field[][]; next: number | undefined }> {
  const object = await s3.send(
    new GetObjectCommand({ Bucket: bucket, Key: key, ...(from > 0 && { Range: `bytes=${from}-` }) }),
    { abortSignal: AbortSignal.timeout(readingMs) },
  );
  const parser = parse({
    record_delimiter: "\n",
    info: true,
    max_record_size: 0,
    cast: (value, { quoting }) => (quoting ? value : null),
  });
  const body = z.instanceof(Readable).parse(object.Body);
  body.on("error", (error) => parser.destroy(error)).pipe(parser);
  const rows: Field[][] = [];
  let end = from;
  try {
    for await (const row of parser) {
      if (rows.length === count) return { rows, next: end };
      const { record, info } = parsedRow.parse(row);
      rows.push(record);
      end = from + info.bytes;
    }
  } finally {
    body.destroy();
  }
  return { rows, next: undefined };
}

const readingMs = 60_000;
