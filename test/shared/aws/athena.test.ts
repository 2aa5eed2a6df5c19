// The query engine on Athena: states, reasons and limits. The tests respond in the SDK's middleware.
import { AthenaClient, type QueryExecution } from "@aws-sdk/client-athena";
import { GlueClient } from "@aws-sdk/client-glue";
import { expect, test } from "vitest";
import { AthenaQueryEngine } from "../../../shared/aws/athena.ts";
import { intercept, offline } from "../../contracts/inject.ts";
import { stoppedClock } from "../../support/stopped-clock.ts";

const location = "s3://results/queries/query-1.csv";

/** Returns an engine whose query has these executions in turn, and then keeps the last. */
function start(...executions: QueryExecution[]) {
  const client = new AthenaClient(offline);
  const calls: { command: string; input: object }[] = [];
  let reads = 0;
  intercept(client, async (call) => {
    calls.push(call);
    if (call.command === "StartQueryExecution") return { $metadata: {}, QueryExecutionId: "query-1" };
    if (call.command === "GetQueryResults") {
      const row = (...values: (string | undefined)[]) => ({
        Data: values.map((VarCharValue) => ({ VarCharValue })),
      });
      return { $metadata: {}, ResultSet: { Rows: [row("n", "s"), row("1", ""), row("2", undefined)] } };
    }
    reads += 1;
    return { $metadata: {}, QueryExecution: executions[Math.min(reads, executions.length) - 1] };
  });
  const { slept, sleep } = stoppedClock();
  const engine = new AthenaQueryEngine(client, new GlueClient(offline), {
    workgroup: "pipeline",
    database: "library",
    dataBucket: "data",
    resultsBucket: "results",
    statementsFolder: "statements",
    sleep,
  });
  return {
    calls,
    slept,
    engine,
    view: () => engine.defineView("v", { select: "SELECT 1", comments: new Map() }),
  };
}

const inState = (
  State: "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED",
  StateChangeReason?: string,
) => ({ Status: { State, StateChangeReason }, ResultConfiguration: { OutputLocation: location } });

test("waits for a statement while it is queued or running, and returns its rows without the header", async () => {
  const { engine, slept, calls } = start(inState("QUEUED"), inState("RUNNING"), inState("SUCCEEDED"));
  const { columns, rows } = await engine.firstRows("SELECT 1", "queries", 999);
  expect(slept).toEqual([250, 250]);
  // Null differs from the empty text.
  expect([columns, ...rows]).toEqual([
    ["n", "s"],
    ["1", ""],
    ["2", null],
  ]);
  const [started, , , , results] = calls;
  expect(started?.input).toMatchObject({
    WorkGroup: "pipeline",
    QueryExecutionContext: { Database: "library" },
  });
  expect(results).toMatchObject({ command: "GetQueryResults", input: { MaxResults: 1_000 } });
});

const sentence = "Column 'Mary' cannot be resolved";
test.each([
  ["FAILED", `SYNTAX_ERROR: line 1:8: ${sentence}`, "SYNTAX_ERROR"],
  ["FAILED", sentence, "no code given"],
  ["FAILED", undefined, "no code given"],
  ["CANCELLED", undefined, "no code given"],
] as const)(
  "returns Athena's code and not its message for a query that ended as %s with %j",
  async (state, text, reason) => {
    const { engine, view } = start(inState(state, text));
    expect(await engine.get("query-1")).toEqual({
      id: "query-1",
      state,
      reason,
      retryable: false,
      output: "queries/query-1.csv",
    });
    await expect(view()).rejects.toMatchObject({
      name: "StatementFailed",
      kind: "transient",
      message: expect.stringContaining(`(${reason})`),
      sentence: expect.not.stringContaining("Mary"),
      ids: { query: "query-1" },
    });
  },
);

test("returns whether Athena would retry a query, and no output in another bucket", async () => {
  const { engine } = start({
    Status: { State: "FAILED", AthenaError: { Retryable: true } },
    ResultConfiguration: { OutputLocation: "s3://elsewhere/query-1.csv" },
  });
  expect(await engine.get("query-1")).toMatchObject({ retryable: true, output: undefined });
});

test("waits at most a minute for a statement", async () => {
  const { view, slept } = start({});
  await expect(view()).rejects.toMatchObject({
    name: "StatementTooSlow",
    kind: "transient",
    ids: { query: "query-1" },
  });
  expect(slept.reduce((sum, ms) => sum + ms, 0)).toBe(60_000);
});
