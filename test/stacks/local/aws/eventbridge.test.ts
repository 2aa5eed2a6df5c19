import {
  CreateEventBusCommand,
  DescribeEventBusCommand,
  DescribeRuleCommand,
  EventBridgeClient,
  ListRulesCommand,
  ListTargetsByRuleCommand,
  PutEventsCommand,
  type PutEventsRequestEntry,
  PutRuleCommand,
  PutTargetsCommand,
  RemoveTargetsCommand,
  type Target,
} from "@aws-sdk/client-eventbridge";
import { DeleteQueueCommand } from "@aws-sdk/client-sqs";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { Queue } from "../../../../shared/aws/queue.ts";
import { runRequested } from "../../../../shared/events.ts";
import { startEventBridge } from "../../../../stacks/local/aws/eventbridge.ts";
import {
  clientOptions,
  createQueue,
  queueUrl,
  receive,
  receiveJson,
  startSqs,
  temporaryFolder,
} from "./clients.ts";

async function start(folder?: string) {
  const dataDir = folder ?? (await temporaryFolder());
  const { sqs, stop: stopSqs } = await startSqs(dataDir);
  const bridge = await startEventBridge({ dataDir, sqs });
  const events = new EventBridgeClient({ ...clientOptions(bridge.endpoint), maxAttempts: 1 });
  let running = true;
  const stop = async () => {
    if (!running) return;
    running = false;
    events.destroy();
    await bridge.close();
    await stopSqs();
  };
  onTestFinished(stop);
  return { endpoint: bridge.endpoint, events, sqs, stop };
}

const entry = {
  Source: "libinsight.pipeline",
  DetailType: "run.requested",
  Detail: JSON.stringify({ dataset: "reference-transactions", reason: "test" }),
} satisfies PutEventsRequestEntry;

function putEvents(events: EventBridgeClient, ...Entries: PutEventsRequestEntry[]) {
  return events.send(new PutEventsCommand({ Entries }));
}

function putRule(events: EventBridgeClient, pattern: object, EventBusName?: string) {
  return events.send(
    new PutRuleCommand({ Name: "rule", EventBusName, EventPattern: JSON.stringify(pattern) }),
  );
}

function putTarget(events: EventBridgeClient, target: Partial<Target>, EventBusName?: string) {
  const Targets = [{ Id: "target", Arn: undefined, ...target }];
  return events.send(new PutTargetsCommand({ Rule: "rule", EventBusName, Targets }));
}

/** A rule on the default bus that sends what it takes to a queue. */
async function route(
  { events, sqs }: Awaited<ReturnType<typeof start>>,
  pattern: object = { source: ["libinsight.pipeline"] },
) {
  const queue = await createQueue(sqs, "kickoff");
  await putRule(events, pattern);
  await putTarget(events, { Arn: queue.arn });
  return queue;
}

test("a queue gets the event in EventBridge's envelope", async () => {
  const local = await start();
  const { url } = await route(local);

  const { Entries, FailedEntryCount } = await putEvents(local.events, {
    ...entry,
    Time: new Date("2026-01-02T03:04:05.678Z"),
    Resources: ["arn:aws:s3:::work"],
  });
  const [message] = await receiveJson(local.sqs, url);

  expect(FailedEntryCount).toBe(0);
  expect(message).toEqual({
    version: "0",
    id: Entries?.[0]?.EventId,
    "detail-type": "run.requested",
    source: "libinsight.pipeline",
    account: "000000000000",
    time: "2026-01-02T03:04:05Z",
    region: "us-east-1",
    resources: ["arn:aws:s3:::work"],
    detail: { dataset: "reference-transactions", reason: "test" },
  });
  expect(runRequested.parse(message).detail.dataset).toBe("reference-transactions");
});

test("an event goes to every target of every rule that takes it, and to no other", async () => {
  const { events, sqs } = await start();
  const one = await createQueue(sqs, "one");
  const two = await createQueue(sqs, "two");
  const other = await createQueue(sqs, "other");
  const rules: [name: string, pattern: object, state: "ENABLED" | "DISABLED", ...queues: string[]][] = [
    ["both", { "detail-type": ["run.requested"] }, "ENABLED", one.arn, two.arn],
    ["also", { detail: { reason: [{ prefix: "te" }] } }, "ENABLED", one.arn],
    ["different", { "detail-type": ["run.started"] }, "ENABLED", other.arn],
    ["disabled", { "detail-type": ["run.requested"] }, "DISABLED", other.arn],
  ];
  for (const [Name, pattern, State, ...queues] of rules) {
    await events.send(new PutRuleCommand({ Name, State, EventPattern: JSON.stringify(pattern) }));
    const Targets = queues.map((Arn, index) => ({ Id: String(index), Arn }));
    await events.send(new PutTargetsCommand({ Rule: Name, Targets }));
  }

  await putEvents(events, entry);

  expect(await receiveJson(sqs, one.url)).toHaveLength(2);
  expect(await receiveJson(sqs, two.url)).toHaveLength(1);
  expect(await receiveJson(sqs, other.url)).toEqual([]);
});

