import { AthenaClient } from "@aws-sdk/client-athena";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { athena, s3 } from "../../../shared/aws/clients.ts";
import { QueryEngine } from "../../../shared/aws/query-engine.ts";
import { type Operation, startAwsJson } from "../../../stacks/local/aws/aws-json.ts";
import { clientOptions } from "../../stacks/local/aws/clients.ts";
import { type LocalAws, startLocalAws } from "../../support/local-aws.ts";

const output = "s3://queries/results/";
let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
  await s3().send(new CreateBucketCommand({ Bucket: "queries" }));
});
afterAll(() => aws.close());

const engine = (database: string) => new QueryEngine(athena(), { workgroup: "primary", database });

test("statements run to their end, one after the other", async () => {
  const reference = engine("reference");

  await reference.run("CREATE DATABASE IF NOT EXISTS reference", output);
  await reference.run(
    "CREATE EXTERNAL TABLE IF NOT EXISTS reference.questions (`b` string, `a` string) " +
      "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' LOCATION 's3://queries/table/'",
    output,
  );

  const id = await reference.start("SELECT * FROM reference.questions", output);
  await expect.poll(async () => (await reference.get(id)).state).toBe("SUCCEEDED");
});

test("a statement that Athena refuses fails with the query's id and Athena's code, without its sentence", async () => {
  await expect(engine("reference").run("DROP TABLE reference.nowhere", output)).rejects.toMatchObject({
    name: "StatementFailed",
    kind: "transient",
    ids: { query: expect.any(String) },
    sentence: expect.not.stringContaining("nowhere"),
  });
});

test("one token starts one query, which can be looked up with its text and its place", async () => {
  const token = "0123456789abcdef0123456789abcdef";
  const sql = "SELECT 1 AS one";
  const ids = [await engine("reference").start(sql, output, token)];
  ids.push(await engine("reference").start(sql, output, token));
  const another = await engine("reference").start(sql, output);

  expect(new Set(ids).size).toBe(1);
  expect(ids).not.toContain(another);
  expect(await engine("reference").get(another)).toMatchObject({
    id: another,
    sql,
    output: `${output}${another}.csv`,
  });
});

/** An Athena whose query goes through these states, the last one again and again. */
async function startStates(...states: { State: string; StateChangeReason?: string }[]) {
  let asked = 0;
  const get: Operation = async () => {
    const Status = states[Math.min(asked, states.length - 1)];
    asked += 1;
    return { QueryExecution: { QueryExecutionId: "query-1", Query: "DROP", Status } };
  };
  const server = await startAwsJson({
    name: "Athena",
    target: "AmazonAthena",
    operations: {
      StartQueryExecution: async () => ({ QueryExecutionId: "query-1" }),
      GetQueryExecution: get,
    },
  });
  const client = new AthenaClient(clientOptions(server.endpoint));
  onTestFinished(async () => {
    client.destroy();
    await server.close();
  });
  const slept: number[] = [];
  return {
    slept,
    engine: new QueryEngine(client, {
      workgroup: "primary",
      database: "d",
      sleep: async (ms) => {
        slept.push(ms);
      },
    }),
  };
}

test("a statement is waited for as long as it is queued or runs", async () => {
  const { engine, slept } = await startStates(
    { State: "QUEUED" },
    { State: "RUNNING" },
    { State: "SUCCEEDED" },
  );

  await engine.run("DROP", output);

  expect(slept).toEqual([250, 250]);
});

test.each([
  ["FAILED", "SYNTAX_ERROR: line 1:8: Column 'Mary' cannot be resolved", "SYNTAX_ERROR"],
  ["FAILED", "Mary asked: where is the library?", "no code given"],
  ["FAILED", undefined, "no code given"],
  ["CANCELLED", undefined, "no code given"],
])("a statement that ended as %s because of %j tells the code only", async (State, reason, code) => {
  const { engine } = await startStates({ State, ...(reason && { StateChangeReason: reason }) });

  const error = engine.run("DROP", output);
  await expect(error).rejects.toMatchObject({
    name: "StatementFailed",
    kind: "transient",
    message: `Athena could not bring the table in step (${code}).`,
    ids: { query: "query-1" },
  });
});

test("a statement that does not end is waited for a minute and no longer", async () => {
  const { engine, slept } = await startStates({ State: "RUNNING" });

  await expect(engine.run("DROP", output)).rejects.toMatchObject({
    name: "StatementTooSlow",
    kind: "transient",
    ids: { query: "query-1" },
  });
  expect(slept.reduce((sum, ms) => sum + ms, 0)).toBe(60_000);
});

test("the first rows of a query come as Athena spells them, without their header, null apart from empty", async () => {
  const values = "SELECT * FROM (VALUES (1, 'a'), (2, ''), (3, NULL), (4, 'd')) AS t(n, s) ORDER BY 1";
  const id = await engine("reference").run(values, output);

  expect(await engine("reference").rows(id, 3)).toEqual({
    columns: ["n", "s"],
    rows: [
      ["1", "a"],
      ["2", ""],
      ["3", null],
    ],
  });
});
