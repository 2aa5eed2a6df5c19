// Runs one query on DuckDB. Each has an engine of its own, in memory and shut off from files and network; the tables
// that the query names are read from S3 and handed in row by row, and its result is handed out the same way.
import { mkdir, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { GetObjectCommand, paginateListObjectsV2, type S3Client } from "@aws-sdk/client-s3";
import {
  DuckDBBlobValue,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBPreparedStatement,
  DuckDBTimestampValue,
  type DuckDBValue,
  StatementType,
  VARCHAR,
} from "@duckdb/node-api";
import { z } from "zod";
import type { Catalog, Relation } from "./athena-catalog.ts";
import { type Field, readLines, rowSplitter } from "./athena-csv.ts";
import { type Column, catalogName, QueryError, type RelationName } from "./athena-ddl.ts";
import { trinoMacros, withTrinoCasts } from "./athena-functions.ts";
import { readRelation, staleView, type Table, type View } from "./athena-relations.ts";

export type EngineQuery = {
  catalog: Catalog;
  /** Where names without a database belong. */
  database: string | undefined;
  s3: S3Client;
  /** What does not fit in memory goes to this directory, which is made and removed. */
  spillDirectory: string;
  /** Ends the query early, with the signal's reason. */
  signal: AbortSignal;
};

/** A SELECT's answer while it runs. */
export type Selection = {
  columns: Column[];
  /** Batches of rows as Athena spells their values, in order. */
  rows: AsyncIterable<Field[][]>;
  /** Bytes read from S3. */
  scannedBytes: number;
};

const settings = {
  memory_limit: "1GB",
  max_temp_directory_size: "10GB",
  threads: "2",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false",
  // As Trino has it: 1/2 is 0.
  integer_division: "true",
};

/** Objects of one table. */
const maxObjects = 10_000;
const batchRows = 2_048;
/** Characters of one batch; a row may be long. */
const batchLength = 8 * 1024 * 1024;

const resultCount = z.tuple([z.tuple([z.bigint()])]);

/**
 * Runs a SELECT and hands its result to `use` while the engine is there.
 * @throws QueryError with the reason why the query failed; what `use` throws; the signal's reason
 */
export async function select<T>(
  query: EngineQuery,
  trinoSql: string,
  use: (selection: Selection) => Promise<T>,
): Promise<T> {
  const sql = withTrinoCasts(trinoSql);
  return await withEngine(query, async (connection) => {
    const scannedBytes = await createRelations(connection, query, sql, loadTable);
    const columns = resultColumns(await prepareSelect(connection, sql));
    query.signal.throwIfAborted();
    // Not streamed from the query itself: DuckDB's C API ends a stream that fails as if it were complete
    // (https://github.com/duckdb/duckdb-rs/pull/664). A table's rows, once there, are only copied, and counted.
    const made = await connection.run(`CREATE TEMP TABLE result AS ${sql}`);
    const count = Number(resultCount.parse(await made.getRows())[0][0]);
    // Texts as bytes: as strings they would come without a byte order mark at their head.
    const fields = columns.map(({ type }, n) => (type === "varchar" ? `encode(#${n + 1})` : `#${n + 1}`));
    const result = await connection.stream(`SELECT ${fields.join(", ")} FROM temp.result`);
    async function* rows(): AsyncGenerator<Field[][]> {
      let copied = 0;
      for (;;) {
        query.signal.throwIfAborted();
        const chunk = await result.fetchChunk();
        if (!chunk || chunk.rowCount === 0) break;
        copied += chunk.rowCount;
        yield chunk.convertRows(spell);
      }
      if (copied === count) return;
      throw new Error(`The engine handed out ${copied} of ${count} rows; run the query again.`);
    }
    return await use({ columns, rows: rows(), scannedBytes });
  });
}

/**
 * The columns that a view would have, from the tables' definitions alone.
 * @throws QueryError when the view's query can't be run
 */
export async function describeView(query: EngineQuery, trinoSql: string): Promise<Column[]> {
  const sql = withTrinoCasts(trinoSql);
  return await withEngine(query, async (connection) => {
    await createRelations(connection, query, sql, async () => 0);
    return viewColumns(await prepareSelect(connection, sql));
  });
}

async function withEngine<T>(
  query: EngineQuery,
  use: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const { catalog, database, signal, spillDirectory } = query;
  if (database !== undefined && !catalog.databases.includes(database)) {
    throw new QueryError(`Database ${database} does not exist.`);
  }
  await mkdir(spillDirectory, { recursive: true });
  const instance = await DuckDBInstance.create(":memory:", {
    ...settings,
    temp_directory: spillDirectory,
    // After temp_directory, which can't be set any more once this is.
    enable_external_access: "false",
  });
  const connection = await instance.connect();
  let interrupting: NodeJS.Timeout | undefined;
  // Again and again until the connection is closed: an interrupt between two statements goes unnoticed.
  const interrupt = (): void => {
    connection.interrupt();
    interrupting = setInterval(() => connection.interrupt(), 100);
  };
  signal.addEventListener("abort", interrupt);
  try {
    signal.throwIfAborted();
    await connection.run(trinoMacros);
    await connection.run(`ATTACH ':memory:' AS ${catalogName}`);
    for (const name of catalog.databases) {
      await connection.run(`CREATE SCHEMA IF NOT EXISTS ${catalogName}.${quoted(name)}`);
    }
    return await use(connection);
  } catch (error) {
    throw signal.aborted ? signal.reason : toQueryError(error);
  } finally {
    signal.removeEventListener("abort", interrupt);
    clearInterval(interrupting);
    connection.closeSync();
    instance.closeSync();
    await rm(spillDirectory, { recursive: true, force: true });
  }
}

type Load = (connection: DuckDBConnection, table: Table, query: EngineQuery) => Promise<number>;

/**
 * Makes every table and view that the query names, those that its views name before them, and leaves the query's
 * own database as the current one.
 * @returns the sum of what `load` returns
 */
async function createRelations(
  connection: DuckDBConnection,
  query: EngineQuery,
  sql: string,
  load: Load,
): Promise<number> {
  const seen = new Set<Relation>();
  let loaded = 0;

  // Bounded by the catalog: no relation is made twice.
  async function createNamed(from: string): Promise<void> {
    const names = connection.getTableNames(from, false).map((name) => name.toLowerCase());
    for (const defined of query.catalog.relations) {
      if (!names.includes(defined.name) || seen.has(defined)) continue;
      seen.add(defined);
      query.signal.throwIfAborted();
      const relation = readRelation(defined);
      if (relation.kind === "table") {
        await createTable(connection, relation);
        loaded += await load(connection, relation, query);
      } else {
        await createNamed(relation.sql);
        await createView(connection, relation);
      }
    }
  }

  await createNamed(sql);
  await useDatabase(connection, query.database);
  // Nothing is set any more from here on, the query's text included.
  await connection.run("SET lock_configuration = true");
  return loaded;
}

async function createTable(connection: DuckDBConnection, table: Table): Promise<void> {
  const columns = table.columns.map((column) => `${quoted(column.name)} VARCHAR`);
  await connection.run(`CREATE TABLE ${path(table)} (${columns.join(", ")})`);
}

async function createView(connection: DuckDBConnection, view: View): Promise<void> {
  await useDatabase(connection, view.context);
  const names = view.columns.map((column) => quoted(column.name));
  let found: Column[];
  try {
    await connection.run(`CREATE VIEW ${path(view)} (${names.join(", ")}) AS ${withTrinoCasts(view.sql)}`);
    found = viewColumns(await prepareSelect(connection, `SELECT * FROM ${path(view)}`));
  } catch (cause) {
    throw staleView(view, "what it selects is gone or has other columns", cause);
  }
  if (JSON.stringify(found) !== JSON.stringify(view.columns)) {
    throw staleView(view, "what it selects has columns of other types");
  }
}

async function useDatabase(connection: DuckDBConnection, database: string | undefined): Promise<void> {
  await connection.run(`USE ${catalogName}.${quoted(database ?? "default")}`);
}

/** Reads every object below the table's location, in the order of their keys, and returns their bytes. */
async function loadTable(connection: DuckDBConnection, table: Table, query: EngineQuery): Promise<number> {
  const { s3, signal } = query;
  const keys = await listObjects(table, query);
  const split = rowSplitter(table.dialect, table.columns.length);
  const appender = await connection.createAppender(table.name, table.database, catalogName);
  let bytes = 0;
  for (const Key of keys) {
    const object = await s3.send(new GetObjectCommand({ Bucket: table.bucket, Key }), {
      abortSignal: signal,
    });
    bytes += object.ContentLength ?? 0;
    let skip = table.skipLines;
    let rows: Field[][] = [];
    let length = 0;
    for await (const line of readLines(z.instanceof(Readable).parse(object.Body))) {
      if (skip > 0) {
        skip -= 1;
        continue;
      }
      rows.push(split(line));
      length += line.length;
      if (rows.length < batchRows && length < batchLength) continue;
      signal.throwIfAborted();
      append(rows);
      rows = [];
      length = 0;
    }
    append(rows);
  }
  appender.closeSync();
  return bytes;

  function append(rows: Field[][]): void {
    if (rows.length === 0) return;
    const chunk = DuckDBDataChunk.create(table.columns.map(() => VARCHAR));
    chunk.setRows(rows);
    appender.appendDataChunk(chunk);
  }
}

async function listObjects(table: Table, { s3, signal }: EngineQuery): Promise<string[]> {
  const keys: string[] = [];
  const pages = paginateListObjectsV2(
    { client: s3 },
    { Bucket: table.bucket, Prefix: table.prefix },
    { abortSignal: signal },
  );
  for await (const page of pages) {
    for (const { Key: key = "", Size: size = 0 } of page.Contents ?? []) {
      const name = key.slice(key.lastIndexOf("/") + 1);
      // As Hive does: names that begin so are hidden.
      if (size > 0 && !name.startsWith("_") && !name.startsWith(".")) keys.push(key);
    }
    if (keys.length > maxObjects) {
      throw new QueryError(
        `The table ${table.database}.${table.name} has more than ${maxObjects} objects; this local Athena reads no more.`,
      );
    }
  }
  return keys;
}

async function prepareSelect(connection: DuckDBConnection, sql: string): Promise<DuckDBPreparedStatement> {
  const statements = await connection.extractStatements(sql);
  if (statements.count !== 1) throw new QueryError("Only one SQL statement is allowed in a query.");
  const prepared = await statements.prepare(0);
  if (prepared.statementType !== StatementType.SELECT) {
    throw new QueryError("This local Athena runs SELECT and the DDL that it knows, and nothing else.");
  }
  return prepared;
}

function resultColumns(prepared: DuckDBPreparedStatement): Column[] {
  return Array.from({ length: prepared.columnCount }, (_, index) => ({
    name: prepared.columnName(index),
    type: trinoType(String(prepared.columnType(index))),
  }));
}

/** Columns as a view keeps them: in lower case. */
function viewColumns(prepared: DuckDBPreparedStatement): Column[] {
  return resultColumns(prepared).map(({ name, type }) => ({ name: name.toLowerCase(), type }));
}

const trinoTypes: Record<string, string> = {
  // The sum of integers is a bigint in Trino.
  HUGEINT: "bigint",
  FLOAT: "real",
  "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
};

function trinoType(type: string): string {
  return trinoTypes[type] ?? type.toLowerCase();
}

/** A value as Athena spells it in a result. */
function spell(value: DuckDBValue, type: { toString(): string }): Field {
  if (value === null) return null;
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString("utf8");
  if (typeof value === "number") {
    return ["DOUBLE", "FLOAT"].includes(type.toString()) ? spellDouble(value) : String(value);
  }
  if (value instanceof DuckDBTimestampValue) {
    // timestamp(3): always three digits.
    const [seconds = "", fraction = ""] = value.toString().split(".");
    return `${seconds}.${fraction.slice(0, 3).padEnd(3, "0")}`;
  }
  return String(value);
}

/** As Java does: 1.0, 0.25, 1.5E10, 1.0E-5. https://docs.oracle.com/javase/8/docs/api/java/lang/Double.html#toString-double- */
function spellDouble(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e7))
    return Number.isInteger(value) ? `${value}.0` : String(value);
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  return `${digits.includes(".") ? digits : `${digits}.0`}E${Number(exponent)}`;
}

function path({ database, name }: RelationName): string {
  return `${catalogName}.${quoted(database)}.${quoted(name)}`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The engine's own words, without the line that points into the SQL, and without any value of the data. */
function toQueryError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof QueryError) return error;
  const match = /(?:^|: )(?<kind>[A-Z][\w ]{2,30} Error): (?<message>.*)$/s.exec(error.message);
  if (match?.groups?.message === undefined) return error;
  const { kind = "", message } = match.groups;
  const ofStatement = /^(?:Parser|Binder|Catalog|Permission)/.test(kind);
  const told = ofStatement ? message : message.replace(/(['"]).*\1/s, "'...'");
  return new QueryError(`${kind}: ${told.split("\n")[0]}`, { cause: error });
}
