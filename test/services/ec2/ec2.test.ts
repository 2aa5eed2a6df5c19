// What becomes of wishes to start and to stop, whichever state the instance is in and whatever EC2 answers.
import { DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sqs } from "../../../shared/aws/clients.ts";
import { ec2 as ec2Client } from "../../../shared/aws/instances.ts";
import { messageBody, Queue } from "../../../shared/aws/queue.ts";
import { config } from "../../../shared/config.ts";
import { keys } from "../../../shared/keys.ts";
import { InstanceStage } from "../../support/instances.ts";
import { take } from "../../support/local-aws.ts";

let stage: InstanceStage;
beforeAll(async () => {
  stage = await InstanceStage.start();
});
afterAll(() => stage?.close());
beforeEach(() => stage.fresh());

const start = "instance.start.requested";
const stop = "instance.stop.requested";
const reason = "a look at the data";

/** As EventBridge tells times: by the second. */
function ago(seconds: number): string {
  return new Date(Date.now() - seconds * 1_000).toISOString().replace(/\.\d+Z/, "Z");
}

async function stateOf(id: string): Promise<string | undefined> {
  const { Reservations } = await ec2Client().send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0]?.State?.Name;
}
const started = (instanceId: string) => [{ type: "instance.started", detail: { instanceId, reason } }];
const stopped = (instanceId: string) => [{ type: "instance.stopped", detail: { instanceId, reason } }];
const failed = (instanceId: string, why: string) => [
  { type: "instance.failed", detail: { instanceId, reason: expect.stringContaining(why) } },
];

describe("an instance is asked to start", () => {
  test("that is stopped: it is started, and EC2's event that it runs confirms it", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    expect(stage.delays).toEqual([15]);
    expect(await stage.told()).toEqual([]);

    await take(stage.queue);
    await stage.change(id, "running");
    await stage.deliver();

    expect(await stage.told()).toEqual(started(id));
  });

  test("and whose event is lost: it is confirmed by describing it", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliver();
    await stage.deliver();
    expect(await stage.told()).toEqual([]);
    expect(stage.delays).toEqual([15, 30]);

    await stage.change(id, "running", { quietly: true });
    await stage.deliver();

    expect(await stage.told()).toEqual(started(id));
    expect(await stage.deliver()).toEqual([]);
  });

  test("that runs already is a success", async () => {
    const id = await stage.launch("running");
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await stage.told()).toEqual(started(id));
    expect(stage.delays).toEqual([]);
  });

  test("that is about to run is waited for", async () => {
    const id = await stage.launch("pending");
    await stage.say(start, { reason });
    await stage.deliver();
    expect(stage.delays).toEqual([15]);
    await stage.change(id, "running");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(started(id));
  });

  test("that is stopping is waited for, and started then", async () => {
    const id = await stage.launch("stopping");
    await stage.say(start, { reason });
    await stage.deliver();
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
    await stage.change(id, "stopped");
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    await stage.change(id, "running");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(started(id));
  });

  test.each(["shutting-down", "terminated"] as const)("that is %s fails at once", async (state) => {
    const id = await stage.launch(state);
    await stage.say(start, { instanceId: id, reason });
    await stage.deliver();
    expect(await stage.told()).toEqual(failed(id, "The instance was not started. It is terminated"));
    expect(stage.delays).toEqual([]);
  });
});

describe("an instance is asked to stop", () => {
  test("that runs: it is stopped, and EC2's event confirms it", async () => {
    const id = await stage.launch("running");
    await stage.say(stop, { reason });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
    expect(stage.delays).toEqual([15]);
    await stage.change(id, "stopped");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(stopped(id));
  });

  test("that is stopped already is a success", async () => {
    const id = await stage.launch("stopped");
    await stage.say(stop, { reason });
    await stage.deliver();
    expect(await stage.told()).toEqual(stopped(id));
    expect(stage.delays).toEqual([]);
  });

  test("that is stopping already is waited for", async () => {
    const id = await stage.launch("stopping");
    await stage.say(stop, { reason });
    await stage.deliver();
    await stage.change(id, "stopped", { quietly: true });
    await stage.deliver();
    expect(await stage.told()).toEqual(stopped(id));
  });

  test("that is pending is waited for, and stopped when it runs", async () => {
    const id = await stage.launch("pending");
    await stage.say(stop, { reason });
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    await stage.change(id, "running");
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
    await stage.change(id, "stopped");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(stopped(id));
  });

  test("that is terminated fails at once", async () => {
    const id = await stage.launch("terminated");
    await stage.say(stop, { instanceId: id, reason });
    await stage.deliver();
    expect(await stage.told()).toEqual(failed(id, "The instance was not stopped. It is terminated"));
  });
});

