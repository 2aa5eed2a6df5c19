// Every port's contract against the adapters on AWS, which call MiniStack, and of which some calls are throttled. What
// MiniStack cannot show: five minutes of deduplication. test/contracts/local.test.ts has the adapters on this machine.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AthenaClient } from "@aws-sdk/client-athena";
import { RunInstancesCommand, StopInstancesCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { CreateEventBusCommand, PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import { GlueClient } from "@aws-sdk/client-glue";
import { CreateBucketCommand, PutBucketVersioningCommand } from "@aws-sdk/client-s3";
import { CreateTopicCommand, SubscribeCommand } from "@aws-sdk/client-sns";
import { CreateQueueCommand, GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll } from "vitest";
import { AthenaQueryEngine } from "../../shared/aws/athena.ts";
import { Ec2Instances } from "../../shared/aws/ec2.ts";
import { eventBridgePublisher } from "../../shared/aws/eventbridge.ts";
import { S3Store } from "../../shared/aws/s3.ts";
import { snsNotifier } from "../../shared/aws/sns.ts";
import { SqsQueue } from "../../shared/aws/sqs.ts";
import { eventSource } from "../../shared/events.ts";
import type { MessageQueue } from "../../shared/ports.ts";
import { type QueueName, queueNames, receiveLimit, routes, services } from "../../shared/topology.ts";
import { startAthena } from "../../stacks/local/aws/athena.ts";
import { type EventBus, eventBusContract } from "../contracts/event-bus.ts";
import { throttleSome } from "../contracts/inject.ts";
import { instancesContract } from "../contracts/instances.ts";
import { messageQueueContract, takeAll } from "../contracts/message-queue.ts";
import { notifierContract } from "../contracts/notifier.ts";
import { objectStoreContract } from "../contracts/object-store.ts";
import { queryEngineContract } from "../contracts/query-engine.ts";
import { region } from "../stacks/evaluate/graph.ts";
import { type Clients, clientsFor, credentials } from "./clients.ts";
import { type Emulator, startEmulator } from "./emulator.ts";

let emulator: Emulator;
let clients: Clients;
let athena: AthenaClient;
let glue: GlueClient;
let bus: EventBus;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  emulator = await startEmulator();
  closing.push(emulator.close);
  clients = clientsFor(emulator);
  closing.push(clients.close);
  const engine = await startAthena({
    dataDir: join(emulator.folder, "athena"),
    s3: clients.s3,
    events: clients.events,
  });
  closing.push(engine.close);
  athena = new AthenaClient({ endpoint: engine.endpoint, region, credentials });
  glue = new GlueClient({ endpoint: engine.glueEndpoint, region, credentials });
  closing.push(
    () => athena.destroy(),
    () => glue.destroy(),
  );
  bus = await createBus();
  for (const client of [clients.sqs, clients.s3]) throttleSome(client);
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

let made = 0;
function newName(): string {
  made += 1;
  return `test-${made}`;
}

type CreatedQueue = { url: string; arn: string; queue: MessageQueue };

async function createQueue(fifo?: "by-id" | "by-content", deadLetterArn?: string): Promise<CreatedQueue> {
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: deadLetterArn, maxReceiveCount: receiveLimit });
  const { QueueUrl: url = "" } = await clients.sqs.send(
    new CreateQueueCommand({
      QueueName: fifo ? `${newName()}.fifo` : newName(),
      Attributes: {
        MaximumMessageSize: String(1024 * 1024),
        ...(fifo && { FifoQueue: "true", ContentBasedDeduplication: String(fifo === "by-content") }),
        ...(deadLetterArn && { RedrivePolicy }),
      },
    }),
  );
  const { Attributes } = await clients.sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["QueueArn"] }),
  );
  return { url, arn: Attributes?.QueueArn ?? "", queue: new SqsQueue(clients.sqs, url) };
}

messageQueueContract("SQS", {
  async open(kind) {
    const fifo = kind === "standard" ? undefined : kind;
    const deadLetters = await createQueue(fifo && "by-id");
    const { queue } = await createQueue(fifo, deadLetters.arn);
    return { queue, deadLetters: deadLetters.queue };
  },
  pass: (seconds) => delay(seconds * 1_000),
  passesMinutes: false,
  now: Date.now,
});

async function createBucket(keepsVersions: boolean): Promise<S3Store> {
  const Bucket = newName();
  await clients.s3.send(new CreateBucketCommand({ Bucket }));
  if (keepsVersions) {
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await clients.s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  }
  return new S3Store(clients.s3, Bucket);
}

objectStoreContract("S3", ({ keepsVersions }) => createBucket(keepsVersions));

/** With a rule for each route of the topology. test/emulator/routes.test.ts has the rules that SST creates. */
async function createBus(): Promise<EventBus> {
  const { events } = clients;
  const queues = new Map<QueueName, CreatedQueue>();
  for (const name of queueNames) queues.set(name, await createQueue(services[name].queue.fifo));
  const EventBusName = newName();
  await events.send(new CreateEventBusCommand({ Name: EventBusName }));
  for (const { name: Rule, events: types, to, group } of routes) {
    const EventPattern = JSON.stringify({ source: [eventSource], "detail-type": types });
    await events.send(new PutRuleCommand({ Name: Rule, EventBusName, EventPattern }));
    const SqsParameters = group === undefined ? undefined : { MessageGroupId: group };
    const Targets = [{ Id: "queue", Arn: queues.get(to)?.arn, SqsParameters }];
    await events.send(new PutTargetsCommand({ Rule, EventBusName, Targets }));
  }
  return {
    publish: eventBridgePublisher(events, EventBusName),
    async takeArrived() {
      const all = await Promise.all(
        [...queues].map(async ([name, { queue }]) => [name, await takeAll(queue)] as const),
      );
      return Object.fromEntries(all.filter(([, messages]) => messages.length > 0));
    },
  };
}

eventBusContract("EventBridge", () => bus);

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
  const { arn, queue } = await createQueue();
  await clients.sns.send(new SubscribeCommand({ TopicArn, Protocol: "sqs", Endpoint: arn }));
  topic = { arn: TopicArn ?? "", subscriber: queue };
});
notifierContract("SNS", () => {
  const received: string[] = [];
  return {
    notify: snsNotifier(clients.sns, topic.arn),
    async received() {
      for (const { body } of await takeAll(topic.subscriber)) {
        const { Subject, Message } = JSON.parse(body);
        received.push(`${Subject}\n${Message}`);
      }
      return received.join("\n");
    },
  };
});
