// Tests `npm run privacy -- forget` on this machine: words that only forgotten records had are in no byte of the folder.
import { randomUUID } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { archiveDeadLetters } from "../../../../services/replay/dead-letter-queues.ts";
import type { Dataset } from "../../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../../shared/datasets.ts";
import { keys } from "../../../../shared/keys.ts";
import { libInsightClient } from "../../../../shared/libinsight/client.ts";
import type { LocalStore } from "../../../../shared/local/local-store.ts";
import { type Local, openLocal } from "../../../../shared/local/open-local.ts";
import type { ObjectStore } from "../../../../shared/ports.ts";
import { readForgotten } from "../../../../shared/privacy/forgotten.ts";
import { type RunResult, runIdOf, runResult } from "../../../../shared/run.ts";
import { type ForgetRequest, type Forgetting, forget } from "../../../../stacks/commands/privacy/forget.ts";
import { formOf } from "../../../../stacks/local/libinsight/dataset-form.ts";
import {
  type LibInsight,
  type LibInsightRecord,
  startLibInsight,
} from "../../../../stacks/local/libinsight.ts";
import { localSettings } from "../../../../stacks/local/local-settings.ts";
import { queriesUnderWay } from "../../../../stacks/local/watch.ts";
import { startWorkers } from "../../../../stacks/local/workers.ts";
import { holds, planted } from "../../../factories/planted-records.ts";
import { intercepted } from "../../../support/intercepted-ports.ts";
import { command, start, temporaryFolder } from "../../../support/npm-start.ts";
import { parquetRecords } from "../../../support/parquet-records.ts";
import { changeFiles, rebuilt } from "../../../support/rebuilt-publications.ts";
import { useFolder } from "../../../support/temporary-folder.ts";

const range = { from: "2024-01-01", to: "2024-03-31" };
/** A dataset with child files, kept parts and undeclared columns. */
const dataset: Dataset = {
  ...defaultDataset,
  firstDate: range.from,
  columns: defaultDataset.columns.map((column) =>
    "type" in column && column.name === "who" ? { ...column, answers: "rows" } : column,
  ),
  refresh: { lookbackDays: 7, full: "quarterly" },
  expectations: [],
  terms: [],
};
const { csv, jsonl, results: resultsKey } = dataset.publish;

const root = useFolder();

class Machine {
  readonly folder = join(root, randomUUID());
  readonly source: LibInsight;
  local: Local;

  private constructor(source: LibInsight, local: Local) {
    this.source = source;
    this.local = local;
  }

  static async start(): Promise<Machine> {
    const { datasetId, requestId } = formOf(defaultDataset);
    const days = { firstDay: range.from, lastDay: range.to };
    const source = await startLibInsight({ records: 300, datasetId, requestId, ...days });
    const folder = join(root, randomUUID());
    const machine = new Machine(source, await openLocal(folder));
    Object.assign(machine, { folder });
    onTestFinished(async () => {
      await source.close();
      await machine.local.close();
    });
    return machine;
  }

  /** Requests a run, and runs the services until nothing is left to do. */
  async run(detail: object = {}): Promise<RunResult> {
    const requestId = randomUUID();
    const { local, source } = this;
    const settings = localSettings({ RETRY_BASE_SECONDS: "0", QUERY_CHECK_SECONDS: "1" });
    await local.emit("run.requested", {
      dataset: dataset.name,
      ...range,
      reason: "test",
      requestId,
      ...detail,
    });
    const libInsight = libInsightClient(source);
    const workers = startWorkers({ local, settings, libInsight, datasets: [dataset] });
    const isIdle = async () => {
      const counts = await Promise.all(Object.values(local.queues).map((queue) => queue.count()));
      return counts.every((count) => count === 0) && (await queriesUnderWay(local.work)) === 0;
    };
    const key = keys.result(runIdOf(dataset.name, requestId));
    await vi.waitUntil(async () => (await local.work.head(key)) && (await isIdle()), {
      timeout: 30_000,
      interval: 50,
    });
    await workers.stop();
    const result = await local.work.getJson(key, runResult);
    if (!result) throw new Error("The run has no result.");
    return result;
  }

