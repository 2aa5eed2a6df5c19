// Asking an Athena for a view's first rows, which never fails a run.
import { AthenaClient } from "@aws-sdk/client-athena";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { QueryEngine } from "../../../shared/aws/query-engine.ts";
import { AwsJsonError, type Operation, startAwsJson } from "../../../stacks/local/aws/aws-json.ts";
import { firstRows } from "../../../stacks/local/views.ts";
import { datasetOf } from "../../factories/datasets.ts";
import { clientOptions } from "./aws/clients.ts";

const dataset = datasetOf([]);
const started = z.object({ QueryString: z.string() });
const byId = z.object({ QueryExecutionId: z.string() });

/** An Athena that answers as it is told. A query's id is its view's name. */
async function startAthena(answers: { state: (id: string) => object; results: (id: string) => object }) {
  const asked: string[] = [];
  const operations: Record<string, Operation> = {
    StartQueryExecution: async (input) => {
      const { QueryString } = started.parse(input);
      asked.push(QueryString);
      return { QueryExecutionId: /"(\w+)"/.exec(QueryString)?.[1] };
    },
    GetQueryExecution: async (input) => ({
      QueryExecution: { Status: answers.state(byId.parse(input).QueryExecutionId) },
    }),
    GetQueryResults: async (input) => answers.results(byId.parse(input).QueryExecutionId),
  };
  const server = await startAwsJson({ name: "Athena", target: "AmazonAthena", operations });
  const client = new AthenaClient({ ...clientOptions(server.endpoint), maxAttempts: 1 });
  onTestFinished(async () => {
    client.destroy();
    await server.close();
  });
  const engine = new QueryEngine(client, { workgroup: "primary", database: "d", sleep: async () => {} });
  return { asked, rows: () => firstRows(dataset, engine, "results") };
}

const results = (...rows: (string | undefined)[][]) => ({
  ResultSet: { Rows: rows.map((row) => ({ Data: row.map((VarCharValue) => ({ VarCharValue })) })) },
});

test("the first rows of both views are asked for as an analyst would, and told without their header", async () => {
  const athena = await startAthena({
    state: () => ({ State: "SUCCEEDED" }),
    results: (id) => results(["_id", "note"], [id, undefined], ["2", ""]),
  });
  const rows = (view: string) => ({
    view,
    columns: ["_id", "note"],
    rows: [
      [view, null],
      ["2", ""],
    ],
  });
  expect(await athena.rows()).toEqual([rows("test_dataset_typed"), rows("test_dataset_analysis")]);
  expect(athena.asked.toSorted()).toEqual([
    'SELECT * FROM "test_dataset_analysis" ORDER BY 1 LIMIT 3',
    'SELECT * FROM "test_dataset_typed" ORDER BY 1 LIMIT 3',
  ]);
});

test("a view that fails says so by its error's name, without a value, and the other is there", async () => {
  const athena = await startAthena({
    state: (id) =>
      id === "test_dataset_typed"
        ? { State: "FAILED", StateChangeReason: "MARKED is no number" }
        : { State: "SUCCEEDED" },
    results: () => results(["_id"]),
  });
  expect(await athena.rows()).toEqual([
    { view: "test_dataset_typed", failed: "StatementFailed, query test_dataset_typed" },
    { view: "test_dataset_analysis", columns: ["_id"], rows: [] },
  ]);
});

test("an Athena that does not answer, or never ends, is a line for each view", async () => {
  const endless = await startAthena({ state: () => ({ State: "RUNNING" }), results: () => ({}) });
  expect(await endless.rows()).toEqual([
    { view: "test_dataset_typed", failed: "StatementTooSlow, query test_dataset_typed" },
    { view: "test_dataset_analysis", failed: "StatementTooSlow, query test_dataset_analysis" },
  ]);
  const broken = await startAthena({
    state: () => ({ State: "SUCCEEDED" }),
    results: () => {
      throw new AwsJsonError("InvalidRequestException", "MARKED");
    },
  });
  expect(JSON.stringify(await broken.rows())).not.toContain("MARKED");
  expect(await broken.rows()).toMatchObject([{ failed: expect.any(String) }, { failed: expect.any(String) }]);
});