test("a bus's events go to its own rules only, by its name or its ARN", async () => {
  const { events, sqs } = await start();
  const queue = await createQueue(sqs, "kickoff");
  const { EventBusArn } = await events.send(new CreateEventBusCommand({ Name: "pipeline" }));
  await putRule(events, { source: ["libinsight.pipeline"] }, "pipeline");
  await putTarget(events, { Arn: queue.arn }, EventBusArn);

  await putEvents(events, entry);
  await putEvents(events, { ...entry, EventBusName: "pipeline" });
  await putEvents(events, { ...entry, EventBusName: EventBusArn });

  expect(EventBusArn).toBe("arn:aws:events:us-east-1:000000000000:event-bus/pipeline");
  expect(await receiveJson(sqs, queue.url)).toHaveLength(2);
});

test("a FIFO queue gets the events in the target's message group", async () => {
  const { events, sqs } = await start();
  const queue = await createQueue(sqs, "assemble.fifo", {
    FifoQueue: "true",
    ContentBasedDeduplication: "true",
    VisibilityTimeout: "0",
  });
  await putRule(events, { source: ["libinsight.pipeline"] });
  const SqsParameters = { MessageGroupId: "runs" };

  await expect(putTarget(events, { Arn: queue.arn })).rejects.toMatchObject({ name: "ValidationException" });
  await putTarget(events, { Arn: queue.arn, SqsParameters });
  await putEvents(events, entry);

  expect(await receive(sqs, queue.url)).toMatchObject([{ Attributes: { MessageGroupId: "runs" } }]);
});

test("a FIFO queue that does not deduplicate by content takes no event, which goes to the dead letters", async () => {
  const { events, sqs } = await start();
  const queue = await createQueue(sqs, "assemble.fifo", { FifoQueue: "true" });
  const dead = await createQueue(sqs, "undelivered");
  await putRule(events, { source: ["libinsight.pipeline"] });
  await putTarget(events, {
    Arn: queue.arn,
    SqsParameters: { MessageGroupId: "runs" },
    DeadLetterConfig: { Arn: dead.arn },
    RetryPolicy: { MaximumRetryAttempts: 0 },
  });
  await putEvents(events, entry);

  expect(await receive(sqs, queue.url)).toEqual([]);
  expect(await receive(sqs, dead.url)).toMatchObject([
    { MessageAttributes: { ERROR_CODE: { StringValue: expect.stringContaining("InvalidParameterValue") } } },
  ]);
});

test("events that say the same are two events to a FIFO queue: each has an id of its own", async () => {
  const { events, sqs } = await start();
  const byContent = { FifoQueue: "true", ContentBasedDeduplication: "true", VisibilityTimeout: "0" };
  const queue = await createQueue(sqs, "tableau.fifo", byContent);
  await putRule(events, { source: ["libinsight.pipeline"] });
  await putTarget(events, { Arn: queue.arn, SqsParameters: { MessageGroupId: "tableau" } });
  await putEvents(events, entry, entry);

  expect(await new Queue(sqs, queue.url).count()).toBe(2);
});