  /** @param onCall may throw, as a call that fails */
  async forget(request: Partial<ForgetRequest>, onCall = () => {}): Promise<Forgetting> {
    const { work, data, results, queuePairs, database } = this.local;
    const writing = ["upload", "put", "erase", "replaceJson", "putOnce"];
    const watched = (store: LocalStore) =>
      intercepted(store, (method, _args, act) => {
        if (writing.includes(method)) onCall();
        return act();
      });
    const stores = { work: watched(work), data: watched(data), results: watched(results) };
    const deps = { ...stores, erasers: stores, queuePairs, now: () => new Date(), waitSeconds: 0 };
    const done = await forget({ dataset, ids: [], dryRun: false, ...request }, deps);
    database.compact();
    return done;
  }

  /** Returns every object with its versions, and the bodies of the dead letters. */
  async contents(): Promise<unknown[]> {
    const { work, data, results, database } = this.local;
    const versions = [work, data, results].map((store) => Array.fromAsync(store.versions("")));
    const bodies = database.prepare("SELECT text FROM body ORDER BY id").all();
    return [...(await Promise.all(versions)).flat(), ...bodies];
  }

  /** Returns the paths of the files that hold one of the texts, in any version, row or message. */
  async filesWith(texts: readonly string[]): Promise<string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    const found: string[] = [];
    for (const entry of entries.filter((each) => each.isFile())) {
      const path = join(entry.parentPath, entry.name);
      if (await holds(path, await readFile(path), texts)) found.push(path);
    }
    return found.map((path) => path.slice(this.folder.length + 1)).sort();
  }
}

const words = ["walrus", "narwhal", "ocelot"];

/** Fills every place of a machine with versions of three records, one of which has left LibInsight. */
async function filled(): Promise<{ machine: Machine; ids: number[] }> {
  const machine = await Machine.start();
  const { source, local } = machine;
  const all = [...source.records()];
  const ids = [20, 150, 280].map((index) => Number(all[index]?._id));
  for (const id of ids) source.edit(id, (record) => planted(record, "walrus"));
  const rejected = { ...planted(all[0] ?? {}, "walrus"), _id: 900_000_001, _start_date: "" };
  source.add(rejected, "2024-02-01 10:00:00");
  ids.push(900_000_001);
  expect(await machine.run()).toMatchObject({
    state: "published",
    rows: 300,
    rejects: { "missing _start_date": 1 },
  });
  for (const id of ids.slice(0, 3)) source.edit(id, (record) => planted(record, "narwhal"));
  expect(await machine.run({ full: true })).toMatchObject({ state: "published", changes: { edited: 3 } });
  const held = await machine.run({ ...range, to: "2024-02-15" });
  expect(held.state).toBe("held");
  source.edit(ids[0] ?? 0, (record) => planted(record, "ocelot"));
  source.remove(ids[1] ?? 0);
  const last = await machine.run({ full: true });
  expect(last).toMatchObject({ state: "published", rows: 299, changes: { edited: 1, deleted: 1 } });
  const task = {
    ...{ runId: last.runId, dataset: dataset.name, attempt: 1, page: 1 },
    ...{ window: { number: 1, ...range }, range, last: { number: 1, ...range } },
  };
  const page = JSON.stringify({ task, records: { inline: [{ _id: ids[0], note: "ocelot" }] } });
  await local.deadLetters.transformer.send(page);
  await archiveDeadLetters(
    { ...local, now: () => new Date(), waitSeconds: 0 },
    { filter: {}, max: 10 },
    local.work,
  );
  for (const body of [
    page,
    "ocelot, cut o",
    page.replace(dataset.name, "gate-counts").replace("ocelot", "other"),
  ])
    await local.deadLetters.transformer.send(body);
  const address = { runId: held.runId, window: 1, attempt: 1, ...range, page: 1, pages: 1 };
  await local.work.put(keys.page(address), `[{"_id":${ids[0]},"note":"ocelot"}]`, "application/json");
  for (const folder of Object.values(keys.analystsResults))
    await local.results.put(`${folder}1.csv`, '"_id"\n"ocelot"\n', "text/csv");
  return { machine, ids };
}

const textsOf = async (store: ObjectStore, key: string) => (await store.getText(key))?.split("\n") ?? [];

