import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { AbortMultipartUploadCommand, type AbortMultipartUploadCommandInput } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { s3 } from "../../../shared/aws/clients.ts";
import { type Condition, Store } from "../../../shared/aws/store.ts";
import { type LocalAws, startLocalAws } from "../../support/local-aws.ts";

const megabyte = 1024 * 1024;
let aws: LocalAws;
let store: Store;
beforeAll(async () => {
  aws = await startLocalAws();
  store = await aws.bucket();
});
afterAll(() => aws.close());

let made = 0;
/** A key of the test's own. */
function newKey(): string {
  made += 1;
  return `runs/${made}/run.json`;
}

test("of twenty that write a key once, exactly one does, and its value stays", async () => {
  const key = newKey();
  const writers = Array.from({ length: 20 }, (_, writer) => writer);

  const wrote = await Promise.all(writers.map((writer) => store.putOnce(key, { writer })));

  const winners = writers.filter((writer) => wrote[writer]);
  expect(winners).toHaveLength(1);
  expect(await store.getJson(key, z.unknown())).toEqual({ writer: winners[0] });
  expect(await store.putOnce(key, { writer: 21 })).toBe(false);
});

test("any text is read back as it was written, the empty one too", async () => {
  for (const text of ["", "\uFEFFid\n", "\u{1F4DA} Où?\r\n\u0000"]) {
    const key = newKey();
    const before = Math.floor(Date.now() / 1000) * 1000;
    const etag = await store.put(key, text, "text/csv; charset=utf-8");
    expect(await store.getBytes(key, etag)).toEqual(new Uint8Array(Buffer.from(text)));
    const { at, ...rest } = (await store.head(key)) ?? {};
    expect(at?.getTime()).toBeGreaterThanOrEqual(before);
    expect(at?.getTime()).toBeLessThanOrEqual(Date.now());
    expect(rest).toEqual({
      etag,
      bytes: Buffer.byteLength(text),
      contentType: "text/csv; charset=utf-8",
      metadata: {},
    });
  }
});

test("text and JSON are read as they were written; JSON of another shape is an error", async () => {
  const key = newKey();
  await store.put(key, '{"n":1,"text":"\u{1F4DA}"}', "application/json");

  expect(await store.getText(key)).toBe('{"n":1,"text":"\u{1F4DA}"}');
  expect(await store.getJson(key, z.object({ n: z.number() }))).toEqual({ n: 1 });
  await expect(store.getJson(key, z.object({ n: z.string() }))).rejects.toThrow(z.ZodError);
});

test("what is not there is undefined, but a bucket that is not there is an error", async () => {
  expect(await store.getText("runs/none")).toBeUndefined();
  expect(await store.getJson("runs/none", z.unknown())).toBeUndefined();
  expect(await store.head("runs/none")).toBeUndefined();
  await expect(store.stream("runs/none")).rejects.toMatchObject({ name: "NoSuchKey" });
  await expect(new Store(s3(), "no-such-bucket").put("a/b", "", "text/plain")).rejects.toMatchObject({
    name: "NoSuchBucket",
  });
});

test("bytes are those of the ETag, or have changed", async () => {
  const key = newKey();
  const old = await store.put(key, "old", "text/plain");
  const current = await store.put(key, "new", "text/plain");

  expect(await store.getBytes(key, current)).toEqual(new Uint8Array(Buffer.from("new")));
  expect(await store.getBytes(key, old)).toBe("changed");
  expect(await store.getBytes("runs/none", old)).toBe("changed");
});

test("the start of an object ends where it was told to, or with the object", async () => {
  const key = newKey();
  await store.put(key, "one,two\n1,2\n", "text/csv");

  expect(await store.getStart(key, 7)).toBe("one,two");
  expect(await store.getStart(key, 1_000)).toBe("one,two\n1,2\n");
});

test("a list has every key below the prefix, in order, over S3's pages of a thousand", async () => {
  const folder = `lists/${newKey()}`;
  const keys = Array.from({ length: 1_005 }, (_, n) => `${folder}/${String(n).padStart(6, "0")}`);
  await store.put(`${folder}-other`, "", "text/plain");
  for (let from = 0; from < keys.length; from += 50) {
    await Promise.all(keys.slice(from, from + 50).map((key) => store.put(key, "", "text/plain")));
  }

  expect(await store.list(`${folder}/`, keys.length)).toEqual(keys);
  expect(await store.list(`${folder}/0010`, 5)).toEqual(keys.slice(-5));
  expect(await store.list(`${folder}/none`, 5)).toEqual([]);
  for (const limit of [keys.length - 1, 3]) {
    await expect(store.list(`${folder}/`, limit)).rejects.toMatchObject({
      name: "TooManyObjects",
      kind: "terminal",
      ids: { prefix: `${folder}/` },
    });
  }
});

