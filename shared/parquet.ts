// Writes Parquet files in bounded memory: the typed rows of a published file, and its changes. Readers that know types and
// names (Athena, DuckDB, pandas, R, Spark) need no rules for the CSV. Equal rows give equal bytes.
import { zstdCompressSync } from "node:zlib";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import * as z from "zod/mini";
import { columnType } from "./column-types.ts";

/** `texts` is a list of texts. A `time` is a text. */
export const parquetType = z.enum([...columnType.options, "texts"]);
export type ParquetType = z.infer<typeof parquetType>;
export type ParquetColumn = { name: string; type: ParquetType };
/**
 * A value in the format of the CSV (shared/column-types.ts): `YYYY-MM-DD HH:MM:SS` for a timestamp, `YYYY-MM-DD` for a
 * date.
 */
export type ParquetValue = string | number | boolean | null | readonly string[];

export const parquetContentType = "application/vnd.apache.parquet";

/** A row group ends at the first of these limits. It is what is held in memory. */
const groupRows = 20_000;
const groupCharacters = 16 * 1024 * 1024;

type SchemaElement = ConstructorParameters<typeof ParquetWriter>[0]["schema"][number];
type Stored = string | number | bigint | boolean | readonly string[] | null;
type Kind = {
  /** The elements below the column's own, which has `num_children` then. */
  children?: SchemaElement[];
  element: Omit<SchemaElement, "name">;
  stored: (value: ParquetValue) => Stored;
};

const text: Omit<SchemaElement, "name"> = {
  type: "BYTE_ARRAY",
  converted_type: "UTF8",
  logical_type: { type: "STRING" },
};
const asIs = (value: ParquetValue): Stored => value;
const texts: Kind = { element: text, stored: asIs };

/** The layout of a list that all readers know. https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists */
const list: Kind = {
  element: { converted_type: "LIST", logical_type: { type: "LIST" }, num_children: 1 },
  children: [
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", repetition_type: "OPTIONAL", ...text },
  ],
  stored: asIs,
};

const kinds: Record<ParquetType, Kind> = {
  text: texts,
  time: texts,
  texts: list,
  integer: { element: { type: "INT64" }, stored: (value) => BigInt(Number(value)) },
  number: { element: { type: "DOUBLE" }, stored: (value) => Number(value) },
  boolean: { element: { type: "BOOLEAN" }, stored: (value) => value === true || value === "true" },
  date: {
    element: { type: "INT32", converted_type: "DATE" },
    stored: (value) => millisOf(value) / 86_400_000,
  },
  timestamp: {
    // Local time without a zone. TIMESTAMP_MICROS, the older name of this type, would mean UTC.
    element: { type: "INT64", logical_type: { type: "TIMESTAMP", isAdjustedToUTC: false, unit: "MICROS" } },
    stored: (value) => BigInt(millisOf(value) * 1000),
  },
};

/** Returns milliseconds since 1970 as if the local time were UTC. @param value `YYYY-MM-DD`, or with ` HH:MM:SS` */
function millisOf(value: ParquetValue): number {
  const given = String(value);
  const part = (from: number, to: number): number => Number(given.slice(from, to));
  const date = new Date(0);
  // Unlike Date.UTC, this takes the years 1 to 99 as they are.
  date.setUTCFullYear(part(0, 4), part(5, 7) - 1, part(8, 10));
  date.setUTCHours(part(11, 13), part(14, 16), part(17, 19));
  return date.getTime();
}

/** Collects rows and returns the bytes of the file as its row groups fill up. */
export class ParquetRows {
  readonly #columns: readonly (ParquetColumn & Kind)[];
  readonly #bytes = new TakenBytes();
  readonly #writer: ParquetWriter;
  #values: Stored[][];
  #rows = 0;
  #characters = 0;

  /** @param metadata texts in the file's footer */
  constructor(
    columns: readonly ParquetColumn[],
    { metadata = {} }: { metadata?: Readonly<Record<string, string>> } = {},
  ) {
    this.#columns = columns.map((column) => ({ ...column, ...kinds[column.type] }));
    this.#values = columns.map(() => []);
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: [{ name: "schema", num_children: columns.length }, ...this.#columns.flatMap(elementsOf)],
      codec: "ZSTD",
      compressors: { ZSTD: (bytes) => zstdCompressSync(bytes) },
      kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      createdBy: "libinsight-pipeline version 1",
    });
  }

  /** Adds a row. @returns bytes of the file that are complete, usually none */
  add(row: readonly ParquetValue[]): Uint8Array[] {
    for (const [index, { stored }] of this.#columns.entries()) {
      const value = row[index] ?? null;
      this.#values[index]?.push(value === null ? null : stored(value));
      this.#characters += sizeOf(value);
    }
    this.#rows += 1;
    if (this.#rows < groupRows && this.#characters < groupCharacters) return [];
    this.#writeGroup();
    return this.#bytes.take();
  }

  /** Returns the rest of the file. */
  finish(): Uint8Array[] {
    if (this.#rows > 0) this.#writeGroup();
    void this.#writer.finish();
    return this.#bytes.take();
  }

  #writeGroup(): void {
    const columnData = this.#columns.map(({ name, type }, index) => ({
      name,
      data: this.#values[index] ?? [],
      // Bounds of texts would take as long as writing the texts, and queries select by date.
      statistics: type !== "text" && type !== "texts",
    }));
    void this.#writer.write({ columnData, rowGroupSize: this.#rows });
    this.#values = this.#columns.map(() => []);
    this.#rows = 0;
    this.#characters = 0;
  }
}

function elementsOf({ name, element, children = [] }: ParquetColumn & Kind): SchemaElement[] {
  return [{ name, repetition_type: "OPTIONAL", ...element }, ...children];
}

function sizeOf(value: ParquetValue): number {
  if (typeof value === "string") return value.length;
  return Array.isArray(value) ? value.reduce((sum: number, each: string) => sum + each.length, 0) : 8;
}

/** Gives away the bytes that were written since the last time. */
class TakenBytes extends ByteWriter {
  take(): Uint8Array[] {
    const taken = this.getBytes().slice();
    this.index = 0;
    return taken.length > 0 ? [taken] : [];
  }
}
