// A rollback over buckets that keep versions, with runs that the real assembler publishes.

import { Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { assemble } from "../../../services/assembler/assemble.ts";
import { folder } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import { keys, previousKey } from "../../../shared/keys.ts";
import type { LocalStore } from "../../../shared/local/local-store.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import { publishNewest } from "../../../shared/publish.ts";
import type { Run } from "../../../shared/run.ts";
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

/** A run of two rows, which begin with the id `first`; transformed and not assembled. */
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

/** Publishes two runs. @returns the one that is replaced, and the one that is in place */
const publishTwo = async () => [await publish(1, monday), await publish(101, nextMonday)] as const;

const plan = (runId: string) => planRollback(runId, { work, data });

async function putBack({ runId }: Run, at = now, reason?: string): Promise<void> {
  await rollBack(await plan(runId), { data, tables, now: at, reason });
}

const texts = () => Promise.all(files.map((key) => data.getText(key)));
const heads = () => Promise.all(files.map((key) => data.head(key)));
const versionsOf = async (key: string) => (await data.listVersions(key, 100)).length;

/** The first row of both files, and what their metadata say. */
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

test("both files of an earlier run are put back as they were, with metadata that say so", async () => {
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

test("where the earlier file has other columns, the table reads a copy of the file in place until Athena follows", async () => {
  const [old, newer] = await publishTwo();
  const { csv, table } = defaultDataset.publish;
  await overwrite(data, csv, '"_id","new"\n1,"x"\n', { "run-id": newer.runId, "requested-at": nextMonday });
  const columns = ["_id", "new"].map((name) => ({ name, comment: "" }));
  await tables.defineTable(table, { columns, folder: folder(csv) }, undefined);
  await putBack(old);
  expect(tables.tables.get(table)).toMatchObject({ columns, folder: folder(previousKey(csv)) });
  expect((await data.getText(previousKey(csv)))?.split("\n")[1]).toBe('1,"x"');
  expect((await inPlace()).runs).toEqual([old.runId, old.runId]);
});

test("a run that is in place stays untouched; the replaced one can be put back in turn", async () => {
  const [old, newer] = await publishTwo();
  await putBack(old, now, "the first reason");
  const versions = await versionsOf(csvKey);

  expect(remaining(await plan(old.runId))).toEqual([]);
  await putBack(old);
  expect([await versionsOf(csvKey), await versionsOf(jsonlKey)]).toEqual([versions, versions]);

  await putBack(newer);
  expect(await inPlace()).toMatchObject(twice(101, newer));
  await putBack(old);
  expect(await inPlace()).toMatchObject(twice(1, old));
  expect((await data.head(csvKey))?.metadata).not.toHaveProperty("rollback-reason");
});

test("the publication before a live run is the one that it replaced at first, whatever was put back since", async () => {
  const before = async ({ runId }: Run) => {
    const live = await liveBefore(runId, { work, data });
    return live && { before: live.before?.runId, wasPutBack: live.wasPutBack };
  };
  const first = await publish(1, monday);
  expect(await before(first)).toEqual({ before: undefined, wasPutBack: false });

  const second = await publish(101, nextMonday);
  expect(await before(second)).toEqual({ before: first.runId, wasPutBack: false });
  expect(await before(first)).toBeUndefined();

  await putBack(first);
  expect(await before(first)).toEqual({ before: undefined, wasPutBack: true });
  expect(await before(second)).toBeUndefined();

  const third = await publish(201, "2024-03-18T11:00:00Z");
  expect(await before(third)).toEqual({ before: first.runId, wasPutBack: false });

  await putBack(second, new Date("2024-03-19T11:00:00Z"));
  expect(await before(second)).toEqual({ before: first.runId, wasPutBack: true });
});

test("whatever was published and put back, the publication before the live run is the one that its first file replaced", async () => {
  const runId = (run: number) => `reference-transactions-${run}`;
  await fc.assert(
    // Each number puts a run's file in place: the first time it is published, later it is put back. 0 is no run's.
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
          expect(live?.wasPutBack).toBe(placed.indexOf(run) < placed.length - 1);
        }
      }
    }),
    { numRuns: 30 },
  );
});

test("a rollback that is interrupted between the files is finished by repeating it, as of the same moment", async () => {
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

test("a run that was requested before the rollback does not replace it, one requested after it does", async () => {
  const [old] = await publishTwo();
  const before = await collect(201, "2024-03-12T09:29:00Z");
  const after = await collect(301, "2024-03-12T09:31:00Z");
  await putBack(old);

  expect(await end(before)).toBe("superseded");
  expect(await inPlace()).toMatchObject(twice(1, old));
  expect(await end(after)).toBe("published");
  expect(await inPlace()).toMatchObject(twice(301, after));
});

test("what is published between the question and the answer stays only if it was requested later", async () => {
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

test("with a slow clock the files still count as no older than those that they replace", async () => {
  const [old] = await publishTwo();

  await putBack(old, new Date("2024-03-11T10:58:00Z"));

  const moment = "2024-03-11T11:00:00.000Z";
  expect(await inPlace()).toEqual({ ...twice(1, old), requestedAt: [moment, moment] });
});

test("a run that has expired from the work bucket is found by its versions", async () => {
  const [old] = await publishTwo();
  await work.prune([{ prefix: keys.runs, before: new Date(Date.now() + 1_000) }]);
  expect(await work.getText(keys.run(old.runId))).toBeUndefined();

  // The number of its rows has expired with its result.
  expect(rollbackText(await plan(old.runId))).toMatch(new RegExp(`^${old.runId} \\(20..-..-.. ..:.. UTC\\)`));
  await putBack(old);

  expect(await inPlace()).toMatchObject(twice(1, old));
});

test("a file that no run wrote is replaced, and named as such", async () => {
  const old = await publish(1, monday);
  await data.put(csvKey, "by hand", "text/csv");

  expect(rollbackText(await plan(old.runId))).toMatch(/ in place of a file that no run wrote \(20/);
  await putBack(old);

  expect(await inPlace()).toMatchObject(twice(1, old));
});

test("where no version is the run's, the runs that can be put back are named, each once, the newest first", async () => {
  const nothing = await collect(901, monday);
  const [first, second] = await publishTwo();
  await putBack(first);
  const third = await publish(201, "2024-03-13T11:00:00Z");

  const sentence = expect.stringMatching(
    `Runs that can be put back: ${first.runId} \\(2 rows, [^)]*\\), ${second.runId} \\(2 rows, [^)]*\\)\\. \\(run `,
  );
  await expect(plan(nothing.runId)).rejects.toMatchObject({ name: "RunVersionGone", sentence });
  const unknown = "reference-transactions-000000000000";
  await expect(plan(unknown)).rejects.toMatchObject({ name: "RunUnknown", sentence });
  expect(await inPlace()).toMatchObject(twice(201, third));
});

test("a run of which one file is gone is not put back by half", async () => {
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

test("where the bucket keeps no versions, the error says so", async () => {
  data = local.store();
  const [old] = await publishTwo();

  await expect(plan(old.runId)).rejects.toMatchObject({
    name: "RunVersionGone",
    sentence: expect.stringContaining("see that the data bucket keeps versions"),
  });
});

test("a run of a dataset that is no longer collected is not put back", async () => {
  const run = { ...runOf("gone"), dataset: "gate-counts" };
  await putRun(run, work);

  await expect(plan(run.runId)).rejects.toMatchObject({ name: "UnknownDataset" });
});