test("buses, rules and targets are described and listed as they were made", async () => {
  const local = await start();
  const { events } = local;
  const { arn } = await route(local, { source: ["a"] });
  await events.send(
    new PutRuleCommand({
      Name: "second",
      EventPattern: '{"source":["b"]}',
      State: "DISABLED",
      Description: "d",
    }),
  );

  expect(await events.send(new DescribeEventBusCommand({}))).toMatchObject({
    Name: "default",
    Arn: "arn:aws:events:us-east-1:000000000000:event-bus/default",
    CreationTime: expect.any(Date),
  });
  expect(await events.send(new DescribeRuleCommand({ Name: "rule" }))).toMatchObject({
    Name: "rule",
    Arn: "arn:aws:events:us-east-1:000000000000:rule/rule",
    EventBusName: "default",
    EventPattern: '{"source":["a"]}',
    State: "ENABLED",
  });
  const firstPage = await events.send(new ListRulesCommand({ Limit: 1 }));
  const secondPage = await events.send(new ListRulesCommand({ Limit: 1, NextToken: firstPage.NextToken }));
  expect([firstPage, secondPage].map(({ Rules }) => Rules?.map(({ Name }) => Name))).toEqual([
    ["rule"],
    ["second"],
  ]);
  expect(secondPage.NextToken).toBeUndefined();
  expect(secondPage.Rules).toMatchObject([{ State: "DISABLED", Description: "d" }]);
  expect((await events.send(new ListRulesCommand({ NamePrefix: "sec" }))).Rules).toHaveLength(1);
  const { Targets } = await events.send(new ListTargetsByRuleCommand({ Rule: "rule" }));
  expect(Targets).toEqual([{ Id: "target", Arn: arn }]);
});

test("a rule that is put again keeps its targets, a target that is put again is replaced", async () => {
  const local = await start();
  const first = await route(local);
  const second = await createQueue(local.sqs, "second");

  await putRule(local.events, { source: ["other"] });
  await putEvents(local.events, { ...entry, Source: "other" });
  await putTarget(local.events, { Arn: second.arn });
  await putEvents(local.events, { ...entry, Source: "other" });

  expect(await receiveJson(local.sqs, first.url)).toHaveLength(1);
  expect(await receiveJson(local.sqs, second.url)).toHaveLength(1);
});

test("buses, rules and targets survive a restart", async () => {
  const folder = await temporaryFolder();
  const before = await start(folder);
  await before.events.send(new CreateEventBusCommand({ Name: "pipeline" }));
  await route(before);
  await before.stop();

  const after = await start(folder);
  await putEvents(after.events, entry);

  expect(await receiveJson(after.sqs, await queueUrl(after.sqs, "kickoff"))).toHaveLength(1);
  await expect(after.events.send(new CreateEventBusCommand({ Name: "pipeline" }))).rejects.toMatchObject({
    name: "ResourceAlreadyExistsException",
  });
});

test("an entry that can't be taken is told in its place, and the others are delivered", async () => {
  const local = await start();
  const { url } = await route(local, { source: [{ exists: true }] });

  const { Entries, FailedEntryCount } = await putEvents(
    local.events,
    entry,
    { ...entry, Source: undefined },
    { ...entry, DetailType: "" },
    { ...entry, Detail: undefined },
    { ...entry, Detail: "{not json" },
    { ...entry, Detail: '["not an object"]' },
    { ...entry, EventBusName: "nobody" },
    { ...entry, Source: "last" },
  );

  expect(FailedEntryCount).toBe(6);
  expect(Entries?.map(({ ErrorCode }) => ErrorCode)).toEqual([
    undefined,
    "InvalidArgument",
    "InvalidArgument",
    "InvalidArgument",
    "MalformedDetail",
    "MalformedDetail",
    "ResourceNotFoundException",
    undefined,
  ]);
  expect(Entries?.map(({ EventId }) => EventId !== undefined)).toEqual([
    true,
    ...Array<boolean>(6).fill(false),
    true,
  ]);
  const sources = (await receiveJson(local.sqs, url)).map(
    (message) => JSON.stringify(message).match(/"source":"([^"]+)/)?.[1],
  );
  expect(sources.sort()).toEqual(["last", "libinsight.pipeline"]);
});

test("takes ten entries and 1 MiB in one request, and not more", async () => {
  const { events } = await start();
  const ofBytes = (bytes: number) => ({
    Source: "s",
    DetailType: "d",
    Detail: `{"a":"${"é".repeat((bytes - 10) / 2)}"}`,
  });

  expect(await putEvents(events, ...Array<PutEventsRequestEntry>(10).fill(entry))).toMatchObject({
    FailedEntryCount: 0,
  });
  await expect(putEvents(events, ...Array<PutEventsRequestEntry>(11).fill(entry))).rejects.toMatchObject({
    name: "ValidationException",
  });
  await expect(putEvents(events)).rejects.toMatchObject({ name: "ValidationException" });
  expect(await putEvents(events, ofBytes(1024 * 1024))).toMatchObject({ FailedEntryCount: 0 });
  await expect(putEvents(events, ofBytes(1024 * 1024 + 2))).rejects.toThrow(/over the limit/);
});

