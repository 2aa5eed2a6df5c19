// The query engine on this machine: DuckDB in this process, over the published files. Each query has its own database
// in memory, which is closed afterwards to free its memory.
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import * as z from "zod/mini";
import { splitCsvRow } from "../csv.ts";
import { PipelineError } from "../errors.ts";
import { type ParquetType, parquetType } from "../parquet.ts";
import {
  type FoundTable,
  type ObjectStore,
  type Query,
  type QueryEngine,
  type Rows,
  type TableDefinition,
  type TableLocation,
  tableChanged,
  type ViewDefinition,
} from "../ports.ts";
import { athenaText, trinoMacros, withTrinoCasts } from "./trino.ts";

/** With these, a million rows (226 MB) take 3 s and 35 MB. Data that does not fit in memory goes to disk. */
const settings = {
  memory_limit: "64MB",
  max_temp_directory_size: "10GB",
  threads: "1",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false",
  // In Trino, 1/2 is 0.
  integer_division: "true",
};
/** A longer line fails the query. For a file of at least this size, DuckDB allocates several buffers of this size. */
const maxLineBytes = 2 * 1024 * 1024;
/** A header of hundreds of columns is far smaller. */
const headerBytes = 256 * 1024;
const maxQueryMs = 15 * 60_000;
/** An interrupt between two statements has no effect, so it is repeated. */
const interruptMs = 100;
/** The limit of Athena's GetQueryResults, without the header. */
const maxRows = 999;
/** Limits the objects below queries/, which expire after a month. */
const maxQueryObjects = 100_000;

const location = { folder: z.string(), mark: z.optional(z.string()) };
const column = { name: z.string(), comment: z.string() };
const tableSchema = z.union([
  z.object({
    format: z.literal("parquet"),
    columns: z.array(z.object({ ...column, type: parquetType })),
    ...location,
  }),
  // Versions before Parquet stored no format.
  z.object({ format: z._default(z.literal("csv"), "csv"), columns: z.array(z.object(column)), ...location }),
]);
const viewSchema = z.object({ select: z.string(), comments: z.record(z.string(), z.string()) });
const relationSchema = z.union([tableSchema, viewSchema]);

const executionSchema = z.object({
  sql: z.string(),
  folder: z.string(),
  state: z.enum(["RUNNING", "SUCCEEDED", "FAILED"]),
  reason: z._default(z.string(), "no code given"),
  retryable: z._default(z.boolean(), false),
});
type Execution = z.infer<typeof executionSchema>;

const definitionKey = (name: string) => `catalog/${name}.json`;
const executionKey = (id: string) => `queries/${id}/execution.json`;
const resultKey = (folder: string, id: string) => `${folder}/${id}.csv`;

export type DuckDbOptions = {
  database: string;
  /** Stores definitions and queries. */
  catalog: ObjectStore;
  /** Returns the paths of the latest files in a folder of the data store. */
  filesIn: (folder: string) => Promise<string[]>;
  /** Moves a result file into the results store. */
  adopt: (key: string, path: string) => Promise<void>;
  /** For results that are being written, and for data that does not fit in memory. */
  temporaryFolder: string;
  /** Called after a query has ended, at best effort. */
  onEnd: (query: { id: string; state: "SUCCEEDED" | "FAILED" }) => Promise<void>;
};

/** A SELECT that DuckDB accepted. `values` is SQL for its columns in Athena's format, `from` is SQL for its rows. */
type Selection = { connection: DuckDBConnection; names: string[]; values: string[]; from: string };

