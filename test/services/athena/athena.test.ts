// Following a published file and finishing its query, against the local Athena, which runs on DuckDB over real objects.

import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import {
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  ListQueryExecutionsCommand,
} from "@aws-sdk/client-athena";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { finishQuery } from "../../../services/athena/finish.ts";
import { followFile } from "../../../services/athena/follow.ts";
import { createDatabase, datasetQuery, originOf } from "../../../services/athena/sql.ts";
import { athena } from "../../../shared/aws/clients.ts";
import { QueryEngine } from "../../../shared/aws/query-engine.ts";
import type { Store } from "../../../shared/aws/store.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";
import { type Run, runIdOf } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/datasets.ts";
import { recordsOf } from "../../factories/records.ts";
import { runOf } from "../../factories/requests.ts";
import {
  capturedEvents,
  type LocalAws,
  lambdaContext,
  sqsEvent,
  startLocalAws,
  take,
  takeJson,
} from "../../support/local-aws.ts";
import { defaultDataset } from "../../support/transformed.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws?.close());

const workgroup = "primary";
const { csv: csvKey, table, results: resultsKey, queryResults } = defaultDataset.publish;
type PublishedRun = Pick<Run, "runId" | "dataset" | "requestedAt">;

const published = (requestId: string, requestedAt = "2024-03-15T12:00:00Z"): PublishedRun => ({
  runId: runIdOf(defaultDataset.name, requestId),
  dataset: defaultDataset.name,
  requestedAt,
});

let tests = 0;
let database = "";
beforeEach(() => {
  tests += 1;
  database = `library_${tests}`;
});

async function start() {
  const { events, publish } = capturedEvents();
  const data = await aws.bucket();
  const results = await aws.bucket();
  // The local Athena is done in some milliseconds; 240 of these are its limit.
  const sleep = () => delay(20);
  const engine = new QueryEngine(athena(), { workgroup, database, sleep });
  return { data, results, engine, publish, events, database, resultsBucket: results.bucket };
}
type Effects = Awaited<ReturnType<typeof start>>;

/** Puts a file where the assembler publishes it. */
async function putFile(data: Store, run: PublishedRun, rows: Cell[][], key = csvKey): Promise<void> {
  const body = Readable.from(Buffer.from(csvRows(rows)));
  const current = await data.head(key);
  await data.upload(key, body, {
    contentType: "text/csv; charset=utf-8",
    metadata: { "run-id": run.runId, "requested-at": run.requestedAt },
    condition: current ? { ifMatch: current.etag } : "absent",
  });
}

/** The ids of a run's queries, newest first. */
async function queriesOf(run: PublishedRun, engine: QueryEngine): Promise<string[]> {
  const { QueryExecutionIds = [] } = await athena().send(new ListQueryExecutionsCommand({ MaxResults: 50 }));
  const queries = await Promise.all(QueryExecutionIds.map((id) => engine.get(id)));
  return queries.filter(({ sql }) => originOf(sql)?.runId === run.runId).map(({ id }) => id);
}

/** The state in which a query ended. */
async function ended(id: string, engine: QueryEngine): Promise<string> {
  return vi.waitFor(
    async () => {
      const { state } = await engine.get(id);
      if (state === "QUEUED" || state === "RUNNING") throw new Error(`Query ${id} is ${state}.`);
      return state;
    },
    { timeout: 10_000, interval: 20 },
  );
}

/** The dataset's query of a run, once it has ended. */
async function theQuery(run: PublishedRun, engine: QueryEngine): Promise<string> {
  const [id = "", ...others] = await queriesOf(run, engine);
  expect(others).toEqual([]);
  expect(await ended(id, engine)).toBe("SUCCEEDED");
  return id;
}

/** What an analyst sees of a query: the columns with their types, and the rows. */
async function ask(sql: string, { engine, results }: Effects) {
  const id = await engine.start(sql, `s3://${results.bucket}/asked/`);
  expect(await ended(id, engine)).toBe("SUCCEEDED");
  const { ResultSet } = await athena().send(new GetQueryResultsCommand({ QueryExecutionId: id }));
  const columns =
    ResultSet?.ResultSetMetadata?.ColumnInfo?.map(({ Name = "", Type = "" }) => [Name, Type]) ?? [];
  const [, ...rows] = ResultSet?.Rows ?? [];
  return { columns, rows: rows.map((row) => (row.Data ?? []).map((field) => field.VarCharValue)) };
}

const headers = ["_id", "_start_date", "Duration (in minutes)", "Comments/Notes"];

