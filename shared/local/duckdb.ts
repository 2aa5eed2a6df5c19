// The query engine on this machine: DuckDB, inside this process, over the published files. Each query has a database of
// its own, in memory, which is closed afterwards so that its memory is returned.
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import * as z from "zod/mini";
import { splitCsvRow } from "../csv.ts";
import { PipelineError } from "../errors.ts";
import {
  type FoundTable,
  type ObjectStore,
  type Query,
  type QueryEngine,
  type Rows,
  type TableDefinition,
  type TablePlace,
  tableChanged,
  type ViewDefinition,
} from "../ports.ts";
import { spelled, trinoMacros, withTrinoCasts } from "./trino.ts";

/** With these, a million rows (226 MB) take 3 s and 35 MB. What does not fit in memory goes to disk. */
const settings = {
  memory_limit: "64MB",
  max_temp_directory_size: "10GB",
  threads: "1",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false",
  // In Trino 1/2 is 0.
  integer_division: "true",
};
/** A longer line fails the query. DuckDB allocates some buffers of this size where a file is as large as that. */
const maxLineBytes = 2 * 1024 * 1024;
/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;
const maxQueryMs = 15 * 60_000;
/** An interrupt between two statements has no effect, so it is repeated. */
const interruptMs = 100;
/** As Athena's GetQueryResults without its header. */
const maxRows = 999;
/** Objects below queries/. They expire after a month. */
const maxQueryObjects = 100_000;

const tableSchema = z.object({
  columns: z.array(z.object({ name: z.string(), comment: z.string() })),
  folder: z.string(),
  mark: z.optional(z.string()),
});
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
  /** Keeps definitions and queries. */
  catalog: ObjectStore;
  /** Returns the paths of the current files in a folder of the data store. */
  filesIn: (folder: string) => Promise<string[]>;
  /** Moves a finished result file into the results store, as an object. */
  adopt: (key: string, path: string) => Promise<void>;
  /** Of results while they are written, and of what DuckDB does not keep in memory. */
  temporaryFolder: string;
  /** Called when a query has ended, at best effort. */
  onEnd: (query: { id: string; state: "SUCCEEDED" | "FAILED" }) => Promise<void>;
};

/** A SELECT that DuckDB accepted: SQL of its columns' values, as Athena spells them, and of what they are selected from. */
type Selection = { connection: DuckDBConnection; names: string[]; values: string[]; from: string };

export class DuckDbQueryEngine implements QueryEngine {
  readonly database: string;
  readonly #options: DuckDbOptions;
  /** Queries of this process that have not ended. */
  readonly #unfinished = new Set<string>();
  /** Ends with the last query. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: DuckDbOptions) {
    this.#options = options;
    this.database = options.database;
  }

  async table(name: string): Promise<FoundTable | undefined> {
    const { catalog } = this.#options;
    // In this order, so that the version is not newer than what was read.
    const stored = await catalog.head(definitionKey(name));
    const table = stored && (await catalog.getJson(definitionKey(name), tableSchema));
    return table && { folder: table.folder, mark: table.mark, version: stored.etag };
  }

  async defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void> {
    const { catalog } = this.#options;
    const key = definitionKey(name);
    // What is as defined keeps its version.
    const isSame = (await catalog.getText(key)) === JSON.stringify(table);
    if (isSame && (await catalog.head(key))?.etag === ifVersion) return;
    const isDone =
      ifVersion === undefined
        ? await catalog.putOnce(key, table)
        : await catalog.replaceJson(key, table, ifVersion);
    if (!isDone) throw tableChanged(name);
  }

  async moveTable(name: string, { folder, mark }: TablePlace, ifVersion: string): Promise<void> {
    const table = await this.#options.catalog.getJson(definitionKey(name), tableSchema);
    if (!table) throw tableChanged(name);
    await this.defineTable(name, { columns: table.columns, folder, mark }, ifVersion);
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
          // As JSON, because DuckDB's strings arrive without a byte order mark at their beginning.
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

  /** Starts the queries that an earlier process did not finish. Call it once, at startup. */
  async resume(): Promise<void> {
    for (const key of await this.#options.catalog.list("queries/", maxQueryObjects)) {
      const id = /^queries\/(.+)\/execution\.json$/.exec(key)?.[1];
      if (id !== undefined) await this.#find(id);
    }
  }

