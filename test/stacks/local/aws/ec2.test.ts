// The local EC2 through the AWS SDK: what can be asked of an instance in which state, and what then happens to it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  EC2Client,
  paginateDescribeInstances,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import fc from "fast-check";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startAwsJson } from "../../../../stacks/local/aws/aws-json.ts";
import { startEc2 } from "../../../../stacks/local/aws/ec2.ts";
import { startEventBridge } from "../../../../stacks/local/aws/eventbridge.ts";
import { clientOptions, createQueue, receive, startSqs, temporaryFolder } from "./clients.ts";

/** Longer than any test: an instance stays on its way until a test puts it elsewhere. */
const never = 10 * 60_000;
const id = "i-0123456789abcdef0";
const tags = { Application: "DataPipeline", Name: "team's <box> & more" };

let dataDir: string;
beforeEach(async () => {
  dataDir = await temporaryFolder();
});

/** An EC2 that tells its events to a bus that is not there, which is no trouble for it. */
async function start(options: Partial<Parameters<typeof startEc2>[0]> = {}) {
  const nowhere = new EventBridgeClient({ ...clientOptions("http://127.0.0.1:9"), maxAttempts: 1 });
  const { events = nowhere, ...times } = options;
  const local = await startEc2({ dataDir, events, startingMs: never, stoppingMs: never, ...times });
  const ec2 = new EC2Client({ ...clientOptions(local.endpoint), maxAttempts: 1 });
  let running = true;
  const stop = async () => {
    if (!running) return;
    running = false;
    ec2.destroy();
    await local.close();
  };
  onTestFinished(async () => {
    await stop();
    nowhere.destroy();
  });
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => void vi.restoreAllMocks());
  return { ...local, ec2, stop };
}
type Local = Awaited<ReturnType<typeof start>>;

async function described({ ec2 }: Pick<Local, "ec2">, input: DescribeInstancesCommandInput = {}) {
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand(input));
  return Reservations.flatMap(({ Instances = [] }) => Instances);
}
async function stateOf(local: Local, InstanceId = id): Promise<string | undefined> {
  return (await described(local, { InstanceIds: [InstanceId] }))[0]?.State?.Name;
}
const startOf = ({ ec2 }: Local, ...InstanceIds: string[]) =>
  ec2.send(new StartInstancesCommand({ InstanceIds }));
const stopOf = ({ ec2 }: Local, ...InstanceIds: string[]) =>
  ec2.send(new StopInstancesCommand({ InstanceIds }));
const idOf = (n: number): string => `i-${String(n).padStart(17, "0")}`;

test("an instance is described with its state, its tags and since when it runs", async () => {
  const local = await start();
  await local.put({ id, state: "running", tags });

  const [instance, ...others] = await described(local);

  expect(others).toEqual([]);
  expect(instance).toMatchObject({ InstanceId: id, State: { Code: 16, Name: "running" } });
  expect(instance?.LaunchTime).toBeInstanceOf(Date);
  expect(Object.fromEntries(instance?.Tags?.map(({ Key = "", Value }) => [Key, Value]) ?? [])).toEqual(tags);
});

test("a stopped instance is started: it is pending, and after its time it runs", async () => {
  const local = await start({ startingMs: 30 });
  await local.put({ id, state: "stopped", tags });

  const { StartingInstances } = await startOf(local, id);

  expect(StartingInstances).toEqual([
    {
      InstanceId: id,
      PreviousState: { Code: 80, Name: "stopped" },
      CurrentState: { Code: 0, Name: "pending" },
    },
  ]);
  await vi.waitFor(async () => expect(await stateOf(local)).toBe("running"));
});

test("a running instance is stopped: it is stopping, and after its time it is stopped, by whom it was asked", async () => {
  const local = await start({ stoppingMs: 30 });
  await local.put({ id, state: "running", tags });

  const { StoppingInstances } = await stopOf(local, id);

  expect(StoppingInstances).toEqual([
    {
      InstanceId: id,
      PreviousState: { Code: 16, Name: "running" },
      CurrentState: { Code: 64, Name: "stopping" },
    },
  ]);
  await vi.waitFor(async () => expect(await stateOf(local)).toBe("stopped"));
  expect((await described(local))[0]?.StateReason?.Code).toBe("Client.UserInitiatedShutdown");
});

