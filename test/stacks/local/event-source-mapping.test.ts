// The stand-in for Lambda's event source mapping, on a real SQS.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import type { SQSEvent } from "aws-lambda";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { SqsHandler } from "../../../shared/sqs-handler.ts";
import { startFauxqsOnLoopback } from "../../../stacks/local/aws/fauxqs.ts";
import type { LocalEndpoint } from "../../../stacks/local/aws/loopback.ts";
import { type MappingOptions, startEventSourceMapping } from "../../../stacks/local/event-source-mapping.ts";

let folder: string;
let endpoint: LocalEndpoint;
let sqs: SQSClient;
let queues = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "libinsight-mapping-"));
  endpoint = await startFauxqsOnLoopback(folder);
  sqs = new SQSClient({
    endpoint: endpoint.endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
});

afterAll(async () => {
  sqs.destroy();
  await endpoint.close();
  await rm(folder, { recursive: true });
});

async function newQueue(attributes: Record<string, string> = {}): Promise<{ url: string; arn: string }> {
  const name = `queue-${++queues}${attributes.FifoQueue ? ".fifo" : ""}`;
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
  );
  return { url: QueueUrl ?? "", arn: Attributes?.QueueArn ?? "" };
}

async function send(url: string, bodies: string[]): Promise<void> {
  const Entries = bodies.map((MessageBody, index) => ({
    Id: String(index),
    MessageBody,
    MessageAttributes: { Note: { DataType: "String", StringValue: `note of ${MessageBody}` } },
  }));
  const { Failed } = await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }));
  expect(Failed ?? []).toEqual([]);
}

async function left(url: string): Promise<number> {
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: url,
      AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    }),
  );
  return (
    Number(Attributes?.ApproximateNumberOfMessages) +
    Number(Attributes?.ApproximateNumberOfMessagesNotVisible)
  );
}

/** Runs a mapping until the condition holds, and stops it. */
async function runUntil(
  options: Pick<MappingOptions, "queue" | "handler"> & Partial<MappingOptions>,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const mapping = startEventSourceMapping({
    sqs,
    service: "test",
    batchSize: 10,
    concurrency: 1,
    timeoutSeconds: 10,
    ...options,
  });
  try {
    await vi.waitUntil(holds, { timeout: 10_000, interval: 20 });
  } finally {
    await mapping.stop();
  }
}

const allDone: SqsHandler = async () => ({ batchItemFailures: [], deadLetters: [] });

test("hands on a batch as Lambda does, and deletes what succeeded", async () => {
  const queue = await newQueue();
  await send(queue.url, ["a", "b", "c"]);
  const events: SQSEvent[] = [];
  await runUntil(
    {
      queue,
      handler: async (event, context) => {
        expect(context.getRemainingTimeInMillis()).toBeGreaterThan(0);
        events.push(event);
        return allDone(event, context);
      },
    },
    async () => (await left(queue.url)) === 0,
  );
  const records = events.flatMap((event) => event.Records);
  expect(records.map(({ body }) => body).sort()).toEqual(["a", "b", "c"]);
  expect(records[0]).toMatchObject({
    eventSource: "aws:sqs",
    eventSourceARN: queue.arn,
    awsRegion: "us-east-1",
    attributes: { ApproximateReceiveCount: "1" },
    messageAttributes: { Note: { dataType: "String", stringValue: `note of ${records[0]?.body}` } },
  });
});

test("never hands on more than the batch size", async () => {
  const queue = await newQueue();
  await send(queue.url, ["1", "2", "3", "4", "5"]);
  const sizes: number[] = [];
  await runUntil(
    {
      queue,
      batchSize: 2,
      handler: (event, context) => {
        sizes.push(event.Records.length);
        return allDone(event, context);
      },
    },
    async () => (await left(queue.url)) === 0,
  );
  expect(Math.max(...sizes)).toBe(2);
});