  /** Interrupts the query that runs. It and those that wait run again when the engine is opened the next time. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
  }

  /** Returns an execution. Where it is unfinished and not of this process, its process died: it runs again. */
  async #find(id: string): Promise<Execution | undefined> {
    // Checked before the read too, because it may end in between.
    const isOwn = this.#unfinished.has(id);
    const execution = await this.#options.catalog.getJson(executionKey(id), executionSchema);
    if (execution?.state !== "RUNNING" || isOwn || this.#unfinished.has(id) || this.#isClosed)
      return execution;
    this.#unfinished.add(id);
    // Where the outcome could not be stored, the query's next check finds it unfinished and runs it again.
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

  /** Opens a database for one SELECT, which can read the files of the tables that it names and write `outputs`. */
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
      // In Trino a name of three parts begins with the catalog's.
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
        values: indexes.map((index) => spelled(`c${index}`, String(prepared.columnType(index)))),
        // A comment at the SELECT's end ends with its line.
        from: `(${sql}\n) AS result (${indexes.map((index) => `c${index}`).join(", ")})`,
      });
    } finally {
      clearInterval(interrupting);
      connection.closeSync();
      instance.closeSync();
      await rm(spillFolder, { recursive: true, force: true });
    }
  }

  /** Creates the tables and views that a query names and those that they name. Returns the paths of their files. */
  async #createRelations(connection: DuckDBConnection, query: string): Promise<string[]> {
    const { catalog, filesIn } = this.#options;
    const seen = new Set<string>();
    const paths: string[] = [];
    // Ends, because the catalog is finite and no relation is created twice.
    async function create(sql: string): Promise<void> {
      for (const name of connection.getTableNames(sql, false).map((name) => name.toLowerCase())) {
        // The catalog has no names with other characters, which might be a path.
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
          await connection.run(`CREATE VIEW ${quoted(name)} AS ${await selectFrom(files, relation)}`);
          paths.push(...files);
        }
      }
    }
    await create(query);
    return paths;
  }
}

/** Returns the SELECT of a table's rows. As in Athena, a column is the field at its position, whatever the header says. */
async function selectFrom(files: readonly string[], { columns }: TableDefinition): Promise<string> {
  const missing = "CAST(NULL AS VARCHAR)";
  const noRows = columns.map(({ name }) => `${missing} AS ${quoted(name)}`);
  const selects = [`SELECT ${noRows.join(", ")} WHERE false`];
  for (const path of files) {
    const fields = await fieldsIn(path);
    // An empty file.
    if (fields === 0) continue;
    const types = Array.from({ length: fields }, (_, index) => `f${index}: 'VARCHAR'`);
    const values = columns.map((_, index) => (index < fields ? `f${index}` : missing));
    // U+0001 is in no field, so no field is null: an empty one is the empty text.
    selects.push(`SELECT ${values.join(", ")} FROM read_csv(${literal(exact(path))}, columns = {${types.join(", ")}},
      auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', new_line = '\\n',
      nullstr = chr(1), allow_quoted_nulls = false, max_line_size = ${maxLineBytes}, buffer_size = ${maxLineBytes})`);
  }
  return selects.join("\nUNION ALL ");
}

/** Returns the pattern that is only this path: in brackets `*`, `?` and `[` stand for themselves. */
function exact(path: string): string {
  return path.replace(/[*?[]/g, "[$&]");
}

/** Returns how many fields a file's header has. */
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

/** Returns the kind of an error, such as `CONVERSION_ERROR`. Its message may quote a value of a record. */
function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { reason: typeof error, retryable: true };
  const found = /^(?:Failed to [a-z ]+: )?([A-Z][A-Za-z ]{1,30} Error): /.exec(error.message)?.[1];
  const kind = found?.toUpperCase().replaceAll(" ", "_");
  if (kind === "INTERRUPT_ERROR") return { reason: "QUERY_TIMED_OUT", retryable: false };
  if (kind !== undefined) return { reason: kind, retryable: kind === "IO_ERROR" };
  // Of the file system, as `ENOSPC`, or of a store.
  const reason = "code" in error ? String(error.code) : error.name;
  return { reason, retryable: !(error instanceof NotOneSelect) };
}
