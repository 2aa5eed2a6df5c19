// AWS in this process for the tests of services/: real SQS, S3, EventBridge, Athena and Glue on loopback, in a folder
// of their own, wired as `npm start` wires them. The process's AWS_* variables point there.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
} from "@aws-sdk/client-sqs";
import type { Context, SQSEvent } from "aws-lambda";
import type { Publish } from "../../shared/aws/bus.ts";
import { athena, eventBridge, glue, s3, sns, sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import type { QueueName } from "../../shared/config.ts";
import type { EventType } from "../../shared/events.ts";
import { startEndpoints } from "../../stacks/local/endpoints.ts";
import { environment, names, wire } from "../../stacks/local/wiring.ts";

/** More messages than any test sends. */
const maxReceives = 200;

export type LocalAws = {
  /** A bucket of the test's own. */
  bucket(): Promise<Store>;
  /** A queue of the test's own. */
  queue(options?: { fifo?: boolean }): Promise<Queue>;
  /** The queue that feeds a service, as the handlers find it in the environment. */
  serviceQueue(name: QueueName): Queue;
  /** The buckets that the handlers find in the environment. */
  work: Store;
  data: Store;
  results: Store;
  /** Everything that the bus was told. */
  observer: Queue;
  close(): Promise<void>;
};

/** One a test file, in `beforeAll`: the clients of shared/aws/clients.ts read the environment when first used. */
export async function startLocalAws(): Promise<LocalAws> {
  delete process.env.AWS_ENDPOINT_URL;
  process.env.POWERTOOLS_LOG_LEVEL = "SILENT";
  const folder = await mkdtemp(join(tmpdir(), "local-aws-"));
  const closing: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const defaultBus = await startEndpoints(folder, (close) => closing.push(close));
    closing.push(() => {
      for (const client of [sqs(), s3(), sns(), eventBridge(), athena(), glue()]) client.destroy();
    });
    const wired = await wire({ sqs: sqs(), s3: s3(), sns: sns(), events: eventBridge(), defaultBus });
    Object.assign(process.env, environment(wired));

    let made = 0;
    return {
      async bucket() {
        made += 1;
        const name = `bucket-${made}`;
        await s3().send(new CreateBucketCommand({ Bucket: name }));
        return new Store(s3(), name);
      },
      async queue({ fifo = false } = {}) {
        made += 1;
        const { QueueUrl = "" } = await sqs().send(
          new CreateQueueCommand({
            QueueName: `queue-${made}${fifo ? ".fifo" : ""}`,
            Attributes: { VisibilityTimeout: "60", ...(fifo && { FifoQueue: "true" }) },
          }),
        );
        return new Queue(sqs(), QueueUrl);
      },
      serviceQueue: (name) => new Queue(sqs(), wired.queues[name].url),
      work: new Store(s3(), names.buckets.work),
      data: new Store(s3(), names.buckets.data),
      results: new Store(s3(), names.buckets.results),
      observer: new Queue(sqs(), wired.observer.url),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Takes every message that is in the queue now.
 * @param waitSeconds how long to wait for the first, where it is on its way
 */
export async function take(queue: Queue, waitSeconds = 0): Promise<Message[]> {
  const taken: Message[] = [];
  for (let receives = 0; receives < maxReceives; receives++) {
    const { Messages = [] } = await sqs().send(
      new ReceiveMessageCommand({
        QueueUrl: queue.url,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: taken.length === 0 ? waitSeconds : 0,
        MessageSystemAttributeNames: ["All"],
        MessageAttributeNames: ["All"],
      }),
    );
    if (Messages.length === 0) return taken;
    for (const message of Messages) {
      taken.push(message);
      await sqs().send(
        new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle: message.ReceiptHandle }),
      );
    }
  }
  throw new Error(`The queue still had messages after ${maxReceives} receives.`);
}

/** The bodies of `take`, parsed. */
export async function takeJson(queue: Queue, waitSeconds = 0): Promise<unknown[]> {
  return (await take(queue, waitSeconds)).map(({ Body = "" }) => JSON.parse(Body));
}

/** Messages as Lambda hands them to a handler. */
export function sqsEvent(messages: readonly Message[]): SQSEvent {
  return {
    Records: messages.map(({ MessageId = "", ReceiptHandle = "", Body = "" }) => ({
      messageId: MessageId,
      receiptHandle: ReceiptHandle,
      body: Body,
      attributes: {
        ApproximateReceiveCount: "1",
        SentTimestamp: "0",
        SenderId: "test",
        ApproximateFirstReceiveTimestamp: "0",
      },
      messageAttributes: {},
      md5OfBody: "",
      eventSource: "aws:sqs",
      eventSourceARN: "arn:aws:sqs:us-east-1:000000000000:test",
      awsRegion: "us-east-1",
    })),
  };
}

export const lambdaContext: Context = {
  callbackWaitsForEmptyEventLoop: false,
  functionName: "test",
  functionVersion: "1",
  invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:test",
  memoryLimitInMB: "128",
  awsRequestId: "test",
  logGroupName: "test",
  logStreamName: "test",
  getRemainingTimeInMillis: () => 60_000,
  done: () => {},
  fail: () => {},
  succeed: () => {},
};

export type PublishedEvent = { type: EventType; detail: unknown };

/** A `publish` that remembers what it was told. */
export function capturedEvents(): { events: PublishedEvent[]; publish: Publish } {
  const events: PublishedEvent[] = [];
  return {
    events,
    publish: async (type, detail) => {
      events.push({ type, detail });
    },
  };
}