/** S3 answers with `size` versions at a time, however many are asked for. */
function listInPagesOf(size: number): { pages: () => number } {
  let pages = 0;
  const name = "listInPagesOf";
  s3().middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName !== "ListObjectVersionsCommand") return next(args);
        pages += 1;
        return next(Object.assign({}, args, { input: { ...args.input, MaxKeys: size } }));
      },
    { step: "initialize", name },
  );
  onTestFinished(() => {
    s3().middlewareStack.remove(name);
  });
  return { pages: () => pages };
}

test("the versions of a key are those of this key alone, the newest first, and stay readable", async () => {
  const { data } = aws;
  const key = newKey();
  for (const other of [`${key}.bak`, key.slice(0, -1)]) await data.put(other, "another", "text/csv");
  const texts = ["one", "two", "three", "four", "five"];
  for (const text of texts) {
    const condition = (await data.head(key))?.etag;
    await data.upload(key, Readable.from([Buffer.from(text)]), {
      contentType: `text/${text}`,
      metadata: { "run-id": text },
      condition: condition === undefined ? "absent" : { ifMatch: condition },
    });
  }

  const versions = await data.listVersions(key, 100);
  expect(versions.map(({ isLatest }) => isLatest)).toEqual([true, false, false, false, false]);
  const times = versions.map(({ at }) => at.getTime());
  expect(times).toEqual(times.toSorted((a, b) => b - a));
  for (const [index, { versionId }] of versions.entries()) {
    const text = texts[4 - index] ?? "";
    expect(await data.head(key, versionId)).toMatchObject({
      bytes: text.length,
      contentType: `text/${text}`,
      metadata: { "run-id": text },
    });
    expect(await textOf(await data.stream(key, versionId))).toBe(text);
  }
  expect(await data.listVersions(key, 2)).toEqual(versions.slice(0, 2));
  const { pages } = listInPagesOf(2);
  expect(await data.listVersions(key, 100)).toEqual(versions);
  expect(pages()).toBe(3);
});

test("of an object that is not there, or of a bucket that keeps none, there are no earlier versions", async () => {
  const key = newKey();
  expect(await aws.data.listVersions(key, 10)).toEqual([]);
  await store.put(key, "one", "text/plain");
  await store.put(key, "two", "text/plain");

  const versions = await store.listVersions(key, 10);

  expect(versions).toEqual([{ versionId: "null", at: expect.any(Date), isLatest: true }]);
  expect(await textOf(await store.stream(key, "null"))).toBe("two");
  expect(await store.head(key, "0123456789abcdef0123456789abcdef")).toBeUndefined();
  await expect(store.stream(key, "0123456789abcdef0123456789abcdef")).rejects.toMatchObject({
    name: "NoSuchVersion",
  });
  await expect(new Store(s3(), "no-such-bucket").listVersions(key, 10)).rejects.toMatchObject({
    name: "NoSuchBucket",
  });
});

test("deletions are not told, and none is the latest where the newest is one", async () => {
  const name = "deletions";
  const entry = (VersionId: string, Key = "a") => ({
    Key,
    VersionId,
    LastModified: new Date(0),
    IsLatest: false,
  });
  const answers = [
    { DeleteMarkers: [entry("4"), entry("3")], Versions: [], IsTruncated: true, NextKeyMarker: "a" },
    { DeleteMarkers: [], Versions: [entry("2"), entry("9", "ab")], IsTruncated: true, NextKeyMarker: "ab" },
    { DeleteMarkers: [], Versions: [entry("8", "ab")], IsTruncated: true, NextKeyMarker: "ab" },
  ];
  s3().middlewareStack.add(
    () => async () => ({ output: { $metadata: {}, ...answers.shift() }, response: {} }),
    { step: "initialize", name },
  );
  onTestFinished(() => {
    s3().middlewareStack.remove(name);
  });

  expect(await store.listVersions("a", 100)).toEqual([{ versionId: "2", at: new Date(0), isLatest: false }]);
  expect(answers).toEqual([]);
});

/** Bytes that differ from place to place, in chunks that do not fit the parts. */
function* chunks(bytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes; at += 700_001) yield Buffer.alloc(Math.min(700_001, bytes - at), String(at));
}