test("an instance keeps its state until its time has come", async () => {
  const local = await start();
  await local.put({ id: idOf(1), state: "stopped", tags });
  await local.put({ id: idOf(2), state: "running", tags });
  await startOf(local, idOf(1));
  await stopOf(local, idOf(2));

  expect(await stateOf(local, idOf(1))).toBe("pending");
  expect(await stateOf(local, idOf(2))).toBe("stopping");
});

test("an instance that is put elsewhere on its way does not get there", async () => {
  const local = await start({ startingMs: 30 });
  for (const n of [1, 2]) await local.put({ id: idOf(n), state: "stopped", tags });
  await startOf(local, idOf(1));
  await local.put({ id: idOf(1), state: "terminated", tags });
  await startOf(local, idOf(2));

  await vi.waitFor(async () => expect(await stateOf(local, idOf(2))).toBe("running"));

  expect(await stateOf(local, idOf(1))).toBe("terminated");
});

describe("what can be asked in which state", () => {
  const wrong = { name: "IncorrectInstanceState", $metadata: { httpStatusCode: 400 } };
  const cases = [
    ["start", "stopped", "pending"],
    ["start", "pending", "pending"],
    ["start", "running", "running"],
    ["start", "stopping", wrong],
    ["start", "shutting-down", wrong],
    ["start", "terminated", wrong],
    ["stop", "running", "stopping"],
    ["stop", "stopping", "stopping"],
    ["stop", "stopped", "stopped"],
    ["stop", "pending", wrong],
    ["stop", "shutting-down", wrong],
    ["stop", "terminated", wrong],
  ] as const;

  test.each(cases)("to %s an instance that is %s", async (verb, state, expected) => {
    const local = await start();
    await local.put({ id, state, tags });
    const asked = verb === "start" ? startOf(local, id) : stopOf(local, id);

    if (typeof expected === "object") await expect(asked).rejects.toMatchObject(expected);
    else await asked;

    expect(await stateOf(local)).toBe(typeof expected === "object" ? state : expected);
  });

  test("where one of several can't be started, none is", async () => {
    const local = await start();
    await local.put({ id: idOf(1), state: "stopped", tags });
    await local.put({ id: idOf(2), state: "stopping", tags });

    await expect(startOf(local, idOf(1), idOf(2))).rejects.toMatchObject(wrong);

    expect(await stateOf(local, idOf(1))).toBe("stopped");
  });
});

describe("ids that are wrong", () => {
  const calls = [
    ["described", (local: Local, wrong: string) => described(local, { InstanceIds: [wrong] })],
    ["started", startOf],
    ["stopped", stopOf],
  ] as const;

  test.each(calls)("can't be %s", async (_verb, call) => {
    const local = await start();
    for (const malformed of ["i-123", "team", "i-0123456789ABCDEF0"]) {
      await expect(call(local, malformed)).rejects.toMatchObject({
        name: "InvalidInstanceID.Malformed",
        $metadata: { httpStatusCode: 400 },
      });
    }
    await expect(call(local, id)).rejects.toMatchObject({
      name: "InvalidInstanceID.NotFound",
      message: `The instance ID '${id}' does not exist`,
    });
  });
});