export class DuckDbQueryEngine implements QueryEngine {
  readonly database: string;
  readonly #options: DuckDbOptions;
  /** Ids of this process's queries that have not ended. */
  readonly #unfinished = new Set<string>();
  /** Settles when the last query has ended. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: DuckDbOptions) {
    this.#options = options;
    this.database = options.database;
  }

  async table(name: string): Promise<FoundTable | undefined> {
    const { catalog } = this.#options;
    // In this order, so that the version is never newer than the table that is read.
    const stored = await catalog.head(definitionKey(name));
    const table = stored && (await catalog.getJson(definitionKey(name), tableSchema));
    return table && { folder: table.folder, mark: table.mark, version: stored.etag };
  }

  async defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void> {
    const { catalog } = this.#options;
    const key = definitionKey(name);
    // A table that is already as defined keeps its version.
    const isSame = (await catalog.getText(key)) === JSON.stringify(table);
    if (isSame && (await catalog.head(key))?.etag === ifVersion) return;
    const isDone =
      ifVersion === undefined
        ? await catalog.putOnce(key, table)
        : await catalog.replaceJson(key, table, ifVersion);
    if (!isDone) throw tableChanged(name);
  }

  async moveTable(name: string, { folder, mark }: TableLocation, ifVersion: string): Promise<void> {
    const table = await this.#options.catalog.getJson(definitionKey(name), tableSchema);
    if (!table) throw tableChanged(name);
    await this.defineTable(name, { ...table, folder, mark }, ifVersion);
  }

  async defineView(name: string, { select, comments }: ViewDefinition): Promise<void> {
    const { catalog } = this.#options;
    const definition = JSON.stringify({ select, comments: Object.fromEntries(comments) });
    if ((await catalog.getText(definitionKey(name))) === definition) return;
    await catalog.put(definitionKey(name), definition, "application/json");
  }

  async start(sql: string, folder: string, token: string): Promise<string> {
    const id = createHash("sha256")
      .update(JSON.stringify([token, sql, folder]))
      .digest("hex")
      .slice(0, 32);
    await this.#options.catalog.putOnce(executionKey(id), { sql, folder, state: "RUNNING" });
    await this.#find(id);
    return id;
  }

  async get(id: string): Promise<Query> {
    const execution = await this.#find(id);
    if (!execution)
      return { id, state: "UNKNOWN", reason: "no such query", retryable: false, output: undefined };
    const { state, reason, retryable, folder } = execution;
    return { id, state, reason, retryable, output: resultKey(folder, id) };
  }

  async firstRows(sql: string, _folder: string, max: number): Promise<Rows> {
    try {
      return await this.#oneAtATime(() =>
        this.#select(sql, randomUUID(), [], async ({ connection, names, values, from }) => {
          // As JSON, because DuckDB removes a byte order mark at the beginning of a string.
          const limited = `SELECT to_json([${values.join(", ")}]) FROM ${from} LIMIT ${Math.min(max, maxRows)}`;
          const rows = await (await connection.run(limited)).getRows();
          return { columns: names, rows: rows.map(([row]) => rowSchema.parse(JSON.parse(String(row)))) };
        }),
      );
    } catch (error) {
      throw new PipelineError("StatementFailed", {
        message: `DuckDB could not run a query (${failureOf(error).reason}).`,
        advice:
          "Retried automatically. If it persists, check the SQL of the query and of the dataset's columns.",
        kind: "transient",
      });
    }
  }

  /** Loads DuckDB, which takes 0.2 s, so that the first query does not wait for it. */
  async warmUp(): Promise<void> {
    const { DuckDBInstance } = await import("@duckdb/node-api");
    (await DuckDBInstance.create(":memory:", settings)).closeSync();
  }

  /** Runs the queries again that an earlier process did not finish. Call it once, at startup. */
  async resume(): Promise<void> {
    for (const key of await this.#options.catalog.list("queries/", maxQueryObjects)) {
      const id = /^queries\/(.+)\/execution\.json$/.exec(key)?.[1];
      if (id !== undefined) await this.#find(id);
    }
  }