test("nothing of the forgotten records is left, and later runs do not bring them back", async () => {
  const { machine, ids } = await filled();
  const { local, source } = machine;
  const before = await machine.filesWith(words);
  const folders = new Set(before.map((path) => path.split("/").slice(0, 2).join("/")));
  // Without these the search would prove nothing.
  expect([...folders].sort()).toEqual([
    "data/changes",
    "data/libinsightdata-athena",
    "data/libinsightdata-athena-parquet",
    "data/libinsightdata-athena-previous",
    "data/libinsightdata-athena-who",
    "data/libinsightdata-json",
    "results/deidentified",
    "results/libinsightQueryOnS3csvTable",
    "results/published",
    "results/reports",
    "results/tableau",
    "state.db",
    "state.db-wal",
    "work/runs",
  ]);
  const done = await machine.forget({ ids });
  expect(done).toMatchObject({ listed: 4, records: 3, unseen: 0 });
  expect(await machine.filesWith(words)).toEqual([]);
  const live = await local.data.head(csv);
  expect(await textsOf(local.data, csv)).toHaveLength(297 + 2);
  expect(await textsOf(local.data, jsonl)).toHaveLength(297 + 1);
  expect(await textsOf(local.results, resultsKey)).toHaveLength(297 + 2);

  // The history still describes every publication.
  let text = "";
  for (const file of await changeFiles(dataset.name, local.data)) text = rebuilt(file, text);
  expect(text).toBe(await local.data.getText(csv));

  source.edit(ids[0] ?? 0, (record) => planted(record, "ocelot"));
  const later = await machine.run({ full: true });
  expect(later).toMatchObject({
    state: "published",
    rows: 297,
    forgotten: 3,
    changes: { added: 0, deleted: 0, edited: 0 },
  });
  expect((await local.data.head(csv))?.metadata["run-id"]).not.toBe(live?.metadata["run-id"]);
  expect(await machine.filesWith(words)).toEqual([]);
});

test("an interrupted call is finished by the next one, wherever it was interrupted", async () => {
  const { machine, ids } = await filled();
  const { local } = machine;
  const all = [...machine.source.records()];
  let interruptions = 0;
  for (let done = false; !done; ) {
    // Each call gets one write further, and the second half of them wants another record too.
    const wanted = interruptions > 20 ? [...ids, Number(all[100]?._id)] : ids;
    let writes = 0;
    const onCall = () => {
      writes += 1;
      if (writes > 1 + (interruptions % 7)) throw new Error("Interrupted.");
    };
    done = await machine.forget({ ids: wanted }, interruptions < 60 ? onCall : undefined).then(
      () => true,
      (error) => {
        expect(String(error)).toBe("Error: Interrupted.");
        interruptions += 1;
        return false;
      },
    );
  }
  expect(interruptions).toBeGreaterThan(20);
  expect(await machine.filesWith(words)).toEqual([]);
  const lines = await textsOf(local.data, csv);
  expect(lines).toHaveLength(297 - 1 + 2);
  let text = "";
  for (const file of await changeFiles(dataset.name, local.data)) text = rebuilt(file, text);
  expect(text).toBe(await local.data.getText(csv));
});

test("records before a date are removed, and later runs drop them", async () => {
  const { machine, ids } = await filled();
  const { local, source } = machine;
  const before = "2024-02-20";
  const isOld = (record: LibInsightRecord) =>
    String(record._start_date) < before && record._start_date !== "";
  const old = [...source.records()].filter(isOld).length;
  expect(old).toBeGreaterThan(100);
  const done = await machine.forget({ before });
  expect(done.records).toBeGreaterThanOrEqual(old);
  const [, ...rows] = await textsOf(local.data, csv);
  expect(rows).toHaveLength(299 - old + 1);
  const days = rows.flatMap((row) => /\d{4}-\d\d-\d\d/.exec(row)?.[0] ?? []);
  expect(days).toHaveLength(299 - old);
  expect(days.filter((day) => day < before)).toEqual([]);
  for (const key of await local.data.list(keys.changesFolder(dataset.name), 10)) {
    const history = await parquetRecords((await local.data.getBytes(key)) ?? Buffer.of());
    expect(history.filter(({ start_date: at }) => typeof at === "string" && at < before)).toEqual([]);
  }
  const later = await machine.run({ full: true });
  expect(later).toMatchObject({
    state: "published",
    rows: 299 - old,
    forgotten: old,
    changes: { added: 0, deleted: 0 },
  });
  expect(await readForgotten(dataset.name, local.work)).toEqual({ ids: [], before });
  expect(ids).toHaveLength(4);
});

