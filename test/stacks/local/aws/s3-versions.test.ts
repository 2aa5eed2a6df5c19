// Buckets with versions, as an SDK client meets them on the local S3.
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandInput,
  type ListObjectVersionsCommandOutput,
  type ObjectVersion,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Bucket, put, read, refused, startBucket, temporaryFolder } from "./clients.ts";

function enable(s3: S3Client, bucket = Bucket) {
  return s3.send(
    new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: "Enabled" } }),
  );
}

async function startVersioned(folder?: string) {
  const started = await startBucket(folder);
  await enable(started.s3);
  return started;
}

async function list(s3: S3Client, given: Partial<ListObjectVersionsCommandInput> = {}) {
  const { Versions = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket, ...given }));
  return Versions;
}

const ids = (versions: readonly ObjectVersion[]) => versions.map(({ VersionId }) => VersionId);

/** A multipart upload whose last step is refused. */
async function failAtTheEnd(s3: S3Client, Key: string): Promise<void> {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts = [{ PartNumber: 1, ETag: '"never uploaded"' }];
  const complete = new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
  await expect(s3.send(complete)).rejects.toMatchObject({ name: "InvalidPart" });
}

test("every write makes a version that stays what it was; refused writes make none", async () => {
  const { s3 } = await startVersioned();
  const write = fc.record({
    key: fc.constantFrom("a.csv", "a.csv.bak", "B/é\u{1F4DA} &.csv"),
    body: fc.string({ unit: "grapheme", maxLength: 50 }),
    contentType: fc.constantFrom("text/csv", "application/x-ndjson"),
    run: fc.stringMatching(/^[a-z]{1,9}$/),
    isRefused: fc.boolean(),
  });
  let folders = 0;

  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 8 }), async (writes) => {
      folders += 1;
      const folder = `${folders}/`;
      const written: { key: string; id: string; head: unknown; body: string }[] = [];
      for (const { key, body, contentType, run, isRefused } of writes) {
        const Key = folder + key;
        const object = { Bucket, Key, Body: Buffer.from(body), ContentType: contentType, Metadata: { run } };
        if (isRefused) {
          const another = new PutObjectCommand({ ...object, IfMatch: '"other"' });
          await expect(s3.send(another)).rejects.toThrow();
          continue;
        }
        const { VersionId: id = "" } = await s3.send(new PutObjectCommand(object));
        const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
        expect(head).toMatchObject({ VersionId: id, ContentType: contentType });
        expect(head.Metadata).toEqual({ run });
        written.unshift({ key: Key, id, head: { ...head, $metadata: {} }, body });
      }

      const versions = await list(s3, { Prefix: folder });
      const byKey = Map.groupBy(written, ({ key }) => key);
      const keys = [...byKey.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const expected = keys.flatMap((key) =>
        (byKey.get(key) ?? []).map(({ id }, index) => ({ Key: key, VersionId: id, IsLatest: index === 0 })),
      );
      expect(versions).toMatchObject(expected);
      for (const { key, id, head, body } of written) {
        const now = await s3.send(new HeadObjectCommand({ Bucket, Key: key, VersionId: id }));
        expect({ ...now, $metadata: {} }).toEqual(head);
        const listed = versions.find(({ VersionId }) => VersionId === id);
        expect(listed).toMatchObject({
          ETag: now.ETag,
          Size: now.ContentLength,
          LastModified: now.LastModified,
        });
        expect(await read(s3, key, id)).toBe(body);
      }
    }),
    { numRuns: 25 },
  );
});