  /** Interrupts the running query. It and the waiting ones run again after the next startup. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
  }

  /** Returns an execution. Runs it again if it is unfinished and of another process, which must have died. */
  async #find(id: string): Promise<Execution | undefined> {
    // Checked before the read too, because the query may end during the read.
    const isOwn = this.#unfinished.has(id);
    const execution = await this.#options.catalog.getJson(executionKey(id), executionSchema);
    if (execution?.state !== "RUNNING" || isOwn || this.#unfinished.has(id) || this.#isClosed)
      return execution;
    this.#unfinished.add(id);
    // If the outcome cannot be stored, the query's next check runs it again.
    void this.#oneAtATime(() => this.#run(id, execution))
      .catch(() => {})
      .finally(() => this.#unfinished.delete(id));
    return execution;
  }

  #oneAtATime<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(id: string, { sql, folder }: Execution): Promise<void> {
    if (this.#isClosed) return;
    const { temporaryFolder, catalog, adopt, onEnd } = this.#options;
    const path = join(temporaryFolder, `${id}.csv`);
    let failure: Failure | undefined;
    try {
      await this.#select(sql, id, [path], async ({ connection, names, values, from }) => {
        const columns = names.map((name, index) => `${values[index]} AS ${quoted(name)}`);
        await connection.run(`COPY (SELECT ${columns.join(", ")} FROM ${from})
          TO ${literal(path)} (FORMAT csv, HEADER, FORCE_QUOTE *, USE_TMP_FILE false)`);
      });
      await adopt(resultKey(folder, id), path);
    } catch (error) {
      await rm(path, { force: true });
      if (this.#isClosed) return;
      failure = failureOf(error);
    }
    const state = failure ? "FAILED" : "SUCCEEDED";
    await catalog.put(
      executionKey(id),
      JSON.stringify({ sql, folder, state, ...failure }),
      "application/json",
    );
    await onEnd({ id, state });
  }