test("--dry-run counts, and changes nothing", async () => {
  const { machine, ids } = await filled();
  const before = await machine.contents();
  const planned = await machine.forget({ ids, dryRun: true });
  expect(await machine.contents()).toEqual(before);
  const done = await machine.forget({ ids });
  expect(planned.records).toBe(done.records);
  // A call also deletes the versions that it replaces itself.
  const rows = ({ steps }: Forgetting) => steps.filter((step) => "rows" in step);
  expect(rows(planned)).toEqual(rows(done));
  const keysOf = ({ steps }: Forgetting) => new Set(steps.map(({ key }) => key));
  expect([...keysOf(planned)].filter((key) => !keysOf(done).has(key))).toEqual([]);
});

test("nothing is removed while a run or a query is in progress", async () => {
  const machine = await Machine.start();
  const { local } = machine;
  await machine.run();
  const refused = { name: "RunInProgress" };
  const ids = [1];
  await local.queues.transformer.send("{}");
  await expect(machine.forget({ ids })).rejects.toMatchObject(refused);
  await local.database.write(() => local.database.prepare("DELETE FROM message").run());
  await local.work.put(keys.queryOrigin("q"), "{}", "application/json");
  await expect(machine.forget({ ids })).rejects.toMatchObject(refused);
  await local.work.put(keys.queryEnd("q"), "{}", "application/json");
  const [folder = ""] = await local.work.listFolders(keys.runs, 10);
  const result = (await local.work.getText(`${folder}result.json`)) ?? "";
  await local.work.erase(await Array.fromAsync(local.work.versions(`${folder}result.json`)));
  await expect(machine.forget({ ids })).rejects.toMatchObject(refused);
  expect(await readForgotten(dataset.name, local.work)).toEqual({ ids });
  await local.work.put(`${folder}result.json`, result, "application/json");
  expect(await machine.forget({ ids })).toMatchObject({ records: 0 });
});

test("the command asks, forgets, and updates the copies in the folder of npm start", async () => {
  await using folder = await temporaryFolder();
  const dates = ["--from", "2024-01-01", "--to", "2024-03-31"];
  expect((await start(folder.path, ["--records", "200", ...dates, "--quiet"]).ended).code).toBe(0);
  const out = join(folder.path, ".local", "out");
  const lines = (await readFile(join(out, "LibInsightQueryData.csv"), "utf8")).split("\n");
  const [one = "", two = ""] = [lines[2], lines[4]];
  const [first, second] = [one, two].map((line) => line.slice(0, line.indexOf(",")));
  await writeFile(join(folder.path, "ids.txt"), `${second}\n`);
  const rest = (line: string) => line.slice(line.indexOf(",") + 1);
  const holding = async (text: string) => {
    const entries = await readdir(join(folder.path, ".local"), { recursive: true, withFileTypes: true });
    const paths = entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
    const held = await Promise.all(paths.map(async (path) => holds(path, await readFile(path), [text])));
    return held.filter(Boolean).length;
  };
  expect(await holding(rest(one))).toBeGreaterThan(2);
  const forgetting = (...args: string[]) => command("privacy", folder.path, ["forget", ...args]).ended;
  const planned = await forgetting("--ids", `${first}`, "--dry-run");
  expect(planned).toMatchObject({ code: 0, stderr: "" });
  expect(planned.stdout).toMatch(
    /^place +key +removed\n(.+\n)+Would remove 1 record of reference-transactions\. /,
  );
  const done = await forgetting("--ids", `${first}`, "--ids-file", "ids.txt", "--yes");
  expect(done).toMatchObject({ code: 0, stderr: "" });
  expect(done.stdout).toMatch(
    /Removed 2 records of reference-transactions\. .+\nCopied the live files to .+\n$/,
  );
  expect(await holding(rest(one))).toBe(0);
  expect(await holding(rest(two))).toBe(0);
  expect((await readFile(join(out, "LibInsightQueryData.csv"), "utf8")).split("\n")).toEqual(
    lines.filter((line) => line !== one && line !== two),
  );
  const again = JSON.parse((await forgetting("--ids", `${first}`, "--yes", "--json")).stdout);
  expect(again).toMatchObject({ dryRun: false, records: 0, listed: 2 });
  expect((await forgetting("--ids-file", "none.txt", "--yes")).stderr).toMatch(
    /^The file "none\.txt" cannot be read/,
  );
});