test("a multipart upload makes one version, the newest at its end", async () => {
  const { s3 } = await startVersioned();
  const bytes = Buffer.alloc(6 * 1024 * 1024, "large");
  const params = { Bucket, Key: "a", Body: bytes, Metadata: { run: "large" } };
  const large = await new Upload({ client: s3, params }).done();
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "a" }));
  const part = { Bucket, Key: "a", UploadId, PartNumber: 1 };
  const { ETag } = await s3.send(new UploadPartCommand({ ...part, Body: "slow" }));
  const between = await put(s3, "a", "between");
  const Parts = [{ PartNumber: 1, ETag }];
  const slow = await s3.send(
    new CompleteMultipartUploadCommand({ Bucket, Key: "a", UploadId, MultipartUpload: { Parts } }),
  );

  expect(ids(await list(s3))).toEqual([slow.VersionId, between.VersionId, large.VersionId]);
  const { Body, ...old } = await s3.send(
    new GetObjectCommand({ Bucket, Key: "a", VersionId: large.VersionId }),
  );
  expect(old).toMatchObject({
    ETag: large.ETag,
    VersionId: large.VersionId,
    Metadata: { run: "large" },
    ContentLength: bytes.length,
  });
  expect(bytes.equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true);
});

test("of twenty writers that replace one version exactly one makes the next", async () => {
  const { s3 } = await startVersioned();
  const first = await put(s3, "a", "first");

  const writes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, n) => put(s3, "a", `writer ${n}`, { IfMatch: first.ETag ?? "" })),
  );

  const won = writes.flatMap((write) => (write.status === "fulfilled" ? [write.value.VersionId] : []));
  for (const write of writes) if (write.status === "rejected") expect(write.reason).toMatchObject(refused);
  expect(won).toHaveLength(1);
  expect(ids(await list(s3))).toEqual([...won, first.VersionId]);
});

test("a version can be read at every moment while others replace it", async () => {
  const { s3 } = await startVersioned();
  const { VersionId } = await put(s3, "a", "first");

  const reads = await Promise.all(
    Array.from({ length: 15 }, async (_, n) => {
      const [text] = await Promise.all([read(s3, "a", VersionId), put(s3, "a", `writer ${n}`)]);
      return text;
    }),
  );

  expect(new Set(reads)).toEqual(new Set(["first"]));
});

test("versions survive a restart, and whatever a process that was killed left half done", async () => {
  const folder = await temporaryFolder();
  const before = await startVersioned(folder);
  const first = await put(before.s3, "a", "first");
  const second = await put(before.s3, "a", "second");
  // The second is kept already, and still in place.
  await failAtTheEnd(before.s3, "a");
  await before.stop();
  // fauxqs keeps an object as a file with `.data` behind its key; it wrote the next body, and not yet its ETag.
  await writeFile(join(folder, "s3", "buckets", "work", "objects", "a.data"), "future");
  await writeFile(join(folder, "versions/half"), "sec");
  await writeFile(join(folder, "versions.json.draft"), '{"work":');

  const after = await startVersioned(folder);
  expect(ids(await list(after.s3))).toEqual([second.VersionId, first.VersionId]);
  expect(await read(after.s3, "a", second.VersionId)).toBe("second");
  const third = await put(after.s3, "a", "third", { IfMatch: second.ETag ?? "" });

  expect(ids(await list(after.s3))).toEqual([third.VersionId, second.VersionId, first.VersionId]);
  expect(await read(after.s3, "a", first.VersionId)).toBe("first");
  expect(await read(after.s3, "a", second.VersionId)).toBe("second");
  expect(await read(after.s3, "a")).toBe("third");
  expect(await readdir(join(folder, "versions"))).toHaveLength(2);
});

test("of each key the newest twenty versions are kept", async () => {
  const folder = await temporaryFolder();
  const { s3 } = await startVersioned(folder);
  const other = await put(s3, "b", "other");
  const made: (string | undefined)[] = [];
  for (let n = 0; n < 23; n++) made.unshift((await put(s3, "a", `${n}`)).VersionId);

  expect(ids(await list(s3))).toEqual([...made.slice(0, 20), other.VersionId]);
  expect(await read(s3, "a", made[19])).toBe("3");
  await expect(read(s3, "a", made[20])).rejects.toMatchObject({ name: "NoSuchVersion" });
  expect(await readdir(join(folder, "versions"))).toHaveLength(19);
});

type Marker = Pick<ListObjectVersionsCommandInput, "KeyMarker" | "VersionIdMarker">;

