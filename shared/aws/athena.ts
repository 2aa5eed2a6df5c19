// The query engine on Athena, with its catalog in Glue.
import {
  type AthenaClient,
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  StartQueryExecutionCommand,
} from "@aws-sdk/client-athena";
import type { GlueClient } from "@aws-sdk/client-glue";
import { realSleep, type Sleep } from "../clock.ts";
import { PipelineError } from "../errors.ts";
import type {
  FoundTable,
  Query,
  QueryEngine,
  Rows,
  TableDefinition,
  TableLocation,
  ViewDefinition,
} from "../ports.ts";
import { GlueCatalog } from "./glue.ts";
import { createView } from "./hive.ts";

/** The longest wait for DDL, without the time of the checks themselves. A view takes Athena a second or two. */
export const ddlWaitMs = 60_000;
export const ddlPollMs = 250;

const states = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] as const;

export type AthenaOptions = {
  workgroup: string;
  database: string;
  /** Bucket of the tables' files. */
  dataBucket: string;
  resultsBucket: string;
  /** Folder in the results bucket for the results of DDL statements. */
  statementsFolder: string;
  sleep?: Sleep;
};

export class AthenaQueryEngine implements QueryEngine {
  readonly #athena: AthenaClient;
  readonly #catalog: GlueCatalog;
  readonly #options: AthenaOptions;
  readonly #sleep: Sleep;
  readonly database: string;

  constructor(athena: AthenaClient, glue: GlueClient, options: AthenaOptions) {
    this.#athena = athena;
    this.#catalog = new GlueCatalog(glue, options);
    this.#options = options;
    this.#sleep = options.sleep ?? realSleep;
    this.database = options.database;
  }

  table(name: string): Promise<FoundTable | undefined> {
    return this.#catalog.table(name);
  }

  defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void> {
    return this.#catalog.defineTable(name, table, ifVersion);
  }

  moveTable(name: string, location: TableLocation, ifVersion: string): Promise<void> {
    return this.#catalog.moveTable(name, location, ifVersion);
  }

  /** Sets the comments in Glue, because Athena's CREATE VIEW does not accept comments. */
  async defineView(name: string, { select, comments }: ViewDefinition): Promise<void> {
    await this.#run(createView(this.database, name, select));
    await this.#catalog.comment(name, comments);
  }

  async start(sql: string, folder: string, token?: string): Promise<string> {
    const { QueryExecutionId } = await this.#athena.send(
      new StartQueryExecutionCommand({
        QueryString: sql,
        WorkGroup: this.#options.workgroup,
        QueryExecutionContext: { Database: this.database },
        ResultConfiguration: { OutputLocation: `s3://${this.#options.resultsBucket}/${folder}/` },
        ...(token && { ClientRequestToken: token }),
      }),
    );
    if (QueryExecutionId === undefined) throw new Error("StartQueryExecution returned no QueryExecutionId.");
    return QueryExecutionId;
  }

  async get(id: string): Promise<Query> {
    const { QueryExecution } = await this.#athena.send(
      new GetQueryExecutionCommand({ QueryExecutionId: id }),
    );
    const status = QueryExecution?.Status;
    const output = QueryExecution?.ResultConfiguration?.OutputLocation ?? "";
    const prefix = `s3://${this.#options.resultsBucket}/`;
    return {
      id,
      state: states.find((state) => state === status?.State) ?? "UNKNOWN",
      reason: /^[A-Z][A-Z0-9_]+(?=:)/.exec(status?.StateChangeReason ?? "")?.[0] ?? "no code given",
      retryable: status?.AthenaError?.Retryable ?? false,
      output: output.startsWith(prefix) ? output.slice(prefix.length) : undefined,
    };
  }

  async firstRows(sql: string, folder: string, max: number): Promise<Rows> {
    const id = await this.#run(sql, folder);
    // Athena returns at most 1,000 rows including the header.
    const { ResultSet } = await this.#athena.send(
      new GetQueryResultsCommand({ QueryExecutionId: id, MaxResults: max + 1 }),
    );
    const [header = [], ...rows] = (ResultSet?.Rows ?? []).map(({ Data = [] }) =>
      Data.map(({ VarCharValue }) => VarCharValue ?? null),
    );
    return { columns: header.map((name) => name ?? ""), rows };
  }

  /** Waits until a query has succeeded and returns its id. */
  async #run(sql: string, folder = this.#options.statementsFolder): Promise<string> {
    const id = await this.start(sql, folder);
    for (let waited = 0; waited < ddlWaitMs; waited += ddlPollMs) {
      const { state, reason } = await this.get(id);
      if (state === "SUCCEEDED") return id;
      if (state === "FAILED" || state === "CANCELLED") {
        throw new PipelineError("StatementFailed", {
          message: `Athena could not update the views of the table (${reason}).`,
          advice: "Retried automatically. If it persists, look up the query in Athena's history by its ID.",
          kind: "transient",
          ids: { query: id },
        });
      }
      await this.#sleep(ddlPollMs);
    }
    throw new PipelineError("StatementTooSlow", {
      message: `Athena did not finish a statement in ${ddlWaitMs / 1000} seconds.`,
      advice: "Retried automatically. If it persists, check the workgroup's queue.",
      kind: "transient",
      ids: { query: id },
    });
  }
}