function sha256(parts: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

const options = (condition: Condition) => ({
  contentType: "text/csv",
  metadata: { "run-id": "gate-counts-1" },
  condition,
});

const small = 5_000;
/** Two parts of 16 MiB. */
const large = 20 * megabyte;

/** Remembers the multipart uploads of the test. `open` are those that S3 still keeps; it aborts them. */
function watchUploads() {
  const begun: AbortMultipartUploadCommandInput[] = [];
  const answer = z.object({ Bucket: z.string(), Key: z.string(), UploadId: z.string() });
  const name = "watchUploads";
  s3().middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args);
      if (context.commandName === "CreateMultipartUploadCommand") begun.push(answer.parse(result.output));
      return result;
    },
    { step: "initialize", name },
  );
  onTestFinished(() => {
    s3().middlewareStack.remove(name);
  });
  return {
    begun: () => begun.length,
    async open() {
      const aborts = await Promise.allSettled(
        begun.map((upload) => s3().send(new AbortMultipartUploadCommand(upload))),
      );
      for (const abort of aborts) {
        if (abort.status === "rejected") expect(abort.reason).toMatchObject({ name: "NoSuchUpload" });
      }
      return aborts.filter(({ status }) => status === "fulfilled").length;
    },
  };
}

test.each([
  ["nothing", 0, 0],
  ["a small object", small, 0],
  ["a large object", large, 1],
])("%s is written whole where there is none, with its metadata", async (_what, bytes, multipart) => {
  const uploads = watchUploads();
  const key = newKey();

  const etag = await store.upload(key, Readable.from(chunks(bytes)), options("absent"));

  expect(await store.head(key)).toMatchObject({ etag, bytes, metadata: { "run-id": "gate-counts-1" } });
  const read: Buffer[] = [];
  for await (const chunk of await store.stream(key)) read.push(Buffer.from(chunk));
  expect(sha256(read)).toBe(sha256(chunks(bytes)));
  expect(uploads.begun()).toBe(multipart);
  expect(await uploads.open()).toBe(0);
});

test.each([
  ["small", small],
  ["large", large],
])("a %s object is written only if the one before it is as it was seen", async (_size, bytes) => {
  const uploads = watchUploads();
  const key = newKey();
  const upload = (condition: Condition) =>
    store.upload(key, Readable.from(chunks(bytes)), options(condition));
  const seen = await store.put(key, "seen", "text/csv");
  const changed = await store.put(key, "changed", "text/csv");

  expect(await upload("absent")).toBeUndefined();
  expect(await upload({ ifMatch: seen })).toBeUndefined();
  expect(await store.getText(key)).toBe("changed");
  const gone = await store.upload("runs/none", Readable.from(chunks(bytes)), options({ ifMatch: seen }));
  expect(gone).toBeUndefined();
  expect(await store.head("runs/none")).toBeUndefined();
  const etag = await upload({ ifMatch: changed });
  expect(await store.head(key)).toMatchObject({ etag, bytes });
  expect(await uploads.open()).toBe(0);
});

test.each([
  ["before its first byte", 0, 0],
  ["within its first part", small, 0],
  ["after its first part", large, 1],
])("a stream that fails %s leaves the old object and no upload", async (_when, bytes, multipart) => {
  const uploads = watchUploads();
  const key = newKey();
  const etag = await store.put(key, "old", "text/csv");
  const body = Readable.from(
    (function* () {
      yield* chunks(bytes);
      throw new Error("A part is gone.");
    })(),
  );

  await expect(store.upload(key, body, options({ ifMatch: etag }))).rejects.toThrow("A part is gone.");

  expect(await store.getText(key)).toBe("old");
  expect(body.destroyed).toBe(true);
  expect(uploads.begun()).toBe(multipart);
  expect(await uploads.open()).toBe(0);
});

test("a stream that S3 does not take is closed, after no more than the parts that memory may hold", async () => {
  let read = 0;
  const body = Readable.from(
    (function* () {
      // Without an end.
      for (const chunk = Buffer.alloc(megabyte); ; read += chunk.length) yield chunk;
    })(),
  );
  const nowhere = new Store(s3(), "no-such-bucket");

  await expect(nowhere.upload("a/b", body, options("absent"))).rejects.toMatchObject({
    name: "NoSuchBucket",
  });

  expect(body.destroyed).toBe(true);
  expect(read).toBeLessThan(4 * 16 * megabyte);
});
