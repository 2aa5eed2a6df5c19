// Child files from records to the published files and their tables, through the transformer, the assembler and the athena
// service.
import fc from "fast-check";
import { expect, test } from "vitest";
import { type AssemblerDeps, assemble } from "../../../services/assembler/assemble.ts";
import { followFile } from "../../../services/athena/follow-file.ts";
import { type ChildTable, childHeaders, childTables } from "../../../shared/child-tables.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { headersOf } from "../../../shared/header-change.ts";
import { keys } from "../../../shared/keys.ts";
import { decodePart, encodePart } from "../../../shared/part.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import { type Run, type RunResult, runResult } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { runOf } from "../../factories/requests.ts";
import { intercepted } from "../../support/intercepted-ports.ts";
import { openLocalInMemory, useLocal } from "../../support/local-adapters.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";
import { parseCsv } from "../../support/transformed.ts";
import { addressOf, putPage, putPages, putRecounts, putRun, putWindow } from "../../support/work-bucket.ts";

const local = useLocal();

const several = { type: "text" as const, answers: "rows" as const };
const dataset: Dataset = {
  ...datasetOf([
    { name: "Topics", ...several },
    { name: "Note", type: "text" },
    { name: "Who?", ...several, personal: true },
  ]),
  name: defaultDataset.name,
  guard: { maxShrinkPercent: 100, maxRejectPercent: 100, maxMistypedPercent: 100 },
};
const { csv: csvKey } = dataset.publish;
const children = childTables(dataset);
const childOf = (header: string): ChildTable => {
  const found = children.find(({ column }) => column === header);
  if (!found) throw new Error(`The column ${header} has no child table.`);
  return found;
};
const [topics, who] = [childOf("Topics"), childOf("Who?")];

type Stores = Pick<AssemblerDeps, "work" | "data" | "tables"> & { results?: AssemblerDeps["results"] };
const depsOf = (stores: Stores) => ({
  results: local.store(),
  ...stores,
  datasets: [dataset],
  fetcherQueue: local.queue("fetcher"),
  emit: async () => {},
  now: () => new Date("2024-03-15T13:00:00Z"),
});
const start = () => depsOf({ work: local.store(), data: local.store(), tables: new ScriptedQueryEngine() });

/** Both windows include every date. */
const windows: [string, string][] = [
  ["2023-01-01", "2023-06-30"],
  ["2023-05-01", "2023-12-31"],
];

/** Assembles the run; if it is held, publishes it by force. */
async function publish({ runId, dataset: name }: Run, deps: AssemblerDeps): Promise<RunResult> {
  const task = { runId, dataset: name, attempt: 1 };
  await assemble(task, deps);
  let result = await deps.work.getJson(keys.result(runId), runResult);
  if (result?.state === "held") {
    await assemble({ ...task, force: "reviewed" }, deps);
    result = await deps.work.getJson(keys.result(runId), runResult);
  }
  if (result?.state !== "published") throw new Error(`The run is ${result?.state}: ${result?.reason}`);
  return result;
}

const publishedRows = async (data: ObjectStore, key: string) =>
  parseCsv((await data.getText(key)) ?? "").slice(1);

// Records

const answer = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", '"', ",", ";", " ", "\n", "é", "💥", "\\"), maxLength: 6 }),
  fc.constantFrom(null, "", "  ", 7, "Maps; Data"),
);
const value = fc.oneof(fc.array(answer, { maxLength: 5 }), answer, fc.constant(undefined));
const record = (id: number) =>
  fc.record(
    {
      _id: fc.oneof({ weight: 9, arbitrary: fc.constant<unknown>(id) }, fc.constant<unknown>("none")),
      Topics: value,
      Note: answer,
      "Who?": value,
      Extra: answer,
    },
    { requiredKeys: ["_id", "Note"] },
  );