test("what is not there, or not known, is refused by name", async () => {
  const { endpoint, events, sqs } = await start();
  const { arn } = await createQueue(sqs, "kickoff");

  await expect(events.send(new DescribeEventBusCommand({ Name: "x" }))).rejects.toMatchObject({
    name: "ResourceNotFoundException",
    message: "Event bus x does not exist.",
  });
  await expect(putRule(events, { source: ["a"] }, "x")).rejects.toMatchObject({
    name: "ResourceNotFoundException",
  });
  await expect(putTarget(events, { Arn: arn })).rejects.toMatchObject({
    name: "ResourceNotFoundException",
    message: "Rule rule does not exist on EventBus default.",
  });
  await putRule(events, { source: ["a"] });
  await expect(putTarget(events, { Arn: "arn:aws:lambda:us-east-1:1:function:f" })).rejects.toMatchObject({
    name: "ValidationException",
  });
  await expect(putTarget(events, { Arn: arn, InputPath: "$.detail" })).rejects.toThrow(/InputPath/);
  await expect(
    events.send(new PutRuleCommand({ Name: "r", ScheduleExpression: "rate(1 day)" })),
  ).rejects.toMatchObject({ name: "ValidationException" });
  await expect(
    events.send(new RemoveTargetsCommand({ Rule: "rule", Ids: ["target"] })),
  ).rejects.toMatchObject({ name: "UnknownOperationException" });
  const notJson = await fetch(endpoint, {
    method: "POST",
    headers: { "x-amz-target": "AWSEvents.PutEvents" },
    body: "{",
  });
  expect([notJson.status, await notJson.json()]).toMatchObject([400, { __type: "SerializationException" }]);
});

test("a request that is too large is refused", async () => {
  const { events } = await start();

  await expect(putEvents(events, { ...entry, Detail: "x".repeat(9 * 1024 * 1024) })).rejects.toMatchObject({
    name: "RequestEntityTooLargeException",
  });
});

test("an event that can't be delivered goes to the target's dead-letter queue, with the reason", async () => {
  const { events, sqs } = await start();
  const queue = await createQueue(sqs, "kickoff");
  const dead = await createQueue(sqs, "kickoff-dead");
  await putRule(events, { source: ["libinsight.pipeline"] });
  await putTarget(events, {
    Arn: queue.arn,
    DeadLetterConfig: { Arn: dead.arn },
    RetryPolicy: { MaximumRetryAttempts: 0 },
  });
  await sqs.send(new DeleteQueueCommand({ QueueUrl: queue.url }));

  const { FailedEntryCount } = await putEvents(events, entry);
  const [letter] = await receive(sqs, dead.url);

  expect(FailedEntryCount).toBe(0);
  expect(JSON.parse(letter?.Body ?? "")).toMatchObject({ "detail-type": "run.requested" });
  expect(letter?.MessageAttributes).toMatchObject({
    TARGET_ARN: { StringValue: queue.arn },
    RULE_ARN: { StringValue: "arn:aws:events:us-east-1:000000000000:rule/rule" },
    ERROR_CODE: { StringValue: expect.stringMatching(/QueueDoesNotExist|NonExistentQueue/) },
  });
});

test("an event that can't be delivered and has no dead-letter queue is told once, after the retries", async () => {
  const local = await start();
  const { url } = await route(local);
  await local.sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
  const send = vi.spyOn(local.sqs, "send");
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => stderr.mockRestore());

  const { Entries } = await putEvents(local.events, entry);

  expect(send).toHaveBeenCalledTimes(3);
  expect(stderr.mock.calls.map(([line]) => line)).toEqual([
    expect.stringContaining(`could not deliver event ${Entries?.[0]?.EventId} of rule rule`),
  ]);
});

// Examples of https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
// and .../eb-event-patterns.html, each with an event that it takes and some that it does not.
const ec2 = {
  version: "0",
  source: "aws.ec2",
  "detail-type": "EC2 Instance State-change Notification",
  time: "2017-12-22T18:43:48Z",
  resources: ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
  detail: { "instance-id": "i-1234567890abcdef0", state: "terminated" },
};

