// Which instances run for a dataset: the schedule starts them, and the run's end stops them unless something else needs
// them. Events may be old, late, or in another order.
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { runOf } from "../../factories/requests.ts";
import { InstanceStage } from "../../support/ec2-service.ts";
import { take, useLocal } from "../../support/local-adapters.ts";

const local = useLocal();
let stage: InstanceStage;
beforeEach(() => {
  stage = new InstanceStage(local);
});

const dataset = defaultDataset.name;
const start = "instance.start.requested";
const stop = "instance.stop.requested";
const scheduled = { dataset, reason: "schedule" };
const byHand = { reason: "a look at the data" };
const published = { bucket: "data", key: "file.csv", rows: 1 };

/** Minutes from six o'clock, when the schedule requests a run. */
const minute = (minutes: number) => new Date(Date.UTC(2026, 0, 5, 6, minutes)).toISOString();
const weekEarlier = -7 * 24 * 60;
const stateOf = (id: string) => stage.ec2.stateOf(id);

/** Requests a start and lets it succeed. */
async function begin(id: string, detail: { dataset?: string; reason: string }, at: string): Promise<void> {
  await stage.send(start, detail, at);
  if (stateOf(id) === "pending") await stage.settle(id, "running");
  stage.events.length = 0;
}

/** @returns an instance that the schedule started */
async function launchForRun(at = minute(-15)): Promise<string> {
  const id = stage.launch("stopped");
  await begin(id, scheduled, at);
  return id;
}

/** A run that was requested then. */
async function runFrom(requestedAt: string, of = dataset) {
  const run = { ...runOf(`of ${requestedAt}`, { requestedAt }), dataset: of };
  await stage.work.putOnce(keys.run(run.runId), run);
  return { runId: run.runId, dataset: of };
}

/** Publishes the end of a run that was requested then. */
async function endRun(requestedAt: string): Promise<void> {
  await stage.emit("run.published", { ...(await runFrom(requestedAt)), ...published });
}

describe("the instance that the schedule started for a run", () => {
  test.each([
    ["run.published", published],
    ["run.held", { reason: "fewer rows" }],
    ["run.failed", { reason: "too many fields" }],
    ["run.superseded", { reason: "a later run" }],
  ] as const)("is stopped by %s", async (type, detail) => {
    const id = await launchForRun();
    const run = await runFrom(minute(0));
    await stage.send(type, { ...run, ...detail });
    expect(stateOf(id)).toBe("stopping");
    await stage.settle(id, "stopped");
    const reason = `The run ${run.runId} has ended.`;
    expect(stage.events).toEqual([{ type: "instance.stopped", detail: { instanceId: id, dataset, reason } }]);
  });

  test("is reported as started for the dataset", async () => {
    const id = stage.launch("running");
    await stage.send(start, scheduled, minute(-15));
    expect(stage.events).toEqual([{ type: "instance.started", detail: { instanceId: id, ...scheduled } }]);
  });

  test("is stopped at the latest hour where no run has ended by then", async () => {
    const id = await launchForRun();
    await stage.send(stop, scheduled, minute(240));
    expect(stateOf(id)).toBe("stopping");
  });

  test("and is still pending when the run ends is stopped when it runs", async () => {
    const id = stage.launch("stopped");
    await stage.send(start, scheduled, minute(-15));
    await endRun(minute(0));
    await stage.deliver();
    expect(stateOf(id)).toBe("pending");
    await stage.change(id, "running");
    await stage.deliver();
    expect(stateOf(id)).toBe("stopping");
  });

  test("keeps running when the end of last week's run is replayed", async () => {
    const id = await launchForRun(minute(weekEarlier - 15));
    const lastWeek = await runFrom(minute(weekEarlier));
    const [replayed] = await stage.send("run.published", { ...lastWeek, ...published });
    await stage.settle(id, "stopped");
    await begin(id, scheduled, minute(-15));
    await stage.queue.send(replayed?.body ?? "");
    // Also as a new event, whose own time is today's.
    await stage.emit("run.published", { ...lastWeek, ...published });
    await stage.emit(stop, { ...scheduled, requestedAt: minute(weekEarlier + 240) });
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
    expect(stage.events).toEqual([]);
  });

  test("keeps running when an unknown run ends", async () => {
    const id = await launchForRun();
    await stage.emit("run.failed", { runId: "expired", dataset, reason: "x" });
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
  });

  test("is not started by a request that comes after the run's end", async () => {
    const id = stage.launch("stopped");
    await endRun(minute(0));
    await stage.deliverAll();
    await stage.emit(start, { ...scheduled, requestedAt: minute(-15) }, minute(300));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("stopped");
    expect(stage.events).toEqual([]);
  });

  test("is stopped once, however often and by whichever events the run's end is published", async () => {
    const id = await launchForRun();
    await endRun(minute(0));
    await endRun(minute(0));
    const messages = await take(stage.queue);
    await Promise.all([...messages, ...messages].map((message) => stage.handle(message)));
    await stage.settle(id, "stopped");
    await stage.emit(stop, scheduled, minute(240));
    await stage.deliverAll();
    expect(stage.events.map(({ type }) => type)).toEqual(["instance.stopped"]);
  });

  test("and whose stop failed is stopped at the latest hour", async () => {
    const id = await launchForRun();
    stage.ec2.refuse("stop", "UnauthorizedOperation");
    await endRun(minute(0));
    await stage.deliverAll();
    const reason = expect.stringContaining("The instance was not stopped");
    expect(stage.events).toMatchObject([{ type: "instance.failed", detail: { reason } }]);
    stage.ec2.recover();
    await stage.send(stop, scheduled, minute(240));
    expect(stateOf(id)).toBe("stopping");
  });

  test("and whose stop failed last week is stopped by this week's run", async () => {
    const id = await launchForRun(minute(weekEarlier - 15));
    stage.ec2.refuse("stop", "UnauthorizedOperation", 1);
    await endRun(minute(weekEarlier));
    await stage.deliverAll();
    await begin(id, scheduled, minute(-15));
    expect(stateOf(id)).toBe("running");
    await endRun(minute(0));
    await stage.deliver();
    expect(stateOf(id)).toBe("stopping");
  });

  test("is stopped where a handler died after it stored the run's end and before it asked EC2", async () => {
    const id = await launchForRun();
    await endRun(minute(0));
    const end = await stage.takeOne();
    stage.ec2.disconnect();
    expect(await stage.handle(end)).toBe("retried");
    stage.ec2.recover();
    expect(stateOf(id)).toBe("running");
    await stage.handle(end);
    expect(stateOf(id)).toBe("stopping");
  });
});

