// Following a published file and finishing its query, against the local Athena, which runs on DuckDB over real objects.

import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import {
  AthenaClient,
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  ListQueryExecutionsCommand,
} from "@aws-sdk/client-athena";
import { GetTableCommand } from "@aws-sdk/client-glue";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { finishQuery } from "../../../services/athena/finish.ts";
import { followFile } from "../../../services/athena/follow.ts";
import { createDatabase, datasetQuery, originOf } from "../../../services/athena/sql.ts";
import { retryQuery, startQuery } from "../../../services/athena/start.ts";
import { Catalog } from "../../../shared/aws/catalog.ts";
import { athena, glue } from "../../../shared/aws/clients.ts";
import { QueryEngine } from "../../../shared/aws/query-engine.ts";
import type { SendOptions } from "../../../shared/aws/queue.ts";
import type { Store } from "../../../shared/aws/store.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";
import { viewNames } from "../../../shared/dataset.ts";
import { type QueryTask, queryTask } from "../../../shared/messages.ts";
import { type Run, runIdOf } from "../../../shared/run.ts";
import { startAwsJson } from "../../../stacks/local/aws/aws-json.ts";
import { datasetOf } from "../../factories/datasets.ts";
import { recordsOf } from "../../factories/records.ts";
import { runOf } from "../../factories/requests.ts";
import { clientOptions } from "../../stacks/local/aws/clients.ts";
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

/** A queue that remembers what it was sent. */
function capturedTasks() {
  const tasks: { task: QueryTask; delaySeconds: number | undefined }[] = [];
  const send = async (body: string, { delaySeconds }: SendOptions = {}): Promise<void> => {
    tasks.push({ task: queryTask.parse(JSON.parse(body)), delaySeconds });
  };
  return { tasks, queue: { send } };
}

async function start() {
  const { events, publish } = capturedEvents();
  const { tasks, queue } = capturedTasks();
  const [work, data, results] = [await aws.bucket(), await aws.bucket(), await aws.bucket()];
  // The local Athena is done in some milliseconds; 240 of these are its limit.
  const sleep = () => delay(20);
  const engine = new QueryEngine(athena(), { workgroup, database, sleep });
  const clock = { now: new Date("2024-03-15T12:00:00Z") };
  return {
    ...{ work, data, results, engine, publish, events, queue, tasks, database, clock },
    catalog: new Catalog(glue(), database),
    resultsBucket: results.bucket,
    checkSeconds: 60,
    now: () => clock.now,
  };
}
type Effects = Awaited<ReturnType<typeof start>>;

/** Puts a file where the assembler publishes it. */
async function putFile(data: Store, run: PublishedRun, rows: Cell[][], key = csvKey): Promise<void> {
  const body = Readable.from(Buffer.from(csvRows(rows)));
  const current = await data.head(key);
  await data.upload(key, body, {
    contentType: "text/csv; charset=utf-8",
    metadata: { "run-id": run.runId, "requested-at": run.requestedAt, rows: String(rows.length - 1) },
    condition: current ? { ifMatch: current.etag } : "absent",
  });
}

