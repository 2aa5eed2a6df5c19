import { createHash } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  type Event,
  GetBucketNotificationConfigurationCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { DeleteQueueCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { Upload } from "@aws-sdk/lib-storage";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { objectCreated, s3TestEvent } from "../../../../shared/aws/events.ts";
import {
  Bucket,
  createQueue,
  put,
  queueUrl,
  read,
  receiveJson,
  refused,
  startBucket,
  temporaryFolder,
} from "./clients.ts";

test("of twenty writers that all want to be the first exactly one wins", async () => {
  const { s3 } = await startBucket();
  const writers = Array.from({ length: 20 }, (_, writer) => `writer ${writer}`);

  const results = await Promise.allSettled(
    writers.map((writer) => put(s3, "runs/r/run.json", writer, { IfNoneMatch: "*" })),
  );

  const won = writers.filter((_, index) => results[index]?.status === "fulfilled");
  expect(won).toEqual([await read(s3, "runs/r/run.json")]);
  for (const result of results) {
    if (result.status === "rejected") expect(result.reason).toMatchObject(refused);
  }
});

test("of twenty writers that replace the version they read exactly one wins", async () => {
  const { s3 } = await startBucket();
  const { ETag } = await put(s3, "result.json", "first");
  const writers = Array.from({ length: 20 }, (_, writer) => `writer ${writer}`);

  const results = await Promise.allSettled(
    writers.map((writer) => put(s3, "result.json", writer, { IfMatch: ETag ?? "" })),
  );

  const won = writers.filter((_, index) => results[index]?.status === "fulfilled");
  expect(won).toEqual([await read(s3, "result.json")]);
  expect(won).toHaveLength(1);
});

test("a refused write leaves the object as it was, and the key free for the next write", async () => {
  const { s3 } = await startBucket();
  const { ETag = "" } = await put(s3, "a", "first");
  const other = '"00000000000000000000000000000000"';

  await expect(put(s3, "a", "second", { IfNoneMatch: "*" })).rejects.toMatchObject(refused);
  await expect(put(s3, "a", "second", { IfMatch: other })).rejects.toMatchObject(refused);
  expect(await read(s3, "a")).toBe("first");
  await put(s3, "a", "third", { IfMatch: ETag });
  expect(await read(s3, "a")).toBe("third");
});

test("If-Match on an object that is not there is NoSuchKey, in a bucket that is not there NoSuchBucket", async () => {
  const { s3 } = await startBucket();
  const replace = (bucket: string) =>
    s3.send(new PutObjectCommand({ Bucket: bucket, Key: "a", Body: "x", IfMatch: '"1"' }));

  await expect(replace(Bucket)).rejects.toMatchObject({
    name: "NoSuchKey",
    $metadata: { httpStatusCode: 404 },
  });
  await expect(replace("nobody")).rejects.toMatchObject({ name: "NoSuchBucket" });
});

test("a multipart upload is written under its condition or not at all", async () => {
  const { s3 } = await startBucket();
  const { ETag = "" } = await put(s3, "big.csv", "first");
  const upload = (condition: { IfMatch?: string; IfNoneMatch?: string }) =>
    new Upload({
      client: s3,
      params: { Bucket, Key: "big.csv", Body: Buffer.alloc(6 * 1024 * 1024, "x"), ...condition },
    }).done();

  await expect(upload({ IfNoneMatch: "*" })).rejects.toMatchObject(refused);
  await expect(upload({ IfMatch: '"other"' })).rejects.toMatchObject(refused);
  expect(await read(s3, "big.csv")).toBe("first");
  await upload({ IfMatch: ETag });
  await expect(upload({ IfMatch: ETag })).rejects.toMatchObject(refused);
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "big.csv" }));
  expect(head).toMatchObject({ ContentLength: 6 * 1024 * 1024, ETag: expect.stringMatching(/-2"$/) });
});

test("a client that goes away in the middle of its upload writes nothing and holds nobody up", async () => {
  const { endpoint, s3 } = await startBucket();
  const upload = request(`${endpoint}/${Bucket}/a`, {
    method: "PUT",
    headers: { "content-length": 1_000_000, expect: "100-continue" },
  });
  upload.on("error", () => undefined);
  upload.flushHeaders();
  // From here on the upload has its turn, and the next write waits for its end.
  await once(upload, "continue");
  upload.write(Buffer.alloc(1_000));
  const next = put(s3, "a", "whole", { IfNoneMatch: "*" });
  upload.destroy();
  await next;

  expect(await read(s3, "a")).toBe("whole");
});

test("twenty megabytes come back byte for byte, in parts and in one piece", async () => {
  const { s3 } = await startBucket();
  // Every byte tells its place, so that no swap goes unseen.
  const bytes = Buffer.alloc(20 * 1024 * 1024);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at);
  const digest = createHash("sha256").update(bytes).digest("hex");
  await new Upload({ client: s3, params: { Bucket, Key: "parts", Body: bytes } }).done();
  await s3.send(new PutObjectCommand({ Bucket, Key: "piece", Body: bytes }));

  for (const Key of ["parts", "piece"]) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    const read = await Body?.transformToByteArray();
    expect(read?.length).toBe(bytes.length);
    expect(
      createHash("sha256")
        .update(read ?? "")
        .digest("hex"),
    ).toBe(digest);
  }
});

