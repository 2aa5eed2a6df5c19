// Who needs an instance: the schedule starts it for a dataset's run, and the run's end stops it, unless somebody else needs
// it. Events may be old, late, or in another order.
import { DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { ec2 as ec2Client } from "../../../shared/aws/instances.ts";
import { datasets } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { datasetOf } from "../../factories/datasets.ts";
import { runOf } from "../../factories/requests.ts";
import { InstanceStage } from "../../support/instances.ts";
import { take } from "../../support/local-aws.ts";
import { defaultDataset } from "../../support/transformed.ts";
import { putRun } from "../../support/work-bucket.ts";

let stage: InstanceStage;
beforeAll(async () => {
  stage = await InstanceStage.start();
});
afterAll(() => stage?.close());
beforeEach(() => stage.fresh());

const dataset = defaultDataset.name;
const start = "instance.start.requested";
const stop = "instance.stop.requested";
const scheduled = { dataset, reason: "schedule" };

/** Minutes from six o'clock on this morning's schedule, as EventBridge tells times. */
const midnight = Math.floor(Date.now() / 86_400_000) * 86_400_000;
const minute = (minutes: number): string =>
  new Date(midnight - 18 * 3_600_000 + minutes * 60_000).toISOString().replace(".000Z", "Z");
const weekEarlier = -7 * 24 * 60;

async function stateOf(id: string): Promise<string | undefined> {
  const { Reservations } = await ec2Client().send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0]?.State?.Name;
}

/** A start that is asked for and comes about. */
async function begin(id: string, detail: { dataset?: string; reason: string }, at: string): Promise<void> {
  await stage.say(start, detail, at);
  await stage.deliver();
  if ((await stateOf(id)) === "pending") await stage.change(id, "running");
  await stage.deliverAll();
  await stage.told();
}

/** A run that was requested then, of the dataset's own. */
async function runFrom(requestedAt: string, of = dataset) {
  const run = { ...runOf(`of ${requestedAt}`, { requestedAt }), dataset: of };
  await putRun(run, stage.work);
  return { runId: run.runId, dataset: of };
}

const published = { bucket: "data", key: "file.csv", rows: 1 };

describe("the instance that the schedule started for a run", () => {
  test.each([
    ["run.published", published],
    ["run.held", { reason: "fewer rows" }],
    ["run.failed", { reason: "too many fields" }],
  ] as const)("is stopped by %s", async (type, detail) => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    const run = await runFrom(minute(0));

    await stage.say(type, { ...run, ...detail });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
    await stage.change(id, "stopped");
    await stage.deliverAll();

    expect(await stage.told()).toEqual([
      {
        type: "instance.stopped",
        detail: { instanceId: id, dataset, reason: `The run ${run.runId} has ended.` },
      },
    ]);
  });

  test("is told as started for the dataset", async () => {
    const id = await stage.launch("running");
    await stage.say(start, scheduled, minute(-15));
    await stage.deliver();
    expect(await stage.told()).toEqual([
      { type: "instance.started", detail: { instanceId: id, dataset, reason: "schedule" } },
    ]);
  });

  test("is stopped at the latest hour, where no run has ended until then", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    await stage.say(stop, scheduled, minute(240));
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("and still is on its way when the run has ended already is stopped when it runs", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, scheduled, minute(-15));
    await stage.deliver();
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    await stage.change(id, "running");
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("stays for a run that was requested before it was needed", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    await stage.say("run.published", { ...(await runFrom(minute(-20))), ...published });
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("running");
  });

  test("stays when last week's end of a run is replayed", async () => {
    const id = await stage.launch("stopped");
    const lastWeek = await runFrom(minute(weekEarlier));
    await begin(id, scheduled, minute(weekEarlier - 15));
    await stage.say("run.published", { ...lastWeek, ...published });
    const [replayed] = await stage.deliver();
    await stage.change(id, "stopped");
    await stage.deliverAll();
    await begin(id, scheduled, minute(-15));

    await stage.queue.send(replayed?.Body ?? "");
    // Told anew, too: the event's own time is today's.
    await stage.say("run.published", { ...lastWeek, ...published });
    await stage.say(stop, { ...scheduled, requestedAt: minute(weekEarlier + 240) });
    await stage.deliverAll();

    expect(await stateOf(id)).toBe("running");
    expect(await stage.told()).toEqual([]);
  });

  test("stays for the end of a run of which nothing is known any more", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    await stage.say("run.failed", { runId: "forgotten", dataset, reason: "x" });
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("running");
  });

  test("is not started by a request that comes when the run has ended already", async () => {
    const id = await stage.launch("stopped");
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliverAll();
    await stage.say(start, { ...scheduled, requestedAt: minute(-15) }, minute(300));
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("stopped");
    expect(await stage.told()).toEqual([]);
  });

  test("is stopped once, however often and by whichever event the run's end is told", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    const run = await runFrom(minute(0));
    await stage.say("run.published", { ...run, ...published });
    await stage.say("run.published", { ...run, ...published });
    const messages = await take(stage.queue);
    await Promise.all([...messages, ...messages].map((message) => stage.handle(message)));
    await stage.change(id, "stopped");
    await stage.deliverAll();
    await stage.say(stop, scheduled, minute(240));
    await stage.deliverAll();
    expect((await stage.told()).map(({ type }) => type)).toEqual(["instance.stopped"]);
  });

  test("whose stop failed is stopped at the latest hour", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    stage.ec2.faults.push({ operation: "StopInstances", error: "UnauthorizedOperation" });
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliverAll();
    expect(await stage.told()).toMatchObject([
      {
        type: "instance.failed",
        detail: { reason: expect.stringContaining("The instance was not stopped") },
      },
    ]);
    stage.ec2.faults.length = 0;
    await stage.say(stop, scheduled, minute(240));
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("whose stop failed last week is stopped by this week's run", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(weekEarlier - 15));
    stage.ec2.faults.push({ operation: "StopInstances", error: "UnauthorizedOperation", times: 1 });
    await stage.say("run.published", { ...(await runFrom(minute(weekEarlier))), ...published });
    await stage.deliverAll();
    await begin(id, scheduled, minute(-15));
    expect(await stateOf(id)).toBe("running");
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("stops when the handler that remembered the run's end died before it asked EC2", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    const [end = {}] = await take(stage.queue);
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "Unavailable" });
    expect((await stage.handle(end)).batchItemFailures).toHaveLength(1);
    stage.ec2.faults.length = 0;
    expect(await stateOf(id)).toBe("running");
    await stage.handle(end);
    expect(await stateOf(id)).toBe("stopping");
  });
});

