// Requests to start and stop instances, in each state of the instance and with each response of EC2.
import { beforeEach, describe, expect, test } from "vitest";
import {
  noneTagged,
  notAmongThem,
  notConfigured,
  notTagged,
  refusalOf,
  terminated,
  tooMany,
} from "../../../services/ec2/reasons.ts";
import type { TeamInstances } from "../../../shared/instance-settings.ts";
import { keys } from "../../../shared/keys.ts";
import { InstanceStage } from "../../support/ec2-service.ts";
import { take, useLocal } from "../../support/local-adapters.ts";

const local = useLocal();
let stage: InstanceStage;
beforeEach(() => {
  stage = new InstanceStage(local);
});

const start = "instance.start.requested";
const stop = "instance.stop.requested";
const reason = "a look at the data";
/** Of the service's default: 16 minutes in all. */
const allDelays = [15, 30, 60, 120, 240, 480];

const ago = (seconds: number) => new Date(stage.now.getTime() - seconds * 1_000).toISOString();
const stateOf = (id: string) => stage.ec2.stateOf(id);
const started = (instanceId: string) => [{ type: "instance.started", detail: { instanceId, reason } }];
const stopped = (instanceId: string) => [{ type: "instance.stopped", detail: { instanceId, reason } }];
const failed = (instanceId: string, why: string) => [
  { type: "instance.failed", detail: { instanceId, reason: expect.stringContaining(why) } },
];

/** `first` is where EC2 has to bring the instance before the service can ask for its goal. */
const transitions = [
  { request: start, from: "stopped" },
  { request: start, from: "pending" },
  { request: start, from: "stopping", first: "stopped" },
  { request: stop, from: "running" },
  { request: stop, from: "stopping" },
  { request: stop, from: "pending", first: "running" },
] as const;
test.for(
  transitions.flatMap((each) => [false, true].map((isLost) => ({ first: undefined, ...each, isLost }))),
)(
  "$request of an instance that is $from succeeds (EC2's events are lost: $isLost)",
  async ({ request, from, first, isLost }) => {
    const [asked, end, outcome] =
      request === start
        ? (["pending", "running", started] as const)
        : (["stopping", "stopped", stopped] as const);
    const id = stage.launch(from);
    await stage.send(request, { reason });
    expect(stage.delays).toEqual([15]);
    if (first) {
      expect(stateOf(id)).toBe(from);
      await stage.change(id, first, { isLost });
      await stage.deliver();
    }
    expect(stateOf(id)).toBe(asked);
    expect(stage.events).toEqual([]);
    // Then the event alone confirms it, or a check alone.
    if (!isLost) await take(stage.queue);
    await stage.change(id, end, { isLost });
    await stage.deliver();
    expect(stage.events).toEqual(outcome(id));
    expect(await stage.deliver()).toEqual([]);
  },
);

test.each([
  ["start", start, "running", started],
  ["stop", stop, "stopped", stopped],
] as const)(
  "a %s of an instance that is there already succeeds at once",
  async (_, request, state, outcome) => {
    const id = stage.launch(state);
    await stage.send(request, { reason });
    expect(stage.events).toEqual(outcome(id));
    expect(stage.delays).toEqual([]);
  },
);

test.each([
  [start, "shutting-down", "started"],
  [start, "terminated", "started"],
  [stop, "terminated", "stopped"],
] as const)("%s fails at once where the instance is %s", async (request, state, what) => {
  const id = stage.launch(state);
  await stage.send(request, { instanceId: id, reason });
  expect(stage.events).toEqual(failed(id, `The instance was not ${what}. ${terminated}`));
  expect(stage.delays).toEqual([]);
});

