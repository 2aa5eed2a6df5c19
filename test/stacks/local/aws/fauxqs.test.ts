import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { promisify } from "node:util";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ListQueuesCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { expect, test, vi } from "vitest";
import { clientOptions, createQueue, queueUrl, receive, startSqs, temporaryFolder } from "./clients.ts";

/** Whether somebody listens there. */
async function reachable(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

// Another address of the same machine; only Linux has the whole of 127.0.0.0/8 without being told.
test.runIf(process.platform === "linux")("listens on 127.0.0.1 and on no other address", async () => {
  const everywhere = createServer().listen({ port: 0, host: "0.0.0.0" });
  await once(everywhere, "listening");
  const address = everywhere.address();
  const everywherePort = typeof address === "object" && address !== null ? address.port : 0;
  const { endpoint } = await startSqs(await temporaryFolder());
  const port = Number(new URL(endpoint).port);

  expect(await reachable("127.0.0.2", everywherePort)).toBe(true);
  expect(await reachable("127.0.0.1", port)).toBe(true);
  expect(await reachable("127.0.0.2", port)).toBe(false);

  everywhere.close();
});

test("leaves the servers that others start at the same time alone", async () => {
  const starting = startSqs(await temporaryFolder());
  const other = createServer().listen({ port: 0, host: "0.0.0.0" });
  await once(other, "listening");
  await starting;

  expect(other.address()).toMatchObject({ address: "0.0.0.0" });
  other.close();
});

test("prints nothing when it starts, no warning of Node's either", async () => {
  const folder = await temporaryFolder();
  const module = new URL("../../../../stacks/local/aws/fauxqs.ts", import.meta.url);
  const script = `
    const { startFauxqsOnLoopback } = await import(${JSON.stringify(module.href)});
    await (await startFauxqsOnLoopback(${JSON.stringify(folder)})).close();
  `;

  const run = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    env: { ...process.env, NODE_OPTIONS: "" },
    timeout: 20_000,
  });

  expect(run).toEqual({ stdout: "", stderr: "" });
});

test("a client that knows its endpoint from the environment only reaches the queues by their URLs", async () => {
  const { endpoint } = await startSqs(await temporaryFolder());
  vi.stubEnv("AWS_ENDPOINT_URL_SQS", endpoint);
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
  const sqs = new SQSClient({});
  try {
    const { url } = await createQueue(sqs, "pages");
    await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "one" }));

    expect(url).toBe(`${endpoint}/000000000000/pages`);
    expect(await receive(sqs, url)).toMatchObject([{ Body: "one" }]);
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls).toEqual([url]);
  } finally {
    sqs.destroy();
    vi.unstubAllEnvs();
  }
});

test("queues, their messages and receive counts, buckets and objects survive a restart on another port", async () => {
  const folder = await temporaryFolder();
  const before = await startSqs(folder);
  // Whoever received a message before the restart is gone, so nobody waits for its visibility timeout.
  const { url } = await createQueue(before.sqs, "pages", { VisibilityTimeout: "600" });
  await before.sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "kept" }));
  await receive(before.sqs, url);
  const s3Before = new S3Client(clientOptions(before.endpoint));
  await s3Before.send(new CreateBucketCommand({ Bucket: "work" }));
  await s3Before.send(new PutObjectCommand({ Bucket: "work", Key: "a/b.csv", Body: "1,2\n" }));
  s3Before.destroy();
  await before.stop();

  const after = await startSqs(folder);
  const s3After = new S3Client(clientOptions(after.endpoint));
  const object = await s3After.send(new GetObjectCommand({ Bucket: "work", Key: "a/b.csv" }));
  const urlAfter = await queueUrl(after.sqs, "pages");

  expect(urlAfter).toBe(`${after.endpoint}/000000000000/pages`);
  expect(await receive(after.sqs, urlAfter)).toMatchObject([
    { Body: "kept", Attributes: { ApproximateReceiveCount: "2" } },
  ]);
  expect(await object.Body?.transformToString()).toBe("1,2\n");
  s3After.destroy();
});

test("a message tells when it was sent, how often it was received, and its group", async () => {
  const { sqs } = await startSqs(await temporaryFolder());
  const { url } = await createQueue(sqs, "assemble.fifo", { FifoQueue: "true", VisibilityTimeout: "0" });
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: url,
      MessageBody: "x",
      MessageGroupId: "reference-transactions",
      MessageDeduplicationId: "run-1",
    }),
  );

  await receive(sqs, url);
  const [message] = await receive(sqs, url);

  expect(message?.Attributes).toMatchObject({
    ApproximateReceiveCount: "2",
    MessageGroupId: "reference-transactions",
    MessageDeduplicationId: "run-1",
    SentTimestamp: expect.stringMatching(/^\d{13}$/),
    SequenceNumber: expect.stringMatching(/^\d+$/),
  });
});

