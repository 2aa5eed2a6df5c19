// Tests `npm run privacy -- forget` on this machine: words that only forgotten records had are in no byte of the folder.
import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { archiveDeadLetters } from "../../../../services/replay/dead-letter-queues.ts";
import type { Dataset } from "../../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../../shared/datasets.ts";
import { keys } from "../../../../shared/keys.ts";
import { libInsightClient } from "../../../../shared/libinsight/client.ts";
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
import { intercepted } from "../../../support/intercepted-ports.ts";
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
const { csv, jsonl, results: resultsKey, queryResults } = dataset.publish;

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

  async forget(
    request: Partial<ForgetRequest>,
    changed: Partial<Pick<Local, "work" | "data">> = {},
  ): Promise<Forgetting> {
    const { local } = this;
    const { work, data, results, queuePairs } = { ...local, ...changed };
    const deps = { work, data, results, queuePairs, now: () => new Date(), waitSeconds: 0 };
    const erasers = { work: local.work, data: local.data, results: local.results };
    const done = await forget({ dataset, ids: [], dryRun: false, ...request }, { ...deps, erasers });
    local.database.compact();
    return done;
  }

  /** Returns the paths of the files that hold one of the texts, in any version, row or message. */
  async filesWith(texts: readonly string[]): Promise<string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    const found: string[] = [];
    for (const entry of entries.filter((each) => each.isFile())) {
      const path = join(entry.parentPath, entry.name);
      const bytes = await readFile(path);
      const rows = path.endsWith(".parquet") ? await parquetRecords(bytes) : [];
      const text = JSON.stringify(rows, (_, value) => (typeof value === "bigint" ? String(value) : value));
      if (texts.some((each) => bytes.includes(each) || text.includes(each))) found.push(path);
    }
    return found.map((path) => path.slice(this.folder.length + 1)).sort();
  }
}

/** Gives every field of a record that holds text a word that no other record has. */
function planted(record: LibInsightRecord, word: string): LibInsightRecord {
  let field = 0;
  const plant = (value: unknown): unknown => {
    field += 1;
    if (Array.isArray(value)) return [`${word}x${field}`];
    return typeof value === "string" ? `${word}x${field}` : value;
  };
  const entries = Object.entries(record).map(([name, value]) => [
    name,
    name.startsWith("_start") ? value : plant(value),
  ]);
  return { ...Object.fromEntries(entries), _id: record._id };
}

const words = ["zqfirst", "zqedited", "zqlast"];

/** Fills every place of a machine with versions of three records, one of which has left LibInsight. */
async function filled(): Promise<{ machine: Machine; ids: number[] }> {
  const machine = await Machine.start();
  const { source, local } = machine;
  const all = [...source.records()];
  const ids = [20, 150, 280].map((index) => Number(all[index]?._id));
  for (const id of ids) source.edit(id, (record) => planted(record, "zqfirst"));
  const rejected = { ...planted(all[0] ?? {}, "zqfirst"), _id: 900_000_001, _start_date: "" };
  source.add(rejected, "2024-02-01 10:00:00");
  ids.push(900_000_001);
  expect(await machine.run()).toMatchObject({
    state: "published",
    rows: 300,
    rejects: { "missing _start_date": 1 },
  });
  for (const id of ids.slice(0, 3)) source.edit(id, (record) => planted(record, "zqedited"));
  expect(await machine.run({ full: true })).toMatchObject({ state: "published", changes: { edited: 3 } });
  const held = await machine.run({ ...range, to: "2024-02-15" });
  expect(held.state).toBe("held");
  source.edit(ids[0] ?? 0, (record) => planted(record, "zqlast"));
  source.remove(ids[1] ?? 0);
  const last = await machine.run({ full: true });
  expect(last).toMatchObject({ state: "published", rows: 299, changes: { edited: 1, deleted: 1 } });
  const task = {
    ...{ runId: last.runId, dataset: dataset.name, attempt: 1, page: 1 },
    ...{ window: { number: 1, ...range }, range, last: { number: 1, ...range } },
  };
  const page = JSON.stringify({ task, records: { inline: [{ _id: ids[0], note: "zqlast" }] } });
  await local.deadLetters.transformer.send(page);
  await archiveDeadLetters(
    { ...local, now: () => new Date(), waitSeconds: 0 },
    { filter: {}, max: 10 },
    local.work,
  );
  for (const body of [
    page,
    "zqlast, cut o",
    page.replace(dataset.name, "gate-counts").replace("zqlast", "other"),
  ])
    await local.deadLetters.transformer.send(body);
  const address = { runId: held.runId, window: 1, attempt: 1, ...range, page: 1, pages: 1 };
  await local.work.put(keys.page(address), `[{"_id":${ids[0]},"note":"zqlast"}]`, "application/json");
  await local.results.put(`${keys.analystsResults}1.csv`, '"_id"\n"zqlast"\n', "text/csv");
  return { machine, ids };
}

const textsOf = async (store: ObjectStore, key: string) => (await store.getText(key))?.split("\n") ?? [];

test("nothing of the forgotten records is left, and later runs do not bring them back", async () => {
  const { machine, ids } = await filled();
  const { local, source } = machine;
  const before = await machine.filesWith(words);
  console.log(before);
  const done = await machine.forget({ ids });
  console.log(done);
  expect(await machine.filesWith(words)).toEqual([]);
  const live = await local.data.head(csv);
  expect(await textsOf(local.data, csv)).toHaveLength(297 + 2);
  expect(await textsOf(local.data, jsonl)).toHaveLength(297 + 1);
  expect(await textsOf(local.results, resultsKey)).toHaveLength(297 + 2);

  // The history still describes every publication.
  let text = "";
  for (const file of await changeFiles(dataset.name, local.data)) text = rebuilt(file, text);
  expect(text).toBe(await local.data.getText(csv));

  source.edit(ids[0] ?? 0, (record) => planted(record, "zqlast"));
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
