// Table, views and query of a published file, and the end of the query, with a scripted engine.

import { describe, expect, onTestFinished, test } from "vitest";
import { finishQuery } from "../../../services/athena/finish-query.ts";
import { followFile } from "../../../services/athena/follow-file.ts";
import { athenaService } from "../../../services/athena/service.ts";
import { retryQuery } from "../../../services/athena/start-query.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";
import { viewNames } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { eventSource } from "../../../shared/events.ts";
import { holdTable } from "../../../shared/header-change.ts";
import { folderOf, keys, previousKey } from "../../../shared/keys.ts";
import { awsEvent, objectCreatedMessage } from "../../../shared/local/local-bus.ts";
import { type QueryTask, queryTask } from "../../../shared/messages.ts";
import type { ObjectStore, Query, SendOptions } from "../../../shared/ports.ts";
import { type Run, runIdOf } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { resultOf } from "../../factories/results.ts";
import { before, failing } from "../../support/intercepted-ports.ts";
import { capturedEvents, receive, runService, useLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";

const local = useLocal();

const { csv: csvKey, table, results: resultsKey, queryResults } = defaultDataset.publish;
const views = viewNames(table);

/** Returns a queue that records the tasks sent to it. */
function capturedTasks() {
  const tasks: { task: QueryTask; delaySeconds: number | undefined }[] = [];
  const send = async (body: string, { delaySeconds }: SendOptions = {}): Promise<void> => {
    tasks.push({ task: queryTask.parse(JSON.parse(body)), delaySeconds });
  };
  return { tasks, athenaQueue: { send } };
}

function start() {
  const clock = { now: new Date("2024-03-15T12:00:00Z") };
  return {
    work: local.store(),
    data: local.store(),
    results: local.store(),
    engine: new ScriptedQueryEngine(),
    ...capturedEvents(),
    ...capturedTasks(),
    checkSeconds: 60,
    datasets,
    clock,
    now: () => clock.now,
  };
}
type Deps = ReturnType<typeof start>;

type PublishedRun = Pick<Run, "runId" | "requestedAt">;
const runAt = (requestedAt: string): PublishedRun => ({
  runId: runIdOf(defaultDataset.name, requestedAt),
  requestedAt,
});
const run = runAt("2024-03-15T12:00:00Z");
const earlier = runAt("2024-03-08T12:00:00Z");

const headers = ["_id", "_start_date", "Duration (in minutes)", "Comments/Notes"];
const row: Cell[] = [7, "2023-05-01 09:30:00", 5, "x"];

/** Writes a file to the key that the assembler publishes to. */
async function putFile(
  data: ObjectStore,
  given: { run?: PublishedRun; rows?: Cell[][]; key?: string } = {},
): Promise<void> {
  const { run: publisher = run, rows = [headers, row], key = csvKey } = given;
  await overwrite(data, key, csvRows(rows), {
    "run-id": publisher.runId,
    "requested-at": publisher.requestedAt,
  });
}

/** Publishes and follows a run's file. @returns the query's id and the task that checks it */
async function followed(deps: Deps, given: { run?: PublishedRun; rows?: Cell[][] } = {}) {
  await putFile(deps.data, given);
  await followFile(defaultDataset, deps);
  return lastOf(deps);
}

function lastOf({ tasks }: Deps): { id: string; task: QueryTask } {
  const last = tasks.at(-1);
  if (!last) throw new Error("No message was sent.");
  return { id: last.task.queryExecutionId, task: last.task };
}

const resultCsv = '"_id","note"\n"7","back\\slash, ""quoted"" 💥"\n';

/** Sets a query to SUCCEEDED with a result. */
async function succeed(id: string, { results, engine }: Deps, csv = resultCsv): Promise<void> {
  const output = `${queryResults}/${id}.csv`;
  await results.put(output, csv, "text/csv");
  engine.set(id, { state: "SUCCEEDED", output });
}

/** Returns an engine that publishes and follows another file before its first call of `method`. */
function replacedBefore(deps: Deps, method: "defineTable" | "defineView"): Deps["engine"] {
  let isReplaced = false;
  return before(deps.engine, method, async () => {
    if (isReplaced) return;
    isReplaced = true;
    await followed(deps, { rows: [[...headers].reverse()] });
  });
}

const typesOf = ({ events }: Deps) => events.map(({ type }) => type);

/** Starts with a published and finished earlier file. */
async function startWithResult() {
  const deps = start();
  const { id } = await followed(deps, { run: earlier });
  await succeed(id, deps);
  await finishQuery(id, deps);
  return deps;
}

/** Returns everything that readers of Athena depend on. */
const stateOf = async ({ engine, results }: Deps) => [
  [...engine.tables],
  [...engine.views],
  engine.started.length,
  await results.head(resultsKey),
];

const refusalOf = (deps: Deps, reason: string) => ({
  type: "file.refused",
  detail: {
    runId: run.runId,
    dataset: "reference-transactions",
    bucket: deps.data.bucket,
    key: csvKey,
    reason: expect.stringContaining(reason),
  },
});

describe("a published file", () => {
  test("has a table, five views and a query, whose result is copied to its stable key", async () => {
    const deps = start();
    const { id } = await followed(deps);
    await succeed(id, deps);
    await finishQuery(id, deps);
    const names = ["_id", "_start_date", "duration_in_minutes", "comments_notes"];
    const { columns, folder } = deps.engine.tables.get(table) ?? { columns: [] };
    expect(columns.map(({ name }) => name)).toEqual(names);
    expect(folder).toBe("libinsightdata-athena/");
    const { typed, analysis, measures, history, asKnown } = views;
    expect(new Set(deps.engine.views.keys())).toEqual(new Set([typed, analysis, measures, history, asKnown]));
    expect(deps.engine.started).toEqual([
      {
        id,
        folder: queryResults,
        sql: expect.stringMatching(`^-- libinsight run ${run.runId} [^\n]*\n[^]*FROM "library"."${table}"`),
      },
    ]);
    expect(await deps.results.getText(resultsKey)).toBe(resultCsv);
    expect(await deps.results.head(resultsKey)).toMatchObject({
      contentType: "text/csv; charset=utf-8",
      metadata: {
        dataset: "reference-transactions",
        "query-execution-id": id,
        "run-id": run.runId,
        "requested-at": run.requestedAt,
      },
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
    // The table's folder holds nothing else.
    expect(await deps.data.list("", 10)).toEqual([csvKey]);
  });

  test("has the current meaning of its columns in the comments of the table and its first two views", async () => {
    const deps = start();
    for (const meaning of ["What's noted; with a \\ in it", "Something else"]) {
      const note = datasetOf([{ name: "note", type: "text", meaning }]);
      await putFile(deps.data, { rows: [["_id", "note"]], key: note.publish.csv });
      await followFile({ ...note, name: defaultDataset.name }, deps);
      const { engine } = deps;
      const { typed, analysis } = viewNames(note.publish.table);
      const comments = [typed, analysis].map((view) => engine.views.get(view)?.comments.get("note"));
      expect([engine.tables.get("test_dataset")?.columns[1]?.comment, ...comments]).toEqual(
        Array(3).fill(`note: ${meaning}`),
      );
    }
  });

  test("without a required column is refused: table, views and result stay", async () => {
    const deps = await startWithResult();
    const expected = await stateOf(deps);
    await followed(deps, { rows: [["_id", "Start", "Duration (in minutes)"]] });
    expect(deps.events.at(-1)).toEqual(refusalOf(deps, 'lacks "_start_date"'));
    expect(await stateOf(deps)).toEqual(expected);
  });

  test("with another object in its folder is refused with that object's key: table, views and result stay", async () => {
    const deps = await startWithResult();
    const expected = await stateOf(deps);
    const stray = "libinsightdata-athena/2023/old.csv";
    await deps.data.put(stray, "1,2\n", "text/csv");
    // Athena ignores these.
    for (const name of ["", "_SUCCESS", ".part.csv", "2023/_x.csv"])
      await deps.data.put(`libinsightdata-athena/${name}`, name === "" ? "" : "1,2\n", "text/csv");
    await followed(deps, { rows: [[...headers].reverse()] });
    expect(deps.events.at(-1)).toEqual(refusalOf(deps, `read s3://${deps.data.bucket}/${stray} as rows`));
    expect(await stateOf(deps)).toEqual(expected);
  });

  test("that is followed three times, two of them concurrently, is queried once", async () => {
    const deps = start();
    await followed(deps);
    await Promise.all([followFile(defaultDataset, deps), followFile(defaultDataset, deps)]);
    expect(deps.engine.started).toHaveLength(1);
  });

  test("that is replaced by another run, or by its own run with other rows, is queried again", async () => {
    const deps = start();
    await followed(deps, { run: earlier });
    await followed(deps);
    await followed(deps, { rows: [headers, row, row] });
    expect(deps.engine.started).toHaveLength(3);
  });

  test("that is replaced while it is followed is not queried, and the table of the new file stays", async () => {
    const deps = start();
    await putFile(deps.data, { run: earlier });
    const engine = replacedBefore(deps, "defineView");
    await expect(followFile(defaultDataset, { ...deps, engine })).rejects.toMatchObject({
      name: "PublishedFileReplaced",
      kind: "transient",
      ids: { run: earlier.runId },
    });
    expect(deps.engine.started).toHaveLength(1);
    await followFile(defaultDataset, deps);
    expect(deps.engine.started).toMatchObject([{ sql: expect.stringContaining(run.runId) }]);
    expect(deps.engine.tables.get(table)?.columns[0]?.name).toBe("comments_notes");
  });

  test("that is published again after another file has a new query, even with the same request and bytes", async () => {
    const deps = start();
    const { id: first } = await followed(deps);
    await succeed(first, deps);
    await putFile(deps.data, { run: earlier });
    await finishQuery(first, deps);
    expect(typesOf(deps)).toEqual([]);
    const { id: second } = await followed(deps);
    expect(second).not.toBe(first);
    await succeed(second, deps);
    await finishQuery(second, deps);
    expect(typesOf(deps)).toEqual(["results.published"]);
  });

  test("whose table was changed concurrently is retried", async () => {
    const deps = start();
    await putFile(deps.data, { run: earlier });
    const engine = replacedBefore(deps, "defineTable");
    await expect(followFile(defaultDataset, { ...deps, engine })).rejects.toMatchObject({
      name: "TableChanged",
      kind: "transient",
    });
    expect(deps.engine.started).toHaveLength(1);
    expect(deps.engine.tables.get(table)?.columns[0]?.name).toBe("comments_notes");
  });

  test("that is about to be replaced keeps its table, which is updated for the next file", async () => {
    const deps = start();
    await followed(deps, { run: earlier });
    const tables = deps.engine;
    await holdTable(
      defaultDataset,
      { runId: "next", headers: ["another header"] },
      { tables, data: deps.data },
    );
    const held = await tables.table(table);
    await expect(followFile(defaultDataset, deps)).rejects.toMatchObject({
      name: "PublishedFileReplaced",
      kind: "transient",
    });
    expect(await tables.table(table)).toEqual(held);
    await followed(deps, { rows: [[...headers].reverse()] });
    expect(await tables.table(table)).toMatchObject({ folder: folderOf(csvKey), mark: undefined });
  });

  test("whose header changes while it is followed does not map its columns to the new file", async () => {
    const deps = start();
    const tables = deps.engine;
    await putFile(deps.data, { run: earlier });
    await tables.defineTable(
      table,
      { format: "csv", columns: [{ name: "own", comment: "" }], folder: folderOf(csvKey) },
      undefined,
    );
    const reordered = [...headers].reverse();
    // This call comes after table and file are read.
    const results = before(deps.results, "head", async () => {
      await holdTable(defaultDataset, { runId: "next", headers: reordered }, { tables, data: deps.data });
      await putFile(deps.data, { rows: [reordered] });
    });
    await expect(followFile(defaultDataset, { ...deps, results })).rejects.toMatchObject({
      name: "TableChanged",
    });
    expect(tables.tables.get(table)).toMatchObject({
      columns: [{ name: "own" }],
      folder: folderOf(previousKey(csvKey)),
    });
  });

  test("is queried and finished once after a crash between the query's start and the write of its origin", async () => {
    const deps = start();
    await putFile(deps.data);
    const work = failing(deps.work, "put", { effect: false });
    await expect(followFile(defaultDataset, { ...deps, work })).rejects.toThrow("of put failed");
    // Athena's event arrives before the origin is known.
    const id = "query-1";
    await succeed(id, deps);
    expect(await finishQuery(id, deps)).toMatchObject({ skipped: "not a dataset's query" });
    await followFile(defaultDataset, deps);
    expect(deps.engine.started).toHaveLength(1);
    await finishQuery(id, deps, lastOf(deps).task);
    expect(typesOf(deps)).toEqual(["results.published"]);
  });

  const owned = { "run-id": run.runId, "requested-at": run.requestedAt };
  test.each([
    { what: "that no run published", metadata: {}, text: '"_id"\n' },
    { what: "without its run's request time", metadata: { "run-id": "x" }, text: '"_id"\n' },
    { what: "without a header line", metadata: owned, text: '"_id"' },
  ])("$what is not followed, and the error says what to do", async ({ metadata, text }) => {
    const deps = start();
    await overwrite(deps.data, csvKey, text, metadata);
    await expect(followFile(defaultDataset, deps)).rejects.toMatchObject({
      name: "PublishedFileForeign",
      kind: "terminal",
      ids: { dataset: defaultDataset.name },
      sentence: expect.stringContaining("npm run runs -- request --dataset reference-transactions"),
    });
    expect(deps.engine.tables.size).toBe(0);
  });

  test("that no longer exists is a terminal error", async () => {
    await expect(followFile(defaultDataset, start())).rejects.toMatchObject({
      name: "PublishedFileMissing",
      kind: "terminal",
      ids: { dataset: defaultDataset.name },
    });
  });
});

describe("a query that ended", () => {
  const failure: Partial<Query> = { state: "FAILED", reason: "SYNTAX_ERROR" };

  test.each([
    { by: "another run", replacement: earlier },
    {
      by: "the same run for a later request",
      replacement: { ...run, requestedAt: "2024-03-16T08:00:00Z" },
    },
  ])("as FAILED after its file was replaced by $by is not reported", async ({ replacement }) => {
    const deps = start();
    const { id } = await followed(deps);
    await putFile(deps.data, { run: replacement });
    deps.engine.set(id, failure);
    await finishQuery(id, deps);
    expect(typesOf(deps)).toEqual([]);
  });

  test("as CANCELLED is never retried", async () => {
    const deps = start();
    const { id } = await followed(deps);
    deps.engine.set(id, { state: "CANCELLED", retryable: true });
    await finishQuery(id, deps);
    expect(typesOf(deps)).toEqual(["query.failed"]);
  });

  test("whose result could not be copied is finished at the next delivery", async () => {
    const deps = start();
    const { id } = await followed(deps);
    await succeed(id, deps);
    const results = failing(deps.results, "upload", { effect: false });
    await expect(finishQuery(id, { ...deps, results })).rejects.toThrow("upload failed");
    expect(typesOf(deps)).toEqual([]);
    await finishQuery(id, deps);
    expect(typesOf(deps)).toEqual(["results.published"]);
  });

  test.each([
    { state: "FAILED", reason: "SYNTAX_ERROR" },
    { state: "CANCELLED", reason: "no code given" },
  ] as const)(
    "as $state is reported with the engine's error code, and the earlier result stays",
    async (ended) => {
      const deps = await startWithResult();
      const result = await deps.results.head(resultsKey);
      const { id } = await followed(deps);
      deps.engine.set(id, ended);
      await finishQuery(id, deps);
      expect(deps.events[1]).toEqual({
        type: "query.failed",
        detail: {
          runId: run.runId,
          dataset: "reference-transactions",
          queryExecutionId: id,
          reason:
            `Athena's results are not updated; the earlier results stay. The query ended as ${ended.state} (${ended.reason}). ` +
            `Look up query ${id} in Athena's history and fix the cause. Then request a run: npm run runs -- request --dataset reference-transactions`,
        },
      });
      expect(await deps.results.head(resultsKey)).toEqual(result);
    },
  );

  test.each([
    { how: "as SUCCEEDED", end: succeed, event: "results.published" },
    {
      how: "as FAILED",
      end: async (id: string, { engine }: Deps) => engine.set(id, failure),
      event: "query.failed",
    },
  ])("$how is finished once by concurrent events and delayed checks", async ({ end, event }) => {
    const deps = start();
    const { id, task } = await followed(deps);
    const { name: dataset } = defaultDataset;
    expect(task).toEqual({ task: "check", runId: run.runId, dataset, queryExecutionId: id, checks: 0 });
    await end(id, deps);
    await Promise.all([finishQuery(id, deps), finishQuery(id, deps, task), finishQuery(id, deps)]);
    deps.clock.now = new Date("2024-03-15T12:10:00Z");
    await finishQuery(id, deps, task);
    expect(typesOf(deps)).toEqual([event]);
  });

  test("after a newer file was published is not published: it may have read either file", async () => {
    const deps = start();
    const { id } = await followed(deps, { run: earlier });
    await succeed(id, deps);
    await putFile(deps.data);
    await finishQuery(id, deps);
    expect(deps.events).toEqual([]);
    expect(await deps.results.head(resultsKey)).toBeUndefined();
  });

  test("of a file replaced by a run of the same second is not published, before or during the copy", async () => {
    const deps = start();
    const { id } = await followed(deps);
    await succeed(id, deps);
    const sameSecond = { ...run, runId: earlier.runId };
    const results = before(deps.results, "head", () => putFile(deps.data, { run: sameSecond }));
    await finishQuery(id, { ...deps, results });
    expect(await deps.results.head(resultsKey)).toBeUndefined();
    const second = await followed(deps, { run: { ...run, runId: "reference-transactions-0" } });
    await putFile(deps.data, { run: sameSecond });
    await succeed(second.id, deps);
    await finishQuery(second.id, deps);
    expect(await deps.results.head(resultsKey)).toBeUndefined();
    expect(typesOf(deps)).toEqual([]);
  });

  test("does not replace the result of a newer run", async () => {
    const deps = start();
    const { id: newer } = await followed(deps);
    await succeed(newer, deps);
    await finishQuery(newer, deps);
    const result = await deps.results.head(resultsKey);
    // An operator restored the earlier file.
    const { id } = await followed(deps, { run: earlier });
    await succeed(id, deps, '"_id"\n"8"\n');
    await finishQuery(id, deps);
    expect(await deps.results.head(resultsKey)).toEqual(result);
    expect(deps.events).toMatchObject([{ type: "results.published", detail: { runId: run.runId } }]);
  });

  test("whose event could not be published is finished at the next delivery", async () => {
    const deps = start();
    const { id } = await followed(deps);
    await succeed(id, deps);
    const emit = async () => {
      throw new Error("The bus is unavailable.");
    };
    await expect(finishQuery(id, { ...deps, emit })).rejects.toThrow("The bus is unavailable.");
    await finishQuery(id, deps);
    expect(typesOf(deps)).toEqual(["results.published"]);
  });

  test("whose handler crashed is finished by a delayed check after its claim expires in four minutes", async () => {
    const deps = start();
    const { id, task } = await followed(deps);
    await succeed(id, deps);
    const claim = { state: "claimed", at: deps.clock.now.toISOString() };
    await deps.work.putOnce(keys.queryEnd(id), claim);
    deps.clock.now = new Date("2024-03-15T12:03:59Z");
    await finishQuery(id, deps, task);
    expect(deps.events).toEqual([]);
    expect(deps.tasks.at(-1)).toEqual({ task: { ...task, checks: 1 }, delaySeconds: 120 });
    deps.clock.now = new Date("2024-03-15T12:04:00Z");
    await finishQuery(id, deps, { ...task, checks: 1 });
    expect(typesOf(deps)).toEqual(["results.published"]);
  });

  test.each([
    { resultRows: 2, fileRows: 1, fromResult: true },
    { resultRows: 0, fileRows: 1, fromResult: true },
    { resultRows: 2, fileRows: 1, fromResult: false },
    { resultRows: 0, fileRows: 0, fromResult: false },
    { resultRows: 2, fileRows: 1, fromResult: false, rowPreserving: false },
  ])(
    "with $resultRows rows for $fileRows in the file is published only if that is allowed (case %#)",
    async (given) => {
      const { resultRows, fileRows, fromResult, rowPreserving = true } = given;
      defaultDataset.publish.rowPreserving = rowPreserving;
      onTestFinished(() => {
        defaultDataset.publish.rowPreserving = true;
      });
      const deps = start();
      const { id } = await followed(deps, { rows: [headers, row].slice(0, 1 + fileRows) });
      if (fromResult) {
        const result = resultOf({ runId: run.runId, rows: fileRows });
        await deps.work.put(keys.result(run.runId), JSON.stringify(result), "application/json");
      }
      const csv = ['"a"', '"1"', '"2"'].slice(0, 1 + resultRows).join("\n");
      await succeed(id, deps, `${csv}\n`);
      await finishQuery(id, deps);
      const text = await deps.results.getText(resultsKey);
      if (resultRows === fileRows || !rowPreserving) {
        expect(deps.events).toMatchObject([{ type: "results.published", detail: { rows: resultRows } }]);
        expect(text).toBe(`${csv}\n`);
      } else {
        const why = `earlier results stay\\. .* has ${resultRows} rows, .* has ${fileRows}\\. If.*rowPreserving: false`;
        const detail = { runId: run.runId, reason: expect.stringMatching(new RegExp(why)) };
        expect(deps.events).toMatchObject([{ type: "query.failed", detail }]);
        expect(text).toBeUndefined();
      }
    },
  );

  test("as FAILED with a retryable error runs three times in all, after growing delays", async () => {
    const deps = start();
    let { id } = await followed(deps);
    for (const [started, delaySeconds] of [
      [2, 60],
      [3, 120],
    ] as const) {
      deps.engine.set(id, { state: "FAILED", retryable: true });
      await finishQuery(id, deps);
      const { task } = lastOf(deps);
      expect(task).toMatchObject({ task: "retry", runId: run.runId, queryExecutionId: id });
      expect(deps.tasks.at(-1)?.delaySeconds).toBe(delaySeconds);
      // A second delivery starts no second query.
      id = await retryQuery(task, deps);
      expect(await retryQuery(task, deps)).toBe(id);
      expect(deps.engine.started).toHaveLength(started);
    }
    expect(deps.events).toEqual([]);
    deps.engine.set(id, { state: "FAILED", retryable: true });
    await finishQuery(id, deps);
    expect(deps.events).toMatchObject([
      { type: "query.failed", detail: { runId: run.runId, queryExecutionId: id } },
    ]);
    expect(deps.engine.started).toHaveLength(3);
  });

  test("that belongs to no dataset is ignored", async () => {
    const deps = start();
    const id = await deps.engine.start("SELECT 1", queryResults, "an analyst's");
    await succeed(id, deps);
    await finishQuery(id, deps);
    expect(deps.events).toEqual([]);
    expect(await deps.results.head(resultsKey)).toBeUndefined();
  });

  test("with its result in another bucket is an error", async () => {
    const deps = start();
    const { id } = await followed(deps);
    deps.engine.set(id, { state: "SUCCEEDED" });
    await expect(finishQuery(id, deps)).rejects.toMatchObject({
      name: "ResultElsewhere",
      ids: { query: id },
    });
  });
});

test("a query that does not end is checked ten times, after growing delays, and then fails", async () => {
  const deps = start();
  const { id } = await followed(deps);
  for (let checks = 0; checks < 9; checks++) {
    const { task } = lastOf(deps);
    expect(task.checks).toBe(checks);
    await finishQuery(id, deps, task);
  }
  expect(deps.tasks.map(({ delaySeconds }) => delaySeconds)).toEqual([
    60, 120, 240, 480, 900, 900, 900, 900, 900, 900,
  ]);
  // An early event enqueues nothing, because a delayed check exists.
  await finishQuery(id, deps);
  expect(deps.tasks).toHaveLength(10);
  await expect(finishQuery(id, deps, lastOf(deps).task)).rejects.toMatchObject({
    name: "QueryUnfinished",
    kind: "terminal",
    ids: { query: id },
  });
  expect(deps.events).toEqual([]);
});

test("the service handles S3's, Athena's and its own messages, and ignores S3's test event and other files", async () => {
  const deps = start();
  const queuePair = local.queuePair("athena");
  const deliver = async (body: string) => {
    await queuePair.source.send(body);
    const result = await runService(athenaService, deps, queuePair, await receive(queuePair.source));
    expect(result).toMatchObject({ done: [expect.anything()] });
  };
  await deliver(JSON.stringify({ Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "data" }));
  await deliver(objectCreatedMessage("data", "another/file.csv"));
  expect(deps.engine.started).toEqual([]);
  await putFile(deps.data);
  await deliver(objectCreatedMessage("data", csvKey));
  const { id, task } = lastOf(deps);
  deps.engine.set(id, { state: "FAILED", retryable: true });
  await deliver(JSON.stringify(task));
  await deliver(JSON.stringify(lastOf(deps).task));
  const { id: second } = lastOf(deps);
  expect(deps.engine.started.map((query) => query.id)).toEqual([id, second]);
  await succeed(second, deps);
  const detail = { queryExecutionId: second, currentState: "SUCCEEDED", workgroupName: "primary" };
  await deliver(awsEvent("aws.athena", "Athena Query State Change", detail));
  expect(deps.events).toMatchObject([{ type: "results.published", detail: { runId: run.runId } }]);
});

test.each([
  { lost: "S3's message", messages: ["run.published"] },
  { lost: "the assembler's event", messages: ["S3"] },
  { lost: "neither message", messages: ["S3", "run.published", "S3", "run.published"] },
])("a file is followed and queried once if $lost is lost", async ({ messages }) => {
  const deps = start();
  const queuePair = local.queuePair("athena");
  await putFile(deps.data);
  const { bucket } = deps.data;
  const { name: dataset } = defaultDataset;
  const published = { runId: run.runId, dataset, bucket, key: csvKey, rows: 1 };
  for (const message of messages) {
    const event = awsEvent(eventSource, "run.published", published);
    await queuePair.source.send(message === "S3" ? objectCreatedMessage("data", csvKey) : event);
    const result = await runService(athenaService, deps, queuePair, await receive(queuePair.source));
    expect(result).toMatchObject({ done: [expect.anything()] });
  }
  const { id } = lastOf(deps);
  await succeed(id, deps);
  for (const { task } of deps.tasks) await finishQuery(id, deps, task);
  expect(deps.engine.started.map((query) => query.id)).toEqual([id]);
  expect(typesOf(deps)).toEqual(["results.published"]);
});
