// EC2 instances on the emulator, started and stopped by the stage.
import { setTimeout as delay } from "node:timers/promises";
import { DescribeInstancesCommand, RunInstancesCommand, StopInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { library } from "#library";
import { defaultDataset } from "../../shared/datasets.ts";
import { runIdOf } from "../../shared/run.ts";
import { dates, deploy, type Stage } from "./emulated-stage.ts";
import { until, untilQuiet } from "./handles.ts";
import { type Mailbox, subscribe } from "./mail.ts";
import { checkRoles } from "./role-calls.ts";

const { tag } = library.instances;
let stage: Stage;
let mailbox: Mailbox;
let team: string;
let stranger: string;

beforeAll(async () => {
  stage = await deploy();
  mailbox = await subscribe(stage);
  team = await launch({ [tag.key]: tag.value });
  stranger = await launch({ Name: "another team's" });
});
afterAll(() => stage?.close());

afterEach(() => untilQuiet(stage));

/** Creates a stopped instance. @returns its id */
async function launch(tags: Record<string, string>): Promise<string> {
  const { ec2 } = stage.clients;
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const TagSpecifications = [{ ResourceType: "instance" as const, Tags }];
  const { Instances } = await ec2.send(
    new RunInstancesCommand({
      ImageId: "ami-0123456789abcdef0",
      MinCount: 1,
      MaxCount: 1,
      TagSpecifications,
    }),
  );
  const id = Instances?.[0]?.InstanceId;
  if (!id) throw new Error("EC2 returned no instance id.");
  await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
  await until(stage, `${id} is stopped`, async () => (await stateOf(id)) === "stopped");
  return id;
}

async function stateOf(id: string): Promise<string | undefined> {
  const { Reservations } = await stage.clients.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0]?.State?.Name;
}

async function states(): Promise<Map<string, string | undefined>> {
  return new Map([
    [team, await stateOf(team)],
    [stranger, await stateOf(stranger)],
  ]);
}

test("an operator starts and stops the stage's instance, and no other", async () => {
  await stage.bus.emit("instance.start.requested", { reason: "a look at the data" });
  expect(await stage.bus.next("instance.started", { instanceId: team })).toMatchObject({
    reason: "a look at the data",
  });
  expect(Object.fromEntries(await states())).toEqual({ [team]: "running", [stranger]: "stopped" });
  await stage.bus.emit("instance.stop.requested", { reason: "done" });
  await stage.bus.next("instance.stopped", { instanceId: team });
  expect(Object.fromEntries(await states())).toEqual({ [team]: "stopped", [stranger]: "stopped" });
});

test("a request that names an instance without the tag is refused and reported", async () => {
  await stage.bus.emit("instance.start.requested", { instanceId: stranger, reason: "by name" });
  await stage.bus.next("instance.failed", { instanceId: stranger });
  await mailbox.next(stranger);
  expect(await stateOf(stranger)).toBe("stopped");
});

test("a request for a dataset starts the instance, and the end of the run stops it", async () => {
  const { name: dataset } = defaultDataset;
  await stage.bus.emit("instance.start.requested", { dataset, reason: "a test" });
  await stage.bus.next("instance.started", { instanceId: team, dataset });
  // EventBridge rounds times to seconds, and the run must be requested later than the start.
  await delay(1_100);
  const requestId = "with an instance";
  await stage.bus.emit("run.requested", { dataset, ...dates, reason: "a test", requestId });
  await stage.bus.next("run.published", { runId: runIdOf(dataset, requestId) });
  await stage.bus.next("instance.stopped", { instanceId: team, dataset });
  expect(await stateOf(team)).toBe("stopped");
});

test("every call of a function is allowed by its role, and every permission is used or a known exception", async () => {
  expect(await checkRoles(stage, ["Ec2"])).toEqual({ refused: [], denied: [], unneeded: [] });
});