test("a client that knows its endpoint from the environment only reads and writes", async () => {
  const { endpoint } = await startBucket();
  vi.stubEnv("AWS_ENDPOINT_URL_S3", endpoint);
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
  const s3 = new S3Client({});
  try {
    await put(s3, "a", "x", { IfNoneMatch: "*" });

    expect(await read(s3, "a")).toBe("x");
  } finally {
    s3.destroy();
    vi.unstubAllEnvs();
  }
});

test("HEAD, ranges, metadata and conditional reads pass through", async () => {
  const { s3 } = await startBucket();
  const { ETag } = await s3.send(
    new PutObjectCommand({
      Bucket,
      Key: "a.csv",
      Body: "0123456789",
      ContentType: "text/csv",
      Metadata: { run: "r1" },
    }),
  );

  expect(await s3.send(new HeadObjectCommand({ Bucket, Key: "a.csv" }))).toMatchObject({
    ContentLength: 10,
    ContentType: "text/csv",
    Metadata: { run: "r1" },
    ETag,
  });
  const part = await s3.send(new GetObjectCommand({ Bucket, Key: "a.csv", Range: "bytes=2-4" }));
  expect(await part.Body?.transformToString()).toBe("234");
  expect(part.ContentRange).toBe("bytes 2-4/10");
  await expect(
    s3.send(new GetObjectCommand({ Bucket, Key: "a.csv", IfNoneMatch: ETag })),
  ).rejects.toMatchObject({ $metadata: { httpStatusCode: 304 } });
  await expect(s3.send(new HeadObjectCommand({ Bucket, Key: "b.csv" }))).rejects.toMatchObject({
    name: "NotFound",
  });
});

test("keys of any characters are kept apart and listed as they were put", async () => {
  const { s3 } = await startBucket();
  const segment = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
    .filter((name) => name !== "." && name !== ".." && !/[/\p{Cc}\uFFFE\uFFFF]/u.test(name));
  const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join("/"));

  await fc.assert(
    fc.asyncProperty(key, async (Key) => {
      await put(s3, Key, `body of ${Key}`);
      expect(await read(s3, Key)).toBe(`body of ${Key}`);
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
      expect(Contents.map((object) => object.Key)).toEqual([Key]);
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    }),
    { numRuns: 60, examples: [["a b+c%2F?&=#;é\u{1F4DA}'()*!~$@,:[]"], ["folder/"]] },
  );
});

test.each(["a//b", "/a", "a/../b", "../../outside", "./a"])(
  "refuses the key %s, which it can't keep",
  async (key) => {
    const { endpoint } = await startBucket();

    // Over plain HTTP: some clients would tidy the path.
    const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const sent = request(endpoint, { path: `/${Bucket}/${key}`, method: "PUT" }, async (response) => {
        resolve({ status: response.statusCode, body: await text(response) });
      });
      sent.on("error", reject).end("x");
    });

    expect(answer).toMatchObject({ status: 400, body: expect.stringContaining("<Code>InvalidURI</Code>") });
  },
);

