// The query engine on this machine: DuckDB in this process reads the published files. Each query has a database of its
// own, in memory, which is closed afterwards so that its memory is returned. DuckDB costs a tenth of a second and 40 MB,
// so it is loaded with the first query.
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import * as z from "zod/mini";
import { splitCsvRow } from "../csv.ts";
import { PipelineError } from "../errors.ts";
import type { ObjectStore, Query, QueryEngine, Rows, TableDefinition, ViewDefinition } from "../ports.ts";
import { spelled, trinoMacros, withTrinoCasts } from "./trino.ts";

/** A million rows of 226 MB need 3 s and 35 MB within these; what does not fit in memory is spilled to disk. */
const settings = {
  memory_limit: "64MB",
  max_temp_directory_size: "10GB",
  threads: "1",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false",
  // In Trino 1/2 is 0.
  integer_division: "true",
};
const maxQueryMs = 15 * 60_000;
/** An interrupt between two statements has no effect, so it is repeated. */
const interruptMs = 100;
const maxWaiting = 100;
/** As Athena's GetQueryResults. */
const maxRows = 999;

/** DuckDB reads in buffers of a line's maximal length, three at once. Files with longer lines are read in larger ones. */
const usualLineBytes = 1024 * 1024;
const maxLineBytes = 16 * 1024 * 1024;
/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;

/** Trino's name of the only catalog. */
const catalogName = "awsdatacatalog";

const tableSchema = z.object({
  columns: z.array(z.object({ name: z.string(), comment: z.string() })),
  folder: z.string(),
});
const viewSchema = z.object({ select: z.string(), comments: z.record(z.string(), z.string()) });
const relationSchema = z.union([tableSchema, viewSchema]);
type Relation = z.infer<typeof relationSchema>;

const executionSchema = z.object({
  sql: z.string(),
  folder: z.string(),
  state: z.enum(["RUNNING", "SUCCEEDED", "FAILED"]),
  reason: z.optional(z.string()),
  retryable: z.optional(z.boolean()),
});
type Execution = z.infer<typeof executionSchema>;

const definitionKey = (name: string) => `catalog/${name}.json`;
const executionKey = (id: string) => `queries/${id}/execution.json`;
const unfinishedKey = "queries/unfinished.json";

export type DuckDbOptions = {
  database: string;
  /** Keeps definitions and queries. */
  catalog: ObjectStore;
  /** Returns the paths of the current files in a folder of the data store. */
  filesIn(folder: string): Promise<string[]>;
  /** Moves a finished result file into the results store, as an object. */
  adopt(key: string, path: string): Promise<void>;
  /** Of results while they are written and of what DuckDB spills. */
  temporaryFolder: string;
  /** Called when a query has ended, at best effort. */
  onEnd(query: { id: string; state: "SUCCEEDED" | "FAILED" }): Promise<void>;
};

/** A SELECT that DuckDB has accepted. `values` are the SQL of its columns, as Athena spells them. */
type Selection = { connection: DuckDBConnection; columns: string[]; values: string[]; from: string };

