// Ensures that no reader sees a value under another column's name while a dataset's header changes, or the rows of one run
// with the answers of another. A table maps columns by position, and child tables (shared/child-tables.ts) read the files
// of one run. So the table must not read the published file while a file with another header replaces it, nor while any
// file does if the dataset has child tables:
// 1. The publisher holds the table (`holdTable`): the table then reads a copy of the published file.
// 2. The publisher replaces the file.
// 3. The athena service sets the table's new columns and its location to the published folder, in one step, and only if
//    the table has not changed since the service read the table and then the file. Child tables cannot be queried from
//    before this step until they read the run's files (services/athena/child-tables.ts).
//
// The table's mark names the file that a publisher is about to replace. While that file is still published, the athena
// service does not change the table, because the file might be replaced between its read and its change.
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { childTables } from "./child-tables.ts";
import { csvFieldText, splitCsvRow } from "./csv.ts";
import type { Dataset } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";
import { folderOf, previousKey } from "./keys.ts";
import {
  type FoundTable,
  type ObjectInfo,
  type ObjectStore,
  type TableCatalog,
  type TableLocation,
  tableChanged,
} from "./ports.ts";

/** A header of hundreds of columns is far smaller. */
const headerBytes = 256 * 1024;
/** Concurrent publishers of one dataset are rare, and the athena service changes a table once for each file. */
const attempts = 5;

export type HoldDeps = { tables: TableCatalog; data: ObjectStore };
/** The file that replaces the published one. */
export type NewFile = { runId: string; headers: readonly string[] };

/**
 * Makes the table read a copy of the published file, unless the new file has the same header and, if the dataset has child
 * tables, is of the same run. Call it right before replacing the file, after reading the ETag for the condition of the
 * write. Memory: some chunks of the file.
 * @throws PipelineError `TableChanged`
 */
export async function holdTable(
  dataset: Pick<Dataset, "publish" | "columns">,
  next: NewFile,
  deps: HoldDeps,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await hold(dataset, next, deps);
      return;
    } catch (error) {
      const isChanged = error instanceof PipelineError && error.name === "TableChanged";
      if (!isChanged || attempt >= attempts) throw error;
    }
  }
}

async function hold(
  dataset: Pick<Dataset, "publish" | "columns">,
  { runId, headers }: NewFile,
  { tables, data }: HoldDeps,
): Promise<void> {
  const { csv, table } = dataset.publish;
  const key = previousKey(csv);
  // Read before the table, so that a copy that another publisher makes for the table is never overwritten.
  const earlierCopy = await data.head(key);
  const found = await tables.table(table);
  const file = await data.head(csv);
  if (!file && !found) return;
  const keepsChildren = childTables(dataset).length === 0 || file?.metadata["run-id"] === runId;
  if (file && keepsChildren && isDeepStrictEqual(await headersOf(csv, data), headers)) return;
  const id = randomUUID();
  const location: TableLocation = { folder: folderOf(key), mark: `${id} ${fileIdentity(file)}` };
  // This table cannot be queried. It keeps the athena service from creating one for the file to be replaced.
  if (!found) return tables.defineTable(table, { format: "csv", columns: [], ...location }, undefined);
  const marked = { ...location, folder: found.folder };
  await tables.moveTable(table, marked, found.version);
  if (!isRead(csv, found)) return;
  // From here on, a change by another publisher makes this one fail, and vice versa.
  const own = await tables.table(table);
  if (!own || own.mark !== marked.mark) throw tableChanged(table);
  const copy = file ? withHeaderMark(await data.stream(csv), id) : asChunks(id);
  const copied = await data.upload(key, copy, {
    contentType: "text/csv; charset=utf-8",
    metadata: {},
    condition: earlierCopy ? { ifMatch: earlierCopy.etag } : "absent",
  });
  if (copied === undefined) throw tableChanged(table);
  await tables.moveTable(table, location, own.version);
}

/** Returns whether a publisher is about to replace this file. */
export function isBeingReplaced(table: FoundTable | undefined, file: ObjectInfo): boolean {
  return table?.mark?.slice(table.mark.indexOf(" ") + 1) === fileIdentity(file);
}

/**
 * Returns what identifies a publication. The ETag alone does not: a rollback publishes an earlier file again, and another
 * run may have the same rows.
 */
export function fileIdentity(file: Pick<ObjectInfo, "etag" | "metadata"> | undefined): string {
  if (!file) return "none";
  const { "requested-at": requestedAt = "", "run-id": runId = "" } = file.metadata;
  return `${file.etag} ${requestedAt} ${runId}`;
}

/**
 * Returns the headers of a published CSV file, or undefined if it has no complete line.
 * @param versionId reads an earlier version
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

/** Returns whether the table reads this object. The folder of another tool's table may be a parent of its folder. */
function isRead(key: string, { folder: location }: TableLocation): boolean {
  return key.startsWith(location === "" || location.endsWith("/") ? location : `${location}/`);
}

/**
 * Adds an id to the header line, which no query reads. Each copy of a file then has another ETag, so that a
 * conditional write never replaces another copy.
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
    // Inside the quotes of the first header, if it has any.
    const at = chunk[0] === quote ? 1 : 0;
    yield Buffer.concat([chunk.subarray(0, at), Buffer.from(`${id} `), chunk.subarray(at)]);
  }
  if (isFirst) yield* asChunks(id);
}

const quote = 0x22;

async function* asChunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
