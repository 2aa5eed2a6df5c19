// Writes files again without the rows of forgotten records. A file in lines is streamed; a Parquet file is in memory.
import { zstdDecompressSync } from "node:zlib";
import { type FileMetaData, parquetMetadata, parquetRead, parquetSchema } from "hyparquet";
import { csvFieldText, splitCsvRow } from "../../../shared/csv.ts";
import { headersOf } from "../../../shared/header-change.ts";
import {
  type ParquetColumn,
  ParquetRows,
  type ParquetType,
  type ParquetValue,
} from "../../../shared/parquet.ts";
import type { ObjectStore } from "../../../shared/ports.ts";

type Chunks = AsyncIterable<Uint8Array>;
/** Returns whether the record of this `_id` is forgotten. */
export type IsForgotten = (id: number) => boolean;
/** Yields a file without the rows of forgotten records. */
export type RowFilter = (chunks: Chunks, isForgotten: IsForgotten) => AsyncGenerator<Filtered>;
/** Bytes of the new file, and the number of rows that were left out since the last ones. */
export type Filtered = { bytes: Uint8Array; removed: number };

/** A row of a CSV that begins with its `_id`: the pipeline's own, or a result of Athena, which quotes all fields. */
const csvId = /^"?(\d{1,16})"?(?:,|$)/;
const jsonId = /^\{"_id":(\d{1,16})[,}]/;
/** The longest beginning of a line that these match. */
const idBytes = 32;
const newline = 0x0a;

/** Leaves out rows of a CSV by their first field. The header has none. */
export const csvFilter: RowFilter = (chunks, isForgotten) => withoutLines(chunks, csvId, isForgotten);
/** Leaves out JSON lines by their first member. */
export const jsonFilter: RowFilter = (chunks, isForgotten) => withoutLines(chunks, jsonId, isForgotten);

async function* withoutLines(
  chunks: Chunks,
  pattern: RegExp,
  isForgotten: IsForgotten,
): AsyncGenerator<Filtered> {
  for await (const lines of wholeLines(chunks)) {
    const kept: Uint8Array[] = [];
    let removed = 0;
    for (const line of eachLine(lines)) {
      const id = lineId(line, pattern);
      if (id !== undefined && isForgotten(id)) removed += 1;
      else kept.push(line);
    }
    yield { bytes: removed === 0 ? lines : Buffer.concat(kept), removed };
  }
}

function lineId(line: Uint8Array, pattern: RegExp): number | undefined {
  const start = Buffer.from(line.subarray(0, idBytes)).toString("latin1").trimEnd();
  const [, digits] = pattern.exec(start) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** Yields each line with its line break. */
export function* eachLine(lines: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < lines.length; ) {
    const end = lines.indexOf(newline, start) + 1 || lines.length;
    yield lines.subarray(start, end);
    start = end;
  }
}

/** Yields the chunks cut after line breaks. No field holds a line break (shared/csv.ts). */
async function* wholeLines(chunks: Chunks): AsyncGenerator<Uint8Array> {
  const open: Uint8Array[] = [];
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(newline) + 1;
    if (end > 0) yield Buffer.concat([...open.splice(0), chunk.subarray(0, end)]);
    if (end < chunk.length) open.push(chunk.subarray(end));
  }
  if (open.length > 0) yield Buffer.concat(open);
}

/** Yields the records of a published CSV; none if it does not exist. */
export async function* csvRecords(
  key: string,
  data: ObjectStore,
): AsyncGenerator<{ id: number; textOf: (header: string) => string }> {
  if (!(await data.head(key))) return;
  const headers = (await headersOf(key, data)) ?? [];
  for await (const lines of wholeLines(await data.stream(key))) {
    for (const line of eachLine(lines)) {
      const fields = splitCsvRow(Buffer.from(line).toString("utf8").trimEnd());
      const textOf = (header: string) => csvFieldText(fields[headers.indexOf(header)] ?? "");
      if (/^\d+$/.test(fields[0] ?? "")) yield { id: Number(fields[0]), textOf };
    }
  }
}

/** Leaves out rows of a Parquet file by its first column. */
export async function* parquetFilter(chunks: Chunks, isForgotten: IsForgotten): AsyncGenerator<Filtered> {
  const file = await readParquet(chunks);
  yield* rewritten(file, (row) => (isForgotten(Number(row[0])) ? undefined : row));
}

export type ParquetFile = {
  columns: ParquetColumn[];
  /** Texts in the footer. */
  metadata: Record<string, string>;
  /** Yields the rows of each row group. */
  groups(): AsyncGenerator<ParquetValue[][]>;
};

/** @param change returns the row to write, or undefined to leave it out */
export async function* rewritten(
  { columns, metadata, groups }: Pick<ParquetFile, "columns" | "metadata" | "groups">,
  change: (row: ParquetValue[]) => ParquetValue[] | undefined,
): AsyncGenerator<Filtered> {
  const rows = new ParquetRows(columns, { metadata });
  for await (const group of groups()) {
    let removed = 0;
    const bytes: Uint8Array[] = [];
    for (const row of group) {
      const changed = change(row);
      if (changed) bytes.push(...rows.add(changed));
      else removed += 1;
    }
    yield { bytes: Buffer.concat(bytes), removed };
  }
  yield { bytes: Buffer.concat(rows.finish()), removed: 0 };
}

/** Reads a file that shared/parquet.ts wrote. */
export async function readParquet(chunks: Chunks): Promise<ParquetFile> {
  const bytes = Uint8Array.from(Buffer.concat(await Array.fromAsync(chunks)));
  const file = bytes.buffer;
  const footer = parquetMetadata(file);
  const columns = columnsOf(footer);
  const metadata = (footer.key_value_metadata ?? []).map(({ key, value = "" }) => [key, value] as const);
  return {
    columns,
    metadata: Object.fromEntries(metadata),
    async *groups() {
      let rowStart = 0;
      for (const { num_rows } of footer.row_groups) {
        const rowEnd = rowStart + Number(num_rows);
        const { promise, resolve } = Promise.withResolvers<unknown[][]>();
        const parsers = {
          timestampFromMicroseconds: (micros: bigint) => textOfMillis(Number(micros / 1_000n)),
          dateFromDays: (days: number) => textOfMillis(days * 86_400_000).slice(0, "2026-01-01".length),
        };
        const compressors = { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) };
        await parquetRead({
          file,
          metadata: footer,
          rowStart,
          rowEnd,
          parsers,
          compressors,
          onComplete: resolve,
        });
        yield (await promise).map((row) => row.map(parquetValue));
        rowStart = rowEnd;
      }
    },
  };
}

function textOfMillis(ms: number): string {
  return new Date(ms).toISOString().slice(0, "2026-01-01T00:00:00".length).replace("T", " ");
}

/** Returns a value as `ParquetRows` takes it. The integers of the files are safe ones. */
function parquetValue(value: unknown): ParquetValue {
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return Array.isArray(value) ? value.map(String) : null;
}

function columnsOf(footer: FileMetaData): ParquetColumn[] {
  return parquetSchema(footer).children.map(({ element }) => ({ name: element.name, type: typeOf(element) }));
}

function typeOf({
  type,
  converted_type,
  logical_type,
}: ReturnType<typeof parquetSchema>["element"]): ParquetType {
  if (converted_type === "LIST") return "texts";
  if (converted_type === "DATE") return "date";
  if (type === "BOOLEAN") return "boolean";
  if (type === "DOUBLE") return "number";
  if (type === "INT64") return logical_type?.type === "TIMESTAMP" ? "timestamp" : "integer";
  return "text";
}