/** The ids of a run's queries, newest first. */
async function queriesOf(run: PublishedRun, engine: QueryEngine): Promise<string[]> {
  const { QueryExecutionIds = [] } = await athena().send(new ListQueryExecutionsCommand({ MaxResults: 50 }));
  const queries = await Promise.all(QueryExecutionIds.map((id) => engine.get(id)));
  return queries.filter(({ sql }) => originOf(sql)?.origin.runId === run.runId).map(({ id }) => id);
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

function nothing(): never {
  throw new Error("There is none.");
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
    const deps = await start();
    const run = published("new file");
    const comment = 'back\\slash \\n, "quoted", 💥 \\';
    await putFile(deps.data, run, [headers, [7, "2023-05-01 09:30:00", 5, comment]]);
    await followFile(defaultDataset, deps);
    const id = await theQuery(run, deps.engine);
    await finishQuery(id, deps);

    expect((await deps.catalog.columnsOf(table))?.map(({ name }) => name)).toEqual([
      "_id",
      "_start_date",
      "duration_in_minutes",
      "comments_notes",
    ]);
    const result = await deps.results.getText(resultsKey);
    expect(result).toBe(
      '"_id","_start_date","duration_in_minutes","comments_notes"\n' +
        '"7","2023-05-01 09:30:00","5","back\\slash \\n, ""quoted"", 💥 \\"\n',
    );
    expect(await deps.results.getText(`${queryResults}/${id}.csv`)).toBe(result);
    expect((await deps.results.head(resultsKey))?.metadata).toEqual({
      dataset: "reference-transactions",
      "query-execution-id": id,
      "run-id": run.runId,
      "requested-at": run.requestedAt,
      rows: "1",
    });
    expect(deps.events).toEqual([
      {
        type: "results.published",
        detail: {
          runId: run.runId,
          dataset: "reference-transactions",
          queryExecutionId: id,
          bucket: deps.results.bucket,
          key: resultsKey,
          rows: 1,
        },
      },
    ]);
  });

  test("has comments on the columns of its table and of both views", async () => {
    const deps = await start();
    await putFile(deps.data, published("comments"), [headers, [7, "2023-05-01 09:30:00", 5, "x"]]);
    await followFile(defaultDataset, deps);
    const expected = {
      _id: "_id: LibInsight's number of the record",
      duration_in_minutes: "Duration (in minutes): How long it took, in minutes",
    };
    for (const relation of [table, `${table}_typed`, `${table}_analysis`]) {
      const columns = await deps.catalog.columnsOf(relation);
      expect(Object.fromEntries(columns?.map(({ name, comment }) => [name, comment]) ?? [])).toMatchObject(
        expected,
      );
    }
  });

  test("whose meaning was written anew has the new comment, on the table too", async () => {
    const deps = await start();
    const dataset = (meaning: string) => datasetOf([{ name: "note", type: "text", meaning }]);
    const { csv: defaultCsv } = dataset("x").publish;
    for (const meaning of ["What's noted; with a \\ in it", "Something else"]) {
      await putFile(
        deps.data,
        published(meaning),
        [
          ["_id", "note"],
          [1, "x"],
        ],
        defaultCsv,
      );
      await followFile(dataset(meaning), deps);
      for (const relation of ["test_dataset", "test_dataset_typed", "test_dataset_analysis"]) {
        const columns = await deps.catalog.columnsOf(relation);
        expect(columns?.at(1)).toMatchObject({ name: "note", comment: `note: ${meaning}` });
      }
    }
  });

  test("without a required column stops there: it says so, and table, views and result stay", async () => {
    const deps = await start();
    const good = published("good header", "2024-03-08T12:00:00Z");
    await putFile(deps.data, good, [headers, [1, "2023-05-01 09:30:00", 5, "x"]]);
    await followFile(defaultDataset, deps);
    await finishQuery(await theQuery(good, deps.engine), deps);
    const before = await Promise.all([deps.catalog.columnsOf(table), deps.results.head(resultsKey)]);

    const bad = published("bad header");
    await putFile(deps.data, bad, [
      ["_id", "Start", "Duration (in minutes)"],
      [1, "x", 5],
    ]);
    await followFile(defaultDataset, deps);
    expect(deps.events.at(-1)).toEqual({
      type: "file.refused",
      detail: {
        runId: bad.runId,
        dataset: "reference-transactions",
        bucket: deps.data.bucket,
        key: csvKey,
        reason: expect.stringContaining('lacks "_start_date"'),
      },
    });
    expect(await queriesOf(bad, deps.engine)).toEqual([]);
    expect(await Promise.all([deps.catalog.columnsOf(table), deps.results.head(resultsKey)])).toEqual(
      before,
    );
  });

  test("over whose table somebody's other definition stands takes it over, without dropping it", async () => {
    const deps = await start();
    const output = `s3://${deps.results.bucket}/ddl/`;
    await deps.engine.run(createDatabase(database), output);
    await deps.engine.run(
      `CREATE EXTERNAL TABLE \`${database}\`.\`${table}\` (\`a\` string)
       ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
       LOCATION 's3://${deps.data.bucket}/elsewhere/' TBLPROPERTIES ('owner' = 'somebody')`,
      output,
    );
    const run = published("taken over");
    await putFile(deps.data, run, [headers, [1, "2023-05-01 09:30:00", 5, "back\\slash"]]);
    await followFile(defaultDataset, deps);
    await finishQuery(await theQuery(run, deps.engine), deps);
    expect(await deps.results.getText(resultsKey)).toContain(
      '"1","2023-05-01 09:30:00","5","back\\slash"',
    );
    const { Table } = await glue().send(new GetTableCommand({ DatabaseName: database, Name: table }));
    expect(Table?.Parameters).toMatchObject({ owner: "somebody", "skip.header.line.count": "1" });
  });

  test("writes nothing into the table's own folder", async () => {
    const deps = await start();
    await putFile(deps.data, published("folder"), [headers, [1, null, null, null]]);
    await followFile(defaultDataset, deps);
    await theQuery(published("folder"), deps.engine);
    expect(await deps.data.list("", 10)).toEqual([csvKey]);
  });

  test("of a header only has a result of a header only", async () => {
    const deps = await start();
    await putFile(deps.data, published("empty"), [headers]);
    await followFile(defaultDataset, deps);
    await finishQuery(await theQuery(published("empty"), deps.engine), deps);
    expect(await deps.results.getText(resultsKey)).toBe(
      '"_id","_start_date","duration_in_minutes","comments_notes"\n',
    );
  });

  test("that is told of three times, also at once, is queried once", async () => {
    const deps = await start();
    const run = published("told thrice");
    await putFile(deps.data, run, [headers, [1, "2023-05-01 09:30:00", 5, "x"]]);
    await followFile(defaultDataset, deps);
    await Promise.all([followFile(defaultDataset, deps), followFile(defaultDataset, deps)]);
    await theQuery(run, deps.engine);
  });

  test("leaves a view that three comment at once with what all of them said", async () => {
    const deps = await start();
    await putFile(deps.data, published("comments at once"), [headers, [1, "2023-05-01 09:30:00", 5, "x"]]);
    await followFile(defaultDataset, deps);
    const { typed } = viewNames(table);
    const names = ["_id", "_start_date", "comments_notes"];
    await Promise.all(
      names.map((name) => deps.catalog.comment(typed, new Map([[name, `said of ${name}`]]))),
    );
    const comments = new Map(
      (await deps.catalog.columnsOf(typed))?.map(({ name, comment }) => [name, comment]),
    );
    expect(names.map((name) => comments.get(name))).toEqual(names.map((name) => `said of ${name}`));
  });

  test("and is replaced by another run's is queried again", async () => {
    const deps = await start();
    const rows = (comment: string): Cell[][] => [headers, [1, "2023-05-01 09:30:00", 5, comment]];
    for (const name of ["one", "two"]) {
      await putFile(deps.data, published(name, `2024-03-1${name.length}T12:00:00Z`), rows(name));
      await followFile(defaultDataset, deps);
      await finishQuery(await theQuery(published(name), deps.engine), deps);
      expect(await deps.results.getText(resultsKey)).toContain(`"${name}"`);
    }
  });

  test("and is written again by its own run, with other rows, is queried again", async () => {
    const deps = await start();
    const run = published("written again");
    for (const comment of ["before", "after"]) {
      await putFile(deps.data, run, [headers, [1, "2023-05-01 09:30:00", 5, comment]]);
      await followFile(defaultDataset, deps);
    }
    expect(await queriesOf(run, deps.engine)).toHaveLength(2);
  });

  test("with other columns than before replaces them, and values stay under their own names", async () => {
    const deps = await start();
    const dataset = datasetOf(["a", "b", "new"].map((name) => ({ name, type: "text" })));
    const files: { name: string; headers: string[]; row: Cell[] }[] = [
      { name: "first", headers: ["_id", "a", "b"], row: [1, "A1", "B1"] },
      { name: "a column more, in between", headers: ["_id", "a", "new", "b"], row: [2, "A2", "N2", "B2"] },
      { name: "another order", headers: ["_id", "b", "a", "new"], row: [3, "B3", "A3", "N3"] },
      { name: "fewer", headers: ["_id", "b"], row: [4, "B4"] },
    ];
    for (const { name, headers, row } of files) {
      await putFile(deps.data, published(name), [headers, row], dataset.publish.csv);
      await followFile(dataset, deps);
      for (const relation of ["test_dataset", "test_dataset_typed", "test_dataset_analysis"]) {
        const { columns, rows } = await ask(`SELECT * FROM "${database}"."${relation}"`, deps);
        expect(columns.map(([column]) => column)).toEqual(headers);
        expect(rows).toEqual([row.map(String)]);
      }
    }
  });

  test("and is replaced while it is followed is left, and whoever is last follows the new one", async () => {
    const deps = await start();
    const dataset = datasetOf(["a", "b"].map((name) => ({ name, type: "text" })));
    const [older, newer] = [
      published("overtaken", "2024-03-08T12:00:00Z"),
      published("overtakes", "2024-03-15T12:00:00Z"),
    ];
    const { csv } = dataset.publish;
    await putFile(
      deps.data,
      older,
      [
        ["_id", "a"],
        [1, "A1"],
      ],
      csv,
    );
    class Overtaken extends Catalog {
      override async define(...args: Parameters<Catalog["define"]>): Promise<boolean> {
        await putFile(
          deps.data,
          newer,
          [
            ["_id", "b", "a"],
            [2, "B2", "A2"],
          ],
          csv,
        );
        await followFile(dataset, deps);
        return super.define(...args);
      }
    }

    const catalog = new Overtaken(glue(), database);
    await expect(followFile(dataset, { ...deps, catalog })).rejects.toMatchObject({
      name: "PublishedFileReplaced",
      kind: "transient",
    });

    expect(await queriesOf(older, deps.engine)).toEqual([]);
    await followFile(dataset, deps);
    for (const relation of ["test_dataset", "test_dataset_typed", "test_dataset_analysis"]) {
      const { columns, rows } = await ask(`SELECT a, b FROM "${database}"."${relation}"`, deps);
      expect({ columns: columns.map(([column]) => column), rows }).toEqual({
        columns: ["a", "b"],
        rows: [["A2", "B2"]],
      });
    }
  });

  test.each([
    { what: "that nobody's run wrote", metadata: {}, name: "PublishedFileForeign" },
    {
      what: "that does not tell its rows",
      metadata: { "run-id": "x", "requested-at": "2024-03-15T12:00:00Z" },
      name: "PublishedFileForeign",
    },
    { what: "without the time of its run", metadata: { "run-id": "x" }, name: "PublishedFileForeign" },
  ])("$what is left alone, with an error that says what to do", async ({ metadata, name }) => {
    const deps = await start();
    const body = Readable.from(Buffer.from(csvRows([headers])));
    await deps.data.upload(csvKey, body, { contentType: "text/csv", metadata, condition: "absent" });
    await expect(followFile(defaultDataset, deps)).rejects.toMatchObject({
      name,
      kind: "terminal",
      sentence: expect.stringContaining("Request a run of the dataset"),
    });
    expect(await deps.results.list("", 10)).toEqual([]);
  });

  test("without a header line is left alone", async () => {
    const deps = await start();
    const { runId, requestedAt } = published("no header");
    await deps.data.upload(csvKey, Readable.from(Buffer.from('"_id"')), {
      contentType: "text/csv",
      metadata: { "run-id": runId, "requested-at": requestedAt },
      condition: "absent",
    });
    await expect(followFile(defaultDataset, deps)).rejects.toMatchObject({ name: "PublishedFileForeign" });
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
    const deps = await start();
    const run = published("typed");
    const rows: Cell[][] = [
      [1, -3, 7.5, "2024-02-29 23:59:59", "5", 12],
      [2, "many", "about 5", "soon", "", "x"],
      [3, null, null, null, null, null],
      [4, 9007199254740991, 1e21, "0999-01-01 00:00:00", 'a "b", c\\', "2024-01-01"],
    ];
    await putFile(deps.data, run, [typedHeaders, ...rows], typed.publish.csv);
    await followFile(typed, deps);

    const answer = await ask(`SELECT * FROM "${database}"."test_dataset_typed" ORDER BY "_id"`, deps);
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
    const deps = await start();
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
    await putFile(deps.data, run, [typedHeaders, ...rows], typed.publish.csv);
    await followFile(typed, deps);
    const answer = await ask(`SELECT note FROM "${database}"."test_dataset_typed" ORDER BY "_id"`, deps);
    expect(answer.rows.map(([note]) => note)).toEqual(notes);
  });
});

