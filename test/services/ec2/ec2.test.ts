// An operator's requests to start and stop instances: each outcome is reported once, whatever EC2 responds.
import { beforeEach, describe, expect, test } from "vitest";
import {
  noneTagged,
  notConfigured,
  notOfStage,
  notTagged,
  refusalOf,
  tooMany,
} from "../../../services/ec2/targets.ts";
import type { TeamInstances } from "../../../shared/instance-settings.ts";
import { keys } from "../../../shared/keys.ts";
import { type InstanceStage, minute, useInstanceStages } from "../../support/ec2-service.ts";
import { take } from "../../support/local-adapters.ts";

const newStage = useInstanceStages();
let stage: InstanceStage;
beforeEach(() => {
  stage = newStage();
});

const start = "instance.start.requested";
const stop = "instance.stop.requested";
const reason = "a look at the data";

const started = (instanceId: string) => ({ type: "instance.started", detail: { instanceId, reason } });
const stopped = (instanceId: string) => ({ type: "instance.stopped", detail: { instanceId, reason } });
const failed = (instanceId: string | undefined, why: string) => ({
  type: "instance.failed",
  detail: { ...(instanceId && { instanceId }), reason: expect.stringContaining(why) },
});

test.each([
  [start, ["stopped"], "running", started],
  [start, ["pending", "running"], "running", started],
  [start, ["running"], "running", started],
  [start, ["stopping", "stopped"], "running", started],
  [stop, ["running"], "stopped", stopped],
  [stop, ["stopping", "stopped"], "stopped", stopped],
  [stop, ["stopped"], "stopped", stopped],
  [stop, ["pending", "running"], "stopped", stopped],
] as const)(
  "%s of an instance in the state %j is reported once that it is %s",
  async (request, from, to, outcome) => {
    const id = stage.launch(from[0]);
    stage.ec2.set(id, ...from);
    await stage.send(request, { reason });
    expect(stage.events).toEqual([]);
    await stage.pass(4 * 60);
    expect(stage.ec2.stateOf(id)).toBe(to);
    await stage.pass();
    expect(stage.events).toEqual([outcome(id)]);
  },
);

test.each([
  { first: start, request: stop, from: "stopped", to: "stopped", outcome: stopped },
  { first: stop, request: start, from: "running", to: "running", outcome: started },
] as const)("$request replaces $first in progress, whose outcome is not reported", async (given) => {
  for (const seconds of [0, 5, 30]) {
    const id = stage.launch(given.from);
    await stage.send(given.first, { instanceId: id, reason: "too early" });
    stage.skip(seconds + 1);
    await stage.emit(given.request, { instanceId: id, reason });
    await stage.pass();
    expect(stage.events.splice(0)).toEqual([given.outcome(id)]);
    expect(stage.ec2.stateOf(id)).toBe(given.to);
  }
});

test("the last check of a request that was replaced does not end the later one", async () => {
  const id = stage.launch("stopped");
  stage.ec2.isStuck = true;
  await stage.send(start, { reason: "too early" });
  await stage.pass(930);
  await stage.send(stop, { reason });
  await stage.pass(30);
  expect(stage.events).toEqual([]);
  stage.ec2.isStuck = false;
  stage.ec2.set(id, "running");
  await stage.pass();
  expect(stage.events).toEqual([stopped(id)]);
});

test("an instance that something else starts or stops is left alone", async () => {
  const id = stage.launch("running");
  await stage.pass();
  await stage.send(start, { reason });
  await stage.pass();
  stage.ec2.set(id, "stopped");
  await stage.pass();
  expect([stage.ec2.stateOf(id), stage.events]).toEqual(["stopped", [started(id)]]);
});

test("an instance that falls back to stopped is started again by the next check", async () => {
  const id = stage.launch("stopped");
  await stage.send(start, { reason });
  stage.ec2.set(id, "stopped");
  await stage.pass(15);
  expect(stage.ec2.stateOf(id)).toBe("pending");
});