test("carries all of Unicode that SQS carries, and refuses what SQS refuses", async () => {
  const { sqs } = await startSqs(await temporaryFolder());
  const { url } = await createQueue(sqs, "pages");
  const body = "Où est la Bibliothèque? \u{1F4DA}\u{10FFFF}\t\r\n";
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body }));
  const batch = await sqs.send(
    new SendMessageBatchCommand({
      QueueUrl: url,
      Entries: [
        { Id: "good", MessageBody: "\u{1F4DA}" },
        { Id: "bad", MessageBody: "\u0000" },
      ],
    }),
  );

  expect(batch.Successful).toMatchObject([{ Id: "good" }]);
  expect(batch.Failed).toMatchObject([{ Id: "bad", Code: "InvalidMessageContents" }]);
  expect((await receive(sqs, url)).map(({ Body }) => Body)).toEqual([body, "\u{1F4DA}"]);
});

test("a message made visible at once is received again, its receive count kept", async () => {
  const { sqs } = await startSqs(await temporaryFolder());
  const { url } = await createQueue(sqs, "pages", { VisibilityTimeout: "600" });
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "again" }));

  const [first] = await receive(sqs, url);
  await sqs.send(
    new ChangeMessageVisibilityCommand({
      QueueUrl: url,
      ReceiptHandle: first?.ReceiptHandle,
      VisibilityTimeout: 0,
    }),
  );
  const [second] = await receive(sqs, url, 20);
  const batch = await sqs.send(
    new ChangeMessageVisibilityBatchCommand({
      QueueUrl: url,
      Entries: [{ Id: "one", ReceiptHandle: second?.ReceiptHandle, VisibilityTimeout: 0 }],
    }),
  );
  const [third] = await receive(sqs, url, 20);

  expect(batch.Failed ?? []).toEqual([]);
  expect(second).toMatchObject({ Body: "again", Attributes: { ApproximateReceiveCount: "2" } });
  expect(third).toMatchObject({ Body: "again", Attributes: { ApproximateReceiveCount: "3" } });
});

test("a FIFO queue keeps each group in order, one message under way at a time, and takes a duplicate once", async () => {
  const { sqs } = await startSqs(await temporaryFolder());
  const { url } = await createQueue(sqs, "assemble.fifo", { FifoQueue: "true", VisibilityTimeout: "600" });
  const send = (body: string, group: string) =>
    sqs.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: body,
        MessageGroupId: group,
        MessageDeduplicationId: body,
      }),
    );
  for (const body of ["a1", "a2", "a1", "a3"]) await send(body, "a");
  await send("b1", "b");

  const rounds: string[][] = [];
  for (let messages = await receive(sqs, url); messages.length > 0; messages = await receive(sqs, url)) {
    rounds.push(messages.map(({ Body = "" }) => Body));
    expect(await receive(sqs, url)).toEqual([]);
    for (const { ReceiptHandle } of messages) {
      await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
    }
  }

  expect(rounds).toEqual([["a1", "b1"], ["a2"], ["a3"]]);
});

test("a FIFO queue that deduplicates by content takes a body once, one that does not wants an id", async () => {
  const { sqs } = await startSqs(await temporaryFolder());
  const byContent = { FifoQueue: "true", ContentBasedDeduplication: "true" };
  const { url } = await createQueue(sqs, "tableau.fifo", byContent);
  const plain = await createQueue(sqs, "plain.fifo", { FifoQueue: "true" });
  const send = (QueueUrl: string, MessageBody: string) =>
    sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: "group" }));
  for (const body of ["one", "one", "two", "one"]) await send(url, body);

  const taken: string[] = [];
  for (let messages = await receive(sqs, url); messages.length > 0; messages = await receive(sqs, url)) {
    for (const { Body = "", ReceiptHandle } of messages) {
      taken.push(Body);
      await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
    }
  }
  expect(taken).toEqual(["one", "two"]);
  await expect(send(plain.url, "one")).rejects.toThrow(/ContentBasedDeduplication/);
});

test.each(["", ".fifo"])(
  "a message received too often goes to the dead-letter queue (queue%s)",
  async (suffix) => {
    const { sqs } = await startSqs(await temporaryFolder());
    const fifo: Record<string, string> = suffix === "" ? {} : { FifoQueue: "true" };
    const dead = await createQueue(sqs, `pages-dead${suffix}`, fifo);
    const { url } = await createQueue(sqs, `pages${suffix}`, {
      ...fifo,
      VisibilityTimeout: "0",
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.arn, maxReceiveCount: 2 }),
    });
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: "poison",
        ...(suffix !== "" && { MessageGroupId: "a", MessageDeduplicationId: "1" }),
      }),
    );

    expect(await receive(sqs, url)).toHaveLength(1);
    expect(await receive(sqs, url)).toHaveLength(1);
    expect(await receive(sqs, dead.url)).toEqual([]);
    expect(await receive(sqs, url)).toEqual([]);
    expect(await receive(sqs, dead.url)).toMatchObject([{ Body: "poison" }]);
  },
);
