// A query engine without DuckDB: the local engine's catalog, and SELECT * FROM a table that csv-parse reads. A query takes
// no time and ends at its turn. It succeeds unless the plan lets it fail, or end without a notification.
import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { parse } from "csv-parse/sync";
import * as z from "zod/mini";
import { DuckDbQueryEngine } from "../../shared/local/duckdb.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import type { Query, Rows } from "../../shared/ports.ts";
import { parquetRecords } from "../support/parquet-records.ts";
import type { FaultAt } from "./fault-plan.ts";

const maxFiles = 100;
const quoted = (value: string | null) => (value === null ? "" : `"${value.replaceAll('"', '""')}"`);
const table = z.object({
  format: z.enum(["csv", "parquet"]),
  columns: z.array(z.object({ name: z.string() })),
  folder: z.string(),
});
const lines = z.array(z.array(z.string()));

export type PlainEngineOptions = {
  database: string;
  /** Stores table definitions. */
  catalog: LocalStore;
  data: LocalStore;
  results: LocalStore;
  /** Returns the fault of the next query that ends. */
  nextQuery: () => FaultAt<"query"> | undefined;
  announce: (id: string, state: string) => Promise<void>;
};

export class PlainEngine extends DuckDbQueryEngine {
  readonly #options: PlainEngineOptions;
  readonly #queries = new Map<string, { sql: string; folder: string; state: Query["state"] }>();

  constructor(options: PlainEngineOptions) {
    const { database, catalog } = options;
    const unused = () => Promise.reject(new Error("This engine has no DuckDB."));
    super({ database, catalog, filesIn: unused, adopt: unused, temporaryFolder: "", onEnd: unused });
    this.#options = options;
  }

  override async start(sql: string, folder: string, token: string): Promise<string> {
    const id = createHash("sha256").update(`${token}\n${sql}`).digest("hex").slice(0, 32);
    if (!this.#queries.has(id)) this.#queries.set(id, { sql, folder, state: "RUNNING" });
    return id;
  }

  override async get(id: string): Promise<Query> {
    const { state = "UNKNOWN", folder = "" } = this.#queries.get(id) ?? {};
    return { id, state, reason: "SIMULATED", retryable: true, output: `${folder}/${id}.csv` };
  }

  override async firstRows(sql: string): Promise<Rows> {
    const [, name = ""] = /^SELECT \* FROM "[^"]*"\."([^"]*)"$/m.exec(sql) ?? [];
    return this.#rowsOf(name);
  }

  /** Returns a function that ends the oldest running query; undefined if none runs. */
  next(): (() => Promise<void>) | undefined {
    const [id, query] = [...this.#queries].find(([, { state }]) => state === "RUNNING") ?? [];
    if (id === undefined || !query) return undefined;
    return async () => {
      const { results, nextQuery, announce } = this.#options;
      const fault = nextQuery();
      query.state = fault?.kind === "fails" ? "FAILED" : "SUCCEEDED";
      if (query.state === "SUCCEEDED") {
        const { columns, rows } = await this.firstRows(query.sql);
        const csv = [columns, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
        await results.put(`${query.folder}/${id}.csv`, csv, "text/csv");
      }
      if (fault?.kind !== "silent") await announce(id, query.state);
    };
  }

  /**
   * Returns the rows of a table. As in Athena, a column of a CSV is the field at its position, whatever the file's header
   * is, and one of a Parquet file is found by its name.
   */
  async #rowsOf(name: string): Promise<Rows> {
    const { catalog, data } = this.#options;
    const found = await catalog.getJson(`catalog/${name}.json`, table);
    if (!found) throw new Error(`There is no table ${name}.`);
    if (found.columns.length === 0) throw new Error(`The table ${name} has no columns.`);
    const rows: (string | null)[][] = [];
    for (const key of await data.list(found.folder, maxFiles)) {
      if (found.format === "parquet") {
        const records = await parquetRecords((await data.getBytes(key)) ?? new Uint8Array());
        rows.push(...records.map((record) => found.columns.map(({ name }) => plainText(record[name]))));
        continue;
      }
      const [, ...ofFile] = lines.parse(parse((await data.getText(key)) ?? "", { relaxColumnCount: true }));
      rows.push(...ofFile.map((row) => found.columns.map((_, n) => row[n] ?? null)));
    }
    return { columns: found.columns.map(({ name }) => name), rows };
  }
}

function plainText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.join("; ");
  return value instanceof Date ? value.toISOString().slice(0, 19).replace("T", " ") : String(value);
}

/** DuckDB whose queries end before `start` returns, because a plan's clock does not wait for them. */
export class DuckDbInStep extends DuckDbQueryEngine {
  override async start(sql: string, folder: string, token: string): Promise<string> {
    const id = await super.start(sql, folder, token);
    // The loop is bounded because DuckDB limits a query's time.
    while ((await this.get(id)).state === "RUNNING") await turn();
    return id;
  }
}
