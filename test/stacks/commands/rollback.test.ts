// Rollbacks over buckets that keep versions, of runs that the real assembler published.
import { Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { assemble } from "../../../services/assembler/assemble.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import { folderOf, keys, previousKey } from "../../../shared/keys.ts";
import type { LocalStore } from "../../../shared/local/local-store.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import { publishNewest } from "../../../shared/publish.ts";
import { type Run, runResult } from "../../../shared/run.ts";
import { liveBefore, planRollback, remaining, rollBack } from "../../../stacks/commands/runs/rollback.ts";
import { rollbackText } from "../../../stacks/commands/runs/runs-text.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf } from "../../factories/requests.ts";
import { intercepted } from "../../support/intercepted-ports.ts";
import { capturedEvents, startLocal, type TestLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";
import { putRecounts, putRun, putWindow } from "../../support/work-bucket.ts";

const { csv: csvKey, jsonl: jsonlKey } = defaultDataset.publish;
const files = [csvKey, jsonlKey];
const monday = "2024-03-04T11:00:00Z";
const nextMonday = "2024-03-11T11:00:00Z";
const now = new Date("2024-03-12T09:30:00.123Z");
let local: TestLocal;
let work: LocalStore;
let data: ObjectStore;
let tables: ScriptedQueryEngine;
beforeAll(async () => {
  local = await startLocal();
});
afterAll(() => local.close());

beforeEach(() => {
  work = local.store();
  data = local.store({ keepsVersions: true });
  tables = new ScriptedQueryEngine();
});

/** Makes a run of two rows, with ids from `first`; transformed and not assembled. */
async function collect(first: number, requestedAt: string): Promise<Run> {
  const run = runOf(`rows from ${first}`, { requestedAt });
  await putRun(run, work);
  await putWindow(run, { window: 1, pages: [recordsOf(first, first + 1)] }, work);
  await putRecounts(run, 1, work);
  return run;
}

/** @returns the run's outcome */
async function end({ runId, dataset }: Run) {
  const { emit } = capturedEvents();
  const deps = {
    work,
    data,
    results: local.store(),
    datasets,
    tables: new ScriptedQueryEngine(),
    now: () => now,
    fetcherQueue: local.queue("fetcher"),
    emit,
  };
  return (await assemble({ runId, dataset, attempt: 1 }, deps)).outcome;
}

async function publish(first: number, requestedAt: string): Promise<Run> {
  const run = await collect(first, requestedAt);
  expect(await end(run)).toBe("published");
  return run;
}

/** Publishes two runs. @returns the replaced run and the live one */
const publishTwo = async () => [await publish(1, monday), await publish(101, nextMonday)] as const;

const plan = (runId: string) => planRollback(runId, { work, data });

async function restore({ runId }: Run, at = now, reason?: string): Promise<void> {
  await rollBack(await plan(runId), { data, tables, now: at, reason });
}

const texts = () => Promise.all(files.map((key) => data.getText(key)));
const heads = () => Promise.all(files.map((key) => data.head(key)));
const versionsOf = async (key: string) => (await data.listVersions(key, 100)).length;

/** Returns the first row of both files, and their metadata. */
async function inPlace() {
  const metadata = (await heads()).map((head) => head?.metadata);
  return {
    rows: (await texts()).map((text) => text?.match(/^(?:\{"_id":)?(\d+)/m)?.[1]),
    runs: metadata.map((found) => found?.["run-id"]),
    requestedAt: metadata.map((found) => found?.["requested-at"]),
  };
}

const twice = (first: number, { runId }: Run) => ({
  rows: [String(first), String(first)],
  runs: [runId, runId],
});

test("refuses a run whose child file is gone, and needs no other version of one that is in place", async () => {
  const old = await publish(1, monday);
  await publish(101, nextMonday);
  const key = "libinsightdata-athena-who/run/LibInsightQueryData.csv";
  const result = await work.getJson(keys.result(old.runId), runResult);
  const children = [{ column: "who", rows: 2, records: 2, key, etag: "e", bytes: 9 }];
  await work.put(keys.result(old.runId), JSON.stringify({ ...result, children }), "application/json");
  await expect(plan(old.runId)).rejects.toMatchObject({
    name: "RunVersionGone",
    sentence: expect.stringContaining(key),
  });
  await data.put(key, "1", "text/csv");
  expect(await plan(old.runId)).toMatchObject({ runId: old.runId });
});

test("restores both files of an earlier run unchanged, with metadata that say so", async () => {
  const old = await publish(1, monday);
  const before = { texts: await texts(), types: (await heads()).map((head) => head?.contentType) };
  const newer = await publish(101, nextMonday);

  const planned = await plan(old.runId);
  expect(rollbackText(planned)).toMatch(
    new RegExp(
      `^${old.runId} \\(2 rows, 20..-..-.. ..:.. UTC\\) in place of ${newer.runId} \\(2 rows, .*\\): ` +
        "libinsightdata-athena/LibInsightQueryData.csv and libinsightdata-json/LibInsightQueryData.jsonl$",
    ),
  );
  await rollBack(planned, { data, tables, now, reason: " Büro \u{1F4DA}\nclosed " });

  const after = await heads();
  expect({ texts: await texts(), types: after.map((head) => head?.contentType) }).toEqual(before);
  for (const head of after) {
    expect(head?.metadata).toEqual({
      dataset: "reference-transactions",
      "run-id": old.runId,
      "requested-at": now.toISOString(),
      entry: fingerprintOf(defaultDataset),
      "rolled-back-at": now.toISOString(),
      "rollback-reason": "B?ro ??closed",
    });
  }
});

test("if the earlier file has other columns, the table reads a copy of the replaced file until Athena follows", async () => {
  const [old, newer] = await publishTwo();
  const { csv, table } = defaultDataset.publish;
  await overwrite(data, csv, '"_id","new"\n1,"x"\n', { "run-id": newer.runId, "requested-at": nextMonday });
  const columns = ["_id", "new"].map((name) => ({ name, comment: "" }));
  await tables.defineTable(table, { format: "csv", columns, folder: folderOf(csv) }, undefined);
  await restore(old);
  expect(tables.tables.get(table)).toMatchObject({ columns, folder: folderOf(previousKey(csv)) });
  expect((await data.getText(previousKey(csv)))?.split("\n")[1]).toBe('1,"x"');
  expect((await inPlace()).runs).toEqual([old.runId, old.runId]);
});

test("a rollback to the live run changes nothing; the replaced run can be restored in turn", async () => {
  const [old, newer] = await publishTwo();
  await restore(old, now, "the first reason");
  const versions = await versionsOf(csvKey);

  expect(remaining(await plan(old.runId))).toEqual([]);
  await restore(old);
  expect([await versionsOf(csvKey), await versionsOf(jsonlKey)]).toEqual([versions, versions]);

  await restore(newer);
  expect(await inPlace()).toMatchObject(twice(101, newer));
  await restore(old);
  expect(await inPlace()).toMatchObject(twice(1, old));
  expect((await data.head(csvKey))?.metadata).not.toHaveProperty("rollback-reason");
});

test("the publication before a live run is the one that it replaced when it was first published", async () => {
  const before = async ({ runId }: Run) => {
    const live = await liveBefore(runId, { work, data });
    return live && { before: live.before?.runId, wasRestored: live.wasRestored };
  };
  const first = await publish(1, monday);
  expect(await before(first)).toEqual({ before: undefined, wasRestored: false });

  const second = await publish(101, nextMonday);
  expect(await before(second)).toEqual({ before: first.runId, wasRestored: false });
  expect(await before(first)).toBeUndefined();

  await restore(first);
  expect(await before(first)).toEqual({ before: undefined, wasRestored: true });
  expect(await before(second)).toBeUndefined();

  const third = await publish(201, "2024-03-18T11:00:00Z");
  expect(await before(third)).toEqual({ before: first.runId, wasRestored: false });

  await restore(second, new Date("2024-03-19T11:00:00Z"));
  expect(await before(second)).toEqual({ before: first.runId, wasRestored: true });
});

test("after any publications and rollbacks, the publication before the live run is the one that its first file replaced", async () => {
  const runId = (run: number) => `reference-transactions-${run}`;
  await fc.assert(
    // Each number puts a run's file in place: published the first time, restored later. 0 is a file that no run wrote.
    fc.asyncProperty(fc.array(fc.nat(4), { minLength: 1, maxLength: 8 }), async (placed) => {
      data = local.store({ keepsVersions: true });
      const replaced = new Map<number, number | undefined>();
      let lastOfRun: number | undefined;
      for (const run of placed) {
        const metadata = run === 0 ? {} : { "run-id": runId(run), "requested-at": monday };
        await overwrite(data, csvKey, "rows", {
          ...metadata,
          ...(replaced.has(run) && { "rolled-back-at": monday }),
        });
        if (run === 0) continue;
        if (!replaced.has(run)) replaced.set(run, lastOfRun);
        lastOfRun = run;
      }
      const inPlace = placed.at(-1) ?? 0;
      for (const run of [1, 2, 3, 4]) {
        const live = await liveBefore(runId(run), { work, data });
        if (run !== inPlace) expect(live).toBeUndefined();
        else {
          const before = replaced.get(run);
          expect(live?.before?.runId).toBe(before && runId(before));
          expect(live?.wasRestored).toBe(placed.indexOf(run) < placed.length - 1);
        }
      }
    }),
    { numRuns: 30 },
  );
});

test("repeating a rollback that was interrupted between the files finishes it, with the same time", async () => {
  const [old, newer] = await publishTwo();
  const interrupted = intercepted(data, (method, [key], act) => {
    if (method === "upload" && key === jsonlKey) throw new Error("Interrupted.");
    return act();
  });
  await expect(rollBack(await plan(old.runId), { data: interrupted, tables, now })).rejects.toThrow(
    "Interrupted.",
  );
  expect(await inPlace()).toMatchObject({ rows: ["1", "101"], runs: [old.runId, newer.runId] });
  const versions = await versionsOf(csvKey);

  const planned = await plan(old.runId);
  expect(remaining(planned).map(({ key }) => key)).toEqual([jsonlKey]);
  await rollBack(planned, { data, tables, now: new Date(now.getTime() + 60_000) });

  const moment = now.toISOString();
  expect(await inPlace()).toEqual({ ...twice(1, old), requestedAt: [moment, moment] });
  expect(await versionsOf(csvKey)).toBe(versions);
});

test("a run that was requested before the rollback does not replace its files, one requested after it does", async () => {
  const [old] = await publishTwo();
  const before = await collect(201, "2024-03-12T09:29:00Z");
  const after = await collect(301, "2024-03-12T09:31:00Z");
  await restore(old);

  expect(await end(before)).toBe("superseded");
  expect(await inPlace()).toMatchObject(twice(1, old));
  expect(await end(after)).toBe("published");
  expect(await inPlace()).toMatchObject(twice(301, after));
});

test("a run that is published between the question and the answer stays only if it was requested later", async () => {
  const [old] = await publishTwo();
  const planned = await plan(old.runId);
  await publish(201, "2024-03-12T09:29:00Z");
  await rollBack(planned, { data, tables, now });
  expect(await inPlace()).toMatchObject(twice(1, old));

  const again = await plan(runOf("rows from 201").runId);
  const after = await publish(301, "2024-03-12T09:31:00Z");
  await expect(rollBack(again, { data, tables, now })).rejects.toMatchObject({
    name: "NewerRunPublished",
    sentence: expect.stringContaining(after.runId),
  });
  expect(await inPlace()).toMatchObject(twice(301, after));
});

test("with a slow clock the restored files are not older than the files that they replace", async () => {
  const [old] = await publishTwo();

  await restore(old, new Date("2024-03-11T10:58:00Z"));

  const moment = "2024-03-11T11:00:00.000Z";
  expect(await inPlace()).toEqual({ ...twice(1, old), requestedAt: [moment, moment] });
});

test("finds a run that has expired from the work bucket by its versions", async () => {
  const [old] = await publishTwo();
  await work.prune([{ prefix: keys.runs, before: new Date(Date.now() + 1_000) }]);
  expect(await work.getText(keys.run(old.runId))).toBeUndefined();

  // The number of its rows has expired with its result.
  expect(rollbackText(await plan(old.runId))).toMatch(new RegExp(`^${old.runId} \\(20..-..-.. ..:.. UTC\\)`));
  await restore(old);

  expect(await inPlace()).toMatchObject(twice(1, old));
});

test("replaces a file that no run wrote, and says so", async () => {
  const old = await publish(1, monday);
  await data.put(csvKey, "by hand", "text/csv");

  expect(rollbackText(await plan(old.runId))).toMatch(/ in place of a file that no run wrote \(20/);
  await restore(old);

  expect(await inPlace()).toMatchObject(twice(1, old));
});

test("without a version of the run, lists the runs that can be restored, each once, newest first", async () => {
  const nothing = await collect(901, monday);
  const [first, second] = await publishTwo();
  await restore(first);
  const third = await publish(201, "2024-03-13T11:00:00Z");

  const sentence = expect.stringMatching(
    `Runs that can be restored: ${first.runId} \\(2 rows, [^)]*\\), ${second.runId} \\(2 rows, [^)]*\\)\\. \\(run `,
  );
  await expect(plan(nothing.runId)).rejects.toMatchObject({ name: "RunVersionGone", sentence });
  const unknown = "reference-transactions-000000000000";
  await expect(plan(unknown)).rejects.toMatchObject({ name: "RunUnknown", sentence });
  expect(await inPlace()).toMatchObject(twice(201, third));
});

test("does not restore one file if the other has expired", async () => {
  const old = { runId: "reference-transactions-aaaaaaaaaaaa", requestedAt: monday };
  const body = async () => Readable.from([Buffer.from("1")]);
  await publishNewest(data, csvKey, old, body, { contentType: "text/csv" });
  const newer = await publish(101, nextMonday);

  await expect(plan(old.runId)).rejects.toMatchObject({
    name: "RunVersionGone",
    message: expect.stringContaining(jsonlKey),
  });
  expect(await inPlace()).toMatchObject(twice(101, newer));
});

test("fails with advice if the bucket keeps no versions", async () => {
  data = local.store();
  const [old] = await publishTwo();

  await expect(plan(old.runId)).rejects.toMatchObject({
    name: "RunVersionGone",
    sentence: expect.stringContaining("check that the data bucket keeps versions"),
  });
});

test("does not restore a run of a dataset that is no longer collected", async () => {
  const run = { ...runOf("gone"), dataset: "gate-counts" };
  await putRun(run, work);

  await expect(plan(run.runId)).rejects.toMatchObject({ name: "UnknownDataset" });
});
