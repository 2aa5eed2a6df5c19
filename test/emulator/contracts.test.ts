// Runs every port's contract against the AWS adapters on MiniStack, with some calls throttled. routes.test.ts has the contract
// of the event bus, and test/contracts/local.test.ts those of the local adapters.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AthenaClient } from "@aws-sdk/client-athena";
import { RunInstancesCommand, StopInstancesCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { GlueClient } from "@aws-sdk/client-glue";
import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  PutBucketVersioningCommand,
} from "@aws-sdk/client-s3";
import { CreateTopicCommand, SubscribeCommand } from "@aws-sdk/client-sns";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { AthenaQueryEngine } from "../../shared/aws/athena.ts";
import { Ec2Instances } from "../../shared/aws/ec2.ts";
import { S3Store } from "../../shared/aws/s3.ts";
import { S3Eraser } from "../../shared/aws/s3-eraser.ts";
import { snsNotifier } from "../../shared/aws/sns.ts";
import { SqsQueue } from "../../shared/aws/sqs.ts";
import { type MessageQueue, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { publishNewest } from "../../shared/publish.ts";
import { receiveLimit } from "../../shared/topology.ts";
import { eraserContract } from "../contracts/eraser-contract.ts";
import { loseResponse, throttleSome } from "../contracts/inject.ts";
import { instancesContract } from "../contracts/instances-contract.ts";
import { messageQueueContract } from "../contracts/message-queue-contract.ts";
import { notifierContract } from "../contracts/notifier-contract.ts";
import { objectStoreContract } from "../contracts/object-store-contract.ts";
import { queryEngineContract } from "../contracts/query-engine-contract.ts";
import { region } from "../stacks/evaluate/graph.ts";
import { take } from "../support/local-adapters.ts";
import { startAthena } from "./athena-endpoint.ts";
import { type Emulator, startEmulator } from "./emulator.ts";
import { type Clients, clientsFor, credentials } from "./emulator-clients.ts";
import { createQueue } from "./handles.ts";

let emulator: Emulator;
let clients: Clients;
let athena: AthenaClient;
let glue: GlueClient;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  emulator = await startEmulator();
  closing.push(emulator.close);
  clients = clientsFor(emulator);
  closing.push(clients.close);
  const engine = await startAthena({
    dataDir: join(emulator.folder, "athena"),
    s3: clients.s3,
    resultsOf: new Map(),
  });
  closing.push(engine.close);
  athena = new AthenaClient({ endpoint: engine.endpoint, region, credentials });
  glue = new GlueClient({ endpoint: engine.endpoint, region, credentials });
  closing.push(
    () => athena.destroy(),
    () => glue.destroy(),
  );
  throttleSome(clients.sqs);
  throttleSome(clients.s3);
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

let made = 0;
function newName(): string {
  made += 1;
  return `test-${made}`;
}

async function openQueue(fifo?: "by-id" | "by-content", deadLetterArn?: string) {
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: deadLetterArn, maxReceiveCount: receiveLimit });
  return createQueue(clients.sqs, {
    QueueName: fifo ? `${newName()}.fifo` : newName(),
    Attributes: {
      MaximumMessageSize: String(1024 * 1024),
      ...(fifo && { FifoQueue: "true", ContentBasedDeduplication: String(fifo === "by-content") }),
      ...(deadLetterArn && { RedrivePolicy }),
    },
  });
}

messageQueueContract("SQS", {
  async open(kind) {
    const fifo = kind === "standard" ? undefined : kind;
    const deadLetters = await openQueue(fifo && "by-id");
    const { queue } = await openQueue(fifo, deadLetters.arn);
    return { queue, deadLetters: deadLetters.queue };
  },
  pass: (seconds) => delay(seconds * 1_000),
  passesMinutes: false,
  now: Date.now,
});

const buckets: string[] = [];
async function createBucket(keepsVersions: boolean): Promise<S3Store> {
  const Bucket = newName();
  buckets.push(Bucket);
  await clients.s3.send(new CreateBucketCommand({ Bucket }));
  if (keepsVersions) {
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await clients.s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  }
  return new S3Store(clients.s3, Bucket);
}

objectStoreContract("S3", ({ keepsVersions }) => createBucket(keepsVersions));

eraserContract("S3", async ({ keepsVersions }) => {
  const store = await createBucket(keepsVersions);
  return { store, eraser: new S3Eraser(clients.s3, store.bucket) };
});

test("the object store contract leaves no incomplete multipart uploads", async () => {
  for (const Bucket of buckets) {
    const { Uploads } = await clients.s3.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(Uploads ?? []).toEqual([]);
  }
});

test("a missing bucket is an error", async () => {
  const store = new S3Store(clients.s3, "no-such-bucket");
  await expect(store.put("a", "", "text/plain")).rejects.toMatchObject({ name: "NoSuchBucket" });
  await expect(store.listVersions("a", 1)).rejects.toMatchObject({ name: "NoSuchBucket" });
});