describe("what EC2 does not do", () => {
  test.each([
    ["start", "stopped", "StartInstances", start, "pending"],
    ["stop", "running", "StopInstances", stop, "stopping"],
  ] as const)(
    "to %s an instance between two states is tried again later",
    async (_, from, operation, wish, then) => {
      const id = await stage.launch(from);
      stage.ec2.faults.push({ operation, error: "IncorrectInstanceState", times: 1 });
      await stage.say(wish, { reason });
      await stage.deliver();
      expect(await stateOf(id)).toBe(from);
      await stage.deliver();
      expect(await stateOf(id)).toBe(then);
      expect(await stage.told()).toEqual([]);
    },
  );

  test("for want of capacity is asked for again at growing delays, and given up with what to do", async () => {
    const id = await stage.launch("stopped");
    stage.ec2.faults.push({ operation: "StartInstances", error: "InsufficientInstanceCapacity" });
    await stage.say(start, { reason });
    await stage.deliverAll();
    expect(stage.delays).toEqual([15, 30, 60, 120, 240, 480]);
    expect(await stage.told()).toEqual(
      failed(id, "EC2 has no room for it now (InsufficientInstanceCapacity). Ask again later"),
    );
    expect(await stateOf(id)).toBe("stopped");
  });

  test("for want of capacity is done when there is some again", async () => {
    const id = await stage.launch("stopped");
    // The SDK tries three times each time.
    stage.ec2.faults.push({ operation: "StartInstances", error: "InsufficientInstanceCapacity", times: 3 });
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopped");
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
  });

  test.each([
    ["start", "stopped", "StartInstances", start, "UnauthorizedOperation", "has no right to do it"],
    ["stop", "running", "StopInstances", stop, "UnauthorizedOperation", "has no right to do it"],
    [
      "start",
      "stopped",
      "StartInstances",
      start,
      "UnsupportedOperation",
      "refused it (UnsupportedOperation)",
    ],
    [
      "start",
      "stopped",
      "StartInstances",
      start,
      "InvalidInstanceID.NotFound",
      "knows no instance of this id",
    ],
  ] as const)("to %s an instance that is %s is told at once: %s answers a %s with %s", async (...given) => {
    const [, from, operation, wish, error, why] = given;
    const id = await stage.launch(from);
    stage.ec2.faults.push({ operation, error });
    await stage.say(wish, { reason });
    const [message = {}] = await stage.deliver();
    expect(await stage.told()).toEqual(failed(id, why));
    expect(stage.delays).toEqual([]);
    // Delivered once more it is not done after all: whoever heard that it failed may have done something else.
    stage.ec2.faults.length = 0;
    await stage.handle(message);
    expect(await stateOf(id)).toBe(from);
  });

  test("because looking is not allowed either is told", async () => {
    await stage.launch("stopped");
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "UnauthorizedOperation" });
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await stage.told()).toEqual([
      { type: "instance.failed", detail: { reason: expect.stringContaining("has no right to do it") } },
    ]);
  });

  test("an instance that stays on its way is looked at for a quarter of an hour, and no longer", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliverAll();
    expect(stage.delays).toEqual([15, 30, 60, 120, 240, 480]);
    expect(await stage.told()).toEqual(failed(id, "The instance was not started. It is still pending"));
    // Should it get there after all, nobody is told twice.
    await stage.change(id, "running");
    await stage.deliverAll();
    expect(await stage.told()).toEqual([]);
  });

  test("an instance that falls back is started again by those who look, not by each event, and then given up", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    const [look] = await take(stage.queue);
    await stage.change(id, "stopped");
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopped");
    await stage.queue.send(look?.Body ?? "");
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    expect(await stage.told()).toEqual([]);
  });

  test("a delay beyond SQS's longest is cut to that", async () => {
    process.env.INSTANCE_CHECK_SECONDS = "300";
    await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliverAll();
    expect(stage.delays).toEqual([300, 600, 900, 900, 900, 900]);
  });
});

