// EC2 instances of the emulator, started and stopped by the stage: when an operator asks, when a schedule does, and when the
// run has ended for which one was started.
import { setTimeout as delay } from "node:timers/promises";
import { RunInstancesCommand, StopInstancesCommand } from "@aws-sdk/client-ec2";
import { PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { GetScheduleCommand } from "@aws-sdk/client-scheduler";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Ec2Instances } from "../../shared/aws/ec2.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { instanceTag } from "../../shared/instances.ts";
import { runIdOf } from "../../shared/run.ts";
import { created } from "../stacks/stages.ts";
import { until, untilQuiet } from "./handles.ts";
import { type Mailbox, subscribe } from "./mail.ts";
import { deploy, type Stage } from "./stage.ts";

const pollMs = 300;

let stage: Stage;
let mailbox: Mailbox;
let team: string;
let stranger: string;
const watching = new AbortController();
let watch: Promise<void>;

beforeAll(async () => {
  stage = await deploy();
  mailbox = await subscribe(stage);
  team = await launch({ [instanceTag.key]: instanceTag.value });
  stranger = await launch({ Name: "another team's" });
  watch = sendChanges(watching.signal);
});
afterAll(async () => {
  watching.abort();
  await watch;
  await stage?.close();
});

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

async function stateOf(id: string): Promise<string> {
  const found = await new Ec2Instances(stage.clients.ec2).find(id);
  return "state" in found ? found.state : found.refused;
}

async function states(): Promise<Map<string, string>> {
  return new Map([
    [team, await stateOf(team)],
    [stranger, await stateOf(stranger)],
  ]);
}

/** Sends what EC2 itself sends on AWS, and the emulator's does not. */
async function sendChanges(signal: AbortSignal): Promise<void> {
  let before = await states();
  while (!signal.aborted) {
    await delay(pollMs, undefined, { signal }).catch(() => {});
    const now = await states();
    const Entries = [...now]
      .filter(([id, state]) => before.get(id) !== state)
      .map(([id, state]) => ({
        Source: "aws.ec2",
        DetailType: "EC2 Instance State-change Notification",
        Detail: JSON.stringify({ "instance-id": id, state }),
      }));
    before = now;
    if (Entries.length > 0) await stage.aws.send(new PutEventsCommand({ Entries }));
  }
}

test("an operator starts and stops the team's instance, and no other", async () => {
  await stage.bus.publish("instance.start.requested", { reason: "a look at the data" });
  expect(await stage.bus.next("instance.started", { instanceId: team })).toMatchObject({
    reason: "a look at the data",
  });
  expect(Object.fromEntries(await states())).toEqual({ [team]: "running", [stranger]: "stopped" });
  await stage.bus.publish("instance.stop.requested", { reason: "done" });
  await stage.bus.next("instance.stopped", { instanceId: team });
  expect(Object.fromEntries(await states())).toEqual({ [team]: "stopped", [stranger]: "stopped" });
});

test("an instance without the tag is refused by its name too, and that is reported", async () => {
  await stage.bus.publish("instance.start.requested", { instanceId: stranger, reason: "by name" });
  await stage.bus.next("instance.failed", { instanceId: stranger });
  await mailbox.next(stranger);
  expect(await stateOf(stranger)).toBe("stopped");
});

test("schedules start it before a run and ask for the run, and the run's end stops it", async () => {
  await fire("Start-for-");
  await stage.bus.next("instance.started", { instanceId: team, dataset: defaultDataset.name });
  // EventBridge's times are in seconds, and the run has to be requested after the start.
  await delay(1_100);
  const requestId = await fire("Collect-");
  const runId = runIdOf(defaultDataset.name, requestId);
  await stage.bus.next("run.published", { runId });
  await stage.bus.next("instance.stopped", { instanceId: team, dataset: defaultDataset.name });
  expect(await stateOf(team)).toBe("stopped");
});

/**
 * Does what the scheduler does at a schedule's time: MiniStack's own neither knows EventBridge's parameters nor fills in
 * the time.
 * @returns the request's id, where it has one
 */
async function fire(begin: string): Promise<string> {
  const [found] = created(stage.graph, "aws:scheduler/schedule:Schedule").filter(({ name }) =>
    name.startsWith(begin),
  );
  const { Target, ScheduleExpressionTimezone } = await stage.clients.scheduler.send(
    new GetScheduleCommand({ Name: String(found?.inputs.name) }),
  );
  expect(ScheduleExpressionTimezone).toBe(defaultDataset.timeZone);
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const Detail = Target?.Input?.replaceAll("<aws.scheduler.scheduled-time>", now) ?? "";
  const { FailedEntryCount } = await stage.clients.events.send(
    new PutEventsCommand({
      Entries: [
        {
          EventBusName: Target?.Arn,
          Source: Target?.EventBridgeParameters?.Source,
          DetailType: Target?.EventBridgeParameters?.DetailType,
          Detail,
        },
      ],
    }),
  );
  expect(FailedEntryCount).toBe(0);
  return `schedule ${now}`;
}