describe("of several instances", () => {
  const put = async (local: Local) => {
    await local.put({ id: idOf(1), state: "stopped", tags: { Application: "DataPipeline" } });
    await local.put({ id: idOf(2), state: "running", tags: { Application: "DataPipeline", Name: "b" } });
    await local.put({ id: idOf(3), state: "running", tags: { Application: "Other" } });
    await local.put({ id: idOf(4), state: "terminated", tags: {} });
  };

  test.each([
    [{ "tag:Application": ["DataPipeline"] }, [1, 2]],
    [{ "tag:Application": ["DataPipeline", "Other"] }, [1, 2, 3]],
    [{ "tag:Application": ["Data*"], "instance-state-name": ["running"] }, [2]],
    [{ "tag:Application": ["?ther"] }, [3]],
    [{ "tag:Application": [".ther"] }, []],
    [{ "tag:Application": ["datapipeline"] }, []],
    [{ "tag:constructor": ["*"] }, []],
    [{ "instance-id": [idOf(4), idOf(9)] }, [4]],
  ])("those are described that %j takes", async (filters, expected) => {
    const local = await start();
    await put(local);

    const Filters = Object.entries(filters).map(([Name, Values]) => ({ Name, Values }));

    expect((await described(local, { Filters })).map(({ InstanceId }) => InstanceId)).toEqual(
      expected.map(idOf),
    );
  });

  test("a filter that is not known is refused, and no parameter is passed over", async () => {
    const { ec2 } = await start();
    const refused = { name: "InvalidParameterValue" };
    const Filters = [{ Name: "vpc-id", Values: ["vpc-1"] }];
    await expect(ec2.send(new DescribeInstancesCommand({ Filters }))).rejects.toMatchObject(refused);
    const force = new StopInstancesCommand({ InstanceIds: [id], Force: true });
    await expect(ec2.send(force)).rejects.toMatchObject(refused);
    await expect(ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }))).rejects.toMatchObject({
      name: "InvalidAction",
    });
  });

  test("all are described page by page", async () => {
    const local = await start();
    const all = Array.from({ length: 12 }, (_, n) => idOf(n));
    for (const each of all) await local.put({ id: each, state: "stopped", tags });

    const pages: (string | undefined)[][] = [];
    for await (const { Reservations = [] } of paginateDescribeInstances(
      { client: local.ec2, pageSize: 5 },
      {},
    )) {
      pages.push(Reservations.flatMap(({ Instances = [] }) => Instances.map(({ InstanceId }) => InstanceId)));
    }

    expect(pages).toEqual([all.slice(0, 5), all.slice(5, 10), all.slice(10)]);
    const withIds = { InstanceIds: [idOf(1)], MaxResults: 5 };
    await expect(described(local, withIds)).rejects.toMatchObject({ name: "InvalidParameterCombination" });
    await expect(described(local, { MaxResults: 4 })).rejects.toMatchObject({
      name: "InvalidParameterValue",
    });
    await expect(described(local, { MaxResults: 5, NextToken: "x" })).rejects.toMatchObject({
      name: "InvalidPaginationToken",
    });
  });
});

describe("faults on demand", () => {
  test.each([
    ["InsufficientInstanceCapacity", 500],
    ["UnauthorizedOperation", 403],
    ["RequestLimitExceeded", 503],
    ["IncorrectInstanceState", 400],
  ])("%s refuses a start, as often as it is told to", async (error, status) => {
    const local = await start();
    await local.put({ id, state: "stopped", tags });
    local.faults.push({ operation: "StartInstances", error, times: 1 });

    await expect(startOf(local, id)).rejects.toMatchObject({
      name: error,
      $metadata: { httpStatusCode: status },
    });

    expect(await stateOf(local)).toBe("stopped");
    await startOf(local, id);
    expect(await stateOf(local)).toBe("pending");
  });

  test("describing and stopping can be refused too", async () => {
    const local = await start();
    await local.put({ id, state: "running", tags });
    local.faults.push({ operation: "StopInstances", error: "UnauthorizedOperation" });
    for (const _ of [1, 2])
      await expect(stopOf(local, id)).rejects.toMatchObject({ name: "UnauthorizedOperation" });
    expect(await stateOf(local)).toBe("running");

    local.faults.push({ operation: "DescribeInstances", error: "UnauthorizedOperation" });
    await expect(described(local)).rejects.toMatchObject({ name: "UnauthorizedOperation" });
  });

  test("a start can fall back: it is accepted, and then the instance is stopped and says why", async () => {
    const local = await start({ startingMs: 0 });
    await local.put({ id, state: "stopped", tags });
    local.faults.push({ operation: "StartInstances", fallsBack: "Server.InternalError", times: 1 });

    const { StartingInstances } = await startOf(local, id);

    expect(StartingInstances?.[0]?.CurrentState?.Name).toBe("pending");
    await vi.waitFor(async () => expect(await stateOf(local)).toBe("stopped"));
    expect((await described(local))[0]?.StateReason?.Code).toBe("Server.InternalError");
  });
});

describe("what is kept on disk", () => {
  test("instances are there at the next start, and a change that was under way goes on", async () => {
    const before = await start();
    await before.put({ id: idOf(1), state: "stopped", tags });
    await before.put({ id: idOf(2), state: "stopped", tags });
    await startOf(before, idOf(1));
    await before.stop();
    // The clock goes on while nothing runs.
    const file = join(dataDir, "instances.json");
    await writeFile(file, (await readFile(file, "utf8")).replace(/"at": \d+/, '"at": 0'));

    const after = await start();

    await vi.waitFor(async () => expect(await stateOf(after, idOf(1))).toBe("running"));
    expect(await stateOf(after, idOf(2))).toBe("stopped");
  });

  test("the instances of the first start are there, and not once more when they were changed", async () => {
    const before = await start({ initial: [{ id, state: "stopped", tags }] });
    expect(await stateOf(before)).toBe("stopped");
    await before.put({ id, state: "running", tags });
    await before.stop();
    expect(await stateOf(await start({ initial: [{ id, state: "stopped", tags }] }))).toBe("running");
  });

  test("a file that is damaged is named", async () => {
    await writeFile(join(dataDir, "instances.json"), "{}");
    await expect(start()).rejects.toThrow(/instances\.json is damaged/);
  });
});

