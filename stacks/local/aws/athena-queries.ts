// The query executions of the local Athena: which wait, which run, how each ended. They are kept on disk, so that
// a token stays good and a query that was cut off by a restart is run again.
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { QueryError } from "./athena-ddl.ts";
import { AwsJsonError } from "./aws-json.ts";
import { openJsonFile } from "./json-file.ts";

const request = z.strictObject({
  sql: z.string(),
  database: z.string().optional(),
  workGroup: z.string(),
  /** Folder of the result, s3://bucket/prefix/. */
  outputFolder: z.string(),
});
export type QueryRequest = z.infer<typeof request>;

const state = z.enum(["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]);

const execution = z.strictObject({
  id: z.string(),
  token: z.string().optional(),
  request,
  statementType: z.enum(["DML", "DDL"]),
  state,
  /** Why it failed or was cancelled. */
  reason: z.string().optional(),
  /** Whether its own statement is the reason, rather than what it runs on. */
  userError: z.boolean().optional(),
  /** All times are milliseconds since 1970. */
  submittedAt: z.number(),
  startedAt: z.number().optional(),
  completedAt: z.number().optional(),
  scannedBytes: z.number(),
  /** Of a SELECT's result. */
  columns: z.array(z.strictObject({ name: z.string(), type: z.string() })),
});
export type Execution = z.infer<typeof execution>;

/** What running a query leaves behind. */
export type Outcome = Pick<Execution, "scannedBytes" | "columns">;

export type Queries = {
  /** @throws AwsJsonError when the token was used for another request, or too many queries wait */
  start(query: {
    request: QueryRequest;
    statementType: Execution["statementType"];
    token?: string | undefined;
  }): Promise<Execution>;
  find(id: string): Execution | undefined;
  /** Newest first. */
  list(): Execution[];
  /** A query that has ended stays as it is. */
  stop(id: string): Promise<void>;
  /** Running queries have three seconds to end; whatever has not ended is run again at the next start. */
  close(): Promise<void>;
};

const maxRunning = 2;
const maxWaiting = 100;
const maxHistory = 1_000;
const maxQueryMs = 10 * 60_000;
const closingMs = 3_000;

/** Why a query was told to end before it had an outcome. */
class Stop {
  readonly state: "FAILED" | "CANCELLED" | "QUEUED";
  readonly reason: string;

  constructor(state: Stop["state"], reason: string) {
    this.state = state;
    this.reason = reason;
  }
}

/**
 * @param options.file where they are kept
 * @param options.execute runs one query; what it throws ends the query as FAILED
 * @param options.ended is told after each final state
 * @throws Error when the file is damaged
 */
export async function openQueries(options: {
  file: string;
  execute: (execution: Execution, signal: AbortSignal) => Promise<Outcome>;
  ended: (execution: Execution, previous: "QUEUED" | "RUNNING") => Promise<void>;
}): Promise<Queries> {
  const file = await openJsonFile(options.file, z.array(execution), []);
  const executions = new Map(file.value.map((it) => [it.id, it]));
  const stops = new Map<string, AbortController>();
  const active = new Set<Promise<void>>();
  let closing = false;

  const waiting = (): Execution[] => [...executions.values()].filter((it) => it.state === "QUEUED");

  async function put(next: Execution): Promise<void> {
    executions.set(next.id, next);
    // Oldest first; one that has not ended stays.
    for (const old of executions.values()) {
      if (executions.size <= maxHistory) break;
      if (old.completedAt !== undefined) executions.delete(old.id);
    }
    // On disk a running query is one that still has to be run.
    await file.replace(
      [...executions.values()].map((it) => (it.state === "RUNNING" ? { ...it, state: "QUEUED" } : it)),
    );
  }

  function runNext(): void {
    while (!closing && stops.size < maxRunning) {
      const [next] = waiting();
      if (!next) return;
      const stop = new AbortController();
      stops.set(next.id, stop);
      const run = runOne(next, stop)
        .catch((error: unknown) => {
          const what = error instanceof Error ? error.message : String(error);
          process.stderr.write(`The local Athena could not keep the state of query ${next.id}: ${what}\n`);
        })
        .finally(() => {
          stops.delete(next.id);
          active.delete(run);
          runNext();
        });
      active.add(run);
    }
  }

  async function runOne(queued: Execution, stop: AbortController): Promise<void> {
    const running: Execution = { ...queued, state: "RUNNING", startedAt: Date.now() };
    executions.set(running.id, running);
    const timer = setTimeout(() => {
      stop.abort(new Stop("FAILED", `The query ran for more than ${maxQueryMs / 60_000} minutes.`));
    }, maxQueryMs);
    let end: Partial<Execution> & Pick<Execution, "state">;
    try {
      end = { state: "SUCCEEDED", ...(await options.execute(running, stop.signal)) };
    } catch (error) {
      const stopped: unknown = stop.signal.aborted ? stop.signal.reason : undefined;
      end =
        stopped instanceof Stop
          ? { state: stopped.state, reason: stopped.reason }
          : { state: "FAILED", reason: reasonOf(error), userError: error instanceof QueryError };
    } finally {
      clearTimeout(timer);
    }
    if (end.state === "QUEUED") {
      await put(queued);
      return;
    }
    await finish({ ...running, ...end }, "RUNNING");
  }

  async function finish(ended: Execution, previous: "QUEUED" | "RUNNING"): Promise<void> {
    const final = { ...ended, completedAt: Date.now() };
    executions.set(final.id, final);
    // Told before it is kept: a process that is killed in between runs the query again and tells it again.
    await options.ended(final, previous);
    await put(final);
  }

  const queries: Queries = {
    async start({ request, statementType, token }) {
      const earlier =
        token === undefined ? undefined : [...executions.values()].find((it) => it.token === token);
      if (earlier) {
        if (JSON.stringify(earlier.request) === JSON.stringify(request)) return earlier;
        throw new AwsJsonError(
          "InvalidRequestException",
          "Idempotent parameters do not match: this ClientRequestToken was used for another request.",
        );
      }
      if (waiting().length >= maxWaiting) {
        throw new AwsJsonError(
          "TooManyRequestsException",
          `${maxWaiting} queries are waiting; try again later.`,
        );
      }
      const queued: Execution = {
        id: randomUUID(),
        token,
        request,
        statementType,
        state: "QUEUED",
        submittedAt: Date.now(),
        scannedBytes: 0,
        columns: [],
      };
      await put(queued);
      runNext();
      return queued;
    },
    find: (id) => executions.get(id),
    list: () => [...executions.values()].reverse(),
    async stop(id) {
      const found = executions.get(id);
      const stopped = new Stop("CANCELLED", "Query cancelled by user.");
      if (found?.state === "RUNNING") stops.get(id)?.abort(stopped);
      if (found?.state === "QUEUED") {
        await finish({ ...found, state: "CANCELLED", reason: stopped.reason }, "QUEUED");
      }
    },
    async close() {
      closing = true;
      const done = new AbortController();
      const ended = Promise.all(active).finally(() => done.abort());
      await Promise.race([
        ended,
        delay(closingMs, undefined, { signal: done.signal }).catch(() => undefined),
      ]);
      for (const stop of stops.values()) stop.abort(new Stop("QUEUED", "The local Athena was stopped."));
      await ended;
    },
  };
  runNext();
  return queries;
}

function reasonOf(error: unknown): string {
  if (error instanceof QueryError) return error.message;
  // Of S3, for the most part: its messages name buckets and keys, and no row.
  return error instanceof Error ? `${error.name}: ${error.message}` : "The query failed.";
}