test("refuses what it does not do, instead of doing something else", async () => {
  const { s3 } = await startBucket();
  const notImplemented = { name: "NotImplemented", $metadata: { httpStatusCode: 501 } };

  await expect(
    s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Suspended" } })),
  ).rejects.toMatchObject(notImplemented);
  await expect(
    s3.send(new GetObjectCommand({ Bucket, Key: "a", VersionId: "null", Range: "bytes=0-1" })),
  ).rejects.toMatchObject(notImplemented);
  await expect(
    s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "x", IfNoneMatch: '"etag"' })),
  ).rejects.toMatchObject(notImplemented);
  await expect(
    s3.send(new CopyObjectCommand({ Bucket, Key: "b", CopySource: `${Bucket}/a`, CopySourceIfMatch: '"1"' })),
  ).rejects.toMatchObject(notImplemented);
});

async function notifyOf(
  s3: S3Client,
  queueArn: string,
  filter: { prefix?: string; suffix?: string } = {},
  events: Event[] = ["s3:ObjectCreated:*"],
) {
  const FilterRules = [
    ...(filter.prefix === undefined ? [] : [{ Name: "prefix" as const, Value: filter.prefix }]),
    ...(filter.suffix === undefined ? [] : [{ Name: "suffix" as const, Value: filter.suffix }]),
  ];
  await s3.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket,
      NotificationConfiguration: {
        QueueConfigurations: [
          { Id: "published", QueueArn: queueArn, Events: events, Filter: { Key: { FilterRules } } },
        ],
      },
    }),
  );
}

/** A queue that is notified; its test event is taken out already. */
async function notifiedQueue(
  s3: S3Client,
  sqs: SQSClient,
  filter: { prefix?: string; suffix?: string } = {},
  events?: Event[],
) {
  const queue = await createQueue(sqs, "notified");
  await notifyOf(s3, queue.arn, filter, events);
  await receiveJson(sqs, queue.url);
  return queue;
}

test("a queue is told of its configuration first, and then of each way in which an object is written", async () => {
  const { s3, sqs } = await startBucket();
  const queue = await createQueue(sqs, "notified");
  await notifyOf(s3, queue.arn);
  const [testEvent] = await receiveJson(sqs, queue.url);
  const key = "data/a b+c=é/x.csv";

  const { ETag: putTag } = await put(s3, key, "12345");
  await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: encodeURI(`${Bucket}/${key}`) }));
  await new Upload({
    client: s3,
    params: { Bucket, Key: "parts", Body: Buffer.alloc(6 * 1024 * 1024) },
  }).done();
  const messages = await receiveJson(sqs, queue.url);

  expect(s3TestEvent.parse(testEvent)).toEqual({ Event: "s3:TestEvent" });
  const events = messages.map((message) => objectCreated.parse(message));
  expect(
    events.flatMap(({ Records }) => Records.map(({ eventName, s3 }) => [eventName, s3.object.key])),
  ).toEqual([
    ["ObjectCreated:Put", key],
    ["ObjectCreated:Copy", "copy"],
    ["ObjectCreated:CompleteMultipartUpload", "parts"],
  ]);
  expect(messages).toMatchObject([
    {
      Records: [
        {
          eventSource: "aws:s3",
          awsRegion: "us-east-1",
          s3: {
            configurationId: "published",
            bucket: { name: Bucket, arn: "arn:aws:s3:::work" },
            object: {
              key: "data/a+b%2Bc%3D%C3%A9/x.csv",
              size: 5,
              eTag: putTag?.replaceAll('"', ""),
              sequencer: expect.stringMatching(/^[\dA-F]{16,}$/),
            },
          },
        },
      ],
    },
    {},
    { Records: [{ s3: { object: { size: 6 * 1024 * 1024, eTag: expect.stringMatching(/-2$/) } } }] },
  ]);
});