test("each change of a state is told on the default bus", async () => {
  const { sqs } = await startSqs(dataDir);
  const bridge = await startEventBridge({ dataDir, sqs });
  const events = new EventBridgeClient(clientOptions(bridge.endpoint));
  onTestFinished(async () => {
    events.destroy();
    await bridge.close();
  });
  const queue = await createQueue(sqs, "told");
  const pattern = { source: ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"] };
  await events.send(new PutRuleCommand({ Name: "told", EventPattern: JSON.stringify(pattern) }));
  await events.send(new PutTargetsCommand({ Rule: "told", Targets: [{ Id: "queue", Arn: queue.arn }] }));
  const local = await start({ events, startingMs: 0, stoppingMs: 0 });
  const told: unknown[] = [];
  const next = async () => {
    for (const { Body = "" } of await receive(sqs, queue.url, 5)) told.push(JSON.parse(Body));
  };

  await local.put({ id, state: "stopped", tags });
  await local.put({ id, state: "stopped", tags: {} });
  await startOf(local, id);
  await vi.waitFor(async () => expect(await stateOf(local)).toBe("running"));
  await stopOf(local, id);
  await stopOf(local, id);
  for (let rounds = 0; told.length < 5 && rounds < 5; rounds++) await next();

  const states = told.map((event) => Object(event).detail.state);
  expect(states.toSorted()).toEqual(["pending", "running", "stopped", "stopped", "stopping"]);
  expect(told[0]).toMatchObject({
    source: "aws.ec2",
    resources: [`arn:aws:ec2:us-east-1:000000000000:instance/${id}`],
    detail: { "instance-id": id },
  });
});

test.each([
  ["is away", () => new EventBridgeClient({ ...clientOptions("http://127.0.0.1:9"), maxAttempts: 1 })],
  ["refuses the event", refusingBus],
])(
  "where the bus %s, the states change all the same, and a line on stderr says what was not told",
  async (_, bus) => {
    const events = await bus();
    onTestFinished(() => events.destroy());
    const local = await start({ events });
    await local.put({ id, state: "stopped", tags });
    await startOf(local, id);
    expect(await stateOf(local)).toBe("pending");
    expect(vi.mocked(process.stderr.write).mock.calls.map(([line]) => String(line))).toContainEqual(
      expect.stringContaining(`could not send the event that ${id} is pending`),
    );
  },
);

/** One that answers 200, and takes nothing. */
async function refusingBus(): Promise<EventBridgeClient> {
  const refused = { FailedEntryCount: 1, Entries: [{ ErrorCode: "InternalFailure" }] };
  const server = await startAwsJson({
    name: "EventBridge",
    target: "AWSEvents",
    operations: { PutEvents: async () => refused },
  });
  onTestFinished(server.close);
  return new EventBridgeClient(clientOptions(server.endpoint));
}

test("whatever is sent, the answer is EC2's error and the endpoint stays", async () => {
  const local = await start();
  await local.put({ id, state: "stopped", tags });
  const name = fc.constantFrom(
    "Action",
    "Version",
    "InstanceId",
    "1",
    "2",
    "__proto__",
    "Filter",
    "Name",
    "",
  );
  const path = fc.array(name, { minLength: 1, maxLength: 12 }).map((names) => names.join("."));
  const value = fc.constantFrom("DescribeInstances", "StartInstances", "2016-11-15", id, "%", "");
  const request = fc.array(fc.tuple(path, value), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(request, async (parameters) => {
      const asked: [string, string][] = [
        ["Action", "StopInstances"],
        ["Version", "2016-11-15"],
      ];
      const body = new URLSearchParams([...asked, ...parameters]).toString();
      const answer = await fetch(local.endpoint, { method: "POST", body });
      expect(answer.status).toBeLessThan(500);
      expect(await answer.text()).toMatch(/<(Errors|requestId)>/);
    }),
    { numRuns: 200 },
  );
  expect(await stateOf(local)).toMatch(/stopped/);
});
