// Which instances run for a dataset: its schedule starts them, and the run's end stops them unless something else needs
// them.
import { beforeEach, describe, expect, test } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { runOf } from "../../factories/requests.ts";
import { type InstanceStage, minute, useInstanceStages } from "../../support/ec2-service.ts";

const newStage = useInstanceStages();
let stage: InstanceStage;
beforeEach(() => {
  stage = newStage();
});

const dataset = defaultDataset.name;
const start = "instance.start.requested";
const stop = "instance.stop.requested";
const scheduled = { dataset, reason: "schedule" };
const byHand = { reason: "a look at the data" };
const published = { bucket: "data", key: "file.csv", rows: 1 };
const week = 7 * 24 * 60;

/** Sends a start request, the schedule's at minute -15, and lets it succeed. */
async function begin(id: string, detail: { dataset?: string; reason: string }, at = -15): Promise<void> {
  await stage.send(start, detail, minute(at));
  await expectState(id, "running");
  stage.events.length = 0;
}

async function expectState(id: string, state: string): Promise<void> {
  await stage.pass();
  expect(stage.ec2.stateOf(id)).toBe(state);
}

/** Returns a run that was requested then. */
async function runFrom(minutes: number) {
  const run = runOf(`of ${minutes}`, { requestedAt: minute(minutes) });
  await stage.work.putOnce(keys.run(run.runId), run);
  return { runId: run.runId, dataset };
}

const endRun = async (minutes = 0) =>
  stage.emit("run.published", { ...(await runFrom(minutes)), ...published });
/** The schedule's stop request, four hours after the run. */
const lastStop = () => stage.emit(stop, scheduled, minute(240));

describe("the instance that the schedule started for a run", () => {
  test.each([
    ["run.published", published],
    ["run.held", { reason: "fewer rows" }],
    ["run.failed", { reason: "too many fields" }],
    ["run.superseded", { reason: "a later run" }],
  ] as const)("is stopped by %s; both are reported for the dataset", async (type, detail) => {
    const id = stage.launch("stopped");
    await stage.send(start, scheduled, minute(-15));
    await expectState(id, "running");
    const run = await runFrom(0);
    await stage.emit(type, { ...run, ...detail });
    await expectState(id, "stopped");
    const reason = `The run ${run.runId} has ended.`;
    expect(stage.events).toEqual([
      { type: "instance.started", detail: { instanceId: id, ...scheduled } },
      { type: "instance.stopped", detail: { instanceId: id, dataset, reason } },
    ]);
  });

  test("is stopped by the schedule's stop request if no run has ended by then", async () => {
    const id = stage.launch("stopped");
    await begin(id, scheduled);
    await lastStop();
    await expectState(id, "stopped");
  });

  test("keeps running when last week's run or an unknown one ends, and is not stopped by last week's stop request", async () => {
    const id = stage.launch("stopped");
    await begin(id, scheduled);
    await endRun(-week);
    await stage.emit(stop, { ...scheduled, requestedAt: minute(240 - week) });
    await stage.emit("run.failed", { runId: "expired", dataset, reason: "x" });
    await expectState(id, "running");
    expect(stage.events).toEqual([]);
  });

  test.each([
    ["the schedule's stop request", lastStop],
    [
      "next week's run",
      async () => {
        await stage.send(start, scheduled, minute(week - 15));
        await stage.pass();
        await endRun(week);
      },
    ],
  ])("is stopped by %s if the first stop failed", async (_, stopAgain) => {
    const id = stage.launch("stopped");
    await begin(id, scheduled);
    stage.ec2.fail("stop", "UnauthorizedOperation", 1);
    await endRun();
    const end = await stage.takeOne();
    await stage.handle(end);
    await stage.pass();
    // A repeated delivery does not stop it.
    await stage.handle(end);
    await expectState(id, "running");
    const reason = expect.stringContaining("The instance was not stopped");
    expect(stage.events).toMatchObject([{ type: "instance.failed", detail: { dataset, reason } }]);
    await stopAgain();
    await expectState(id, "stopped");
  });
});

test("the schedule's stop request stops an instance if the task of an earlier stop is lost", async () => {
  const id = stage.launch("stopped");
  await begin(id, scheduled);
  await endRun();
  await stage.handle(await stage.takeOne());
  await stage.takeOne();
  await lastStop();
  await expectState(id, "stopped");
});

describe("an instance that something else needs too", () => {
  test.each([
    ["before the schedule", [byHand, scheduled]],
    ["after the schedule", [scheduled, byHand]],
  ])("keeps running for an operator who started it %s, until an operator stops it", async (_, requests) => {
    const id = stage.launch("stopped");
    for (const [index, request] of requests.entries()) await begin(id, request, index - 20);
    await endRun();
    await lastStop();
    await expectState(id, "running");
    await stage.send(stop, byHand, minute(300));
    await expectState(id, "stopped");
  });

  test.each([[["pending", "running"]], [["running"]]])(
    "keeps running if it was started elsewhere (%j)",
    async (states) => {
      const id = stage.launch("stopped");
      stage.ec2.set(id, ...states);
      stage.skip(10);
      await begin(id, scheduled);
      await endRun();
      await expectState(id, "running");
    },
  );

  test("is stopped by the next run's end if it was stopped elsewhere meanwhile", async () => {
    const id = stage.launch("stopped");
    await begin(id, byHand, -week);
    stage.ec2.set(id, "stopped");
    await stage.pass();
    await begin(id, scheduled);
    await endRun();
    await expectState(id, "stopped");
  });

  test("is stopped by the run's end if the operator's start failed", async () => {
    const id = stage.launch("stopped");
    stage.ec2.fail("start", "UnauthorizedOperation", 1);
    await stage.send(start, byHand, minute(-20));
    await begin(id, scheduled);
    await endRun();
    await expectState(id, "stopped");
  });
});

describe("the end of a run", () => {
  test("stops no instance that the schedule did not start, also if an operator stopped it before", async () => {
    const id = stage.launch("running");
    await endRun();
    await lastStop();
    await expectState(id, "running");
    expect(stage.events).toEqual([]);
    await stage.send(stop, byHand);
    await expectState(id, "stopped");
    stage.ec2.set(id, "running");
    await endRun(250);
    await expectState(id, "running");
  });

  test.each(["none", "tagged"] as const)("does not call EC2 if no instance was needed (%s)", async (team) => {
    stage.team = team;
    stage.ec2.fail("describe");
    await endRun();
    await stage.pass(0);
    expect(stage.events).toEqual([]);
    if (team === "none") expect(await stage.work.head(keys.needs)).toBeUndefined();
  });

  test("that becomes a dead letter is reported as a failure for the dataset", async () => {
    await stage.work.putOnce(keys.needs, "not a record");
    await endRun();
    expect(await stage.handle(await stage.takeOne(), 5)).toBe("dead letter");
    expect(stage.events).toMatchObject([{ type: "instance.failed", detail: { dataset } }]);
  });
});