describe("which instances are meant", () => {
  test("all with the tag, where the stage goes by the tag", async () => {
    const ids = [await stage.launch("stopped"), await stage.launch("stopped")];
    const other = await stage.launch("stopped", { Application: "Other" });
    const gone = await stage.launch("terminated");
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await Promise.all([...ids, other, gone].map(stateOf))).toEqual([
      "pending",
      "pending",
      "stopped",
      "terminated",
    ]);
  });

  test("all of its ids, where the stage names ids, and no other", async () => {
    const [one, two] = [await stage.launch("stopped"), await stage.launch("stopped")];
    process.env.INSTANCES = one;
    await stage.say(start, { reason });
    await stage.deliver();
    expect([await stateOf(one), await stateOf(two)]).toEqual(["pending", "stopped"]);
  });

  test("the one that is named", async () => {
    const [one, two] = [await stage.launch("stopped"), await stage.launch("stopped")];
    await stage.say(start, { instanceId: two, reason });
    await stage.deliver();
    expect([await stateOf(one), await stateOf(two)]).toEqual(["stopped", "pending"]);
  });

  const unknown = "i-0fffffffffffffff0";
  test.each([
    ["none is configured", "none", undefined, undefined, "No instance is configured on this stage"],
    ["none is configured, and one is named", "none", unknown, unknown, "No instance is configured"],
    [
      "the named one is none of the stage's ids",
      "i-0123456789abcdef0",
      unknown,
      unknown,
      "This instance is none of the stage's",
    ],
    ["a named one is not there", "tagged", unknown, unknown, "EC2 knows no instance of this id"],
    ["a configured one is not there", unknown, undefined, unknown, "EC2 knows no instance of this id"],
    ["what is named is no id", "tagged", "team", "team", "This is not the id of an instance"],
    ["none has the tag", "tagged", undefined, undefined, "No instance has the tag Application=DataPipeline"],
  ])("where %s, that is refused", async (_, setting, instanceId, told, why) => {
    process.env.INSTANCES = setting;
    for (const wish of [start, stop] as const) {
      await stage.say(wish, { ...(instanceId && { instanceId }), reason });
      await stage.deliver();
      const what = wish === start ? "started" : "stopped";
      expect(await stage.told()).toEqual([
        {
          type: "instance.failed",
          detail: {
            ...(told && { instanceId: told }),
            reason: expect.stringContaining(`The instance was not ${what}. ${why}`),
          },
        },
      ]);
    }
    expect(stage.delays).toEqual([]);
  });

  test.each([
    ["no tag", {}],
    ["another value", { Application: "Other" }],
    ["another key", { application: "DataPipeline" }],
  ])(
    "one without the tag is refused, whatever the stage names (%s)",
    async (_, tags: Record<string, string>) => {
      const id = await stage.launch("stopped", tags);
      for (const setting of ["tagged", id]) {
        process.env.INSTANCES = setting;
        await stage.say(start, { instanceId: id, reason });
        await stage.deliver();
        expect(await stage.told()).toEqual(failed(id, "does not have the tag Application=DataPipeline"));
      }
      expect(await stateOf(id)).toBe("stopped");
    },
  );

  test("of several those that can be are started, and the others refused", async () => {
    const [one, two] = [await stage.launch("running"), await stage.launch("stopped", {})];
    process.env.INSTANCES = `${one},${two}`;
    await stage.say(start, { reason });
    await stage.deliver();
    const told = await stage.told();
    expect(told).toHaveLength(2);
    expect(told).toEqual(expect.arrayContaining([...started(one), ...failed(two, "does not have the tag")]));
  });

  test("more with the tag than a department has are refused together", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 21; n++) ids.push(await stage.launch("stopped"));
    await stage.say(start, { reason });
    await stage.deliver();
    expect(await stage.told()).toMatchObject([
      { detail: { reason: expect.stringContaining("More than 20") } },
    ]);
    expect(new Set(await Promise.all(ids.map(stateOf)))).toEqual(new Set(["stopped"]));
  });
});

