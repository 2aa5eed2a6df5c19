// What arrives in which queue on the emulator: every event of the pipeline, what AWS's own services tell, and S3's
// notifications; and what goes nowhere.
import { PutEventsCommand, TestEventPatternCommand } from "@aws-sdk/client-eventbridge";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { ChangeMessageVisibilityCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { objectCreated } from "../../shared/aws-events.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { type EventDetail, type EventType, eventDetails, eventSource } from "../../shared/events.ts";
import { type QueueName, queueNames, receiveLimit } from "../../shared/topology.ts";
import { account, region } from "../stacks/evaluate/graph.ts";
import { created } from "../stacks/stages.ts";
import { ruleInputs, targetInputs } from "./create/messaging.ts";
import {
  dataOf,
  deadLettersOf,
  deadLettersUrl,
  pause,
  queueOf,
  queueUrl,
  takeAll,
  until,
} from "./handles.ts";
import { deploy, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await deploy();
  await pause(stage, ...queueNames);
});
afterAll(() => stage?.close());
beforeEach(arrived);

type Arrived = Partial<Record<QueueName, string[]>>;

/** Takes what lies in the queues. @returns the bodies, of each queue that had some */
async function arrived(): Promise<Arrived> {
  const all = await Promise.all(
    queueNames.map(async (name) => [name, await takeAll(stage, queueUrl(stage, name))] as const),
  );
  return Object.fromEntries(
    all
      .filter(([, messages]) => messages.length > 0)
      .map(([name, messages]) => [name, messages.map(({ Body = "" }) => Body)]),
  );
}

const ofRun = { runId: "reference-transactions-0123456789ab", dataset: defaultDataset.name };
const reason = "a test";
const file = { bucket: "bucket", key: "key" };
const query = { queryExecutionId: "1" };
const instanceId = "i-0123456789abcdef0";

/** An example of each, and where it has to arrive. */
const examples: { [T in EventType]: { detail: EventDetail<T>; queues: QueueName[] } } = {
  "run.requested": { detail: { dataset: defaultDataset.name, reason }, queues: ["kickoff"] },
  "run.started": {
    detail: { ...ofRun, from: "2024-01-01", to: "2024-01-31", windows: 1 },
    queues: [],
  },
  "run.transformed": { detail: { ...ofRun, attempt: 1 }, queues: [] },
  "run.published": { detail: { ...ofRun, ...file, rows: 1 }, queues: ["reporter", "ec2"] },
  "run.held": { detail: { ...ofRun, reason }, queues: ["reporter", "ec2"] },
  "run.failed": { detail: { ...ofRun, reason }, queues: ["reporter", "ec2"] },
  "run.superseded": { detail: { ...ofRun, reason }, queues: ["reporter", "ec2"] },
  "deadletter.replay.requested": { detail: { reason }, queues: ["replay"] },
  "results.published": { detail: { ...ofRun, ...query, ...file, rows: 1 }, queues: ["tableau", "reporter"] },
  "file.refused": { detail: { ...ofRun, ...file, reason }, queues: ["reporter"] },
  "query.failed": { detail: { ...ofRun, ...query, reason }, queues: ["reporter"] },
  "tableau.refreshed": {
    detail: { ...ofRun, refreshed: [{ kind: "workbook", name: "Weekly" }] },
    queues: [],
  },
  "tableau.failed": { detail: { ...ofRun, reason }, queues: ["reporter"] },
  "freshness.check.requested": { detail: { dataset: defaultDataset.name }, queues: ["reporter"] },
  "instances.check.requested": { detail: {}, queues: ["reporter"] },
  "instance.start.requested": { detail: { reason }, queues: ["ec2"] },
  "instance.stop.requested": { detail: { reason }, queues: ["ec2"] },
  "instance.started": { detail: { instanceId, reason }, queues: [] },
  "instance.stopped": { detail: { instanceId, reason }, queues: [] },
  "instance.failed": { detail: { instanceId, reason }, queues: ["reporter"] },
};

const envelope = z.object({ source: z.literal(eventSource), "detail-type": z.string(), detail: z.unknown() });

test("each event of the pipeline arrives in the queues of those who wait for it, once, and in no other", async () => {
  for (const type of Object.keys(eventDetails).filter((name): name is EventType => name in eventDetails)) {
    const { detail, queues } = examples[type];
    await put({ EventBusName: stage.settings.BUS_NAME, Source: eventSource, DetailType: type, detail });
    const found = await arrived();
    expect([type, Object.keys(found).toSorted()]).toEqual([type, queues.toSorted()]);
    for (const bodies of Object.values(found)) {
      expect(bodies.map((body) => envelope.parse(JSON.parse(body)))).toEqual([
        { source: eventSource, "detail-type": type, detail },
      ]);
    }
  }
});

test("nobody else's events on the bus, and none of ours on the default bus, arrive anywhere", async () => {
  const requested = { DetailType: "run.requested", detail: examples["run.requested"].detail };
  await put({ EventBusName: stage.settings.BUS_NAME, Source: "somebody.else", ...requested });
  await put({ EventBusName: "default", Source: eventSource, ...requested });
  expect(await arrived()).toEqual({});
});

async function put({
  detail,
  ...entry
}: {
  EventBusName: string | undefined;
  Source: string;
  DetailType: string;
  detail: unknown;
}): Promise<void> {
  const { FailedEntryCount } = await stage.clients.events.send(
    new PutEventsCommand({ Entries: [{ ...entry, Detail: JSON.stringify(detail) }] }),
  );
  expect(FailedEntryCount).toBe(0);
}

