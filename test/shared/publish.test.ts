import { Readable } from "node:stream";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { s3 } from "../../shared/aws/clients.ts";
import type { Store } from "../../shared/aws/store.ts";
import { publishNewest } from "../../shared/publish.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws.ts";

let aws: LocalAws;
let data: Store;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

const key = "gates/csv/gates.csv";
const monday = { runId: "gate-counts-monday", requestedAt: "2026-03-02T06:00:00Z" };
const tuesday = { runId: "gate-counts-tuesday", requestedAt: "2026-03-03T06:00:00Z" };

/** Publishes its own id as the content, into a bucket of the test's own where none is given. */
async function publish(run: typeof monday, body = async () => Readable.from([Buffer.from(run.runId)])) {
  return publishNewest(data, key, run, body, { contentType: "text/csv", metadata: { rows: "3" } });
}

async function newBucket(): Promise<void> {
  data = await aws.bucket();
}

test("the first run publishes, and the object says whose it is", async () => {
  await newBucket();

  const published = await publish(monday);

  const object = await data.head(key);
  expect(published).toEqual({ superseded: false, object });
  expect(object).toMatchObject({
    bytes: monday.runId.length,
    metadata: { "run-id": monday.runId, "requested-at": monday.requestedAt, rows: "3" },
  });
  expect(await data.getText(key)).toBe(monday.runId);
});

test("a newer run replaces an older one", async () => {
  await newBucket();
  await publish(monday);

  expect(await publish(tuesday)).toMatchObject({ superseded: false });

  expect(await data.getText(key)).toBe(tuesday.runId);
});

test("an older run leaves the newer one's object and is told whose it is, without making its content", async () => {
  await newBucket();
  await publish(tuesday);
  const before = await data.head(key);

  const unneeded = () => Promise.reject(new Error("This content is not needed."));
  expect(await publish(monday, unneeded)).toEqual({ superseded: true, by: tuesday.runId });

  expect(await data.head(key)).toEqual(before);
});

test("a run that publishes a second time, or was requested in the same second, is not superseded", async () => {
  await newBucket();
  await publish(monday);

  expect(await publish(monday)).toMatchObject({ superseded: false });
  const twin = { ...monday, runId: "gate-counts-twin" };
  expect(await publish(twin)).toMatchObject({
    superseded: false,
    object: { metadata: { "run-id": twin.runId } },
  });
});

test("times are compared as times, whatever their fractions", async () => {
  await newBucket();
  await publish({ ...monday, requestedAt: "2026-03-02T06:00:00.500Z" });

  expect(await publish({ ...tuesday, requestedAt: "2026-03-02T06:00:00Z" })).toMatchObject({
    superseded: true,
  });
  expect(await publish({ ...tuesday, requestedAt: "2026-03-02T06:00:01Z" })).toMatchObject({
    superseded: false,
  });
});

test("an object without a run, as the predecessor's, is replaced", async () => {
  await newBucket();
  await data.put(key, "by hand", "text/csv");

  expect(await publish(monday)).toMatchObject({ superseded: false });

  expect(await data.getText(key)).toBe(monday.runId);
});

/** A body that is made while another writer puts its own object in the place. */
function contended(run: typeof monday, rivals: (typeof monday)[]) {
  let made = 0;
  const body = async () => {
    const rival = rivals[made];
    made += 1;
    if (rival) await write(rival, `rival ${made}`);
    return Readable.from([Buffer.from(run.runId)]);
  };
  return { body, made: () => made };
}

async function write(run: typeof monday, text: string): Promise<void> {
  await s3().send(
    new PutObjectCommand({
      Bucket: data.bucket,
      Key: key,
      Body: text,
      Metadata: { "run-id": run.runId, "requested-at": run.requestedAt },
    }),
  );
}

const older = { runId: "gate-counts-sunday", requestedAt: "2026-03-01T06:00:00Z" };

test("a run that others get in the way of tries again with its content made anew", async () => {
  await newBucket();
  const { body, made } = contended(monday, [older, older, older, older]);

  expect(await publish(monday, body)).toMatchObject({ superseded: false });

  expect(made()).toBe(5);
  expect(await data.getText(key)).toBe(monday.runId);
});

test("a run that a newer one overtakes on the way is superseded", async () => {
  await newBucket();
  const { body, made } = contended(monday, [older, tuesday]);

  expect(await publish(monday, body)).toEqual({ superseded: true, by: tuesday.runId });

  expect(made()).toBe(2);
  expect(await data.getText(key)).toBe("rival 2");
});

test("a run that others get in the way of every time gives up after five attempts, to be tried again", async () => {
  await newBucket();
  const { body, made } = contended(monday, Array(9).fill(older));

  await expect(publish(monday, body)).rejects.toMatchObject({
    name: "PublishContended",
    kind: "transient",
    ids: { run: monday.runId },
  });

  expect(made()).toBe(5);
  expect(await data.getText(key)).toBe("rival 5");
});

test("content that fails on the way leaves the object that was there", async () => {
  await newBucket();
  await publish(monday);
  const broken = async () =>
    Readable.from(
      (function* () {
        yield Buffer.from("half");
        throw new Error("A part is gone.");
      })(),
    );

  await expect(publish(tuesday, broken)).rejects.toThrow("A part is gone.");

  expect(await data.getText(key)).toBe(monday.runId);
});