export class DuckDbQueryEngine implements QueryEngine {
  readonly database: string;
  readonly #options: DuckDbOptions;
  /** Queries that this process runs or will run. */
  readonly #running = new Set<string>();
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: DuckDbOptions) {
    this.#options = options;
    this.database = options.database;
  }

  defineTable(name: string, table: TableDefinition): Promise<void> {
    return this.#define(name, table);
  }

  defineView(name: string, { select, comments }: ViewDefinition): Promise<void> {
    return this.#define(name, { select, comments: Object.fromEntries(comments) });
  }

  async #define(name: string, relation: Relation): Promise<void> {
    const { catalog } = this.#options;
    const text = JSON.stringify(relation);
    if ((await catalog.getText(definitionKey(name))) === text) return;
    await catalog.put(definitionKey(name), text, "application/json");
  }

  async start(sql: string, folder: string, token: string): Promise<string> {
    const id = createHash("sha256")
      .update(JSON.stringify([token, sql, folder]))
      .digest("hex")
      .slice(0, 32);
    const execution: Execution = { sql, folder, state: "RUNNING" };
    await this.#options.catalog.putOnce(executionKey(id), execution);
    await this.#find(id);
    return id;
  }

  async get(id: string): Promise<Query> {
    const { state, folder, reason, retryable } = (await this.#find(id)) ?? { state: "UNKNOWN" };
    return {
      id,
      state,
      reason: reason ?? "no code given",
      retryable: retryable ?? false,
      output: folder && resultKey(folder, id),
    };
  }

  async firstRows(sql: string, _folder: string, max: number): Promise<Rows> {
    try {
      return await this.#oneAtATime(() =>
        this.#select(sql, randomUUID(), undefined, async ({ connection, columns, values, from }) => {
          // As bytes, because DuckDB's strings arrive without a byte order mark at their beginning.
          const bytes = values.map((value) => `encode(${value})`);
          const limit = Math.min(max, maxRows);
          const result = await connection.run(`SELECT ${bytes.join(", ")} FROM ${from} LIMIT ${limit}`);
          return { columns, rows: rowsSchema.parse(await result.getRows()) };
        }),
      );
    } catch (error) {
      throw statementFailed(failureOf(error).reason);
    }
  }

  /** Loads DuckDB, so that the first query does not wait for it. */
  async warmUp(): Promise<void> {
    const { DuckDBInstance } = await import("@duckdb/node-api");
    const instance = await DuckDBInstance.create(":memory:", settings);
    instance.closeSync();
  }

  /** Starts the queries that an earlier process did not finish. Call it once, at startup. */
  async resume(): Promise<void> {
    const ids = await this.#options.catalog.getJson(unfinishedKey, z.array(z.string()));
    for (const id of ids ?? []) await this.#find(id);
  }

  /** Interrupts the running query. It and the waiting ones run again when the engine is next opened. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
  }

  /** Returns an execution, and runs it where the process that ran it has died. */
  async #find(id: string): Promise<Execution | undefined> {
    // Asked before reading: an execution that ends meanwhile was read as running.
    const wasRunning = this.#running.has(id);
    const execution = await this.#options.catalog.getJson(executionKey(id), executionSchema);
    if (execution?.state !== "RUNNING" || wasRunning || this.#running.has(id)) return execution;
    this.#running.add(id);
    try {
      const ended = this.#oneAtATime(() => this.#run(id, execution));
      // Its state could not be kept. The query's next check finds it running and runs it again.
      ended.catch(() => {}).finally(() => this.#running.delete(id));
      await this.#keepUnfinished();
    } catch (error) {
      this.#running.delete(id);
      throw error;
    }
    return execution;
  }

  async #keepUnfinished(): Promise<void> {
    await this.#options.catalog.put(unfinishedKey, JSON.stringify([...this.#running]), "application/json");
  }

  /** @throws PipelineError `TooManyQueries` */
  #oneAtATime<T>(task: () => Promise<T>): Promise<T> {
    if (this.#waiting >= maxWaiting) throw tooManyQueries();
    this.#waiting += 1;
    const result = this.#last.then(task).finally(() => {
      this.#waiting -= 1;
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(id: string, { sql, folder }: Execution): Promise<void> {
    if (this.#isClosed) return;
    const { temporaryFolder, catalog, adopt, onEnd } = this.#options;
    const path = join(temporaryFolder, `${id}.csv`);
    let failure: Failure | undefined;
    try {
      await this.#select(sql, id, path, async ({ connection, columns, values, from }) => {
        const named = values.map((value, index) => `${value} AS ${quoted(columns[index] ?? "")}`);
        await connection.run(
          `COPY (SELECT ${named.join(", ")} FROM ${from})
           TO ${text(path)} (FORMAT csv, HEADER, FORCE_QUOTE *, USE_TMP_FILE false)`,
        );
      });
      await adopt(resultKey(folder, id), path);
    } catch (error) {
      await rm(path, { force: true });
      if (this.#isClosed) return;
      failure = failureOf(error);
    }
    const state = failure ? "FAILED" : "SUCCEEDED";
    const execution: Execution = { sql, folder, state, ...failure };
    await catalog.put(executionKey(id), JSON.stringify(execution), "application/json");
    this.#running.delete(id);
    await this.#keepUnfinished();
    await onEnd({ id, state });
  }

  /** Opens a database for one SELECT, which may read the files of the tables that it names and write `output`. */
  async #select<T>(
    statement: string,
    name: string,
    output: string | undefined,
    use: (selection: Selection) => Promise<T>,
    lineBytes = usualLineBytes,
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
      await connection.run(trinoMacros);
      await connection.run(`ATTACH ':memory:' AS ${catalogName}`);
      await connection.run(`CREATE SCHEMA ${this.#path()}`);
      await connection.run(`USE ${this.#path()}`);
      const paths = await this.#createRelations(connection, sql, lineBytes);
      if (output) paths.push(output);
      await connection.run(`SET allowed_paths = [${paths.map(text).join(", ")}]`);
      await connection.run("SET enable_external_access = false");
      await connection.run("SET lock_configuration = true");
      const statements = await connection.extractStatements(sql);
      if (statements.count !== 1) throw new NotOneSelect();
      const prepared = await statements.prepare(0);
      if (prepared.statementType !== StatementType.SELECT) throw new NotOneSelect();
      const indexes = Array.from({ length: prepared.columnCount }, (_, index) => index);
      return await use({
        connection,
        columns: indexes.map((index) => prepared.columnName(index)),
        values: indexes.map((index) => spelled(`c${index}`, String(prepared.columnType(index)))),
        // A comment at the end of the SELECT ends with its line.
        from: `(\n${sql}\n) AS result (${indexes.map((index) => `c${index}`).join(", ")})`,
      });
    } catch (error) {
      if (lineBytes === maxLineBytes || !isLineTooLong(error)) throw error;
    } finally {
      clearInterval(interrupting);
      connection.closeSync();
      instance.closeSync();
      await rm(spillFolder, { recursive: true, force: true });
    }
    return this.#select(statement, name, output, use, maxLineBytes);
  }

  /** Creates the tables and views that a query names, and what those name. Returns the files that they read. */
  async #createRelations(connection: DuckDBConnection, query: string, lineBytes: number): Promise<string[]> {
    const seen = new Set<string>();
    const paths: string[] = [];
    // Bounded by the catalog, because no relation is created twice.
    const create = async (sql: string): Promise<void> => {
      for (const name of connection.getTableNames(sql, false).map((name) => name.toLowerCase())) {
        // A name that cannot be a key is not in the catalog.
        if (seen.has(name) || !/^\w+$/.test(name)) continue;
        seen.add(name);
        const relation = await this.#options.catalog.getJson(definitionKey(name), relationSchema);
        if (!relation) continue;
        let select: string;
        if ("select" in relation) {
          select = withTrinoCasts(relation.select);
          await create(select);
        } else {
          const files = await this.#options.filesIn(relation.folder);
          paths.push(...files);
          select = await selectFrom(files, relation, lineBytes);
        }
        await connection.run(`CREATE VIEW ${this.#path(name)} AS\n${select}`);
      }
    };
    await create(query);
    return paths;
  }

  #path(name?: string): string {
    const path = `${catalogName}.${quoted(this.database)}`;
    return name === undefined ? path : `${path}.${quoted(name)}`;
  }
}