describe("what comes more than once, or in between", () => {
  test("a wish that is delivered thrice, also at once, is told once", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    const [wish = {}] = await take(stage.queue);
    await Promise.all([stage.handle(wish), stage.handle(wish)]);
    await stage.change(id, "running");
    await stage.deliverAll();
    await stage.handle(wish);
    await stage.deliverAll();
    expect(await stage.told()).toEqual(started(id));
  });

  test("a wish that is refused and delivered thrice is told once", async () => {
    process.env.INSTANCES = "none";
    await stage.say(start, { reason });
    const [wish = {}] = await take(stage.queue);
    await Promise.all([stage.handle(wish), stage.handle(wish)]);
    await stage.handle(wish);
    expect(await stage.told()).toHaveLength(1);
  });

  test("EC2's event and the message that looks, at once, tell it once", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliver();
    await stage.change(id, "running");
    const messages = await take(stage.queue);
    expect(messages).toHaveLength(2);
    await Promise.all(messages.map((message) => stage.handle(message)));
    await stage.deliverAll();
    expect(await stage.told()).toEqual(started(id));
  });

  test("a stop overtakes a start that is under way: the instance ends stopped, and only that is told", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason: "too early" }, ago(60));
    await stage.deliver();
    const [look = {}] = await take(stage.queue);
    await stage.say(stop, { reason }, ago(55));
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    await stage.handle(look);
    // One for each of the two; the message that looks for the start sends no other.
    expect(stage.delays).toEqual([15, 15]);
    await stage.change(id, "running");
    await stage.deliver();
    await stage.change(id, "stopped");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(stopped(id));
  });

  test("a start overtakes a stop that is under way: the instance ends running, and only that is told", async () => {
    const id = await stage.launch("running");
    await stage.say(stop, { reason: "too early" }, ago(60));
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
    await stage.say(start, { reason }, ago(55));
    await stage.deliver();
    await stage.change(id, "stopped");
    await stage.deliver();
    expect(await stateOf(id)).toBe("pending");
    await stage.change(id, "running");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(started(id));
  });

  test("a start that comes right after a stop does not take EC2's old word for it: it looks again first", async () => {
    const id = await stage.launch("running");
    await stage.say(stop, { reason: "too early" }, ago(60));
    await stage.deliver();
    // EC2 answers for a moment as if nobody had asked it.
    await stage.change(id, "running", { quietly: true });
    await take(stage.queue);
    await stage.say(start, { reason }, ago(55));
    await stage.deliver();
    expect(await stage.told()).toEqual([]);
    await stage.change(id, "stopping", { quietly: true });
    await stage.deliver();
    expect(await stage.told()).toEqual([]);
  });

  test("an older start that comes after a newer stop is left alone", async () => {
    const id = await stage.launch("stopped");
    await stage.say(stop, { reason }, ago(55));
    await stage.say(start, { reason }, ago(60));
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("stopped");
    expect(await stage.told()).toEqual(stopped(id));
  });

  test("two wishes in one second go by the times that they name", async () => {
    const id = await stage.launch("stopped");
    const second = ago(60);
    await stage.say(stop, { reason, requestedAt: second.replace("Z", ".1Z") }, second);
    await stage.say(start, { reason, requestedAt: second.replace("Z", ".9Z") }, second);
    await stage.deliverAll();
    await stage.change(id, "running");
    await stage.deliverAll();
    expect((await stage.told()).map(({ type }) => type)).toContain("instance.stopped");
    expect(await stateOf(id)).toBe("running");
  });

  test("a time that has not come counts as the event's own, so that a later stop ends it", async () => {
    const id = await stage.launch("running");
    await stage.say(start, { reason, requestedAt: "2099-01-01T00:00:00Z" }, ago(60));
    await stage.deliverAll();
    await stage.say(stop, { reason }, ago(55));
    await stage.deliver();
    expect(await stateOf(id)).toBe("stopping");
  });

  test("what happens to an instance that nobody asked for, or later and elsewhere, is left alone", async () => {
    const id = await stage.launch("stopped");
    await stage.change(id, "running");
    expect(await stage.deliver()).toHaveLength(1);
    expect(await stateOf(id)).toBe("running");

    await stage.say(start, { reason });
    await stage.deliverAll();
    await stage.told();
    await stage.change(id, "stopped");
    await stage.deliverAll();
    expect(await stateOf(id)).toBe("stopped");
    expect(await stage.told()).toEqual([]);
  });
});