test("of a batch in which one failed, only that one comes back", async () => {
  const queue = await newQueue({ VisibilityTimeout: "1" });
  await send(queue.url, ["good", "bad", "fine"]);
  const seen: string[] = [];
  const batches: { done: string[]; retried: string[]; deadLetters: string[] }[] = [];
  await runUntil(
    {
      queue,
      handler: async ({ Records }) => {
        seen.push(...Records.map(({ body }) => body));
        const failing = Records.filter(
          ({ body }) => body === "bad" && seen.filter((b) => b === "bad").length === 1,
        );
        return {
          batchItemFailures: failing.map(({ messageId }) => ({ itemIdentifier: messageId })),
          deadLetters: Records.filter(({ body }) => body === "fine").map(({ messageId }) => messageId),
        };
      },
      onBatch: ({ done, retried, deadLetters }) => {
        const bodies = (records: typeof done) => records.map(({ body }) => body);
        batches.push({ done: bodies(done), retried: bodies(retried), deadLetters: bodies(deadLetters) });
      },
    },
    async () => (await left(queue.url)) === 0,
  );
  expect(seen.sort()).toEqual(["bad", "bad", "fine", "good"]);
  expect(batches.flatMap(({ retried }) => retried)).toEqual(["bad"]);
  expect(batches.flatMap(({ deadLetters }) => deadLetters)).toEqual(["fine"]);
  expect(batches.flatMap(({ done }) => done).sort()).toEqual(["bad", "good"]);
});

const broken: { what: string; handler: SqsHandler; timeoutSeconds: number }[] = [
  { what: "throws", handler: () => Promise.reject(new Error("broken")), timeoutSeconds: 10 },
  { what: "does not come back in time", handler: () => new Promise(() => {}), timeoutSeconds: 0.05 },
];

test.for(broken)(
  "a batch whose handler $what ends in the dead-letter queue after the receive limit",
  async (given) => {
    const deadLetters = await newQueue();
    const queue = await newQueue({
      VisibilityTimeout: "0",
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadLetters.arn, maxReceiveCount: 3 }),
    });
    await send(queue.url, ["poison"]);
    let errors = 0;
    await runUntil(
      {
        queue,
        handler: given.handler,
        timeoutSeconds: given.timeoutSeconds,
        onError: () => {
          errors += 1;
        },
      },
      async () => (await left(deadLetters.url)) === 1,
    );
    expect(errors).toBe(3);
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: deadLetters.url }));
    expect(Messages?.[0]?.Body).toBe("poison");
  },
);

test("runs as many handlers at once as it may, and stop waits for them", async () => {
  const queue = await newQueue();
  await send(queue.url, ["1", "2", "3", "4", "5", "6"]);
  let running = 0;
  let most = 0;
  let finished = 0;
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const mapping = startEventSourceMapping({
    sqs,
    queue,
    service: "test",
    batchSize: 1,
    concurrency: 3,
    timeoutSeconds: 10,
    handler: async (event, context) => {
      running += 1;
      most = Math.max(most, running);
      await released;
      running -= 1;
      finished += 1;
      return allDone(event, context);
    },
  });
  await vi.waitUntil(() => running === 3, { timeout: 10_000, interval: 10 });
  const stopped = mapping.stop();
  release();
  await stopped;
  expect({ most, running }).toEqual({ most: 3, running: 0 });
  expect(await left(queue.url)).toBe(6 - finished);
});

test("messages of a group are handled one after the other, in their order", async () => {
  const queue = await newQueue({ FifoQueue: "true" });
  const bodies = ["1", "2", "3", "4", "5"];
  await sqs.send(
    new SendMessageBatchCommand({
      QueueUrl: queue.url,
      Entries: bodies.map((body) => ({
        Id: body,
        MessageBody: body,
        MessageGroupId: "group",
        MessageDeduplicationId: body,
      })),
    }),
  );
  const begun: string[] = [];
  let running = 0;
  let most = 0;
  await runUntil(
    {
      queue,
      batchSize: 1,
      concurrency: 3,
      handler: async (event, context) => {
        running += 1;
        most = Math.max(most, running);
        begun.push(...event.Records.map(({ body }) => body));
        await delay(20);
        running -= 1;
        return allDone(event, context);
      },
    },
    async () => (await left(queue.url)) === 0,
  );
  expect({ begun, most }).toEqual({ begun: bodies, most: 1 });
});