/** Pages of a window whose ids begin at `first`, and all different. */
const pagesFrom = (first: number, most: number) =>
  fc
    .integer({ min: 1, max: most })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, n) => record(first + n))))
    .chain((records) =>
      fc
        .integer({ min: 1, max: 5 })
        .map((size) =>
          Array.from({ length: Math.ceil(records.length / size) }, (_, n) =>
            records.slice(n * size, (n + 1) * size),
          ),
        ),
    );

const isGiven = (one: unknown) => one !== null && one !== undefined && String(one).trim() !== "";
/** Applies the rules for several answers a second time. */
const answersOf = (given: unknown): string[] =>
  (Array.isArray(given) ? given : [given]).filter(isGiven).map((one) => String(one).replace(/\n+/g, " "));

test("a child file has every answer of the published rows in order, whatever the order of the pages and however often each comes", async () => {
  const engineOf = await openLocalInMemory();
  const plan = fc.record({
    first: pagesFrom(1, 12),
    // Some ids are those of the first window.
    second: fc.integer({ min: 5, max: 14 }).chain((first) => pagesFrom(first, 8)),
    order: fc.infiniteStream(fc.nat(1_000)),
    repeats: fc.array(fc.nat(20), { maxLength: 5 }),
    id: fc.uuid(),
  });
  let held = 0;
  await fc.assert(
    fc.asyncProperty(plan, async ({ first, second, order, repeats, id }) => {
      const { work, data } = engineOf;
      const deps = depsOf({ work, data, tables: engineOf.engine });
      const run = runOf(id, { windows });
      await putRun(run, work);
      const contents = [first, second].map((pages, index) => ({ window: index + 1, pages }));
      for (const content of contents) await putPages(run, content, work);
      const deliveries = contents.flatMap((content) =>
        content.pages.map((_, page) => ({ content, page: page + 1 })),
      );
      const repeated = [...deliveries, ...repeats.map((n) => deliveries[n % deliveries.length])];
      const keyed = repeated.map((delivery) => ({ delivery, at: order.next().value ?? 0 }));
      for (const { delivery } of keyed.sort((a, b) => a.at - b.at))
        if (delivery) await putPage(run, delivery.content, delivery.page, work, [dataset]);
      await putRecounts(run, 1, work);
      const result = await publish(run, deps);
      if (result.force) held += 1;
      await assemble({ runId: run.runId, dataset: run.dataset, attempt: 1 }, deps);

      const seen = new Set<unknown>();
      const rows = [...first, ...second].flat().filter(({ _id }) => {
        const isRow = _id !== "none" && !seen.has(_id);
        seen.add(_id);
        return isRow;
      });
      const main = await publishedRows(data, csvKey);
      expect(main.map(([_id]) => Number(_id))).toEqual(rows.map(({ _id }) => _id));
      await followFile(dataset, {
        ...engineOf,
        ...deps,
        engine: engineOf.engine,
        athenaQueue: { send: async () => {} },
        checkSeconds: 60,
      });
      for (const [index, child] of children.entries()) {
        const given = rows.map((row) => ({
          _id: row._id,
          answers: answersOf(row[index === 0 ? "Topics" : "Who?"]),
        }));
        const expected = given.flatMap(({ _id, answers }) =>
          answers.map((text, position) => [String(_id), String(position + 1), text]),
        );
        expect(await headersOf(child.keyOf(run.runId), data)).toEqual(childHeaders);
        expect(await publishedRows(data, child.keyOf(run.runId))).toEqual(expected);
        // The main file has the same answers in one text.
        const joined = main.map((row) => row[index === 0 ? 1 : 3]);
        for (const [n, { answers }] of given.entries())
          if (answers.length > 0) expect(joined[n]).toBe(answers.join("; "));
        expect(result.children?.[index]).toMatchObject({
          column: child.column,
          rows: expected.length,
          records: given.filter(({ answers }) => answers.length > 0).length,
          key: child.keyOf(run.runId),
        });
        const sql = `SELECT "_id" + 0, "position" + 0, "answer" FROM "${engineOf.engine.database}"."${child.typed}" ORDER BY 1, 2`;
        const read = await engineOf.engine.firstRows(sql, "queries", 999);
        expect(read.rows).toEqual([...expected].sort(([a], [b]) => Number(a) - Number(b)));
      }
    }),
    { numRuns: 40, interruptAfterTimeLimit: 40_000 },
  );
  // Runs with rows in one window only, or without rows, are held first.
  expect(held).toBeLessThan(40);
});

