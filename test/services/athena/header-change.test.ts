// Interleaves publications with changing headers, rollbacks and table updates call by call. Any of them may crash at any
// call, and any message may be lost, late or repeated. After every change a reader queries the table and both views, or
// compares the runs of the table and of its child table.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { followFile } from "../../../services/athena/follow-file.ts";
import { childHeaders, childTables } from "../../../shared/child-tables.ts";
import { csvRows } from "../../../shared/csv.ts";
import { type Dataset, viewNames } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { holdTable } from "../../../shared/header-change.ts";
import { folderOf } from "../../../shared/keys.ts";
import { DuckDbQueryEngine } from "../../../shared/local/duckdb.ts";
import type { LocalStore } from "../../../shared/local/local-store.ts";
import type { QueryEngine, Rows } from "../../../shared/ports.ts";
import { writeFiles } from "../../../shared/write-files.ts";
import { planRollback, rollBack } from "../../../stacks/commands/runs/rollback.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { intercepted } from "../../support/intercepted-ports.ts";
import { startLocal, type TestLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";

let local: TestLocal;
let files: string;
beforeAll(async () => {
  local = startLocal();
  files = await mkdtemp(join(tmpdir(), "header-change-"));
});
afterAll(async () => {
  await local.close();
  await rm(files, { recursive: true, force: true });
});

const { publish, name } = defaultDataset;
const declared = ["Foo?", "Year", "Location", "who"];
const entryWith = (answers: "all" | "rows"): Dataset => ({
  ...datasetOf([
    { name: "At", type: "timestamp" },
    ...declared.map((header) => ({
      ...{ name: header, type: "text" as const },
      ...(header === "who" && { answers }),
    })),
  ]),
  name,
  publish,
});
const views = viewNames(publish.table);
const relations = [publish.table, views.typed, views.analysis];

type Step =
  | { do: "publish"; headers: string[] }
  | { do: "follow" }
  /** To the n-th published run, from 0. */
  | { do: "rollback"; to: number };
/** `crash`: the call at which the task ends, and whether that call takes effect. */
type Task = Step & { crash: { call: number; effect: boolean } | undefined };
type Plan = {
  tasks: Task[];
  /** Which waiting task continues for how many calls. `who: 3` starts the next task if fewer than three run. */
  turns: { who: number; calls: number }[];
  /** Whether a foreign file and table exist at the start. */
  isForeign: boolean;
};

const headers = fc.shuffledSubarray(["At", ...declared, "Foo!", "other"], { minLength: 2 });
const stepWith = (headersOfFile: fc.Arbitrary<string[]>) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const), headers: headersOfFile }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("follow" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("rollback" as const), to: fc.nat(2) }) },
  );
const crashAt = fc.record({ call: fc.integer({ min: 1, max: 18 }), effect: fc.boolean() });
const crash = fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: crashAt });
const plansWith = (headersOfFile: fc.Arbitrary<string[]>): fc.Arbitrary<Plan> =>
  fc.record({
    tasks: fc.array(
      fc.tuple(stepWith(headersOfFile), crash).map(([what, at]): Task => ({ ...what, crash: at })),
      { minLength: 3, maxLength: 7 },
    ),
    turns: fc.array(fc.record({ who: fc.nat(3), calls: fc.integer({ min: 1, max: 12 }) }), {
      minLength: 10,
      maxLength: 40,
    }),
    isForeign: fc.boolean(),
  });

const published: Task = { do: "publish", headers: ["At", "who"], crash: undefined };
const followed: Task = { do: "follow", crash: undefined };
const undisturbed: Plan = {
  tasks: [published, followed, published, followed, { do: "rollback", to: 0, crash: undefined }, followed],
  turns: [{ who: 0, calls: 1 }],
  isForeign: false,
};

class Crash extends Error {}

/** Holds the calls of all tasks until the plan lets them take effect, one at a time. */
class Stage {
  readonly #waiting: { task: number; go: () => Promise<void> }[] = [];

  /** Returns a port whose calls wait for their turn. */
  ports<T extends object>(port: T, task: number, crashes: () => boolean | undefined): T {
    return intercepted(port, (method, args, act) => {
      // A listing is an iterable, not a promise, and changes nothing.
      if (method === "objects") return act();
      if (method === "upload") return this.#upload(args, act, task, crashes, port);
      return this.#call(task, crashes, async () => act());
    });
  }