describe("a file that arrived", () => {
  test("has a table, a view and a result of its query, which comes to its stable key", async () => {
    const effects = await start();
    const run = published("new file");
    const comment = 'back\\slash \\n, "quoted", 💥 \\';
    await putFile(effects.data, run, [headers, [7, "2023-05-01 09:30:00", 5, comment]]);
    await followFile(defaultDataset, effects);
    const id = await theQuery(run, effects.engine);
    await finishQuery(id, effects);

    expect(await effects.engine.columnsOf(table)).toEqual([
      "_id",
      "_start_date",
      "duration_in_minutes",
      "comments_notes",
    ]);
    const result = await effects.results.getText(resultsKey);
    expect(result).toBe(
      '"_id","_start_date","duration_in_minutes","comments_notes"\n' +
        '"7","2023-05-01 09:30:00","5","back\\slash \\n, ""quoted"", 💥 \\"\n',
    );
    expect(await effects.results.getText(`${queryResults}/${id}.csv`)).toBe(result);
    expect((await effects.results.head(resultsKey))?.metadata).toEqual({
      dataset: "reference-transactions",
      "query-execution-id": id,
      "run-id": run.runId,
      "requested-at": run.requestedAt,
    });
    expect(effects.events).toEqual([
      {
        type: "results.published",
        detail: {
          runId: run.runId,
          dataset: "reference-transactions",
          queryExecutionId: id,
          bucket: effects.results.bucket,
          key: resultsKey,
        },
      },
    ]);
  });

  test("writes nothing into the table's own folder", async () => {
    const effects = await start();
    await putFile(effects.data, published("folder"), [headers, [1, null, null, null]]);
    await followFile(defaultDataset, effects);
    await theQuery(published("folder"), effects.engine);
    expect(await effects.data.list("", 10)).toEqual([csvKey]);
  });

  test("of a header only has a result of a header only", async () => {
    const effects = await start();
    await putFile(effects.data, published("empty"), [headers]);
    await followFile(defaultDataset, effects);
    await finishQuery(await theQuery(published("empty"), effects.engine), effects);
    expect(await effects.results.getText(resultsKey)).toBe(
      '"_id","_start_date","duration_in_minutes","comments_notes"\n',
    );
  });

  test("that is told of three times, also at once, is queried once", async () => {
    const effects = await start();
    const run = published("told thrice");
    await putFile(effects.data, run, [headers, [1, "2023-05-01 09:30:00", 5, "x"]]);
    await followFile(defaultDataset, effects);
    await Promise.all([followFile(defaultDataset, effects), followFile(defaultDataset, effects)]);
    await theQuery(run, effects.engine);
  });

  test("and is replaced by another run's is queried again", async () => {
    const effects = await start();
    const rows = (comment: string): Cell[][] => [headers, [1, "2023-05-01 09:30:00", 5, comment]];
    for (const name of ["one", "two"]) {
      await putFile(effects.data, published(name, `2024-03-1${name.length}T12:00:00Z`), rows(name));
      await followFile(defaultDataset, effects);
      await finishQuery(await theQuery(published(name), effects.engine), effects);
      expect(await effects.results.getText(resultsKey)).toContain(`"${name}"`);
    }
  });

  test("and is written again by its own run, with other rows, is queried again", async () => {
    const effects = await start();
    const run = published("written again");
    for (const comment of ["before", "after"]) {
      await putFile(effects.data, run, [headers, [1, "2023-05-01 09:30:00", 5, comment]]);
      await followFile(defaultDataset, effects);
    }
    expect(await queriesOf(run, effects.engine)).toHaveLength(2);
  });

  test("with other columns than before replaces them, and values stay under their own names", async () => {
    const effects = await start();
    const files: { name: string; headers: string[]; row: Cell[] }[] = [
      { name: "first", headers: ["_id", "a", "b"], row: [1, "A1", "B1"] },
      { name: "a column more, in between", headers: ["_id", "a", "new", "b"], row: [2, "A2", "N2", "B2"] },
      { name: "another order", headers: ["_id", "b", "a", "new"], row: [3, "B3", "A3", "N3"] },
      { name: "fewer", headers: ["_id", "b"], row: [4, "B4"] },
    ];
    for (const { name, headers, row } of files) {
      await putFile(effects.data, published(name), [headers, row]);
      await followFile(defaultDataset, effects);
      await theQuery(published(name), effects.engine);
      for (const relation of [table, `${table}_typed`]) {
        const { columns, rows } = await ask(`SELECT * FROM "${database}"."${relation}"`, effects);
        expect(columns.map(([column]) => column)).toEqual(headers);
        expect(rows).toEqual([row.map(String)]);
      }
    }
  });

  test.each([
    { what: "that nobody's run wrote", metadata: {}, name: "PublishedFileForeign" },
    { what: "without the time of its run", metadata: { "run-id": "x" }, name: "PublishedFileForeign" },
  ])("$what is left alone, with an error that says what to do", async ({ metadata, name }) => {
    const effects = await start();
    const body = Readable.from(Buffer.from(csvRows([headers])));
    await effects.data.upload(csvKey, body, { contentType: "text/csv", metadata, condition: "absent" });
    await expect(followFile(defaultDataset, effects)).rejects.toMatchObject({
      name,
      kind: "terminal",
      sentence: expect.stringContaining("Request a run of the dataset"),
    });
    expect(await effects.results.list("", 10)).toEqual([]);
  });

  test("without a header line is left alone", async () => {
    const effects = await start();
    const { runId, requestedAt } = published("no header");
    await effects.data.upload(csvKey, Readable.from(Buffer.from('"_id"')), {
      contentType: "text/csv",
      metadata: { "run-id": runId, "requested-at": requestedAt },
      condition: "absent",
    });
    await expect(followFile(defaultDataset, effects)).rejects.toMatchObject({ name: "PublishedFileForeign" });
  });

  test("and is gone again is an error", async () => {
    await expect(followFile(defaultDataset, await start())).rejects.toMatchObject({
      name: "PublishedFileMissing",
      ids: { dataset: "reference-transactions" },
    });
  });
});