describe("when EC2 refuses", () => {
  test.each([
    ["start", start, "stopped", "IncorrectInstanceState", "pending"],
    ["stop", stop, "running", "IncorrectInstanceState", "stopping"],
    ["start", start, "stopped", "InsufficientInstanceCapacity", "pending"],
  ] as const)("a %s for now, a check tries again", async (operation, request, from, code, then) => {
    const id = stage.launch(from);
    stage.ec2.refuse(operation, code, 1);
    await stage.send(request, { reason });
    expect(stateOf(id)).toBe(from);
    await stage.deliver();
    expect(stateOf(id)).toBe(then);
    expect(stage.events).toEqual([]);
  });

  test("for lack of capacity, the service tries with growing delays, then fails with what to do", async () => {
    const id = stage.launch("stopped");
    stage.ec2.refuse("start", "InsufficientInstanceCapacity");
    await stage.emit(start, { reason });
    await stage.deliverAll();
    expect(stage.delays).toEqual(allDelays);
    expect(stage.events).toEqual(failed(id, refusalOf("InsufficientInstanceCapacity")));
    expect(stateOf(id)).toBe("stopped");
  });

  test.each([
    ["start", start, "stopped", "UnauthorizedOperation"],
    ["stop", stop, "running", "UnauthorizedOperation"],
    ["start", start, "stopped", "UnsupportedOperation"],
    ["start", start, "stopped", "InvalidInstanceID.NotFound"],
  ] as const)("a %s for good, it fails at once (%s, %s, %s)", async (operation, request, from, code) => {
    const id = stage.launch(from);
    stage.ec2.refuse(operation, code);
    const [message] = await stage.send(request, { reason });
    expect(stage.events).toEqual(failed(id, refusalOf(code)));
    expect(stage.delays).toEqual([]);
    // A second delivery does not do it after all: the failure is known, and something else may have been done.
    stage.ec2.recover();
    if (message) await stage.handle(message);
    expect(stateOf(id)).toBe(from);
  });

  test("to describe instances, the request fails", async () => {
    stage.launch("stopped");
    stage.ec2.refuse("describe", "UnauthorizedOperation");
    await stage.send(start, { reason });
    expect(stage.events).toEqual([
      {
        type: "instance.failed",
        detail: { reason: expect.stringContaining(refusalOf("UnauthorizedOperation")) },
      },
    ]);
  });
});

describe("an instance that does not get there", () => {
  test("is checked for a quarter of an hour and no longer", async () => {
    const id = stage.launch("stopped");
    await stage.emit(start, { reason });
    await stage.deliverAll();
    expect(stage.delays).toEqual(allDelays);
    expect(stage.events).toEqual(failed(id, "The instance was not started. It is still pending"));
    // If it gets there after all, no second outcome is published.
    await stage.settle(id, "running");
    expect(stage.events).toHaveLength(1);
  });

  test("but falls back is started again by a check, and not by each of EC2's events", async () => {
    const id = stage.launch("stopped");
    await stage.send(start, { reason });
    const check = await stage.takeOne();
    await stage.change(id, "stopped");
    await stage.deliver();
    expect(stateOf(id)).toBe("stopped");
    await stage.handle(check);
    expect(stateOf(id)).toBe("pending");
    expect(stage.events).toEqual([]);
  });

  test("is checked after SQS's longest delay where a longer one is set", async () => {
    stage.checkSeconds = 300;
    stage.launch("stopped");
    await stage.emit(start, { reason });
    await stage.deliverAll();
    expect(stage.delays).toEqual([300, 600, 900, 900, 900, 900]);
  });
});

describe("a request is for", () => {
  test.each([
    { which: "all instances with the tag", setting: "tagged", named: undefined, starts: [0, 1] },
    { which: "the ids of the stage's setting", setting: "the first", named: undefined, starts: [0] },
    { which: "the instance that it names", setting: "tagged", named: 1, starts: [1] },
  ] as const)("$which, and no other", async ({ setting, named, starts }) => {
    const [tag, none] = [{ Application: "DataPipeline" }, { Application: "Other" }];
    const ids = [tag, tag, none].map((tags) => stage.launch("stopped", tags));
    const gone = stage.launch("terminated");
    if (setting === "the first") stage.team = ids.slice(0, 1);
    const instanceId = named === undefined ? undefined : ids[named];
    await stage.send(start, { ...(instanceId && { instanceId }), reason });
    const pending = ids.flatMap((id, index) => (stateOf(id) === "pending" ? [index] : []));
    expect([pending, stateOf(gone)]).toEqual([starts, "terminated"]);
  });

  const unknown = "i-0fffffffffffffff0";
  test.each<[string, TeamInstances, string | undefined, string | undefined, string]>([
    ["none is configured", "none", undefined, undefined, notConfigured],
    ["none is configured, and one is named", "none", unknown, unknown, notConfigured],
    ["the named one is none of the stage's", ["i-0123456789abcdef0"], unknown, unknown, notAmongThem],
    ["the named one does not exist", "tagged", unknown, unknown, refusalOf("InvalidInstanceID.NotFound")],
    [
      "a configured one does not exist",
      [unknown],
      undefined,
      unknown,
      refusalOf("InvalidInstanceID.NotFound"),
    ],
    ["what is named is no id", "tagged", "team", "team", refusalOf("InvalidInstanceID.Malformed")],
    ["none has the tag", "tagged", undefined, undefined, noneTagged],
  ])("nothing, and fails, where %s", async (_, team, instanceId, reported, why) => {
    stage.team = team;
    for (const request of [start, stop] as const) {
      await stage.send(request, { ...(instanceId && { instanceId }), reason });
      const text = `The instance was not ${request === start ? "started" : "stopped"}. ${why}`;
      const detail = { ...(reported && { instanceId: reported }), reason: text };
      expect(stage.events.splice(0)).toEqual([{ type: "instance.failed", detail }]);
    }
    expect(stage.delays).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ["no tag", {}],
    ["another value", { Application: "Other" }],
    ["another key", { application: "DataPipeline" }],
  ])("no instance without the tag, whatever the stage's setting is (%s)", async (_, tags) => {
    const id = stage.launch("stopped", tags);
    for (const team of ["tagged", [id]] as const) {
      stage.team = typeof team === "string" ? team : [...team];
      await stage.send(start, { instanceId: id, reason });
      expect(stage.events.splice(0)).toEqual(failed(id, notTagged));
    }
    expect(stateOf(id)).toBe("stopped");
  });

  test("those of several that can be started; the others fail", async () => {
    const [one, two] = [stage.launch("running"), stage.launch("stopped", {})];
    stage.team = [one, two];
    await stage.send(start, { reason });
    expect(stage.events).toHaveLength(2);
    expect(stage.events).toEqual(expect.arrayContaining([...started(one), ...failed(two, notTagged)]));
  });

  test("at most twenty instances with the tag; more fail together", async () => {
    const ids = Array.from({ length: 21 }, () => stage.launch("stopped"));
    await stage.send(start, { reason });
    expect(stage.events).toMatchObject([{ detail: { reason: expect.stringContaining(tooMany) } }]);
    expect(new Set(ids.map(stateOf))).toEqual(new Set(["stopped"]));
  });
});