describe("when EC2 refuses", () => {
  test.each([
    ["start", start, "stopped", "IncorrectInstanceState", started],
    ["stop", stop, "running", "IncorrectInstanceState", stopped],
    ["start", start, "stopped", "InsufficientInstanceCapacity", started],
  ] as const)(
    "a %s once (%s, %s, %s), a check requests it again",
    async (operation, request, from, code, outcome) => {
      const id = stage.launch(from);
      stage.ec2.fail(operation, code, 1);
      await stage.send(request, { reason });
      expect(stage.ec2.stateOf(id)).toBe(from);
      await stage.pass();
      expect(stage.events).toEqual([outcome(id)]);
    },
  );

  test.each([
    ["start", start, "stopped", "UnauthorizedOperation", "Check the IAM permissions"],
    ["stop", stop, "running", "UnauthorizedOperation", "Check the IAM permissions"],
    ["start", start, "stopped", "UnsupportedOperation", "Look up the code"],
  ] as const)(
    "a %s for good (%s, %s, %s), the failure is reported at once",
    async (operation, request, from, code, advice) => {
      const id = stage.launch(from);
      stage.ec2.fail(operation, code);
      await stage.emit(request, { reason });
      const message = await stage.takeOne();
      await stage.handle(message);
      await stage.pass(0);
      const failure = failed(id, `EC2 refused the request (${code}). ${advice}`);
      expect(stage.events).toEqual([failure]);
      // A repeated delivery does not request it again: an operator may have acted on the failure.
      stage.ec2.recover();
      await stage.handle(message);
      await stage.pass();
      expect([stage.ec2.stateOf(id), stage.events]).toEqual([from, [failure]]);
    },
  );

  test("to describe instances, the failure is reported", async () => {
    stage.launch("stopped");
    stage.ec2.fail("describe", "UnauthorizedOperation");
    await stage.send(start, { reason });
    expect(stage.events).toEqual([failed(undefined, refusalOf("UnauthorizedOperation"))]);
  });
});

describe("an instance that does not reach the state", () => {
  test("is checked for 16 minutes and reported as failed, and not reported again when it does", async () => {
    const id = stage.launch("stopped");
    stage.ec2.isStuck = true;
    await stage.send(start, { reason });
    await stage.pass();
    expect(stage.delays).toEqual([15, 30, 60, 120, 240, 480]);
    stage.ec2.set(id, "running");
    await stage.pass();
    expect(stage.events).toEqual([
      failed(id, "The instance was not started. It is still pending (Server.InternalError). Check"),
    ]);
  });

  test("for lack of capacity is reported as failed after as long", async () => {
    const id = stage.launch("stopped");
    stage.ec2.fail("start", "InsufficientInstanceCapacity");
    await stage.send(start, { reason });
    await stage.pass();
    expect(stage.delays).toEqual([15, 30, 60, 120, 240, 480]);
    expect(stage.events).toEqual([failed(id, refusalOf("InsufficientInstanceCapacity"))]);
  });

  test("is checked after at most 900 seconds, which is SQS's longest delay", async () => {
    stage.checkSeconds = 300;
    stage.launch("stopped");
    stage.ec2.isStuck = true;
    await stage.send(start, { reason });
    await stage.pass(75 * 60);
    expect(stage.delays).toEqual([300, 600, 900, 900, 900, 900]);
    expect(stage.events).toHaveLength(1);
  });

  test.each([
    ["it is terminated", notTagged, (id: string) => stage.ec2.set(id, "shutting-down", "terminated")],
    ["a deploy removes it from the setting", notOfStage, () => (stage.team = ["i-0123456789abcdef0"])],
  ])("because %s meanwhile is reported as failed", async (_, why, change) => {
    const id = stage.launch("stopped");
    stage.ec2.fail("start", "IncorrectInstanceState", 1);
    await stage.send(start, { reason });
    change(id);
    await stage.pass(15);
    expect(stage.ec2.stateOf(id)).not.toBe("running");
    expect(stage.events).toEqual([failed(id, why)]);
  });
});

describe("which instances a request is for", () => {
  // In the order of their launch.
  const [one, two] = ["i-00000000000000001", "i-00000000000000002"];
  const [untagged, terminated, unknown] = [
    "i-00000000000000003",
    "i-00000000000000004",
    "i-00000000000000005",
  ];

  test.each<[TeamInstances, string | undefined, starts: string[], refused: [string | undefined, string][]]>([
    ["tagged", undefined, [one, two], []],
    ["tagged", two, [two], []],
    ["tagged", untagged, [], [[untagged, notTagged]]],
    ["tagged", terminated, [], [[terminated, notTagged]]],
    ["tagged", unknown, [], [[unknown, notTagged]]],
    [
      [one, untagged, unknown],
      undefined,
      [one],
      [
        [untagged, notTagged],
        [unknown, notTagged],
      ],
    ],
    [[one], two, [], [[two, notOfStage]]],
    ["none", undefined, [], [[undefined, notConfigured]]],
    ["none", one, [], [[one, notConfigured]]],
  ])(
    "of the setting %j and the ID %s are %j; others are reported as failed, once",
    async (team, named, starts, refused) => {
      const ids = [
        stage.launch("stopped"),
        stage.launch("stopped"),
        stage.launch("stopped", { Application: "Other" }),
      ];
      stage.launch("terminated");
      stage.team = team;
      await stage.emit(start, { ...(named && { instanceId: named }), reason });
      const message = await stage.takeOne();
      await stage.handle(message);
      await stage.handle(message);
      await stage.pass(0);
      expect(ids.filter((id) => stage.ec2.stateOf(id) === "pending")).toEqual(starts);
      expect(stage.events).toEqual(
        refused.map(([id, why]) => failed(id, `The instance was not started. ${why}`)),
      );
    },
  );

  test("are at least one and at most twenty with the tag", async () => {
    await stage.send(stop, { reason });
    expect(stage.events.splice(0)).toEqual([
      failed(undefined, `The instance was not stopped. ${noneTagged}`),
    ]);
    const ids = Array.from({ length: 20 }, () => stage.launch("stopped"));
    await stage.send(start, { reason });
    expect(new Set(ids.map((id) => stage.ec2.stateOf(id)))).toEqual(new Set(["pending"]));
    stage.launch("stopped");
    await stage.send(start, { reason });
    expect(stage.events.splice(0)).toEqual([failed(undefined, tooMany)]);
    const [id = ""] = ids;
    stage.skip(1);
    await stage.send(start, { instanceId: id, reason });
    await stage.pass(120);
    expect(stage.events).toContainEqual(started(id));
  });
});

