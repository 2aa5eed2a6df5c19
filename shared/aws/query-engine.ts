// Running statements in Athena.
import {
  type AthenaClient,
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  StartQueryExecutionCommand,
} from "@aws-sdk/client-athena";
import { PipelineError } from "../errors.ts";

/** A DDL statement takes Athena a second or two; this is where waiting for it ends. */
const ddlWaitMs = 60_000;
const ddlPollMs = 250;

export type Query = {
  id: string;
  sql: string;
  state: string;
  /** Why it failed, as Athena's code; Athena's own sentence may quote a value of a record. */
  reason: string;
  /** Whether Athena thinks that it may succeed when it is started again. */
  retryable: boolean;
  /** `s3://bucket/key` of the result. */
  output: string;
};

/** Each value as Athena spells it. */
export type Rows = { columns: string[]; rows: (string | null)[][] };

export type QueryEngineOptions = {
  workgroup: string;
  database: string;
  sleep?: (ms: number) => Promise<void>;
};

export class QueryEngine {
  readonly #athena: AthenaClient;
  readonly #workgroup: string;
  readonly #database: string;
  readonly #sleep: (ms: number) => Promise<void>;

  constructor(athena: AthenaClient, options: QueryEngineOptions) {
    this.#athena = athena;
    this.#workgroup = options.workgroup;
    this.#database = options.database;
    this.#sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  /**
   * Starts a query and does not wait for it.
   * @param token 32 to 128 characters; the same token and query start one query, however often
   * @param output `s3://bucket/prefix/`
   * @returns the query's id
   */
  async start(sql: string, output: string, token?: string): Promise<string> {
    const { QueryExecutionId } = await this.#athena.send(
      new StartQueryExecutionCommand({
        QueryString: sql,
        WorkGroup: this.#workgroup,
        QueryExecutionContext: { Database: this.#database },
        ResultConfiguration: { OutputLocation: output },
        ...(token && { ClientRequestToken: token }),
      }),
    );
    if (QueryExecutionId === undefined) throw new Error("Athena started a query without telling its id.");
    return QueryExecutionId;
  }

  async get(id: string): Promise<Query> {
    const { QueryExecution } = await this.#athena.send(
      new GetQueryExecutionCommand({ QueryExecutionId: id }),
    );
    const status = QueryExecution?.Status;
    return {
      id,
      sql: QueryExecution?.Query ?? "",
      state: status?.State ?? "UNKNOWN",
      reason: /^[A-Z][A-Z0-9_]+(?=:)/.exec(status?.StateChangeReason ?? "")?.[0] ?? "no code given",
      retryable: status?.AthenaError?.Retryable ?? false,
      output: QueryExecution?.ResultConfiguration?.OutputLocation ?? "",
    };
  }

  /**
   * Runs a DDL statement, or a small query, to its end.
   * @returns its id
   * @throws PipelineError `StatementFailed`, `StatementTooSlow`
   */
  async run(sql: string, output: string): Promise<string> {
    const id = await this.start(sql, output);
    for (let waited = 0; waited < ddlWaitMs; waited += ddlPollMs) {
      const { state, reason } = await this.get(id);
      if (state === "SUCCEEDED") return id;
      if (state === "FAILED" || state === "CANCELLED") {
        throw new PipelineError("StatementFailed", {
          message: `Athena could not bring the table in step (${reason}).`,
          advice: "Look the query up in Athena's history by its id; it is tried again by itself.",
          kind: "transient",
          ids: { query: id },
        });
      }
      await this.#sleep(ddlPollMs);
    }
    throw new PipelineError("StatementTooSlow", {
      message: `Athena did not finish a statement in ${ddlWaitMs / 1000} seconds.`,
      advice: "It is tried again by itself; if it goes on, look at the workgroup's queue.",
      kind: "transient",
      ids: { query: id },
    });
  }
  /** The first rows of a SELECT that has succeeded. @param most 999 at most: Athena gives 1,000, the header among them */
  async rows(id: string, most: number): Promise<Rows> {
    const { ResultSet } = await this.#athena.send(
      new GetQueryResultsCommand({ QueryExecutionId: id, MaxResults: most + 1 }),
    );
    const [header = [], ...rows] = (ResultSet?.Rows ?? []).map(({ Data = [] }) =>
      Data.map(({ VarCharValue }) => VarCharValue ?? null),
    );
    return { columns: header.map((name) => name ?? ""), rows };
  }
}