describe("messages that come more than once, or in another order", () => {
  test.each([true, false])("a request delivered three times has one outcome (accepted: %s)", async (ok) => {
    if (!ok) stage.team = "none";
    const id = stage.launch("stopped");
    await stage.emit(start, { reason });
    const request = await stage.takeOne();
    await Promise.all([stage.handle(request), stage.handle(request)]);
    if (ok) await stage.settle(id, "running");
    await stage.handle(request);
    await stage.deliverAll();
    if (ok) expect(stage.events).toEqual(started(id));
    else expect(stage.events).toMatchObject([{ type: "instance.failed" }]);
  });

  test("EC2's event and a check at the same time publish one outcome", async () => {
    const id = stage.launch("stopped");
    await stage.send(start, { reason });
    await stage.change(id, "running");
    const messages = await take(stage.queue);
    expect(messages).toHaveLength(2);
    await Promise.all(messages.map((message) => stage.handle(message)));
    await stage.deliverAll();
    expect(stage.events).toEqual(started(id));
  });

  test.each([
    { request: stop, first: start, from: "stopped", past: "running", asked: "stopping", end: "stopped" },
    { request: start, first: stop, from: "running", past: "stopped", asked: "pending", end: "running" },
  ] as const)("$request overtakes $first in progress, whose end is no outcome", async (given) => {
    const id = stage.launch(given.from);
    await stage.send(given.first, { reason: "too early" }, ago(60));
    const check = await stage.takeOne();
    await stage.send(given.request, { reason }, ago(55));
    await stage.handle(check);
    // One for each request; the check of the first sends no other.
    expect(stage.delays).toEqual([15, 15]);
    await stage.change(id, given.past);
    await stage.deliver();
    expect(stateOf(id)).toBe(given.asked);
    await stage.settle(id, given.end);
    expect(stage.events).toEqual(given.end === "stopped" ? stopped(id) : started(id));
  });

  test("a start right after a stop does not trust EC2's outdated state: it checks later first", async () => {
    const id = stage.launch("running");
    await stage.send(stop, { reason: "too early" }, ago(60));
    // For a moment EC2 responds as if it had not been asked.
    await stage.change(id, "running", { isLost: true });
    await take(stage.queue);
    await stage.send(start, { reason }, ago(55));
    expect(stage.events).toEqual([]);
    await stage.change(id, "stopping");
    await stage.deliver();
    expect(stage.events).toEqual([]);
  });

  test("an older start that comes after a newer stop is ignored", async () => {
    const id = stage.launch("stopped");
    await stage.emit(stop, { reason }, ago(55));
    await stage.emit(start, { reason }, ago(60));
    await stage.deliverAll();
    expect(stateOf(id)).toBe("stopped");
    expect(stage.events).toEqual(stopped(id));
  });

  test("two requests of one second are ordered by the times that they name", async () => {
    const id = stage.launch("stopped");
    await stage.emit(stop, { reason, requestedAt: "2026-01-05T12:00:00.1Z" }, "2026-01-05T12:00:00Z");
    await stage.emit(start, { reason, requestedAt: "2026-01-05T12:00:00.9Z" }, "2026-01-05T12:00:00Z");
    await stage.deliverAll();
    await stage.settle(id, "running");
    expect(stage.events.map(({ type }) => type)).toContain("instance.stopped");
    expect(stateOf(id)).toBe("running");
  });

  test("a time in the future counts as the event's own time, so that a later stop ends it", async () => {
    const id = stage.launch("running");
    await stage.emit(start, { reason, requestedAt: "2099-01-01T00:00:00Z" }, ago(60));
    await stage.deliverAll();
    await stage.send(stop, { reason }, ago(55));
    expect(stateOf(id)).toBe("stopping");
  });

  test("an instance that was not requested, or is changed elsewhere later, is left alone", async () => {
    const id = stage.launch("stopped");
    await stage.change(id, "running");
    expect(await stage.deliver()).toHaveLength(1);
    expect(stateOf(id)).toBe("running");
    await stage.emit(start, { reason });
    await stage.deliverAll();
    await stage.settle(id, "stopped");
    expect(stateOf(id)).toBe("stopped");
    expect(stage.events).toEqual(started(id));
  });
});