describe("the analysis view", () => {
  const dataset = datasetOf([
    { name: "at", type: "timestamp" },
    { name: "who", type: "text", personal: true },
    { name: "mode", type: "text" },
  ]);

  test("has the parts of each date, and nobody's name", async () => {
    const deps = await start();
    const dates = [
      // A Sunday at the end of a fiscal year, and the Monday after it.
      "2024-06-30 23:59:59",
      "2024-07-01 00:00:00",
      "2024-02-29 08:15:00",
      "2023-12-31 12:00:00",
      "not a date",
    ];
    const rows = dates.map((at, index): Cell[] => [index, at, "Ash Calloway", "Chat", "undeclared"]);
    await putFile(
      deps.data,
      published("analysis"),
      [["_id", "at", "who", "mode", "New"], ...rows],
      dataset.publish.csv,
    );
    await followFile(dataset, deps);
    const { columns, rows: seen } = await ask(
      `SELECT * FROM "${database}"."test_dataset_analysis" ORDER BY "_id"`,
      deps,
    );
    expect(columns.map(([name]) => name)).toEqual([
      "_id",
      "at",
      "mode",
      "year",
      "fiscal_year",
      "month",
      "weekday",
      "weekday_name",
      "hour",
    ]);
    expect(seen.map((row) => row.slice(3))).toEqual([
      ["2024", "2024", "6", "7", "Sunday", "23"],
      ["2024", "2025", "7", "1", "Monday", "0"],
      ["2024", "2024", "2", "4", "Thursday", "8"],
      ["2023", "2024", "12", "7", "Sunday", "12"],
      [undefined, undefined, undefined, undefined, undefined, undefined],
    ]);
  });
});

