// Tests the routes on the emulator: the queues that receive each event of the pipeline, of AWS services and of S3, and the
// events that no queue receives.
import { PutEventsCommand, TestEventPatternCommand } from "@aws-sdk/client-eventbridge";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eventBridgeEmitter } from "../../shared/aws/eventbridge.ts";
import { objectCreated } from "../../shared/aws-events.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { eventSource } from "../../shared/events.ts";
import { type QueueName, queueNames } from "../../shared/topology.ts";
import { eventBusContract, eventExamples } from "../contracts/event-bus-contract.ts";
import { account, region } from "../stacks/evaluate/graph.ts";
import { created } from "../stacks/stages.ts";
import { take } from "../support/local-adapters.ts";
import { ruleInputs, targetInputs } from "./create/create-messaging.ts";
import { deploy, type Stage } from "./emulated-stage.ts";
import { dataOf, pause, queueOf, queueUrl } from "./handles.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await deploy();
  await pause(stage, ...queueNames);
});
afterAll(() => stage?.close());
beforeEach(async () => {
  await takeAllMessages();
});

/** Receives and deletes all messages, by queue. Queues without messages are omitted. */
async function takeAllMessages() {
  const all = await Promise.all(
    queueNames.map(async (name) => [name, await take(queueOf(stage, name))] as const),
  );
  return Object.fromEntries(all.filter(([, messages]) => messages.length > 0));
}

eventBusContract("the stage's rules", () => ({
  emit: eventBridgeEmitter(stage.clients.events, stage.settings.BUS_NAME ?? ""),
  takeArrived: takeAllMessages,
}));

test.each([
  ["another source", { bus: () => stage.settings.BUS_NAME, source: "another.source" }],
  ["the default bus", { bus: () => "default", source: eventSource }],
])("an event of %s arrives in no queue", async (_, { bus, source: Source }) => {
  const Detail = JSON.stringify(eventExamples["run.requested"]);
  const { FailedEntryCount } = await stage.clients.events.send(
    new PutEventsCommand({
      Entries: [{ EventBusName: bus(), Source, DetailType: "run.requested", Detail }],
    }),
  );
  expect(FailedEntryCount).toBe(0);
  expect(await takeAllMessages()).toEqual({});
});

const athenaType = "Athena Query State Change";
const workgroupName = "libinsight-ada";

const query = { source: "aws.athena", type: athenaType };
const alarm = { source: "aws.cloudwatch", type: "CloudWatch Alarm State Change" };
const alarmState = (value: string, alarmName: string) => ({ detail: { alarmName, state: { value } } });
const queryEnd = (currentState: string, workgroup = workgroupName) => ({
  detail: { workgroupName: workgroup, currentState, queryExecutionId: "1" },
});
type AwsEvent = { source: string; type: string; detail: object; queue?: QueueName };

/** Events of the stage and of other resources in its account. */
const awsEvents: AwsEvent[] = [
  ...["SUCCEEDED", "FAILED", "CANCELLED"].map(
    (state): AwsEvent => ({ ...query, ...queryEnd(state), queue: "athena" }),
  ),
  ...["QUEUED", "RUNNING"].map((state) => ({ ...query, ...queryEnd(state) })),
  ...["DeadLetters", "FunctionErrors", "Failed", "Undelivered"].map(
    (name): AwsEvent => ({ ...alarm, ...alarmState("ALARM", `libinsight-ada-${name}`), queue: "reporter" }),
  ),
  ...["OK", "INSUFFICIENT_DATA"].map((state) => ({
    ...alarm,
    ...alarmState(state, "libinsight-ada-DeadLetters"),
  })),
  { ...alarm, ...alarmState("ALARM", "libinsight-ada-2-DeadLetters") },
  ...["primary", `${workgroupName}-analysts`].map((other) => ({ ...query, ...queryEnd("SUCCEEDED", other) })),
];

test.each(awsEvents)("$source, $type, $detail goes to $queue", async ({ source, type, detail, queue }) => {
  expect(await matchedBy(source, type, detail)).toEqual(queue ? [queue] : []);
});

/**
 * Returns the queues of the rules on the default bus whose pattern matches. EventBridge decides it with TestEventPattern,
 * because only AWS may send such events.
 */
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
    found.push(
      ...queueNames.filter((queue) => queueUrl(stage, queue).endsWith(`/${nameOfArn(target?.arn)}`)),
    );
  }
  return found;
}

function nameOfArn(arn = ""): string {
  return arn.slice(arn.lastIndexOf(":") + 1);
}

test("S3 sends a notification of the published CSV, but not of other objects or deletions", async () => {
  const data = dataOf(stage);
  const { csv, jsonl } = defaultDataset.publish;
  for (const key of [jsonl, "elsewhere.csv", `other/${csv}`, csv.slice(0, -1)]) {
    await data.put(key, "text", "text/plain");
  }
  expect(await takeAllMessages()).toEqual({});
  await data.put(csv, "text", "text/csv");
  const { athena: [message] = [], ...others } = await takeAllMessages();
  expect(others).toEqual({});
  const { Records } = objectCreated.parse(JSON.parse(message?.body ?? ""));
  expect(Records.map(({ s3 }) => [s3.bucket.name, s3.object.key])).toEqual([[data.bucket, csv]]);
  await stage.clients.s3.send(new DeleteObjectCommand({ Bucket: data.bucket, Key: csv }));
  expect(await takeAllMessages()).toEqual({});
});