describe("when a handler fails", () => {
  test("because the bus is down, the next delivery reports the outcome", async () => {
    const id = stage.launch("running");
    await stage.send(start, { reason });
    stage.skip(15);
    const check = await stage.takeOne();
    stage.isBusDown = true;
    expect(await stage.handle(check)).toBe("retried");
    stage.isBusDown = false;
    expect(await stage.handle(check)).toBe("done");
    expect(stage.events).toEqual([started(id)]);
  });

  test("while it reports an outcome, a later check does", async () => {
    const id = stage.launch("running");
    await stage.send(start, { reason });
    stage.skip(15);
    const check = await stage.takeOne();
    await stage.work.putOnce(keys.goalEnd(JSON.parse(check.body).goal), { state: "claimed", at: stage.now });
    await stage.handle(check);
    await stage.pass(120);
    expect(stage.events).toEqual([]);
    await stage.pass();
    expect(stage.events).toEqual([started(id)]);
  });

  test("between recording a request and enqueuing its task, the next delivery enqueues it", async () => {
    const id = stage.launch("stopped");
    await stage.emit(start, { reason });
    const request = await stage.takeOne();
    await stage.handle(request);
    await take(stage.queue);
    await stage.handle(request);
    await stage.pass();
    expect(stage.events).toEqual([started(id)]);
  });

  test("because EC2 is down, a dead letter reports the failure, and continues when it is replayed", async () => {
    const id = stage.launch("stopped");
    for (const instanceId of [undefined, id]) {
      await stage.emit(start, { reason });
      const request = await stage.takeOne();
      if (instanceId) await stage.handle(request);
      const message = instanceId ? await stage.takeOne() : request;
      stage.ec2.fail("describe");
      expect(await stage.handle(message)).toBe("retried");
      expect(stage.events).toEqual([]);
      expect(await stage.handle(message, 5)).toBe("dead letter");
      expect(stage.events.splice(0)).toEqual([failed(instanceId, "An unexpected error")]);
      stage.ec2.recover();
      await stage.queue.send(message.body);
      await stage.pass();
      expect(stage.events.splice(0)).toEqual([started(id)]);
    }
  });

  test.each([
    [{ dataset: "none", reason }, "UnknownDataset", [{ detail: { dataset: "none" } }]],
    [{ dataset: "none", instanceId: "i-1", reason }, "MessageUnreadable", []],
    [{ instanceId: "i-1" }, "MessageUnreadable", []],
  ])("because the request is invalid (%j), it is a dead letter (%s)", async (detail, error, events) => {
    const event = { id: "x", source: "libinsight.pipeline", time: minute(0), "detail-type": start, detail };
    await stage.queue.send(JSON.stringify(event));
    expect(await stage.handle(await stage.takeOne())).toBe("dead letter");
    expect(await stage.deadLetters()).toEqual([error]);
    expect(stage.events).toMatchObject(events);
  });
});

test("what an earlier version stored and sent is completed after a deploy", async () => {
  const id = stage.launch("running");
  const goal = { id: "0123456789abcdef", state: "running", reason, overtakes: true };
  const entry = { needs: { "an operator": minute(-1) }, stoppedAt: minute(-2), goal };
  await stage.work.putOnce(keys.needs, { instances: { [id]: entry }, ended: {} });
  await stage.queue.send(JSON.stringify({ task: "check", instanceId: id, goal: goal.id, checks: 0 }));
  const change = { "detail-type": "EC2 Instance State-change Notification", detail: { "instance-id": id } };
  await stage.queue.send(JSON.stringify({ ...change, source: "aws.ec2", id: "x", time: minute(0) }));
  await stage.pass();
  expect(stage.events).toEqual([started(id)]);
});