describe("a query that ended", () => {
  const rows = (comment: string): Cell[][] => [headers, [1, "2023-05-01 09:30:00", 5, comment]];
  const originOfRun = (run: PublishedRun, count = 1) => ({ ...run, rows: count, attempt: 1 });

  /** Runs SQL as a run's query to its end. */
  async function runQuery(sql: string, run: PublishedRun, deps: Effects, count = 1): Promise<string> {
    const output = `s3://${deps.results.bucket}/${queryResults}/`;
    await deps.engine.run(createDatabase(database), output);
    const id = await startQuery({ sql, origin: originOfRun(run, count), output, seed: "seed" }, deps);
    await ended(id, deps.engine);
    return id;
  }

  test("in failure is told, with Athena's code and no more, and the earlier result stays", async () => {
    const deps = await start();
    const earlier = published("good", "2024-03-08T12:00:00Z");
    await putFile(deps.data, earlier, rows("good"));
    await followFile(defaultDataset, deps);
    await finishQuery(await theQuery(earlier, deps.engine), deps);
    const before = await deps.results.head(resultsKey);

    const run = published("bad");
    const id = await runQuery("SELECT * FROM nowhere", run, deps);
    await finishQuery(id, deps);

    expect(deps.events[1]).toEqual({
      type: "query.failed",
      detail: {
        runId: run.runId,
        dataset: "reference-transactions",
        queryExecutionId: id,
        reason: expect.stringMatching(
          /^Athena's query ended as FAILED \((no code given|[A-Z_]+)\)\. The earlier result stays\. Look query [\w-]+ up in Athena's history .*: npm run runs -- request --dataset reference-transactions$/,
        ),
      },
    });
    expect(await deps.results.head(resultsKey)).toEqual(before);
  });

  test("of an older run does not replace the newer one's result, and tells nothing", async () => {
    const deps = await start();
    const older = published("older", "2024-03-08T12:00:00Z");
    const newer = published("newer", "2024-03-15T12:00:00Z");
    await putFile(deps.data, older, rows("older"));
    await followFile(defaultDataset, deps);
    const olderQuery = await theQuery(older, deps.engine);
    await putFile(deps.data, newer, rows("newer"));
    await followFile(defaultDataset, deps);
    await finishQuery(await theQuery(newer, deps.engine), deps);
    const before = await deps.results.head(resultsKey);

    await finishQuery(olderQuery, deps);
    expect(await deps.results.head(resultsKey)).toEqual(before);
    expect(await deps.results.getText(resultsKey)).toContain('"newer"');
    expect(deps.events).toMatchObject([{ type: "results.published", detail: { runId: newer.runId } }]);
  });

  test("and is told of by the event and by the delayed message, also at once, is finished once", async () => {
    const deps = await start();
    const run = published("ended thrice");
    await putFile(deps.data, run, rows("x"));
    await followFile(defaultDataset, deps);
    const id = await theQuery(run, deps.engine);
    const [{ task } = nothing()] = deps.tasks;
    expect(task).toMatchObject({ task: "check", runId: run.runId, queryExecutionId: id, checks: 0 });
    await Promise.all([finishQuery(id, deps), finishQuery(id, deps, task), finishQuery(id, deps)]);
    await finishQuery(id, deps, task);
    expect(deps.events.map(({ type }) => type)).toEqual(["results.published"]);
  });

  test("in failure and is told of by both is told of once", async () => {
    const deps = await start();
    const id = await runQuery("SELECT * FROM nowhere", published("f"), deps);
    await Promise.all([finishQuery(id, deps), finishQuery(id, deps, deps.tasks[0]?.task)]);
    await finishQuery(id, deps);
    expect(deps.events.map(({ type }) => type)).toEqual(["query.failed"]);
  });

  test("and could not be told of, because the bus was away, is told of by whoever comes next", async () => {
    const deps = await start();
    const run = published("bus away");
    await putFile(deps.data, run, rows("x"));
    await followFile(defaultDataset, deps);
    const id = await theQuery(run, deps.engine);
    const away = async () => {
      throw new Error("bus away");
    };
    await expect(finishQuery(id, { ...deps, publish: away })).rejects.toThrow("bus away");
    await finishQuery(id, deps);
    expect(deps.events.map(({ type }) => type)).toEqual(["results.published"]);
  });

  test("whose handler died on the way is left alone for three minutes, looked at again, and finished then", async () => {
    const deps = await start();
    const run = published("died");
    await putFile(deps.data, run, rows("x"));
    await followFile(defaultDataset, deps);
    const id = await theQuery(run, deps.engine);
    await deps.work.putOnce(`queries/${id}.json`, {
      state: "claimed",
      at: deps.clock.now.toISOString(),
    });
    const [{ task } = nothing()] = deps.tasks;

    deps.clock.now = new Date("2024-03-15T12:02:59Z");
    await finishQuery(id, deps, task);
    expect(deps.events).toEqual([]);
    expect(deps.tasks.at(-1)).toEqual({ task: { ...task, checks: 1 }, delaySeconds: 120 });

    deps.clock.now = new Date("2024-03-15T12:03:00Z");
    await finishQuery(id, deps, { ...task, checks: 1 });
    expect(deps.events.map(({ type }) => type)).toEqual(["results.published"]);
  });

  test.each([
    { result: 2, published: 1 },
    { result: 0, published: 1 },
  ])(
    "with $result rows where $published was published does not count, and the earlier stays",
    async ({ result }) => {
      const deps = await start();
      const sql = result === 0 ? "SELECT 1 AS a WHERE 1 = 2" : "SELECT 1 AS a UNION ALL SELECT 2";
      const run = published(`rows ${result}`);
      const id = await runQuery(sql, run, deps);
      await finishQuery(id, deps);
      expect(deps.events).toMatchObject([
        {
          type: "query.failed",
          detail: {
            runId: run.runId,
            reason: expect.stringMatching(
              new RegExp(`has ${result} rows, where 1 were published\\. The earlier.*rowPreserving: false`),
            ),
          },
        },
      ]);
      expect(await deps.results.head(resultsKey)).toBeUndefined();
    },
  );

  test("with another number of rows counts where the dataset's query is meant to change it", async () => {
    const deps = await start();
    defaultDataset.publish.rowPreserving = false;
    onTestFinished(() => {
      defaultDataset.publish.rowPreserving = true;
    });
    const id = await runQuery("SELECT 5 AS a", published("sum"), deps, 100);
    await finishQuery(id, deps);
    expect(deps.events).toMatchObject([{ type: "results.published", detail: { rows: 1 } }]);
    expect(await deps.results.getText(resultsKey)).toBe('"a"\n"5"\n');
  });

  test("while a newer file is in place is not published: it may have read either", async () => {
    const deps = await start();
    const older = published("reads either", "2024-03-08T12:00:00Z");
    await putFile(deps.data, older, rows("older"));
    await followFile(defaultDataset, deps);
    const id = await theQuery(older, deps.engine);
    await putFile(deps.data, published("in place"), rows("newer"));
    await finishQuery(id, deps);
    expect(deps.events).toEqual([]);
    expect(await deps.results.head(resultsKey)).toBeUndefined();
  });

  test("in a failure of Athena's own is started again after a growing delay, three times in all", async () => {
    const deps = await start();
    const output = `s3://${deps.results.bucket}/ddl/`;
    await deps.engine.run(createDatabase(database), output);
    // A bucket that is away is a failure of the system and not of the statement.
    await deps.engine.run(
      `CREATE EXTERNAL TABLE \`${database}\`.\`away\` (\`a\` string)
       ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' LOCATION 's3://no-such-bucket/a/'`,
      output,
    );
    const run = published("again");
    let id = await runQuery(`SELECT * FROM "${database}"."away"`, run, deps);
    const ids = [id];
    for (const delaySeconds of [60, 120]) {
      expect(await ended(id, deps.engine)).toBe("FAILED");
      await finishQuery(id, deps);
      const { task, ...sent } = deps.tasks.at(-1) ?? nothing();
      expect(sent).toEqual({ delaySeconds });
      expect(task).toMatchObject({ task: "retry", runId: run.runId, queryExecutionId: id });
      // Delivered twice, it is started once.
      id = await retryQuery(task, deps);
      expect(await retryQuery(task, deps)).toBe(id);
      ids.push(id);
    }
    expect(deps.events).toEqual([]);
    expect(await ended(id, deps.engine)).toBe("FAILED");
    await finishQuery(id, deps);
    expect(deps.events).toMatchObject([
      { type: "query.failed", detail: { runId: run.runId, queryExecutionId: id } },
    ]);
    expect(new Set(ids).size).toBe(3);
    expect(new Set(await queriesOf(run, deps.engine))).toEqual(new Set(ids));
  });

  test("and is nobody's dataset query is left alone", async () => {
    const deps = await start();
    const output = `s3://${deps.results.bucket}/${queryResults}/`;
    for (const sql of ["SELECT 1", "SELECT * FROM nowhere", createDatabase(database)]) {
      const id = await deps.engine.start(sql, output);
      await ended(id, deps.engine);
      await finishQuery(id, deps);
    }
    expect(deps.events).toEqual([]);
    expect(await deps.results.head(resultsKey)).toBeUndefined();
  });

  test("with its result in another bucket is an error that says what to do", async () => {
    const deps = await start();
    const run = published("elsewhere");
    await putFile(deps.data, run, rows("x"));
    await followFile(defaultDataset, deps);
    const id = await theQuery(run, deps.engine);
    await expect(finishQuery(id, { ...deps, results: await aws.bucket() })).rejects.toMatchObject({
      name: "ResultElsewhere",
      ids: { query: id },
    });
  });
});

