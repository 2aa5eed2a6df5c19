// A query engine that runs no queries. It records its calls, and the test sets the outcome of each query.
import {
  type FoundTable,
  type Query,
  type QueryEngine,
  type Rows,
  type TableDefinition,
  type TableLocation,
  tableChanged,
  type ViewDefinition,
} from "../../shared/ports.ts";

export type StartedQuery = { id: string; sql: string; folder: string };

export class ScriptedQueryEngine implements QueryEngine {
  readonly database = "library";
  readonly tables = new Map<string, TableDefinition>();
  readonly views = new Map<string, ViewDefinition>();
  /** The started queries, oldest first. */
  readonly started: StartedQuery[] = [];
  readonly #ids = new Map<string, string>();
  readonly #states = new Map<string, Partial<Query>>();

  async table(name: string): Promise<FoundTable | undefined> {
    const table = this.tables.get(name);
    return table && { folder: table.folder, mark: table.mark, version: JSON.stringify(table) };
  }

  async defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void> {
    if ((await this.table(name))?.version !== ifVersion) throw tableChanged(name);
    this.tables.set(name, table);
  }

  async moveTable(name: string, { folder, mark }: TableLocation, ifVersion: string): Promise<void> {
    const table = this.tables.get(name);
    if (!table) throw tableChanged(name);
    await this.defineTable(name, { ...table, folder, mark }, ifVersion);
  }

  async defineView(name: string, view: ViewDefinition): Promise<void> {
    this.views.set(name, view);
  }

  async start(sql: string, folder: string, token: string): Promise<string> {
    const known = this.#ids.get(token);
    if (known !== undefined) return known;
    const id = `query-${this.started.length + 1}`;
    this.#ids.set(token, id);
    this.started.push({ id, sql, folder });
    return id;
  }

  /** Sets the state of a query, which is running by default. */
  set(id: string, state: Partial<Query>): void {
    this.#states.set(id, state);
  }

  async get(id: string): Promise<Query> {
    return {
      id,
      state: "RUNNING",
      reason: "no code given",
      retryable: false,
      output: undefined,
      ...this.#states.get(id),
    };
  }

  async firstRows(): Promise<Rows> {
    throw new Error("ScriptedQueryEngine has no rows.");
  }
}
