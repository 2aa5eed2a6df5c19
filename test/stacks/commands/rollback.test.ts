// A rollback over real versioned buckets, with runs that the real assembler publishes.
import { Readable } from "node:stream";
import { DeleteObjectCommand, PutBucketVersioningCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { assemble } from "../../../services/assembler/assemble.ts";
import { s3 } from "../../../shared/aws/clients.ts";
import type { Store } from "../../../shared/aws/store.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { publishNewest } from "../../../shared/publish.ts";
import type { Run } from "../../../shared/run.ts";
import { rollbackText } from "../../../stacks/commands/runs/report.ts";
import { planRollback, remaining, rollBack } from "../../../stacks/commands/runs/rollback.ts";
import { recordsOf } from "../../factories/records.ts";
import { runOf } from "../../factories/requests.ts";
import { capturedEvents, type LocalAws, startLocalAws } from "../../support/local-aws.ts";
import { putRun, putWindow } from "../../support/work-bucket.ts";

const { csv: csvKey, jsonl: jsonlKey } = defaultDataset.publish;
const monday = "2024-03-04T11:00:00Z";
const nextMonday = "2024-03-11T11:00:00Z";
const now = new Date("2024-03-12T09:30:00.123Z");
let aws: LocalAws;
let work: Store;
let data: Store;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

/** Buckets of the test's own. */
beforeEach(async () => {
  work = await aws.bucket();
  data = await aws.bucket();
  await s3().send(
    new PutBucketVersioningCommand({
      Bucket: data.bucket,
      VersioningConfiguration: { Status: "Enabled" },
    }),
  );
});

/** A run of two rows, which begin with the id `first`; transformed and not assembled. */
async function collect(first: number, requestedAt: string): Promise<Run> {
  const run = runOf(`rows from ${first}`, { requestedAt });
  await putRun(run, work);
  await putWindow(run, { window: 1, pages: [recordsOf(first, first + 1)] }, work);
  return run;
}

/** @returns how it ended */
async function end({ runId, dataset }: Run) {
  const { publish } = capturedEvents();
  const deps = { work, data, now: () => now, fetcherQueue: aws.serviceQueue("fetcher"), publish };
  return (await assemble({ runId, dataset, attempt: 1 }, deps)).outcome;
}

async function publish(first: number, requestedAt: string): Promise<Run> {
  const run = await collect(first, requestedAt);
  expect(await end(run)).toBe("published");
  return run;
}

const plan = (runId: string) => planRollback(runId, { work, data });

async function putBack({ runId }: Run, at = now, reason?: string): Promise<void> {
  await rollBack(await plan(runId), { data, now: at, reason });
}

/** Whose rows the two files hold, and whose they say they are. */
async function inPlace() {
  const heads = [await data.head(csvKey), await data.head(jsonlKey)];
  return {
    rows: [
      (await data.getText(csvKey))?.match(/^\d+/m)?.[0],
      (await data.getText(jsonlKey))?.match(/\d+/)?.[0],
    ],
    runs: heads.map((head) => head?.metadata["run-id"]),
    requestedAt: heads.map((head) => head?.metadata["requested-at"]),
  };
}

const versionsOf = async (key: string) => (await data.listVersions(key, 100)).length;

test("both files of an earlier run are put back as they were, and say that they were", async () => {
  const old = await publish(1, monday);
  const before = [await data.getText(csvKey), await data.getText(jsonlKey)];
  const types = [(await data.head(csvKey))?.contentType, (await data.head(jsonlKey))?.contentType];
  const newer = await publish(101, nextMonday);

  const planned = await plan(old.runId);
  expect(rollbackText(planned)).toMatch(
    new RegExp(
      `^${old.runId} \\(2 rows, 20..-..-.. ..:.. UTC\\) in place of ${newer.runId} \\(2 rows, .*\\): ` +
        "libinsightdata-athena/LibInsightQueryData.csv and libinsightdata-json/LibInsightQueryData.jsonl$",
    ),
  );
  await rollBack(planned, { data, now, reason: " Büro \u{1F4DA}\nclosed " });

  expect([await data.getText(csvKey), await data.getText(jsonlKey)]).toEqual(before);
  expect([(await data.head(csvKey))?.contentType, (await data.head(jsonlKey))?.contentType]).toEqual(types);
  for (const key of [csvKey, jsonlKey]) {
    expect((await data.head(key))?.metadata).toEqual({
      dataset: "reference-transactions",
      "run-id": old.runId,
      rows: "2",
      "requested-at": now.toISOString(),
      "rolled-back-at": now.toISOString(),
      "rollback-reason": "B?ro ??closed",
    });
  }
});

test("a run that is in place stays untouched; the replaced one can be put back in turn", async () => {
  const old = await publish(1, monday);
  const newer = await publish(101, nextMonday);
  await putBack(old, now, "the first reason");
  const versions = await versionsOf(csvKey);

  expect(remaining(await plan(old.runId))).toEqual([]);
  await putBack(old);
  expect([await versionsOf(csvKey), await versionsOf(jsonlKey)]).toEqual([versions, versions]);

  await putBack(newer);
  expect(await inPlace()).toMatchObject({ rows: ["101", "101"], runs: [newer.runId, newer.runId] });
  await putBack(old);
  expect(await inPlace()).toMatchObject({ rows: ["1", "1"], runs: [old.runId, old.runId] });
  expect((await data.head(csvKey))?.metadata).not.toHaveProperty("rollback-reason");
});

/** S3 refuses to write the key until the test ends or the returned function is called. */
function refuseWrites(key: string): () => void {
  const name = "refuseWrites";
  s3().middlewareStack.add(
    (next) => (args) => {
      if ("Key" in args.input && args.input.Key === key && "Body" in args.input)
        throw new Error("Interrupted.");
      return next(args);
    },
    { step: "initialize", name },
  );
  const stop = (): void => void s3().middlewareStack.remove(name);
  onTestFinished(stop);
  return stop;
}

test("a rollback that is interrupted between the files is finished by repeating it, as of the same moment", async () => {
  const old = await publish(1, monday);
  const newer = await publish(101, nextMonday);
  const mend = refuseWrites(jsonlKey);
  await expect(putBack(old)).rejects.toThrow("Interrupted.");
  mend();
  expect(await inPlace()).toMatchObject({ rows: ["1", "101"], runs: [old.runId, newer.runId] });
  const versions = await versionsOf(csvKey);

  const planned = await plan(old.runId);
  expect(remaining(planned).map(({ key }) => key)).toEqual([jsonlKey]);
  await rollBack(planned, { data, now: new Date(now.getTime() + 60_000) });

  expect(await inPlace()).toEqual({
    rows: ["1", "1"],
    runs: [old.runId, old.runId],
    requestedAt: [now.toISOString(), now.toISOString()],
  });
  expect(await versionsOf(csvKey)).toBe(versions);
});

test("a run that was requested before the rollback does not replace it, one requested after it does", async () => {
  const old = await publish(1, monday);
  await publish(101, nextMonday);
  const before = await collect(201, "2024-03-12T09:29:00Z");
  const after = await collect(301, "2024-03-12T09:31:00Z");
  await putBack(old);

  expect(await end(before)).toBe("superseded");
  expect(await inPlace()).toMatchObject({ rows: ["1", "1"], runs: [old.runId, old.runId] });
  expect(await end(after)).toBe("published");
  expect(await inPlace()).toMatchObject({ rows: ["301", "301"], runs: [after.runId, after.runId] });
});

test("what is published between the question and its answer stays only if it was requested after it", async () => {
  const old = await publish(1, monday);
  await publish(101, nextMonday);
  const planned = await plan(old.runId);
  await publish(201, "2024-03-12T09:29:00Z");
  await rollBack(planned, { data, now });
  expect(await inPlace()).toMatchObject({ rows: ["1", "1"], runs: [old.runId, old.runId] });

  const again = await plan(runOf("rows from 201").runId);
  const after = await publish(301, "2024-03-12T09:31:00Z");
  await expect(rollBack(again, { data, now })).rejects.toMatchObject({
    name: "NewerRunPublished",
    sentence: expect.stringContaining(after.runId),
  });
  expect(await inPlace()).toMatchObject({ rows: ["301", "301"], runs: [after.runId, after.runId] });
});

test("a clock that is slow does not stop it, and its files are not older than those they replace", async () => {
  const old = await publish(1, monday);
  await publish(101, nextMonday);

  await putBack(old, new Date("2024-03-11T10:58:00Z"));

  expect(await inPlace()).toEqual({
    rows: ["1", "1"],
    runs: [old.runId, old.runId],
    requestedAt: ["2024-03-11T11:00:00.000Z", "2024-03-11T11:00:00.000Z"],
  });
});

test("a run that the work bucket has forgotten is found by its versions", async () => {
  const old = await publish(1, monday);
  await publish(101, nextMonday);
  await s3().send(new DeleteObjectCommand({ Bucket: work.bucket, Key: keys.run(old.runId) }));

  await putBack(old);

  expect(await inPlace()).toMatchObject({ rows: ["1", "1"], runs: [old.runId, old.runId] });
});

test("a file that no run wrote is replaced, and is told as such", async () => {
  const old = await publish(1, monday);
  await data.put(csvKey, "by hand", "text/csv");

  expect(rollbackText(await plan(old.runId))).toMatch(/ in place of a file that no run wrote \(20/);
  await putBack(old);

  expect(await inPlace()).toMatchObject({ rows: ["1", "1"], runs: [old.runId, old.runId] });
});

test("where no version is the run's, the runs that can be put back are named, each once, the newest first", async () => {
  const nothing = await collect(901, monday);
  const [first, second] = [await publish(1, monday), await publish(101, nextMonday)];
  await putBack(first);
  const third = await publish(201, "2024-03-13T11:00:00Z");

  const sentence = new RegExp(
    `Runs that can be put back: ${first.runId} \\(2 rows, [^)]*\\), ${second.runId} \\(2 rows, [^)]*\\)\\. \\(run `,
  );
  await expect(plan(nothing.runId)).rejects.toMatchObject({
    name: "RunVersionGone",
    sentence: expect.stringMatching(sentence),
  });
  await expect(plan("reference-transactions-000000000000")).rejects.toMatchObject({
    name: "RunUnknown",
    sentence: expect.stringMatching(sentence),
  });
  expect(await inPlace()).toMatchObject({ runs: [third.runId, third.runId] });
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
  expect(await inPlace()).toMatchObject({ runs: [newer.runId, newer.runId] });
});

test("where the bucket keeps no versions, it says where to look", async () => {
  data = await aws.bucket();
  const old = await publish(1, monday);
  await publish(101, nextMonday);

  await expect(plan(old.runId)).rejects.toMatchObject({
    name: "RunVersionGone",
    sentence: expect.stringContaining("see that the data bucket keeps versions"),
  });
});

test("a run of a dataset that is no longer collected is told so", async () => {
  const run = { ...runOf("gone"), dataset: "gate-counts" };
  await putRun(run, work);

  await expect(plan(run.runId)).rejects.toMatchObject({ name: "UnknownDataset" });
});