const athenaType = "Athena Query State Change";
const ec2Type = "EC2 Instance State-change Notification";
const workgroupName = "libinsight-ada";

/** What AWS tells of the stage and of others in its account. */
const ofAws: { source: string; type: string; detail: Record<string, string>; queue?: QueueName }[] = [
  ...["SUCCEEDED", "FAILED", "CANCELLED"].map(
    (currentState) =>
      ({
        source: "aws.athena",
        type: athenaType,
        detail: { workgroupName, currentState, queryExecutionId: "1" },
        queue: "athena",
      }) as const,
  ),
  ...["QUEUED", "RUNNING"].map((currentState) => ({
    source: "aws.athena",
    type: athenaType,
    detail: { workgroupName, currentState, queryExecutionId: "1" },
  })),
  ...["primary", "libinsight-ada-analysts"].map((others) => ({
    source: "aws.athena",
    type: athenaType,
    detail: { workgroupName: others, currentState: "SUCCEEDED", queryExecutionId: "1" },
  })),
  ...["running", "stopped", "terminated"].map(
    (state) =>
      ({
        source: "aws.ec2",
        type: ec2Type,
        detail: { "instance-id": instanceId, state },
        queue: "ec2",
      }) as const,
  ),
  ...["pending", "stopping", "shutting-down"].map((state) => ({
    source: "aws.ec2",
    type: ec2Type,
    detail: { "instance-id": instanceId, state },
  })),
  {
    source: "aws.ec2",
    type: "EC2 Spot Instance Interruption Warning",
    detail: { "instance-id": instanceId },
  },
];

test.each(ofAws)("$source, $type, $detail: to $queue", async ({ source, type, detail, queue }) => {
  await stage.aws.send(
    new PutEventsCommand({
      Entries: [{ Source: source, DetailType: type, Detail: JSON.stringify(detail) }],
    }),
  );
  expect(Object.keys(await arrived())).toEqual(queue ? [queue] : []);
  // The same by SST's own rules, to which only AWS can speak.
  expect(await matchedBy(source, type, detail)).toEqual(queue ? [queue] : []);
});

/** The queues of the rules on the default bus that let the event through, as EventBridge itself judges their patterns. */
async function matchedBy(source: string, type: string, detail: object): Promise<string[]> {
  const Event = JSON.stringify({
    id: "1",
    account,
    region,
    time: "2024-01-01T00:00:00Z",
    resources: [],
    source,
    "detail-type": type,
    detail,
  });
  const rules = created(stage.graph, "aws:cloudwatch/eventRule:EventRule")
    .map(({ inputs }) => ruleInputs.parse(inputs))
    .filter(({ eventBusName }) => eventBusName === "default");
  const targets = created(stage.graph, "aws:cloudwatch/eventTarget:EventTarget").map(({ inputs }) =>
    targetInputs.parse(inputs),
  );
  const found: string[] = [];
  for (const { name, eventPattern: EventPattern } of rules) {
    const { Result } = await stage.clients.events.send(new TestEventPatternCommand({ EventPattern, Event }));
    if (!Result) continue;
    const [target] = targets.filter(({ rule }) => rule === name);
    found.push(...queueNames.filter((queue) => queueUrl(stage, queue).endsWith(`/${nameIn(target?.arn)}`)));
  }
  return found;
}

function nameIn(arn = ""): string {
  return arn.slice(arn.lastIndexOf(":") + 1);
}

test("S3 tells of the published CSV, and of no other object and of no deletion", async () => {
  const data = dataOf(stage);
  const { csv, jsonl } = defaultDataset.publish;
  for (const key of [jsonl, "elsewhere.csv", `other/${csv}`, csv.slice(0, -1)]) {
    await data.put(key, "text", "text/plain");
  }
  expect(await arrived()).toEqual({});
  await data.put(csv, "text", "text/csv");
  const { athena: [body = ""] = [], ...others } = await arrived();
  expect(others).toEqual({});
  const { Records } = objectCreated.parse(JSON.parse(body));
  expect(Records.map(({ s3 }) => [s3.bucket.name, s3.object.key])).toEqual([[data.bucket, csv]]);
  await stage.clients.s3.send(new DeleteObjectCommand({ Bucket: data.bucket, Key: csv }));
  expect(await arrived()).toEqual({});
});

test.each(queueNames)(
  "%s moves a message to its dead letters after the receive limit, and not before",
  async (name) => {
    const queue = queueOf(stage, name);
    const deadLetters = deadLettersOf(stage, name);
    const url = queueUrl(stage, name);
    const fifo = url.endsWith(".fifo") ? { group: "group", deduplicationId: "1" } : {};
    await queue.send("a message", fifo);
    for (let receives = 1; receives <= receiveLimit; receives++) {
      expect(await deadLetters.count()).toBe(0);
      expect(await receiveAndShowAgain(url)).toBe(1);
    }
    expect(await receiveAndShowAgain(url)).toBe(0);
    await until(stage, "it is a dead letter", async () => (await deadLetters.count()) === 1);
    expect((await takeAll(stage, deadLettersUrl(stage, name))).map(({ Body }) => Body)).toEqual([
      "a message",
    ]);
  },
);

async function receiveAndShowAgain(QueueUrl: string): Promise<number> {
  const { sqs } = stage.clients;
  const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  for (const { ReceiptHandle } of Messages) {
    await sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
  }
  return Messages.length;
}