describe("the typed view", () => {
  const typed = datasetOf([
    { name: "count", type: "integer" },
    { name: "minutes", type: "number" },
    { name: "opened", type: "timestamp" },
    { name: "note", type: "text" },
  ]);
  const typedHeaders = ["_id", "count", "minutes", "opened", "note", "Undeclared"];

  test("gives numbers and times, and null for what is not of its column's type", async () => {
    const effects = await start();
    const run = published("typed");
    const rows: Cell[][] = [
      [1, -3, 7.5, "2024-02-29 23:59:59", "5", 12],
      [2, "many", "about 5", "soon", "", "x"],
      [3, null, null, null, null, null],
      [4, 9007199254740991, 1e21, "0999-01-01 00:00:00", 'a "b", c\\', "2024-01-01"],
    ];
    await putFile(effects.data, run, [typedHeaders, ...rows], typed.publish.csv);
    await followFile(typed, effects);

    const answer = await ask(`SELECT * FROM "${database}"."test_dataset_typed" ORDER BY "_id"`, effects);
    expect(answer.columns).toEqual([
      ["_id", "bigint"],
      ["count", "bigint"],
      ["minutes", "double"],
      ["opened", "timestamp"],
      ["note", "varchar"],
      ["undeclared", "varchar"],
    ]);
    // The serde has no null: an empty field is an empty text.
    expect(answer.rows).toEqual([
      ["1", "-3", "7.5", "2024-02-29 23:59:59.000", "5", "12"],
      ["2", undefined, undefined, undefined, "", "x"],
      ["3", undefined, undefined, undefined, "", ""],
      ["4", "9007199254740991", "1.0E21", "0999-01-01 00:00:00.000", 'a "b", c\\', "2024-01-01"],
    ]);
  });

  test("gives the untyped table's very texts where a column is text", async () => {
    const effects = await start();
    const run = published("texts");
    const notes = [
      '"',
      '""',
      "\\",
      '\\"',
      ",",
      ",,",
      "'",
      "''",
      " a ",
      "図書館",
      "💥",
      "\\N",
      "null",
      "a\u00a0b",
    ];
    const rows = notes.map((note, index): Cell[] => [index, null, null, null, note, null]);
    await putFile(effects.data, run, [typedHeaders, ...rows], typed.publish.csv);
    await followFile(typed, effects);
    const answer = await ask(`SELECT note FROM "${database}"."test_dataset_typed" ORDER BY "_id"`, effects);
    expect(answer.rows.map(([note]) => note)).toEqual(notes);
  });
});