test("a query that does not end is looked at again after growing delays, ten times, and no longer", async () => {
  const deps = await start();
  const origin = { ...published("stuck"), rows: 1, attempt: 1 };
  const server = await startAwsJson({
    name: "Athena",
    target: "AmazonAthena",
    operations: {
      StartQueryExecution: async () => ({ QueryExecutionId: "stuck" }),
      GetQueryExecution: async () => ({
        QueryExecution: { Query: datasetQuery("SELECT 1", origin), Status: { State: "RUNNING" } },
      }),
    },
  });
  const client = new AthenaClient(clientOptions(server.endpoint));
  onTestFinished(async () => {
    client.destroy();
    await server.close();
  });
  const engine = new QueryEngine(client, { workgroup, database });
  const id = await startQuery(
    { sql: "SELECT 1", origin, output: "s3://results/", seed: "seed" },
    { ...deps, engine },
  );

  for (let checks = 0; checks < 9; checks++) {
    const { task } = deps.tasks.at(-1) ?? nothing();
    expect(task.checks).toBe(checks);
    await finishQuery(id, { ...deps, engine }, task);
  }
  expect(deps.tasks.map(({ delaySeconds }) => delaySeconds)).toEqual([
    60, 120, 240, 480, 900, 900, 900, 900, 900, 900,
  ]);
  // The event that came too early asks for nothing: the message looks.
  await finishQuery(id, { ...deps, engine });
  expect(deps.tasks).toHaveLength(10);
  await expect(finishQuery(id, { ...deps, engine }, deps.tasks.at(-1)?.task)).rejects.toMatchObject({
    name: "QueryUnfinished",
    kind: "terminal",
    ids: { query: "stuck" },
  });
  expect(deps.events).toEqual([]);
});