describe("where something else fails", () => {
  test("and the bus is away, it is told by whoever comes next", async () => {
    const id = await stage.launch("running");
    await stage.say(start, { reason });
    const [wish = {}] = await take(stage.queue);
    const { BUS_NAME } = process.env;
    process.env.BUS_NAME = "away";
    expect((await stage.handle(wish)).batchItemFailures).toHaveLength(1);
    process.env.BUS_NAME = BUS_NAME;
    expect((await stage.handle(wish)).batchItemFailures).toEqual([]);
    expect(await stage.told()).toEqual(started(id));
  });

  test("and a handler died while it told, it is looked at again, and told when its claim has ended", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliver();
    await stage.change(id, "running", { quietly: true });
    const [look = {}] = await take(stage.queue);
    const { goal } = JSON.parse(look.Body ?? "");
    const claim = (at: Date) => JSON.stringify({ state: "claimed", at: at.toISOString() });
    await stage.work.put(keys.goalEnd(goal), claim(new Date()), "application/json");
    await stage.handle(look);
    expect(await stage.told()).toEqual([]);
    expect(stage.delays).toEqual([15, 30]);
    await stage.work.put(keys.goalEnd(goal), claim(new Date(Date.now() - 181_000)), "application/json");
    await stage.deliverAll();
    expect(await stage.told()).toEqual(started(id));
  });

  test("and EC2 itself is away, the message comes back, and as a dead letter it is told", async () => {
    await stage.launch("stopped");
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "Unavailable" });
    await stage.say(start, { reason });
    const [wish = {}] = await take(stage.queue);
    expect(await stage.handle(wish)).toMatchObject({ batchItemFailures: [{}], deadLetters: [] });
    expect(await stage.told()).toEqual([]);
    expect(await stage.handle(wish, 5)).toMatchObject({
      batchItemFailures: [],
      deadLetters: [wish.MessageId],
    });
    expect(await stage.told()).toMatchObject([
      {
        type: "instance.failed",
        detail: { reason: expect.stringContaining("An unexpected error stopped this") },
      },
    ]);
  });

  test("a look that becomes a dead letter is told, and replayed it goes on", async () => {
    const id = await stage.launch("stopped");
    await stage.say(start, { reason });
    await stage.deliver();
    const [look = {}] = await take(stage.queue);
    stage.ec2.faults.push({ operation: "DescribeInstances", error: "Unavailable" });
    await stage.handle(look, 5);
    expect(await stage.told()).toMatchObject([{ type: "instance.failed", detail: { instanceId: id } }]);
    stage.ec2.faults.length = 0;
    await stage.change(id, "running", { quietly: true });
    await stage.handle(look);
    expect(await stage.told()).toEqual(started(id));
  });

  test.each([
    ["for a dataset that does not exist", { dataset: "none", reason }, "UnknownDataset", "none"],
    [
      "for a dataset and an instance",
      { dataset: "none", instanceId: "i-1", reason },
      "MessageUnreadable",
      undefined,
    ],
    ["without a reason", { instanceId: "i-1" }, "MessageUnreadable", undefined],
  ])("a wish %s is a dead letter with its reason", async (_, detail, error, dataset) => {
    const body = messageBody({
      id: "x",
      source: "libinsight.pipeline",
      time: ago(60),
      "detail-type": start,
      detail,
    });
    await stage.queue.send(body);
    const [wish = {}] = await take(stage.queue);
    expect((await stage.handle(wish)).deadLetters).toHaveLength(1);
    const deadLetters = new Queue(sqs(), config.deadLetterUrl("INSTANCE"));
    const [letter] = await deadLetters.receive({ hiddenSeconds: 60, waitSeconds: 1 });
    expect(letter?.MessageAttributes?.Error?.StringValue).toBe(error);
    await deadLetters.remove(letter?.ReceiptHandle ?? "");
    expect(await stage.told()).toEqual(
      dataset ? [{ type: "instance.failed", detail: { dataset, reason: expect.any(String) } }] : [],
    );
  });
});