const records = [
  { _id: 1, Topics: ["Maps", " ", 'a "b"'], Note: "x", "Who?": "Student" },
  { _id: 2, Topics: [], Note: "y", "Who?": ["Staff", "Guest"] },
];
const contents = [
  { window: 1, pages: [[records[0]], [records[1]]] },
  {
    window: 2,
    pages: [
      [
        { _id: 2, Topics: ["again"], Note: "z" },
        { _id: 3, Topics: "Data" },
      ],
    ],
  },
];
const topicRows = [
  ["1", "1", "Maps"],
  ["1", "2", 'a "b"'],
  ["3", "1", "Data"],
];

async function completeRun({ work }: Stores, requestId = "run", requestedAt = "2024-03-15T12:00:00Z") {
  const run = runOf(requestId, { windows, requestedAt });
  await putRun(run, work);
  for (const content of contents) await putWindow(run, content, work, [dataset]);
  await putRecounts(run, 1, work);
  return run;
}

const followed = (deps: Stores) => ({
  ...depsOf(deps),
  results: local.store(),
  athenaQueue: { send: async () => {} },
  checkSeconds: 60,
});

test("if any write fails, a reader finds the child files of the published run, and a retry completes the same files", async () => {
  const undisturbed = start();
  const expected = await publish(await completeRun(undisturbed), undisturbed);
  const writes = ["write", "create", "put", "putOnce", "upload", "defineTable", "moveTable"];
  let crashes = 0;
  for (let at = 1, isDone = false; !isDone; at++) {
    for (const effect of [false, true]) {
      const stores = start();
      const earlier = await publish(await completeRun(stores, "earlier", "2024-03-08T12:00:00Z"), stores);
      const tables = new ScriptedQueryEngine();
      await followFile(dataset, { ...followed({ ...stores, tables }), engine: tables });
      const run = await completeRun(stores);
      let calls = 0;
      const crashing = <T extends object>(port: T): T =>
        intercepted(port, (method, _args, act) => {
          if (writes.includes(method)) calls += 1;
          if (!writes.includes(method) || calls !== at) return act();
          return (async () => {
            if (effect) await act();
            throw new Error("crash");
          })();
        });
      const { work, data } = stores;
      const deps = depsOf({ work: crashing(work), data: crashing(data), tables: crashing(tables) });
      isDone = await publish(run, deps).then(
        () => true,
        () => false,
      );
      if (!isDone) crashes += 1;
      const live = (await data.head(csvKey))?.metadata["run-id"] ?? "";
      expect([earlier.runId, run.runId]).toContain(live);
      expect(await publishedRows(data, topics.keyOf(live))).toEqual(topicRows);
      // The athena service may follow the file before the retry.
      const following = { ...followed({ ...stores, tables }), engine: tables };
      await followFile(dataset, following).catch(() => {});
      const result = await publish(run, { ...deps, work, data, tables });
      expect({ ...result, previous: undefined, changes: undefined }).toEqual({
        ...expected,
        previous: undefined,
        changes: undefined,
        finishedAt: result.finishedAt,
        published: result.published,
      });
      await followFile(dataset, following);
      expect(await tables.table(dataset.publish.table)).toMatchObject({ folder: "csv/", mark: undefined });
      expect(await tables.table(topics.table)).toMatchObject({
        folder: `csv-topics/${run.runId}/`,
        mark: undefined,
      });
    }
  }
  expect(crashes).toBeGreaterThan(10);
});