const patterns: { name: string; pattern: object; takes: object[]; leaves: object[] }[] = [
  {
    name: "exact values in nested fields, all of them",
    pattern: {
      source: ["aws.ec2"],
      "detail-type": ["EC2 Instance State-change Notification"],
      detail: { state: ["terminated"] },
    },
    takes: [ec2],
    leaves: [
      { ...ec2, source: "aws.s3" },
      { ...ec2, detail: { state: "running" } },
      { ...ec2, detail: { state: ["running"] } },
      { ...ec2, detail: "terminated" },
      { ...ec2, detail: undefined },
    ],
  },
  {
    name: "any of several values",
    pattern: { detail: { state: ["pending", "terminated"] } },
    takes: [ec2],
    leaves: [{ detail: { state: "running" } }],
  },
  {
    name: "an array in the event: one of its values is enough",
    pattern: { resources: ["arn:1", "arn:2"] },
    takes: [{ resources: ["arn:0", "arn:2"] }],
    leaves: [{ resources: ["arn:0"] }, { resources: [] }, {}],
  },
  {
    name: "objects in an array: one of them has to match as a whole",
    pattern: { detail: { pets: { kind: ["cat"], name: ["Tom"] } } },
    takes: [
      {
        detail: {
          pets: [
            { kind: "dog", name: "Rex" },
            { kind: "cat", name: "Tom" },
          ],
        },
      },
    ],
    leaves: [
      {
        detail: {
          pets: [
            { kind: "dog", name: "Tom" },
            { kind: "cat", name: "Rex" },
          ],
        },
      },
    ],
  },
  {
    name: "null, empty strings, booleans and numbers are values of their own",
    pattern: { detail: { user: [null], name: [""], ok: [true], price: [100] } },
    takes: [{ detail: { user: null, name: "", ok: true, price: 100 } }],
    leaves: [
      { detail: { name: "", ok: true, price: 100 } },
      { detail: { user: null, name: "", ok: "true", price: 100 } },
      { detail: { user: null, name: "", ok: true, price: "100" } },
    ],
  },
  {
    name: "prefix",
    pattern: { time: [{ prefix: "2017-12-22" }] },
    takes: [ec2],
    leaves: [{ time: "2017-10-02T18:43:48Z" }, { time: 2017 }, {}],
  },
  {
    name: "suffix",
    pattern: { detail: { file: [{ suffix: ".png" }] } },
    takes: [{ detail: { file: "a.png" } }],
    leaves: [{ detail: { file: "a.png.txt" } }, { detail: { file: null } }],
  },
  {
    name: "anything-but a value",
    pattern: { detail: { state: [{ "anything-but": "initializing" }] } },
    takes: [ec2, { detail: { state: "Initializing" } }],
    leaves: [{ detail: { state: "initializing" } }, { detail: {} }],
  },
  {
    name: "anything-but a list of strings",
    pattern: { detail: { state: [{ "anything-but": ["stopped", "overloaded"] }] } },
    takes: [{ detail: { state: "running" } }],
    leaves: [{ detail: { state: "stopped" } }, { detail: { state: "overloaded" } }],
  },
  {
    name: "anything-but a list of numbers",
    pattern: { detail: { limit: [{ "anything-but": [100, 200, 300] }] } },
    takes: [{ detail: { limit: 150 } }, { detail: { limit: "100" } }],
    leaves: [{ detail: { limit: 200 } }],
  },
  {
    name: "anything-but a prefix",
    pattern: { detail: { region: [{ "anything-but": { prefix: "us-" } }] } },
    takes: [{ detail: { region: "eu-west-1" } }],
    leaves: [{ detail: { region: "us-east-1" } }],
  },
  {
    name: "anything-but suffixes",
    pattern: { detail: { file: [{ "anything-but": { suffix: [".txt", ".rtf"] } }] } },
    takes: [{ detail: { file: "a.csv" } }],
    leaves: [{ detail: { file: "a.txt" } }, { detail: { file: "a.rtf" } }],
  },
  {
    name: "exists",
    pattern: { detail: { state: [{ exists: true }] } },
    takes: [ec2, { detail: { state: null } }],
    leaves: [{ detail: {} }, { detail: { state: { nested: 1 } } }],
  },
  {
    name: "does not exist",
    pattern: { detail: { count: [{ exists: false }] } },
    takes: [{ detail: { state: "x" } }, {}],
    leaves: [{ detail: { count: 0 } }, { detail: { count: null } }],
  },
  {
    name: "a value, or none at all",
    pattern: { detail: { state: ["x", { exists: false }] } },
    takes: [{ detail: {} }, { detail: { state: "x" } }],
    leaves: [{ detail: { state: "y" } }],
  },
  {
    name: "numeric ranges and equality",
    pattern: {
      detail: {
        count: [{ numeric: [">", 0, "<=", 5] }],
        exact: [{ numeric: ["=", 10] }],
        below: [{ numeric: ["<", 10] }],
      },
    },
    takes: [{ detail: { count: 5, exact: 10, below: -1 } }],
    leaves: [
      { detail: { count: 0, exact: 10, below: -1 } },
      { detail: { count: 6, exact: 10, below: -1 } },
      { detail: { count: 5, exact: 11, below: -1 } },
      { detail: { count: 5, exact: 10, below: 10 } },
      { detail: { count: "5", exact: 10, below: -1 } },
    ],
  },
];