describe("when something else fails", () => {
  test("as the bus does, the next delivery publishes the outcome", async () => {
    const id = stage.launch("running");
    await stage.emit(start, { reason });
    const request = await stage.takeOne();
    stage.isBusDown = true;
    expect(await stage.handle(request)).toBe("retried");
    stage.isBusDown = false;
    expect(await stage.handle(request)).toBe("done");
    expect(stage.events).toEqual(started(id));
  });

  test("as a handler that died while it published, a check publishes when its claim has expired", async () => {
    const id = stage.launch("stopped");
    await stage.send(start, { reason });
    await stage.change(id, "running", { isLost: true });
    const check = await stage.takeOne();
    const { goal } = JSON.parse(check.body);
    await stage.work.putOnce(keys.goalEnd(goal), { state: "claimed", at: stage.now.toISOString() });
    await stage.handle(check);
    expect(stage.events).toEqual([]);
    expect(stage.delays).toEqual([15, 30]);
    stage.now = new Date(stage.now.getTime() + 181_000);
    await stage.deliverAll();
    expect(stage.events).toEqual(started(id));
  });

  test("as EC2 does, the message comes back, and as a dead letter it publishes the failure", async () => {
    stage.launch("stopped");
    stage.ec2.disconnect();
    await stage.emit(start, { reason });
    const request = await stage.takeOne();
    expect(await stage.handle(request)).toBe("retried");
    expect(stage.events).toEqual([]);
    expect(await stage.handle(request, 5)).toBe("dead letter");
    expect(stage.events).toEqual([
      { type: "instance.failed", detail: { reason: expect.stringContaining("An unexpected error") } },
    ]);
  });

  test("a check that becomes a dead letter publishes the failure, and continues when it is replayed", async () => {
    const id = stage.launch("stopped");
    await stage.send(start, { reason });
    const check = await stage.takeOne();
    stage.ec2.disconnect();
    expect(await stage.handle(check, 5)).toBe("dead letter");
    expect(stage.events.splice(0)).toMatchObject([{ type: "instance.failed", detail: { instanceId: id } }]);
    stage.ec2.recover();
    await stage.change(id, "running", { isLost: true });
    await stage.handle(check);
    expect(stage.events).toEqual(started(id));
  });

  test("EC2's event that becomes a dead letter publishes nothing: its request has messages of its own", async () => {
    const id = stage.launch("stopped");
    await stage.send(start, { reason });
    await take(stage.queue);
    stage.ec2.disconnect();
    await stage.change(id, "running");
    expect(await stage.handle(await stage.takeOne(), 5)).toBe("dead letter");
    expect(stage.events).toEqual([]);
  });

  test.each([
    ["for an unknown dataset", { dataset: "none", reason }, "UnknownDataset", "none"],
    [
      "for a dataset and an instance",
      { dataset: "none", instanceId: "i-1", reason },
      "MessageUnreadable",
      undefined,
    ],
    ["without a reason", { instanceId: "i-1" }, "MessageUnreadable", undefined],
  ])("a request %s is a dead letter with its reason", async (_, detail, error, dataset) => {
    const event = { id: "x", source: "libinsight.pipeline", time: ago(60), "detail-type": start, detail };
    await stage.queue.send(JSON.stringify(event));
    expect(await stage.handle(await stage.takeOne())).toBe("dead letter");
    expect(await take(stage.deadLetters)).toMatchObject([{ attributes: { Error: error } }]);
    expect(stage.events).toEqual(
      dataset ? [{ type: "instance.failed", detail: { dataset, reason: expect.any(String) } }] : [],
    );
  });
});