describe("an instance that is needed otherwise too", () => {
  test.each([
    ["before the schedule", -20],
    ["after the schedule", -10],
  ])("by an operator who started it %s keeps running after the run and the latest hour", async (_, at) => {
    const id = stage.launch("stopped");
    const requests = [
      { detail: byHand, at },
      { detail: scheduled, at: -15 },
    ];
    for (const request of requests.toSorted((a, b) => a.at - b.at)) {
      await begin(id, request.detail, minute(request.at));
    }
    await endRun(minute(0));
    await stage.emit(stop, scheduled, minute(240));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
    await stage.send(stop, byHand, minute(300));
    expect(stateOf(id)).toBe("stopping");
  });

  test.each(["pending", "running"])("as it was %s, started in the console, keeps running", async (state) => {
    const id = stage.launch(state);
    await begin(id, scheduled, minute(-15));
    await endRun(minute(0));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
  });

  test("until it is stopped elsewhere: the next run starts it and stops it", async () => {
    const id = stage.launch("stopped");
    await begin(id, byHand, minute(weekEarlier));
    await stage.settle(id, "stopped");
    await begin(id, scheduled, minute(-15));
    expect(stateOf(id)).toBe("running");
    await endRun(minute(0));
    await stage.deliver();
    expect(stateOf(id)).toBe("stopping");
  });

  test("by an operator whose start failed is stopped by the run", async () => {
    const id = stage.launch("stopped");
    stage.ec2.refuse("start", "UnauthorizedOperation", 1);
    await stage.emit(start, byHand, minute(-20));
    await stage.deliverAll();
    await begin(id, scheduled, minute(-15));
    await endRun(minute(0));
    await stage.deliver();
    expect(stateOf(id)).toBe("stopping");
  });

  test("by another dataset's run is stopped with the last of the two", async () => {
    const other = { ...datasetOf([]), name: "gate-counts" };
    datasets.push(other);
    onTestFinished(() => void datasets.pop());
    const id = await launchForRun();
    await begin(id, { dataset: other.name, reason: "schedule" }, minute(-10));
    await endRun(minute(0));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
    await stage.send("run.failed", { ...(await runFrom(minute(5), other.name)), reason: "x" });
    expect(stateOf(id)).toBe("stopping");
  });
});

describe("the end of a run", () => {
  test("stops nothing that it did not start", async () => {
    const id = stage.launch("running");
    await endRun(minute(0));
    await stage.emit(stop, scheduled, minute(240));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
    expect(stage.events).toEqual([]);
  });

  test("stops nothing that was stopped here before and then started elsewhere", async () => {
    const id = stage.launch("stopped");
    await stage.emit(stop, { reason: "done" }, minute(-60));
    await stage.deliverAll();
    await stage.change(id, "running");
    await endRun(minute(0));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("running");
  });

  test.each(["none", "tagged"] as const)("does not call EC2 where none was needed (%s)", async (team) => {
    stage.team = team;
    stage.ec2.disconnect();
    await endRun(minute(0));
    await stage.deliver();
    expect(stage.events).toEqual([]);
    if (team === "none") expect(await stage.work.head(keys.needs)).toBeUndefined();
  });

  test("that becomes a dead letter publishes the failure", async () => {
    await launchForRun();
    await endRun(minute(0));
    const end = await stage.takeOne();
    stage.ec2.disconnect();
    expect(await stage.handle(end, 5)).toBe("dead letter");
    expect(stage.events).toMatchObject([{ type: "instance.failed", detail: { dataset } }]);
  });
});