test.each(patterns)("a rule takes the events of its pattern: $name", async ({ pattern, takes, leaves }) => {
  const local = await start();
  // Only `detail`, `resources`, `time`, `source` and `detail-type` come from the entry.
  const { url } = await route(local, pattern);
  const send = async (event: object) => {
    const given = { source: "s", "detail-type": "t", ...event };
    const { detail = {}, ...rest } = JSON.parse(JSON.stringify(given));
    await putEvents(local.events, {
      Source: rest.source,
      DetailType: rest["detail-type"],
      Detail: JSON.stringify(typeof detail === "object" ? detail : {}),
      Resources: rest.resources,
      ...(typeof rest.time === "string" && { Time: new Date(rest.time) }),
    });
  };

  for (const event of leaves) await send(event);
  expect(await receiveJson(local.sqs, url)).toEqual([]);
  for (const event of takes) await send(event);
  expect(await receiveJson(local.sqs, url)).toHaveLength(takes.length);
});

test.each([
  ["an operator that is not known", { detail: { a: [{ wildcard: "*.png" }] } }],
  ["equals-ignore-case", { detail: { a: [{ "equals-ignore-case": "x" }] } }],
  ["cidr", { detail: { a: [{ cidr: "10.0.0.0/24" }] } }],
  ["$or", { $or: [{ source: ["a"] }, { source: ["b"] }] }],
  ["a misspelt operator", { detail: { a: [{ Prefix: "x" }] } }],
  [
    "an operator within another that does not take it",
    { detail: { a: [{ prefix: { "equals-ignore-case": "x" } }] } },
  ],
  ["anything-but with an unknown operator", { detail: { a: [{ "anything-but": { wildcard: "*" } }] } }],
  ["anything-but with values of two types", { detail: { a: [{ "anything-but": ["a", 1] }] } }],
  ["two operators in one alternative", { detail: { a: [{ prefix: "a", suffix: "b" }] } }],
  ["a bare value", { source: "aws.ec2" }],
  ["an empty array", { source: [] }],
  ["an empty object", { detail: {} }],
  ["an empty pattern", {}],
  ["an empty alternative", { source: [{}] }],
  ["an array in an array", { source: [["a"]] }],
  ["exists with a string", { source: [{ exists: "true" }] }],
  ["numeric with an unknown comparison", { detail: { a: [{ numeric: ["!=", 1] }] } }],
  ["numeric with a range upside down", { detail: { a: [{ numeric: [">", 5, "<", 1] }] } }],
  ["numeric with a string", { detail: { a: [{ numeric: ["=", "1"] }] } }],
  ["numeric without a bound", { detail: { a: [{ numeric: ["="] }] } }],
])("a pattern is refused when the rule is put: %s", async (_name, pattern) => {
  const { events } = await start();

  await expect(putRule(events, pattern)).rejects.toMatchObject({ name: "InvalidEventPatternException" });
  expect((await events.send(new ListRulesCommand({}))).Rules).toEqual([]);
});

test("any pattern is taken or refused by name, and any taken one is answered for any event", async () => {
  const local = await start();
  const operators = ["prefix", "suffix", "exists", "numeric", "anything-but", "wildcard", "$or"];
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.constant(null),
    fc.dictionary(fc.constantFrom(...operators), fc.jsonValue(), { maxKeys: 2 }),
  );
  const pattern = fc.dictionary(
    fc.constantFrom("source", "detail", "$or"),
    fc.oneof(fc.jsonValue(), fc.array(leaf), fc.dictionary(fc.string(), fc.array(leaf))),
  );

  await fc.assert(
    fc.asyncProperty(pattern, fc.dictionary(fc.string(), fc.jsonValue()), async (generated, detail) => {
      await putRule(local.events, generated).catch((error: unknown) => {
        expect(error).toMatchObject({ name: "InvalidEventPatternException" });
      });
      const sent = await putEvents(local.events, { ...entry, Detail: JSON.stringify(detail) });
      expect(sent.FailedEntryCount).toBe(0);
    }),
    { numRuns: 100 },
  );
});