test("a statement that fails is told by its code, and may be tried again", async () => {
  const { engine, results } = await start();
  await expect(
    engine.run('CREATE OR REPLACE VIEW "nowhere"."v" AS SELECT 1 AS a', `s3://${results.bucket}/ddl/`),
  ).rejects.toMatchObject({ name: "StatementFailed", kind: "transient" });
});

test("the handler follows S3's file, finishes the query that Athena told of, and looks at it later", async () => {
  process.env.QUERY_CHECK_SECONDS = "2";
  const { handler } = await import("../../../services/athena/handler.ts");
  const queue = aws.serviceQueue("athena");
  // What the other tests' queries told.
  for (const other of [queue, aws.observer]) await take(other);
  const run = runOf("handler");
  await putFile(aws.data, run, [
    headers,
    ...recordsOf(1, 3).map(({ _id }): Cell[] => [Number(_id), null, 5, "x"]),
  ]);

  // S3's event, each statement's and the query's: a round for each at most, and some to spare.
  const told: unknown[] = [];
  const looked: unknown[] = [];
  for (let round = 0; round < 30 && (told.length === 0 || looked.length === 0); round++) {
    const messages = await take(queue, 5);
    for (const message of messages) {
      expect(await handler(sqsEvent([message]), lambdaContext)).toEqual({
        batchItemFailures: [],
        deadLetters: [],
      });
      if (message.Body?.includes('"check"')) looked.push(message);
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
