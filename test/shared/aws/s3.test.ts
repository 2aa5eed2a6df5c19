// The object store on S3 with responses that MiniStack never sends. The tests respond in the SDK's middleware.
import { Readable } from "node:stream";
import { S3Client, S3ServiceException, type ServiceOutputTypes } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { S3Store } from "../../../shared/aws/s3.ts";
import type { Condition, ObjectStore } from "../../../shared/ports.ts";
import { intercept, offline } from "../../contracts/inject.ts";

/** Returns a store with these responses in turn. A text is the name of an error that S3 throws. */
function responding(...responses: (string | object)[]) {
  const client = new S3Client(offline);
  const calls: { command: string; input: object }[] = [];
  intercept(client, async (call): Promise<ServiceOutputTypes> => {
    calls.push(call);
    const response = responses[Math.min(calls.length, responses.length) - 1] ?? {};
    if (typeof response === "object") return { $metadata: {}, ...response };
    const httpStatusCode = { NoSuchKey: 404, ConditionalRequestConflict: 409, PreconditionFailed: 412 }[
      response
    ];
    throw new S3ServiceException({
      name: response,
      $fault: "client",
      $metadata: { httpStatusCode: httpStatusCode ?? 403 },
    });
  });
  return { calls, store: new S3Store(client, "bucket") };
}

const etag = '"0123456789abcdef"';
const uploadOn = (condition: Condition) => (store: ObjectStore) =>
  store.upload("key", Readable.from([Buffer.from("x")]), {
    contentType: "text/csv",
    metadata: {},
    condition,
  });

test.each([
  ["putOnce", "PreconditionFailed", (store: ObjectStore) => store.putOnce("key", {}), false],
  ["replaceJson", "PreconditionFailed", (store: ObjectStore) => store.replaceJson("key", {}, etag), false],
  // Another conditional write was faster.
  [
    "replaceJson",
    "ConditionalRequestConflict",
    (store: ObjectStore) => store.replaceJson("key", {}, etag),
    false,
  ],
  ["replaceJson", "NoSuchKey", (store: ObjectStore) => store.replaceJson("key", {}, etag), false],
  ["upload", "PreconditionFailed", uploadOn("absent"), undefined],
  ["upload", "ConditionalRequestConflict", uploadOn("absent"), undefined],
  ["upload", "PreconditionFailed", uploadOn({ ifMatch: etag }), undefined],
  ["upload", "ConditionalRequestConflict", uploadOn({ ifMatch: etag }), undefined],
  ["upload", "NoSuchKey", uploadOn({ ifMatch: etag }), undefined],
])("does not repeat %s that S3 refuses with %s", async (_method, name, write, lost) => {
  const { store, calls } = responding(name);
  expect(await write(store)).toBe(lost);
  expect(calls.map(({ command }) => command)).toEqual(["PutObject"]);
});

test.each([
  // The other write of the key may still fail.
  ["putOnce", "ConditionalRequestConflict", (store: ObjectStore) => store.putOnce("key", {})],
  ["putOnce", "AccessDenied", (store: ObjectStore) => store.putOnce("key", {})],
  [
    "put without a condition",
    "PreconditionFailed",
    (store: ObjectStore) => store.put("key", "", "text/plain"),
  ],
  ["upload", "AccessDenied", uploadOn("absent")],
  ["getBytes", "AccessDenied", (store: ObjectStore) => store.getBytes("key")],
  ["getStart", "NoSuchKey", (store: ObjectStore) => store.getStart("key", 10)],
  ["head", "AccessDenied", (store: ObjectStore) => store.head("key")],
])("%s throws %s", async (_method, name, call) => {
  await expect(call(responding(name).store)).rejects.toMatchObject({ name });
});

test("does not list delete markers as versions, and lists no latest version after a deletion", async () => {
  const entry = (VersionId: string, Key = "a") => ({
    Key,
    VersionId,
    LastModified: new Date(0),
    IsLatest: false,
  });
  const { store, calls } = responding(
    {
      DeleteMarkers: [entry("4"), entry("3")],
      IsTruncated: true,
      NextKeyMarker: "a",
      NextVersionIdMarker: "3",
    },
    {
      Versions: [entry("2"), entry("9", "ab")],
      IsTruncated: true,
      NextKeyMarker: "ab",
      NextVersionIdMarker: "9",
    },
    { Versions: [entry("8", "ab")], IsTruncated: true, NextKeyMarker: "ab" },
  );
  expect(await store.listVersions("a", 100)).toEqual([{ versionId: "2", at: new Date(0), isLatest: false }]);
  expect(calls.map(({ input }) => input)).toMatchObject([
    { Prefix: "a", MaxKeys: 100 },
    { MaxKeys: 98, KeyMarker: "a", VersionIdMarker: "3" },
    { MaxKeys: 97, KeyMarker: "ab", VersionIdMarker: "9" },
  ]);
});

test("closes a stream that S3 rejects, after reading no more than the parts in memory", async () => {
  const megabyte = 1024 * 1024;
  let read = 0;
  const body = Readable.from(
    (function* () {
      // Endless.
      for (const chunk = Buffer.alloc(megabyte); ; read += chunk.length) yield chunk;
    })(),
  );
  const { store } = responding("AccessDenied");
  const options = { contentType: "text/csv", metadata: {}, condition: "absent" } as const;
  await expect(store.upload("key", body, options)).rejects.toMatchObject({ name: "AccessDenied" });
  expect(body.destroyed).toBe(true);
  expect(read).toBeLessThan(20 * megabyte);
});