test("pages of any size add up to the whole list", async () => {
  const { s3 } = await startVersioned();
  for (const key of ["p/b", "p/a", "p/b", "p/A", "p/b", "p/é", "q", "p/a"]) await put(s3, key, key);
  const whole = await list(s3, { Prefix: "p/" });
  expect(whole.map(({ Key }) => Key)).toEqual(["p/A", "p/a", "p/a", "p/b", "p/b", "p/b", "p/é"]);

  for (let size = 1; size <= whole.length + 1; size++) {
    const pages: ObjectVersion[][] = [];
    for (let marker: Marker | undefined = {}; marker && pages.length <= whole.length; ) {
      const page: ListObjectVersionsCommandOutput = await s3.send(
        new ListObjectVersionsCommand({ Bucket, Prefix: "p/", MaxKeys: size, ...marker }),
      );
      pages.push(page.Versions ?? []);
      marker = page.IsTruncated
        ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
        : undefined;
    }
    expect(pages).toHaveLength(Math.ceil(whole.length / size));
    expect(pages.flat()).toEqual(whole);
  }
  expect((await list(s3, { KeyMarker: "p/b" })).map(({ Key }) => Key)).toEqual(["p/é", "q"]);
});

test("what was there before the bucket had versions is the version null", async () => {
  const { s3 } = await startBucket();
  const before = await put(s3, "a", "before");
  expect(before.VersionId).toBeUndefined();
  expect(await list(s3)).toMatchObject([{ VersionId: "null", IsLatest: true }]);
  expect((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();

  await enable(s3);
  // Done at every start.
  await enable(s3);
  expect(await read(s3, "a", "null")).toBe("before");
  const { VersionId } = await put(s3, "a", "after");

  expect((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe("Enabled");
  expect(await list(s3)).toMatchObject([
    { VersionId, IsLatest: true },
    { VersionId: "null", IsLatest: false, ETag: before.ETag },
  ]);
  expect(await read(s3, "a", "null")).toBe("before");
});

test("a version that is not there is told as S3 does", async () => {
  const { s3 } = await startVersioned();
  const { VersionId } = await put(s3, "a", "x");
  const ask = (Key: string, bucket = Bucket) => ({ Bucket: bucket, Key, VersionId });

  await put(s3, "b", "x");
  for (const key of ["b", "c"]) {
    await expect(s3.send(new GetObjectCommand(ask(key)))).rejects.toMatchObject({
      name: "NoSuchVersion",
      $metadata: { httpStatusCode: 404 },
    });
    await expect(s3.send(new HeadObjectCommand(ask(key)))).rejects.toMatchObject({ name: "NotFound" });
  }
  await expect(s3.send(new GetObjectCommand(ask("a", "nobody")))).rejects.toMatchObject({
    name: "NoSuchBucket",
  });
  await expect(enable(s3, "nobody")).rejects.toMatchObject({ name: "NoSuchBucket" });
  await expect(s3.send(new ListObjectVersionsCommand({ Bucket: "nobody" }))).rejects.toMatchObject({
    name: "NoSuchBucket",
  });
});

test("refuses what would lose a version, and what it can't list", async () => {
  const { s3 } = await startVersioned();
  const { VersionId } = await put(s3, "a", "x");
  const notImplemented = { name: "NotImplemented", $metadata: { httpStatusCode: 501 } };

  for (const ask of [
    () => s3.send(new DeleteObjectCommand({ Bucket, Key: "a" })),
    () => s3.send(new DeleteObjectCommand({ Bucket, Key: "a", VersionId })),
    () => s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "a" }] } })),
    () => s3.send(new CopyObjectCommand({ Bucket, Key: "b", CopySource: `${Bucket}/a` })),
    () => s3.send(new ListObjectVersionsCommand({ Bucket, Delimiter: "/" })),
  ]) {
    await expect(ask()).rejects.toMatchObject(notImplemented);
  }
  await expect(s3.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({
    name: "BucketNotEmpty",
  });
  expect(ids(await list(s3))).toEqual([VersionId]);
});

test("a bucket that is made anew has no versions until it is told to", async () => {
  const { s3 } = await startVersioned();
  await s3.send(new DeleteBucketCommand({ Bucket }));
  await s3.send(new CreateBucketCommand({ Bucket }));

  expect((await put(s3, "a", "x")).VersionId).toBeUndefined();
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "a" }));
});