describe("an instance that somebody else needs too", () => {
  const byHand = { reason: "a look at the data" };

  test.each([
    ["before the schedule", -20],
    ["after the schedule", -10],
  ])("because an operator started it %s stays when the run ends and at the latest hour", async (_, at) => {
    const id = await stage.launch("stopped");
    const asked = [
      { detail: byHand, at },
      { detail: scheduled, at: -15 },
    ];
    for (const each of asked.toSorted((a, b) => a.at - b.at)) await begin(id, each.detail, minute(each.at));
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.say(stop, scheduled, minute(240));
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("running");

    await stage.say(stop, byHand, minute(300));
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test.each(["pending", "running"] as const)(
    "because it was %s, started in EC2's console, stays",
    async (state) => {
      const id = await stage.launch(state);
      await begin(id, scheduled, minute(-15));
      await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
      await stage.deliverAll();
      expect(await stateOf(id)).toBe("running");
    },
  );

  test("until it was stopped elsewhere: the next run starts it and stops it", async () => {
    const id = await stage.launch("stopped");
    await begin(id, byHand, minute(weekEarlier));
    await stage.change(id, "stopped");
    await stage.deliverAll();
    await begin(id, scheduled, minute(-15));
    expect(await stateOf(id)).toBe("running");
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("that an operator could not start does not: the run stops it", async () => {
    const id = await stage.launch("stopped");
    stage.ec2.faults.push({ operation: "StartInstances", error: "UnauthorizedOperation", times: 1 });
    await stage.say(start, byHand, minute(-20));
    await stage.deliverAll();
    await begin(id, scheduled, minute(-15));
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("because another dataset's run is under way is stopped with the last of the two", async () => {
    const other = { ...datasetOf([]), name: "gate-counts" };
    datasets.push(other);
    onTestFinished(() => void datasets.pop());
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    await begin(id, { dataset: other.name, reason: "schedule" }, minute(-10));

    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("running");

    await stage.say("run.failed", { ...(await runFrom(minute(5), other.name)), reason: "x" });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });
});

describe("the end of a run", () => {
  test("stops nothing that it did not start", async () => {
    const id = await stage.launch("running");
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.say(stop, scheduled, minute(240));
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("running");
    expect(await stage.told()).toEqual([]);
  });

  test("stops nothing that was stopped here before and then started elsewhere", async () => {
    const id = await stage.launch("stopped");
    await stage.say(stop, { reason: "done" }, minute(-60));
    await stage.deliverAll();
    await stage.change(id, "running");
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("running");
  });

  test("asks nothing of EC2 or of the bucket where no instance is configured", async () => {
    process.env.INSTANCES = "none";
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "UnauthorizedOperation" });
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliver();
    expect(await stage.told()).toEqual([]);
    expect(await stage.work.head(keys.needs)).toBeUndefined();
  });

  test("asks nothing of EC2 where the run needed no instance", async () => {
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "UnauthorizedOperation" });
    await stage.say("run.published", { ...(await runFrom(minute(0))), ...published });
    await stage.deliver();
    expect(await stage.told()).toEqual([]);
  });

  test("that becomes a dead letter is told", async () => {
    const id = await stage.launch("stopped");
    await begin(id, scheduled, minute(-15));
    await stage.say("run.held", { ...(await runFrom(minute(0))), reason: "x" });
    const [end = {}] = await take(stage.queue);
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "Unavailable" });
    expect((await stage.handle(end, 5)).deadLetters).toHaveLength(1);
    expect(await stage.told()).toMatchObject([{ type: "instance.failed", detail: { dataset } }]);
  });
});
