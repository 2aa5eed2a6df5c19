// What keeps a reader from a value under another column's name while a dataset's header changes. A table maps columns by
// position, so it must not read the published file while a file with another header takes its place:
// 1. The publisher holds the table (`holdTable`): the table then reads a copy of the file in place.
// 2. The publisher replaces the file.
// 3. The athena service gives the table the new columns and the published folder, in one step, and only if the table has
//    not changed since it read the table and then the file.
// The mark of the table names the file that a publisher is about to replace. While that file is in place the athena
// service leaves the table as it is: between its read and its change the file may be another one.
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { csvFieldText, splitCsvRow } from "./csv.ts";
import type { Dataset } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";
import { folderOf, previousKey } from "./keys.ts";
import {
  type FoundTable,
  type ObjectInfo,
  type ObjectStore,
  type TableCatalog,
  type TablePlace,
  tableChanged,
} from "./ports.ts";

/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;
/** Two publishers of one dataset at once are rare; the athena service changes a table once for each file. */
const attempts = 5;

export type HoldDeps = { tables: TableCatalog; data: ObjectStore };

/**
 * Call it right before a file takes the place of the published one, after reading the ETag that the write has to find.
 * Where the new file has the same header as the one in place nothing is needed. Memory: some chunks of the copied file.
 * @param headers of the new file
 * @throws PipelineError `TableChanged`
 */
export async function holdTable(
  dataset: Pick<Dataset, "publish">,
  headers: readonly string[],
  deps: HoldDeps,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await hold(dataset, headers, deps);
      return;
    } catch (error) {
      const isChanged = error instanceof PipelineError && error.name === "TableChanged";
      if (!isChanged || attempt >= attempts) throw error;
    }
  }
}

async function hold(
  { publish: { csv, table } }: Pick<Dataset, "publish">,
  headers: readonly string[],
  { tables, data }: HoldDeps,
): Promise<void> {
  const key = previousKey(csv);
  // Before the table, so that a copy that another publisher makes for the table is never overwritten.
  const earlierCopy = await data.head(key);
  const found = await tables.table(table);
  const file = await data.head(csv);
  if (!file && !found) return;
  if (file && isDeepStrictEqual(await headersOf(csv, data), headers)) return;
  const id = randomUUID();
  const place: TablePlace = { folder: folderOf(key), mark: `${id} ${fileIdentity(file)}` };
  // Without columns it cannot be queried. It exists so that the athena service does not create one for the file in place.
  if (!found) return tables.defineTable(table, { columns: [], ...place }, undefined);
  const marked = { ...place, folder: found.folder };
  await tables.moveTable(table, marked, found.version);
  if (!isRead(csv, found)) return;
  // From here on another publisher's change to the table fails this one's, and the reverse.
  const own = await tables.table(table);
  if (!own || own.mark !== marked.mark) throw tableChanged(table);
  const copy = file ? withHeaderMark(await data.stream(csv), id) : asChunks(id);
  const copied = await data.upload(key, copy, {
    contentType: "text/csv; charset=utf-8",
    metadata: {},
    condition: earlierCopy ? { ifMatch: earlierCopy.etag } : "absent",
  });
  if (copied === undefined) throw tableChanged(table);
  await tables.moveTable(table, place, own.version);
}

/** Whether a emitter is about to replace this file. */
export function isBeingReplaced(table: FoundTable | undefined, file: ObjectInfo): boolean {
  return table?.mark?.slice(table.mark.indexOf(" ") + 1) === fileIdentity(file);
}

/** A rollback brings back a file with its ETag, as a publication of its own. */
export function fileIdentity(file: Pick<ObjectInfo, "etag" | "metadata"> | undefined): string {
  return file ? `${file.etag} ${file.metadata["requested-at"] ?? ""}` : "none";
}

/**
 * Returns the header of a published CSV file, or undefined where it has no header line.
 * @param versionId of an earlier version
 */
export async function headersOf(
  key: string,
  data: ObjectStore,
  versionId?: string,
): Promise<string[] | undefined> {
  const start =
    versionId === undefined
      ? await data.getStart(key, headerBytes)
      : await startOf(await data.stream(key, versionId));
  const [line = "", ...rest] = start.split("\n");
  return rest.length === 0 ? undefined : splitCsvRow(line).map(csvFieldText);
}

async function startOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    read.push(chunk);
    bytes += chunk.length;
    if (bytes >= headerBytes) break;
  }
  return Buffer.concat(read).toString("utf8");
}

/** Whether a query of the table reads this object: the folder of a table that others made may be one above it. */
function isRead(key: string, { folder: place }: TablePlace): boolean {
  return key.startsWith(place === "" || place.endsWith("/") ? place : `${place}/`);
}

/**
 * Puts an id into the header line, which no query reads. So no two copies have one ETag, and a condition on a copy's ETag
 * cannot be met by another copy of the same file.
 */
async function* withHeaderMark(chunks: AsyncIterable<Uint8Array>, id: string): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const chunk of chunks) {
    if (!isFirst) {
      yield chunk;
      continue;
    }
    if (chunk.length === 0) continue;
    isFirst = false;
    // Inside the first header's quotes, where it has some.
    const at = chunk[0] === quote ? 1 : 0;
    yield Buffer.concat([chunk.subarray(0, at), Buffer.from(`${id} `), chunk.subarray(at)]);
  }
  if (isFirst) yield* asChunks(id);
}

const quote = 0x22;

async function* asChunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