/** Returns the SELECT of a table's files. Columns are assigned by position: Athena ignores what a file's header says. */
async function selectFrom(files: string[], { columns }: TableDefinition, lineBytes: number): Promise<string> {
  const none = columns.map(({ name }) => `CAST(NULL AS VARCHAR) AS ${quoted(name)}`);
  const selects = [`SELECT ${none.join(", ")} WHERE false`];
  for (const path of files) {
    const fields = await fieldsIn(path);
    // An empty file has no rows.
    if (fields === 0) continue;
    const types = Array.from({ length: fields }, (_, index) => `f${index}: 'VARCHAR'`);
    const values = columns.map((_, index) => (index < fields ? `f${index}` : "CAST(NULL AS VARCHAR)"));
    // DuckDB would read the files that match a path with these characters.
    const file = text(path.replace(/[*?[]/g, "[$&]"));
    // No field has U+0001, so an empty field is the empty text and never null.
    selects.push(`SELECT ${values.join(", ")} FROM read_csv(${file}, columns = {${types.join(", ")}},
      auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', new_line = '\\n', nullstr = chr(1),
      allow_quoted_nulls = false, max_line_size = ${lineBytes}, buffer_size = ${lineBytes})`);
  }
  return selects.join("\nUNION ALL ");
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

const rowsSchema = z.array(
  z.array(
    z.pipe(
      z.nullable(z.object({ bytes: z.instanceof(Uint8Array) })),
      z.transform((value) => value && Buffer.from(value.bytes).toString("utf8")),
    ),
  ),
);

function resultKey(folder: string, id: string): string {
  return `${folder}/${id}.csv`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

class NotOneSelect extends Error {
  override readonly name = "NOT_ONE_SELECT";
}

/** DuckDB has no code of its own for it, and may report another error of the CSV, such as an open quote. */
function isLineTooLong(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Invalid Input Error: CSV Error");
}

type Failure = { reason: string; retryable: boolean };

/** Returns what kind of error it was, such as `BINDER_ERROR`. The message may quote a value of a record. */
function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { reason: typeof error, retryable: true };
  if (error instanceof NotOneSelect) return { reason: error.name, retryable: false };
  const [kind] = /^[A-Z][A-Za-z ]{1,30} Error(?=: )/.exec(error.message) ?? [];
  // Of the file system or of a store.
  if (kind === undefined)
    return { reason: "code" in error ? String(error.code) : error.name, retryable: true };
  const reason = kind.toUpperCase().replaceAll(" ", "_");
  if (reason === "INTERRUPT_ERROR") return { reason: "QUERY_TIMED_OUT", retryable: false };
  return { reason, retryable: reason === "IO_ERROR" };
}

function statementFailed(reason: string): PipelineError {
  return new PipelineError("StatementFailed", {
    message: `DuckDB could not run a query (${reason}).`,
    advice: "Check the SQL of the query and of its views.",
    kind: "transient",
  });
}

function tooManyQueries(): PipelineError {
  return new PipelineError("TooManyQueries", {
    message: `There are ${maxWaiting} queries waiting for DuckDB.`,
    advice: "Retried automatically when queries have ended.",
    kind: "transient",
  });
}
