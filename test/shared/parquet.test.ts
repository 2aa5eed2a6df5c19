// The Parquet files as their readers see them: hyparquet and DuckDB here, Python's readers in test/emulator.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import fc from "fast-check";
import { parquetMetadata } from "hyparquet";
import { expect, test } from "vitest";
import { type ParquetColumn, ParquetRows, type ParquetValue } from "../../shared/parquet.ts";
import { parquetRecords } from "../support/parquet-records.ts";
import { useFolder } from "../support/temporary-folder.ts";

const folder = useFolder("libinsight-parquet-");

const columns = [
  { name: "_id", type: "integer" },
  { name: "_start_date", type: "timestamp" },
  { name: "day", type: "date" },
  { name: "minutes", type: "number" },
  { name: "in_person", type: "boolean" },
  { name: "comments", type: "text" },
  { name: "asked_at", type: "time" },
  { name: "topics", type: "texts" },
] as const satisfies ParquetColumn[];

const seconds = fc
  .integer({ min: Date.UTC(1000, 0, 1) / 1000, max: Date.UTC(9999, 11, 31) / 1000 })
  .map((second) => new Date(second * 1000).toISOString().slice(0, 19).replace("T", " "));
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 4 });
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("", "null", '"', "\u0001", "\u{1F4DA}"),
);
const row: fc.Arbitrary<ParquetValue[]> = fc.tuple(
  orNull(fc.maxSafeInteger()),
  orNull(fc.oneof(seconds, fc.constantFrom("0001-01-01 00:00:00", "0099-12-31 23:59:59"))),
  orNull(seconds.map((second) => second.slice(0, 10))),
  orNull(fc.double({ noNaN: true, noDefaultInfinity: true })),
  orNull(fc.boolean()),
  orNull(text),
  orNull(seconds.map((second) => second.slice(11))),
  orNull(fc.array(text, { maxLength: 3 })),
);

function fileOf(rows: readonly ParquetValue[][], metadata?: Record<string, string>): Buffer {
  const file = new ParquetRows(columns, metadata && { metadata });
  return Buffer.concat([...rows.flatMap((each) => file.add(each)), ...file.finish()]);
}

const dateOf = (value: ParquetValue | undefined) =>
  value === null
    ? null
    : new Date(`${String(value).replace(" ", "T")}${String(value).length > 10 ? "Z" : ""}`);

test("hyparquet reads every value, also in a file of many rows", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 60 }), async (rows) => {
      const expected = rows.map(([id, at, day, minutes, inPerson, comments, askedAt, topics]) => ({
        ...{
          _id: id === null ? null : BigInt(Number(id)),
          _start_date: dateOf(at),
          day: dateOf(day),
          minutes,
        },
        ...{ in_person: inPerson, comments, asked_at: askedAt, topics },
      }));
      expect(await parquetRecords(fileOf(rows))).toEqual(expected);
    }),
  );
});

test("DuckDB reads every value with its type", async () => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await mkdir(folder, { recursive: true });
  const path = join(folder, "rows.parquet");
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 30 }), async (rows) => {
      await writeFile(path, fileOf(rows));
      const selected = columns.map(({ name, type }) =>
        type === "texts"
          ? `to_json("${name}")`
          : type === "number"
            ? `"${name}"`
            : `CAST("${name}" AS VARCHAR)`,
      );
      const result = await connection.run(`SELECT ${selected.join(", ")} FROM read_parquet('${path}')`);
      const expected = rows.map((values) =>
        values.map((value, index) => {
          if (value === null || index === 3) return value;
          return Array.isArray(value) ? JSON.stringify(value) : String(value);
        }),
      );
      expect(await result.getRows()).toEqual(expected);
    }),
    { numRuns: 50 },
  );
  const schema = await connection.run(`DESCRIBE SELECT * FROM read_parquet('${path}')`);
  expect((await schema.getRows()).map(([name, type]) => `${name} ${type}`)).toEqual([
    "_id BIGINT",
    "_start_date TIMESTAMP",
    "day DATE",
    "minutes DOUBLE",
    "in_person BOOLEAN",
    "comments VARCHAR",
    "asked_at VARCHAR",
    "topics VARCHAR[]",
  ]);
  connection.closeSync();
  instance.closeSync();
});

test("the same rows give the same bytes, with the metadata in the footer", () => {
  const rows = fc.sample(row, { numRuns: 50, seed: 1 });
  const file = fileOf(rows, { "run-id": "visits-0123456789ab" });
  expect(file.equals(fileOf(rows, { "run-id": "visits-0123456789ab" }))).toBe(true);
  const { key_value_metadata: found, num_rows: count } = parquetMetadata(Uint8Array.from(file).buffer);
  expect(found).toEqual([{ key: "run-id", value: "visits-0123456789ab" }]);
  expect(count).toBe(50n);
});

test("a file without rows has its columns", () => {
  const { schema, num_rows: count } = parquetMetadata(Uint8Array.from(fileOf([])).buffer);
  expect(schema.filter(({ name }) => name === "topics")).toHaveLength(1);
  expect(count).toBe(0n);
});

test("a row group ends after 20,000 rows or 16 MiB of text, so that memory does not grow with the file", async () => {
  const file = new ParquetRows([{ name: "note", type: "text" }]);
  const bytes: Uint8Array[] = [];
  const add = (note: string): boolean => {
    const complete = file.add([note]);
    bytes.push(...complete);
    return complete.length > 0;
  };
  const ends = Array.from({ length: 40_001 }, (_, index) => add(`${index}`)).flatMap((ended, index) =>
    ended ? [index + 1] : [],
  );
  expect(ends).toEqual([20_000, 40_000]);
  const large = "x".repeat(1024 * 1024);
  const many = Array.from({ length: 17 }, () => add(large));
  expect(many.indexOf(true)).toBe(15);
  bytes.push(...file.finish());
  const records = await parquetRecords(Buffer.concat(bytes));
  expect(records).toHaveLength(40_018);
  expect(records.at(40_000)).toEqual({ note: "40000" });
});