/** A run that is held, because the file of an earlier run has more rows. */
async function heldRun(deps: ReturnType<typeof start>) {
  const run = runOf("held", { windows: windows.slice(0, 1) });
  await putRun(run, deps.work);
  await putWindow(
    run,
    { window: 1, pages: [[{ _id: 1, Topics: ["Maps"], "Who?": "A" }], [{ _id: "none" }]] },
    deps.work,
    [dataset],
  );
  await putRecounts(run, 1, deps.work);
  const strict = [{ ...dataset, guard: { ...dataset.guard, maxRejectPercent: 0 } }];
  const held = { ...deps, datasets: strict };
  await assemble({ runId: run.runId, dataset: run.dataset, attempt: 1 }, held);
  return { run, held, result: await deps.work.getJson(keys.result(run.runId), runResult) };
}

const force = ({ runId, dataset: name }: Run) => ({ runId, dataset: name, attempt: 1, force: "reviewed" });

test("a held run keeps its child files in the work bucket, and exactly these are published by force", async () => {
  const deps = start();
  const { run, held, result } = await heldRun(deps);
  expect(result).toMatchObject({
    state: "held",
    children: [
      { column: "Topics", rows: 1 },
      { column: "Who?", rows: 1 },
    ],
  });
  expect(await deps.data.list("", 10)).toEqual([]);
  const [key = ""] = result?.children?.map((child) => child.key) ?? [];
  const file = await deps.work.getText(key);
  await assemble(force(run), held);
  expect(await deps.data.getText(topics.keyOf(run.runId))).toBe(file);
  expect(await deps.work.getJson(keys.result(run.runId), runResult)).toMatchObject({
    state: "published",
    children: [
      { column: "Topics", rows: 1, records: 1, key: topics.keyOf(run.runId) },
      { key: who.keyOf(run.runId) },
    ],
  });
});

test("a held run whose child file changed after the review is not published", async () => {
  const deps = start();
  const { run, held, result } = await heldRun(deps);
  for (const { key } of result?.children?.slice(1) ?? []) await deps.work.put(key, "changed", "text/csv");
  await expect(assemble(force(run), held)).rejects.toMatchObject({ name: "HeldFilesChanged" });
  expect(await deps.data.list("", 10)).toEqual([]);
});

test.each([
  ["has another row", (rows: string) => `${rows}9,1,"more"\n`],
  ["lacks a row", () => ""],
])("a part that %s than it counts answers fails the run, and nothing is published", async (_, changed) => {
  const deps = start();
  const run = await completeRun(deps);
  const [content = { window: 1, pages: [] }] = contents;
  const key = keys.part(addressOf(run, content, 1));
  const {
    summary,
    csv,
    jsonl,
    children: own,
  } = decodePart(key, (await deps.work.getBytes(key)) ?? Buffer.of());
  const [rows = "", ...more] = own.map(textOf);
  await deps.work.put(key, encodePart(summary, textOf(csv), textOf(jsonl), [changed(rows), ...more]), "part");
  await expect(publish(run, deps)).rejects.toMatchObject({ name: "AnswersMiscounted" });
  expect(await deps.data.list("", 10)).toEqual([]);
});

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

test("an object beside a child file keeps the run from being published, and a published one from being queried", async () => {
  const deps = start();
  const run = await completeRun(deps);
  const stray = `csv-topics/${run.runId}/copy.csv`;
  await deps.data.put(stray, "1", "text/csv");
  await expect(publish(run, deps)).rejects.toMatchObject({
    name: "StrayObjects",
    sentence: expect.stringContaining(stray),
  });
  expect(await deps.data.head(csvKey)).toBeUndefined();
  const other = start();
  const published = await completeRun(other);
  await publish(published, other);
  await other.data.put(stray, "1", "text/csv");
  const tables = new ScriptedQueryEngine();
  expect(await followFile(dataset, { ...followed(other), engine: tables })).toMatchObject({
    refused: expect.stringContaining(stray),
  });
  expect(tables.tables.size).toBe(0);
});