  #call<T>(task: number, crashes: () => boolean | undefined, act: () => Promise<T>): Promise<T> {
    const performed = new Promise<T>((resolve, reject) => {
      const go = async (): Promise<void> => {
        const effect = crashes();
        try {
          if (effect === false) throw new Crash();
          const result = await act();
          if (effect === true) throw new Crash();
          resolve(result);
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.push({ task, go });
    });
    // A crashed task no longer awaits its other calls.
    performed.catch(() => {});
    return performed;
  }

  /** Reads the whole body first, because an object is written when its body is complete. */
  async #upload(
    args: readonly unknown[],
    _act: () => unknown,
    task: number,
    crashes: () => boolean | undefined,
    port: object,
  ): Promise<unknown> {
    const [key, body, options] = args;
    const chunks: Uint8Array[] = [];
    if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body))
      throw new Error("no body");
    const parts: AsyncIterable<Uint8Array> = Object.assign(body);
    for await (const chunk of parts) chunks.push(chunk);
    return this.#call(task, crashes, async () =>
      Reflect.apply(Reflect.get(port, "upload"), port, [key, asChunks(chunks), options]),
    );
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Returns the n-th of the waiting tasks. */
  taskOf(n: number): number | undefined {
    const tasks = [...new Set(this.#waiting.map(({ task }) => task))];
    return tasks[n % tasks.length];
  }

  /** Performs the task's next call, if one is waiting. */
  async go(task: number | undefined): Promise<void> {
    const index = this.#waiting.findIndex((call) => call.task === task);
    if (index === -1) return;
    await this.#waiting.splice(index, 1)[0]?.go();
    // The task continues to its next calls.
    for (let ticks = 0; ticks < 5; ticks++) await setImmediate();
  }
}

async function* asChunks(chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** Returns a file of two rows in which each value names its column and its file. */
function csvOf(fileHeaders: readonly string[], file: number): string {
  const cellOf = (header: string, row: number) => {
    if (header === "_id") return file * 10 + row;
    return header === "At" ? "2024-05-06 07:08:09" : `${header}|${file}`;
  };
  return csvRows([
    [...fileHeaders],
    ...[1, 2].map((row) => fileHeaders.map((header) => cellOf(header, row))),
  ]);
}

/** Returns an answer to each row of `csvOf`. */
function childCsvOf(file: number): string {
  return csvRows([childHeaders, ...[1, 2].map((row) => [file * 10 + row, 1, `who|${file}`])]);
}

function startWorld(dataset: Dataset) {
  const data = local.store({ keepsVersions: true });
  const work = local.store();
  const results = local.store({ keepsVersions: true });
  const engine = new DuckDbQueryEngine({
    database: "library",
    catalog: work,
    filesIn: async (prefix) => data.filesIn(prefix),
    adopt: async () => {},
    temporaryFolder: files,
    onEnd: async () => {},
  });
  return { dataset, data, work, results, engine };
}
type World = ReturnType<typeof startWorld>;

/** Checks the results of a reader's queries, including that a column name keeps its header over time. */
class Reader {
  readonly #names = new Map<string, string>();
  readonly #engine: QueryEngine;
  readonly #seen = new Map<string, string[]>();

  constructor(engine: QueryEngine) {
    this.#engine = engine;
  }

  /** @param state everything that a query's result depends on; each state is queried once */
  async check(state: string): Promise<string[]> {
    const known = this.#seen.get(state);
    if (known) return known;
    const problems: string[] = [];
    for (const relation of relations) {
      const sql = `SELECT * FROM "library"."${relation}"`;
      const rows = await this.#engine.firstRows(sql, "queries", 100).catch(() => undefined);
      if (rows) problems.push(...this.#problems(rows).map((problem) => `${relation}: ${problem}`));
    }
    this.#seen.set(state, problems);
    return problems;
  }

  #problems({ columns, rows }: Rows): string[] {
    if (rows.length !== 2) return [`${rows.length} rows`];
    const problems: string[] = [];
    const seenFiles = new Set<string>();
    for (const row of rows) {
      for (const [index, column] of columns.entries()) {
        const value = row[index] ?? null;
        if (column === "_id") seenFiles.add(String(value).slice(0, -1));
        else if (column.replace(/^old_/, "") === "at")
          problems.push(...(/^2024-05-06 07:08:09/.test(value ?? "") ? [] : [`at is ${value}`]));
        else if (column in dateParts)
          problems.push(...(value === dateParts[column] ? [] : [`${column} is ${value}`]));
        else problems.push(...this.#textProblems(column, value, seenFiles));
      }
    }
    if (seenFiles.size !== 1) problems.push(`rows of ${seenFiles.size} files`);
    return problems;
  }

  #textProblems(column: string, value: string | null, seenFiles: Set<string>): string[] {
    const [, header = "", file = ""] = /^(.+)\|(\d+)$/.exec(value ?? "") ?? [];
    seenFiles.add(file);
    const base = header.toLowerCase().replace(/[^a-z]/g, "");
    if (header === "" || !new RegExp(`^(old_)?${base}(_\\d+)?$`).test(column))
      return [`${column} is ${value}`];
    const owner = this.#names.get(column) ?? header;
    this.#names.set(column, owner);
    return owner === header ? [] : [`${column} was ${owner} and is ${header}`];
  }
}

/** Compares the runs that the tables read, without the query engine, which takes most of the other reader's time. */
class ChildReader {
  /** How often both tables had rows. */
  reads = 0;

  /** @returns a problem if the main table has rows of one file and a child table answers to another's */
  async check({ data, work, dataset }: World): Promise<string[]> {
    const tables = [publish.table, ...childTables(dataset).map(({ table }) => table)];
    const [main = [], ...children] = await Promise.all(
      tables.map(async (table) => {
        const { columns, folder } = tableDefinition.parse(
          JSON.parse((await work.getText(`catalog/${table}.json`)) ?? '{"columns":[],"folder":""}'),
        );
        if (columns.length === 0) return [];
        const paths = data.filesIn(folder);
        const texts = await Promise.all(paths.map((path) => readFile(path, "utf8")));
        return texts.map((text) => /\n"?(\d+)\d/.exec(text)?.[1] ?? "no row");
      }),
    );
    if (main.length === 0) return [];
    this.reads += children.flat().length;
    return children
      .flat()
      .filter((file) => !main.includes(file))
      .map((file) => `answers to file ${file} with rows of ${main}`);
  }
}

const tableDefinition = z.object({ columns: z.array(z.unknown()), folder: z.string() });

const dateParts: Readonly<Record<string, string>> = {
  year: "2024",
  fiscal_year: "2024",
  month: "5",
  weekday: "1",
  weekday_name: "Monday",
  hour: "7",
};

/** Returns everything that a reader's query depends on. */
async function stateOf({ data, work }: World): Promise<string> {
  const definitions = await Promise.all(
    relations.map((relation) => work.getText(`catalog/${relation}.json`)),
  );
  const tableFolder = /"folder":"([^"]*)"/.exec(definitions[0] ?? "")?.[1];
  return JSON.stringify([definitions, tableFolder === undefined ? [] : data.filesIn(tableFolder)]);
}

async function run(
  { tasks, turns, isForeign }: Plan,
  dataset: Dataset,
  readerOf: (world: World) => () => Promise<string[]>,
): Promise<string[]> {
  const world = startWorld(dataset);
  const { data, work, results, engine } = world;
  const stage = new Stage();
  const read = readerOf(world);
  const runIds: string[] = [];
  let minute = 1;
  const nextMinute = () => {
    minute += 1;
    return new Date(Date.UTC(2024, 0, 1, 0, minute));
  };

  async function perform(task: Task, number: number): Promise<void> {
    let calls = 0;
    const crashes = () => {
      calls += 1;
      return task.crash && calls >= task.crash.call ? task.crash.effect : undefined;
    };
    const ports = {
      data: stage.ports<LocalStore>(data, number, crashes),
      results: stage.ports<LocalStore>(results, number, crashes),
      engine: stage.ports<QueryEngine>(engine, number, crashes),
    };
    const tables = ports.engine;
    if (task.do === "follow") {
      await follow({ ...world, ...ports });
    } else if (task.do === "publish") {
      const now = nextMinute();
      const file = minute;
      const runId = `run-${minute}`;
      runIds.push(runId);
      const fileHeaders = ["_id", ...task.headers];
      const children = childTables(dataset).map(({ keyOf }) => keyOf(runId));
      await writeFiles(
        { store: ports.data, csv: publish.csv, jsonl: publish.jsonl, children },
        { runId, dataset: name, requestedAt: now.toISOString(), entry: "entry" },
        now,
        async (write) => {
          await write({
            csv: Buffer.from(csvOf(fileHeaders, file)),
            jsonl: Buffer.from("{}\n"),
            children: children.map(() => Buffer.from(childCsvOf(file))),
          });
          return "keep";
        },
        () => holdTable(dataset, { runId, headers: fileHeaders }, { tables, data: ports.data }),
      );
    } else {
      const to = runIds[task.to];
      if (to === undefined) return;
      const plan = await planRollback(to, { work, data });
      await rollBack(plan, { data: ports.data, tables, now: nextMinute(), deployed: [dataset] });
    }
  }

  if (isForeign) {
    const own = ["who", "At", "Location", "_id"];
    await overwrite(data, publish.csv, csvOf(own, 1).replaceAll('"', ""));
    const columns = own.map((header) => ({
      name: header === "_id" ? "_id" : `old_${header.toLowerCase()}`,
      comment: "",
    }));
    await engine.defineTable(
      publish.table,
      { format: "csv", columns, folder: folderOf(publish.csv) },
      undefined,
    );
  }
  const problems = await read();
  const remaining = [...tasks];
  const running = new Set<Promise<void>>();
  const begin = async (): Promise<void> => {
    const task = remaining.shift();
    if (!task) return;
    const performed: Promise<void> = perform(task, remaining.length)
      // The message of a failed task is lost.
      .catch(() => {})
      .finally(() => running.delete(performed));
    running.add(performed);
    for (let ticks = 0; ticks < 5; ticks++) await setImmediate();
  };
  const check = async () => problems.push(...(await read()));
  for (let turn = 0; problems.length === 0; turn++) {
    if (stage.waiting === 0 && remaining.length === 0 && running.size === 0) break;
    const { who, calls } = turns[turn % turns.length] ?? { who: 0, calls: 1 };
    // At most three tasks run concurrently.
    if (remaining.length > 0 && (stage.waiting === 0 || (who === 3 && running.size < 3))) {
      await begin();
      await check();
      continue;
    }
    if (stage.waiting === 0) await setImmediate();
    const task = stage.taskOf(who);
    for (let call = 0; call < calls && problems.length === 0; call++) {
      await stage.go(task);
      await check();
    }
  }
  return problems.length > 0 ? problems : publishLast(world, read, nextMinute());
}

/** Updates table and views to the published file, without running the query. */
function follow({ engine, dataset, ...stores }: Omit<World, "engine"> & { engine: QueryEngine }) {
  const start = async () => "a-query";
  return followFile(dataset, {
    ...stores,
    engine: intercepted(engine, (method, _args, act) => (method === "start" ? start() : act())),
    datasets: [dataset],
    emit: async () => {},
    athenaQueue: { send: async () => {} },
    checkSeconds: 60,
  });
}

/** Publishes and follows one more file without a crash, after which the table reads the published file. */
async function publishLast(world: World, read: () => Promise<string[]>, now: Date): Promise<string[]> {
  const { data, dataset, engine } = world;
  const requestedAt = now.toISOString();
  const own = ["_id", "At", "Location"];
  for (const { keyOf } of childTables(dataset)) await data.put(keyOf("last"), childCsvOf(999), "text/csv");
  await holdTable(dataset, { runId: "last", headers: own }, { tables: engine, data });
  await overwrite(data, publish.csv, csvOf(own, 999), { "run-id": "last", "requested-at": requestedAt });
  await follow(world);
  const found = await engine.table(publish.table);
  expect(found).toMatchObject({ folder: folderOf(publish.csv), mark: undefined });
  const { rows } = await engine.firstRows(`SELECT location, year FROM "library"."${views.analysis}"`, "", 9);
  expect(rows).toEqual([
    ["Location|999", "2024"],
    ["Location|999", "2024"],
  ]);
  for (const { typed } of childTables(dataset)) {
    const answers = await engine.firstRows(`SELECT * FROM "library"."${typed}" ORDER BY 1`, "", 9);
    expect(answers.rows).toEqual([
      ["9991", "1", "who|999"],
      ["9992", "1", "who|999"],
    ]);
  }
  return read();
}

test("a query always returns correct values under the correct names, or an error", async () => {
  await fc.assert(
    fc.asyncProperty(plansWith(headers), async (plan) => {
      const readerOf = (world: World) => {
        const reader = new Reader(world.engine);
        return async () => reader.check(await stateOf(world));
      };
      expect(await run(plan, entryWith("all"), readerOf)).toEqual([]);
    }),
    // On a busy machine the property ends before the test's own timeout.
    { numRuns: 15, interruptAfterTimeLimit: 40_000 },
  );
});

test("no reader finds the rows of one run with the answers of another", async () => {
  const reader = new ChildReader();
  // Mostly the same header, with which only child tables hold the table.
  const fewHeaders = fc.constantFrom<string[][]>(
    ["At", "who"],
    ["At", "who"],
    ["At", "who"],
    ["who", "Location"],
  );
  await fc.assert(
    fc.asyncProperty(plansWith(fewHeaders), async (plan) => {
      const readerOf = (world: World) => () => reader.check(world);
      expect(await run(plan, entryWith("rows"), readerOf)).toEqual([]);
    }),
    { numRuns: 60, interruptAfterTimeLimit: 40_000, examples: [[undisturbed]] },
  );
  expect(reader.reads).toBeGreaterThan(200);
});