  /** Opens a database for one SELECT, which can only read the files of its tables and only write `outputs`. */
  async #select<T>(
    statement: string,
    name: string,
    outputs: readonly string[],
    use: (selection: Selection) => Promise<T>,
  ): Promise<T> {
    const { DuckDBInstance, StatementType } = await import("@duckdb/node-api");
    const spillFolder = join(this.#options.temporaryFolder, `${name}.spill`);
    await mkdir(this.#options.temporaryFolder, { recursive: true });
    const instance = await DuckDBInstance.create(":memory:", { ...settings, temp_directory: spillFolder });
    const connection = await instance.connect();
    const ends = performance.now() + maxQueryMs;
    const interrupting = setInterval(() => {
      if (this.#isClosed || performance.now() > ends) connection.interrupt();
    }, interruptMs);
    try {
      const sql = withTrinoCasts(statement).replace(/;\s*$/, "");
      const statements = await connection.extractStatements(sql);
      if (statements.count !== 1) throw new NotOneSelect();
      // In Trino, a name of three parts begins with the catalog.
      const schema = `awsdatacatalog.${quoted(this.database)}`;
      await connection.run(`ATTACH ':memory:' AS awsdatacatalog; CREATE SCHEMA ${schema}; USE ${schema}`);
      await connection.run(trinoMacros);
      const files = await this.#createRelations(connection, sql);
      const allowed = [...files, ...files.map(exact), ...outputs].map(literal).join(", ");
      await connection.run(`SET allowed_paths = [${allowed}]; SET enable_external_access = false`);
      await connection.run("SET lock_configuration = true");
      const prepared = await statements.prepare(0);
      if (prepared.statementType !== StatementType.SELECT) throw new NotOneSelect();
      const indexes = Array.from({ length: prepared.columnCount }, (_, index) => index);
      return await use({
        connection,
        names: indexes.map((index) => prepared.columnName(index)),
        values: indexes.map((index) => athenaText(`c${index}`, String(prepared.columnType(index)))),
        // The line break ends a comment at the end of the SELECT.
        from: `(${sql}\n) AS result (${indexes.map((index) => `c${index}`).join(", ")})`,
      });
    } finally {
      clearInterval(interrupting);
      connection.closeSync();
      instance.closeSync();
      await rm(spillFolder, { recursive: true, force: true });
    }
  }

  /** Creates the tables and views that a query uses, directly and through views. Returns the paths of their files. */
  async #createRelations(connection: DuckDBConnection, query: string): Promise<string[]> {
    const { catalog, filesIn } = this.#options;
    const seen = new Set<string>();
    const paths: string[] = [];
    // Ends, because no relation is created twice.
    async function create(sql: string): Promise<void> {
      for (const name of connection.getTableNames(sql, false).map((name) => name.toLowerCase())) {
        // Names in the catalog have no other characters. This one could be a path.
        if (seen.has(name) || !/^\w+$/.test(name)) continue;
        seen.add(name);
        const relation = await catalog.getJson(definitionKey(name), relationSchema);
        if (!relation) continue;
        if ("select" in relation) {
          const select = withTrinoCasts(relation.select);
          await create(select);
          await connection.run(`CREATE VIEW ${quoted(name)} AS ${select}`);
        } else {
          const files = await filesIn(relation.folder);
          await connection.run(`CREATE VIEW ${quoted(name)} AS ${await selectOf(relation, files)}`);
          paths.push(...files);
        }
      }
    }
    await create(query);
    return paths;
  }
}

async function selectOf(table: TableDefinition, files: readonly string[]): Promise<string> {
  return table.format === "csv"
    ? selectFromCsv(table.columns, files)
    : selectFromParquet(table.columns, files);
}

const sqlTypes: Record<ParquetType, string> = {
  text: "VARCHAR",
  time: "VARCHAR",
  texts: "VARCHAR[]",
  integer: "BIGINT",
  number: "DOUBLE",
  boolean: "BOOLEAN",
  date: "DATE",
  timestamp: "TIMESTAMP",
};

/** Returns the SELECT of a table's rows. As in Athena, a column is the one with its name, and null in a file without it. */
function selectFromParquet(
  columns: readonly { name: string; type: ParquetType }[],
  files: readonly string[],
): string {
  const typed = columns.map(({ name, type }) => `CAST(NULL AS ${sqlTypes[type]}) AS ${quoted(name)}`);
  const selects = [
    `SELECT ${typed.join(", ")} WHERE false`,
    ...files.map((path) => `SELECT * FROM read_parquet(${literal(exact(path))})`),
  ];
  const names = columns.map(({ name }) => quoted(name));
  return `SELECT ${names.join(", ")} FROM (${selects.join("\nUNION ALL BY NAME ")})`;
}

/** Returns the SELECT of a table's rows. As in Athena, a column is the field at its position; headers are ignored. */
async function selectFromCsv(
  columns: readonly { name: string }[],
  files: readonly string[],
): Promise<string> {
  const missing = "CAST(NULL AS VARCHAR)";
  const noRows = columns.map(({ name }) => `${missing} AS ${quoted(name)}`);
  const selects = [`SELECT ${noRows.join(", ")} WHERE false`];
  for (const path of files) {
    const fields = await fieldsIn(path);
    // The file is empty.
    if (fields === 0) continue;
    const types = Array.from({ length: fields }, (_, index) => `f${index}: 'VARCHAR'`);
    const values = columns.map((_, index) => (index < fields ? `f${index}` : missing));
    // No field contains U+0001, so no field is null. An empty field is the empty text.
    selects.push(`SELECT ${values.join(", ")} FROM read_csv(${literal(exact(path))}, columns = {${types.join(", ")}},
      auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', new_line = '\\n',
      nullstr = chr(1), allow_quoted_nulls = false, max_line_size = ${maxLineBytes}, buffer_size = ${maxLineBytes})`);
  }
  return selects.join("\nUNION ALL ");
}

/** Returns a pattern that matches only this path. In brackets, `*`, `?` and `[` have no special meaning. */
function exact(path: string): string {
  return path.replace(/[*?[]/g, "[$&]");
}

/** Returns the number of fields in a file's header. */
async function fieldsIn(path: string): Promise<number> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    const [header = ""] = buffer.toString("utf8", 0, bytesRead).split("\n", 1);
    return header === "" ? 0 : splitCsvRow(header).length;
  } finally {
    await file.close();
  }
}

const rowSchema = z.array(z.nullable(z.string()));

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

class NotOneSelect extends Error {
  override readonly name = "NOT_ONE_SELECT";
}

type Failure = Pick<Execution, "reason" | "retryable">;

/** Returns the kind of an error, such as `CONVERSION_ERROR`, because its message may quote a record. */
function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { reason: typeof error, retryable: true };
  const found = /^(?:Failed to [a-z ]+: )?([A-Z][A-Za-z ]{1,30} Error): /.exec(error.message)?.[1];
  const kind = found?.toUpperCase().replaceAll(" ", "_");
  if (kind === "INTERRUPT_ERROR") return { reason: "QUERY_TIMED_OUT", retryable: false };
  if (kind !== undefined) return { reason: kind, retryable: kind === "IO_ERROR" };
  // An error of the file system, such as `ENOSPC`, or of a store.
  const reason = "code" in error ? String(error.code) : error.name;
  return { reason, retryable: !(error instanceof NotOneSelect) };
}