describe("a query that ended", () => {
  const rows = (comment: string): Cell[][] => [headers, [1, "2023-05-01 09:30:00", 5, comment]];

  test("in failure is told, with Athena's code and no more, and the earlier result stays", async () => {
    const effects = await start();
    const earlier = published("good", "2024-03-08T12:00:00Z");
    await putFile(effects.data, earlier, rows("good"));
    await followFile(defaultDataset, effects);
    await finishQuery(await theQuery(earlier, effects.engine), effects);
    const before = await effects.results.head(resultsKey);

    const run = published("bad");
    const output = `s3://${effects.results.bucket}/${queryResults}/`;
    const id = await effects.engine.start(datasetQuery("nowhere", defaultDataset, run), output);
    expect(await ended(id, effects.engine)).toBe("FAILED");
    await finishQuery(id, effects);

    expect(effects.events[1]).toEqual({
      type: "query.failed",
      detail: {
        runId: run.runId,
        dataset: "reference-transactions",
        queryExecutionId: id,
        reason: expect.stringMatching(
          /^Athena's query ended as FAILED \((no code given|[A-Z_]+)\)\. The earlier result stays\.$/,
        ),
      },
    });
    expect(await effects.results.head(resultsKey)).toEqual(before);
  });

  test("of an older run does not replace the newer one's result, and tells nothing", async () => {
    const effects = await start();
    const older = published("older", "2024-03-08T12:00:00Z");
    const newer = published("newer", "2024-03-15T12:00:00Z");
    await putFile(effects.data, older, rows("older"));
    await followFile(defaultDataset, effects);
    const olderQuery = await theQuery(older, effects.engine);
    await putFile(effects.data, newer, rows("newer"));
    await followFile(defaultDataset, effects);
    await finishQuery(await theQuery(newer, effects.engine), effects);
    const before = await effects.results.head(resultsKey);

    await finishQuery(olderQuery, effects);
    expect(await effects.results.head(resultsKey)).toEqual(before);
    expect(await effects.results.getText(resultsKey)).toContain('"newer"');
    expect(effects.events).toMatchObject([{ type: "results.published", detail: { runId: newer.runId } }]);
  });

  test("and is told of twice leaves the same bytes", async () => {
    const effects = await start();
    const run = published("told twice");
    await putFile(effects.data, run, rows("x"));
    await followFile(defaultDataset, effects);
    const id = await theQuery(run, effects.engine);
    await finishQuery(id, effects);
    const before = await effects.results.getText(resultsKey);
    await finishQuery(id, effects);
    expect(await effects.results.getText(resultsKey)).toBe(before);
    expect(effects.events[1]).toEqual(effects.events[0]);
  });

  test("and is nobody's dataset query is left alone", async () => {
    const effects = await start();
    const output = `s3://${effects.results.bucket}/${queryResults}/`;
    for (const sql of ["SELECT 1", "SELECT * FROM nowhere", createDatabase(database)]) {
      const id = await effects.engine.start(sql, output);
      await ended(id, effects.engine);
      await finishQuery(id, effects);
    }
    expect(effects.events).toEqual([]);
    expect(await effects.results.head(resultsKey)).toBeUndefined();
  });

  test("with its result in another bucket is an error that says what to do", async () => {
    const effects = await start();
    const run = published("elsewhere");
    await putFile(effects.data, run, rows("x"));
    await followFile(defaultDataset, effects);
    const id = await theQuery(run, effects.engine);
    await expect(finishQuery(id, { ...effects, results: await aws.bucket() })).rejects.toMatchObject({
      name: "ResultElsewhere",
      ids: { query: id },
    });
  });
});

test("a statement that fails is told by its code, and may be tried again", async () => {
  const { engine, results } = await start();
  await expect(
    engine.run('CREATE OR REPLACE VIEW "nowhere"."v" AS SELECT 1 AS a', `s3://${results.bucket}/ddl/`),
  ).rejects.toMatchObject({ name: "StatementFailed", kind: "transient" });
});

test("the handler follows the file that S3 told of, and finishes the query that Athena told of", async () => {
  const { handler } = await import("../../../services/athena/handler.ts");
  const queue = aws.serviceQueue("ATHENA");
  // What the other tests' queries told.
  for (const other of [queue, aws.observer]) await take(other);
  const run = runOf("handler");
  await putFile(aws.data, run, [
    headers,
    ...recordsOf(1, 3).map(({ _id }): Cell[] => [Number(_id), null, 5, "x"]),
  ]);

  // S3's event, each statement's and the query's: a round for each at most, and some to spare.
  const told: unknown[] = [];
  for (let round = 0; round < 20 && told.length === 0; round++) {
    const messages = await take(queue, 5);
    for (const message of messages) {
      expect(await handler(sqsEvent([message]), lambdaContext)).toMatchObject({ batchItemFailures: [] });
    }
    told.push(...(await takeJson(aws.observer)));
  }

  expect(told).toMatchObject([{ "detail-type": "results.published", detail: { runId: run.runId } }]);
  const result = await aws.results.getText(resultsKey);
  expect(result?.split("\n").filter((line) => line !== "")).toHaveLength(4);
  const [id = ""] = await queriesOf(
    run,
    new QueryEngine(athena(), { workgroup, database: "libinsightdatabase" }),
  );
  const { QueryExecution } = await athena().send(new GetQueryExecutionCommand({ QueryExecutionId: id }));
  expect(QueryExecution?.ResultConfiguration?.OutputLocation).toBe(
    `s3://${aws.results.bucket}/${queryResults}/${id}.csv`,
  );
});