test("only writes with the filter's prefix and suffix, and of the event, are told", async () => {
  const { s3, sqs } = await startBucket();
  const { url } = await notifiedQueue(s3, sqs, { prefix: "athena/", suffix: ".csv" }, [
    "s3:ObjectCreated:Put",
  ]);

  for (const key of ["athena/a.csv", "athena/a.jsonl", "json/a.csv", "athena/b.csv"]) await put(s3, key, "x");
  await s3.send(new CopyObjectCommand({ Bucket, Key: "athena/c.csv", CopySource: `${Bucket}/athena/a.csv` }));
  await s3.send(new GetObjectCommand({ Bucket, Key: "athena/a.csv" }));
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "athena/a.csv" }));

  const told = (await receiveJson(sqs, url)).flatMap((message) => objectCreated.parse(message).Records);
  expect(told.map(({ s3 }) => s3.object.key)).toEqual(["athena/a.csv", "athena/b.csv"]);
});

test("a write that was refused is not told; later writes of a key have greater sequencers", async () => {
  const { s3, sqs } = await startBucket();
  const { url } = await notifiedQueue(s3, sqs);

  await put(s3, "a", "1", { IfNoneMatch: "*" });
  await put(s3, "a", "2", { IfNoneMatch: "*" }).catch(() => undefined);
  await put(s3, "a", "3");

  const messages = await receiveJson(sqs, url);
  const sequencers = messages.map(
    (message) => JSON.stringify(message).match(/"sequencer":"(\w+)"/)?.[1] ?? "",
  );
  expect(sequencers).toHaveLength(2);
  expect(sequencers).toEqual([...sequencers].sort());
  expect(new Set(sequencers).size).toBe(2);
});

test("a multipart upload that fails at its end is not told", async () => {
  const { s3, sqs } = await startBucket();
  await put(s3, "a", "earlier");
  const { url } = await notifiedQueue(s3, sqs);
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "a" }));
  const Parts = [{ PartNumber: 1, ETag: '"never uploaded"' }];

  await expect(
    s3.send(new CompleteMultipartUploadCommand({ Bucket, Key: "a", UploadId, MultipartUpload: { Parts } })),
  ).rejects.toMatchObject({ name: "InvalidPart" });
  expect(await receiveJson(sqs, url)).toEqual([]);
});

test("a write whose notification can't be sent is answered as written, and the loss is told once", async () => {
  const { s3, sqs } = await startBucket();
  const { url } = await notifiedQueue(s3, sqs);
  await sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => stderr.mockRestore());

  await put(s3, "a", "kept");

  expect(await read(s3, "a")).toBe("kept");
  expect(stderr.mock.calls.map(([line]) => line)).toEqual([
    expect.stringMatching(/^The local S3 stored work\/a but could not notify .* write the object again\.\n$/),
  ]);
});

test("notifications are read back as they were put, and survive a restart", async () => {
  const folder = await temporaryFolder();
  const before = await startBucket(folder);
  const { arn } = await notifiedQueue(before.s3, before.sqs, { prefix: "a & <b>/", suffix: ".csv" });
  const configuration = new GetBucketNotificationConfigurationCommand({ Bucket });
  const put1 = await before.s3.send(configuration);
  await before.stop();

  const after = await startBucket(folder);
  const put2 = await after.s3.send(configuration);
  await put(after.s3, "a & <b>/x.csv", "x");

  expect(put1.QueueConfigurations).toEqual([
    {
      Id: "published",
      QueueArn: arn,
      Events: ["s3:ObjectCreated:*"],
      Filter: {
        Key: {
          FilterRules: [
            { Name: "prefix", Value: "a & <b>/" },
            { Name: "suffix", Value: ".csv" },
          ],
        },
      },
    },
  ]);
  expect(put2.QueueConfigurations).toEqual(put1.QueueConfigurations);
  const told = await receiveJson(after.sqs, await queueUrl(after.sqs, "notified"));
  // The test event of the day it was configured may still be there.
  expect(told.filter((message) => JSON.stringify(message).includes("ObjectCreated:Put"))).toHaveLength(1);
});