queryEngineContract("Athena", async () => {
  const data = await createBucket(true);
  const results = await createBucket(true);
  const engine = new AthenaQueryEngine(athena, glue, {
    workgroup: "primary",
    database: newName().replace("-", "_"),
    dataBucket: data.bucket,
    resultsBucket: results.bucket,
    statementsFolder: "statements",
    sleep: () => delay(20),
  });
  return { engine, data, results };
});

instancesContract("EC2", {
  instances: () => new Ec2Instances(clients.ec2),
  async create(state, tags) {
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    const { Instances } = await clients.ec2.send(
      new RunInstancesCommand({
        ImageId: "ami-0123456789abcdef0",
        MinCount: 1,
        MaxCount: 1,
        TagSpecifications: [{ ResourceType: "instance", Tags }],
      }),
    );
    const id = Instances?.[0]?.InstanceId ?? "";
    const InstanceIds = [id];
    if (state === "stopped") await clients.ec2.send(new StopInstancesCommand({ InstanceIds }));
    if (state === "terminated") await clients.ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    return id;
  },
});

let topic: { arn: string; subscriber: MessageQueue };
beforeAll(async () => {
  const { TopicArn } = await clients.sns.send(new CreateTopicCommand({ Name: newName() }));
  const { arn, queue } = await openQueue();
  await clients.sns.send(new SubscribeCommand({ TopicArn, Protocol: "sqs", Endpoint: arn }));
  topic = { arn: TopicArn ?? "", subscriber: queue };
});
notifierContract("SNS", () => {
  const received: string[] = [];
  return {
    notify: snsNotifier(clients.sns, topic.arn),
    async received() {
      for (const { body } of await take(topic.subscriber)) {
        const { Subject, Message } = JSON.parse(body);
        received.push(`${Subject}\n${Message}`);
      }
      return received.join("\n");
    },
  };
});

describe("with faults between the SDK and MiniStack", () => {
  /** Returns clients whose calls a test may intercept. */
  function faulty(): Clients {
    const own = clientsFor(emulator);
    onTestFinished(own.close);
    return own;
  }
  const bodiesIn = async (queue: MessageQueue) => (await take(queue)).map(({ body }) => body);
  const run = { runId: "gate-counts-0123456789ab", requestedAt: "2026-03-02T06:00:00Z" };
  /** One part of an upload, or three. */
  const sizes = [5_000, 11 * 1024 * 1024];
  const publish = (store: ObjectStore, bytes: number) => {
    async function* body() {
      yield Buffer.alloc(bytes, "x");
    }
    return publishNewest(store, "gates.csv", run, async () => body(), { contentType: "text/csv" });
  };

  test("SQS rejects the characters that messageBody escapes", async () => {
    const { queue } = await openQueue();
    for (const character of ["\uFFFE", "\uFFFF"]) {
      await expect(queue.send(JSON.stringify(character))).rejects.toMatchObject({
        name: "InvalidMessageContents",
      });
      await queue.send(messageBody(character));
    }
    expect((await bodiesIn(queue)).map((body) => JSON.parse(body))).toEqual(["\uFFFE", "\uFFFF"]);
  });

  test("if the response is lost, a message to a FIFO queue arrives once, and to a standard queue at least once", async () => {
    const { sqs } = faulty();
    loseResponse(sqs, "SendMessage");
    const fifo = await openQueue("by-id");
    await new SqsQueue(sqs, fifo.url).send("once", { group: "g", deduplicationId: "1" });
    expect(await bodiesIn(fifo.queue)).toEqual(["once"]);
    loseResponse(sqs, "SendMessageBatch");
    const standard = await openQueue();
    await new SqsQueue(sqs, standard.url).sendAll(["a", "b"]);
    expect([...new Set(await bodiesIn(standard.queue))].toSorted()).toEqual(["a", "b"]);
  });

  test("if the response is lost, putOnce has written the object, and no other call replaces it", async () => {
    const { s3 } = faulty();
    loseResponse(s3, "PutObject");
    const { bucket } = await createBucket(false);
    const store = new S3Store(s3, bucket);
    // The SDK retries the request, and the key already exists.
    expect(await store.putOnce("run.json", { n: 1 })).toBe(false);
    expect(await store.putOnce("run.json", { n: 2 })).toBe(false);
    expect(await store.getJson("run.json", z.unknown())).toEqual({ n: 1 });
  });

  test.each(sizes)("a file of %d bytes is published if the response is lost", async (bytes) => {
    const { s3 } = faulty();
    const { bucket } = await createBucket(true);
    loseResponse(s3, bytes === sizes[0] ? "PutObject" : "CompleteMultipartUpload");
    const store = new S3Store(s3, bucket);
    expect(await publish(store, bytes)).toMatchObject({ superseded: false, object: { bytes } });
    expect((await store.getBytes("gates.csv"))?.length).toBe(bytes);
  });
});