test("an empty configuration ends the notifications, and so does the end of the bucket", async () => {
  const { s3, sqs } = await startBucket();
  const { url, arn } = await notifiedQueue(s3, sqs);
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: {} }));
  await put(s3, "a", "x");
  expect(await receiveJson(sqs, url)).toEqual([]);

  await notifyOf(s3, arn);
  await receiveJson(sqs, url);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "a" }));
  await s3.send(new DeleteBucketCommand({ Bucket }));
  await s3.send(new CreateBucketCommand({ Bucket }));
  await put(s3, "a", "x");
  expect(await receiveJson(sqs, url)).toEqual([]);
});

test("a notification that could not work is refused, and the earlier one stays", async () => {
  const { s3, sqs } = await startBucket();
  const { arn, url } = await notifiedQueue(s3, sqs);
  const putConfiguration = (NotificationConfiguration: object, bucket = Bucket) =>
    s3.send(new PutBucketNotificationConfigurationCommand({ Bucket: bucket, NotificationConfiguration }));
  const queue = (QueueArn: string, event: Event = "s3:ObjectCreated:*") => ({
    QueueConfigurations: [{ QueueArn, Events: [event] }],
  });

  await expect(putConfiguration(queue(`${arn}-missing`))).rejects.toMatchObject({ name: "InvalidArgument" });
  await expect(putConfiguration(queue(`${arn}.fifo`))).rejects.toMatchObject({ name: "InvalidArgument" });
  await expect(putConfiguration(queue("not an arn"))).rejects.toMatchObject({ name: "InvalidArgument" });
  await expect(putConfiguration(queue(arn, "s3:ObjectRemoved:*"))).rejects.toThrow(
    /s3:ObjectRemoved:\*.*not supported/,
  );
  await expect(
    putConfiguration({
      TopicConfigurations: [{ TopicArn: "arn:aws:sns:us-east-1:1:t", Events: ["s3:ObjectCreated:*"] }],
    }),
  ).rejects.toMatchObject({ name: "NotImplemented" });
  await expect(putConfiguration({ EventBridgeConfiguration: {} })).rejects.toMatchObject({
    name: "NotImplemented",
  });
  await expect(putConfiguration(queue(arn), "nobody")).rejects.toMatchObject({ name: "NoSuchBucket" });

  await put(s3, "a", "x");
  expect(await receiveJson(sqs, url)).toHaveLength(1);
});

test("a configuration may come as other clients write it: indented, with a prolog and references", async () => {
  const { endpoint, s3, sqs } = await startBucket();
  const { arn } = await createQueue(sqs, "notified");
  const body = `\uFEFF<?xml version='1.0'?>
    <NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <QueueConfiguration>
        <Queue>${arn}</Queue> <Event>s3:ObjectCreated:Put</Event> <Event >s3:ObjectCreated:Copy</Event>
        <Filter><S3Key><FilterRule><Name>Prefix</Name><Value>&#97;&#x62;&amp;</Value></FilterRule></S3Key></Filter>
      </QueueConfiguration>
    </NotificationConfiguration>`;

  const answer = await fetch(`${endpoint}/${Bucket}?notification=`, { method: "PUT", body });
  const read = await s3.send(new GetBucketNotificationConfigurationCommand({ Bucket }));

  expect(answer.status).toBe(200);
  expect(read.QueueConfigurations).toEqual([
    {
      Id: expect.stringMatching(/^[\w-]+$/),
      QueueArn: arn,
      Events: ["s3:ObjectCreated:Put", "s3:ObjectCreated:Copy"],
      Filter: { Key: { FilterRules: [{ Name: "prefix", Value: "ab&" }] } },
    },
  ]);
});

test.each([
  "",
  "not xml",
  "<NotificationConfiguration>",
  "<NotificationConfiguration></Other>",
  "<!DOCTYPE a><NotificationConfiguration/>",
  "<NotificationConfiguration>&unknown;</NotificationConfiguration>",
  "<Other/>",
  "<NotificationConfiguration/><NotificationConfiguration/>",
])("a configuration that is not such a document is MalformedXML: %s", async (body) => {
  const { endpoint } = await startBucket();

  const answer = await fetch(`${endpoint}/${Bucket}?notification`, { method: "PUT", body });

  expect(answer.status).toBe(400);
  expect(await answer.text()).toContain("<Code>MalformedXML</Code>");
});
