// Dead letters are listed, shown, replayed and archived, and an interrupted replay loses none.
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  archiveDeadLetters,
  type DeadLetterDeps,
  type DeadLetterFilter,
  deleteDeadLetters,
  inspectDeadLetters,
  listDeadLetters,
  type QueuePair,
  replayDeadLetters,
} from "../../../services/replay/dead-letter-queues.ts";
import type { PageMessage } from "../../../shared/messages.ts";
import { type MessageQueue, messageBody } from "../../../shared/ports.ts";
import { recordOf } from "../../factories/libinsight-records.ts";
import { requestOf, runOf, taskOf } from "../../factories/requests.ts";
import { intercepted } from "../../support/intercepted-ports.ts";
import { receive, take, useLocal } from "../../support/local-adapters.ts";

let clock = Date.parse("2026-01-05T12:00:00Z");
const local = useLocal(() => clock);

const run = runOf("replayed");
const other = runOf("another");
const words = "MARKED asked where the library is";
const page: PageMessage = {
  task: taskOf(run, { page: 3, pages: 3 }),
  totals: { totalPages: 3, totalRecords: 201 },
  records: { inline: [recordOf(1, { "Comments/Notes": words })] },
};
const failure = {
  Error: "LibInsightUnreachable",
  ErrorText: "LibInsight did not respond. Check its status page.",
};
const everything = { filter: {}, max: 1_000 };

function depsOf(...queuePairs: QueuePair[]): DeadLetterDeps {
  return { queuePairs, now: () => new Date(clock), waitSeconds: 0 };
}

/** Passes the visibility timeout of one minute. */
function passTimeout(): void {
  clock += 61_000;
}

test("the list has counts, runs and errors for each queue, and changes nothing", async () => {
  const fetcher = local.queuePair("fetcher");
  const deps = depsOf(fetcher, local.queuePair("transformer"));
  for (let n = 1; n <= 12; n++) {
    await fetcher.deadLetters.send(messageBody(taskOf(run, { page: n })), { attributes: failure });
  }
  clock += 5_000;
  await fetcher.deadLetters.send(messageBody(taskOf(other)));
  const summary = {
    queue: "fetcher",
    messages: 13,
    seen: 13,
    matching: 13,
    oldestSeconds: 5,
    runs: [run.runId, other.runId].sort(),
    errors: { LibInsightUnreachable: 12, "no reason given": 1 },
  };
  const none = { queue: "transformer", messages: 0, seen: 0, matching: 0, runs: [], errors: {} };
  expect(await listDeadLetters(deps)).toEqual([summary, none]);
  expect(await listDeadLetters(deps)).toEqual([summary, none]);
  expect(await take(fetcher.deadLetters)).toHaveLength(13);
});

test("a dead letter is shown with its IDs and without its content", async () => {
  const transformer = local.queuePair("transformer");
  await transformer.deadLetters.send(messageBody(page), { attributes: failure });
  await transformer.deadLetters.send(`not JSON, ${words}`);
  await transformer.deadLetters.send(messageBody({ runId: words, attempt: 1 }));
  await transformer.deadLetters.send("{}", { attributes: { Note: words } });
  const { deadLetters } = await inspectDeadLetters(depsOf(transformer), {}, 10);
  expect(deadLetters).toHaveLength(4);
  expect(deadLetters.find((each) => each.run)).toEqual({
    queue: "transformer",
    messageId: expect.stringMatching(/\S/),
    sentAt: new Date(clock).toISOString(),
    bytes: messageBody(page).length,
    run: run.runId,
    window: 1,
    attempt: 1,
    page: 3,
    error: failure.Error,
    errorText: failure.ErrorText,
    attributes: ["Error", "ErrorText"],
    receives: 1,
  });
  expect(JSON.stringify([deadLetters, await listDeadLetters(depsOf(transformer))])).not.toContain("MARKED");
});

test.each([
  ["kickoff", requestOf({ id: "one" }), { run: runOf("one").runId }],
  ["kickoff", requestOf({ detail: { requestId: "two" } }), { run: runOf("two").runId }],
  ["fetcher", taskOf(run, { page: 7 }), { run: run.runId, window: 1, attempt: 1, page: 7 }],
  ["assembler", { runId: run.runId, dataset: run.dataset, attempt: 2 }, { run: run.runId, attempt: 2 }],
  [
    "athena",
    { "detail-type": "Athena Query State Change", detail: { queryExecutionId: "q-1" } },
    { query: "q-1" },
  ],
  [
    "tableau",
    { "detail-type": "results.published", detail: { runId: run.runId, queryExecutionId: "q-2" } },
    { run: run.runId, query: "q-2" },
  ],
  [
    "reporter",
    { "detail-type": "run.held", detail: { runId: run.runId, reason: words } },
    { run: run.runId },
  ],
  ["ec2", { task: "check", instanceId: "i-1", goal: "g", checks: 2 }, { instance: "i-1" }],
  ["ec2", { "detail-type": "instance.start.requested", detail: { instanceId: "i-2" } }, { instance: "i-2" }],
] as const)("a dead letter of %s is shown with its IDs (case %#)", async (name, body, ids) => {
  const queues = local.queuePair(name);
  const options = queues.source.isFifo ? { group: "one", deduplicationId: "one" } : {};
  await queues.deadLetters.send(messageBody(body), options);
  expect(await inspectDeadLetters(depsOf(queues), {}, 10)).toMatchObject({ deadLetters: [ids], unseen: 0 });
});

test("the filter selects by queue, run, error and age, and `max` limits the number", async () => {
  const [fetcher, transformer] = [local.queuePair("fetcher"), local.queuePair("transformer")];
  const selected = async (filter: DeadLetterFilter, max = 100) => {
    const { moved, left } = await replayDeadLetters(depsOf(fetcher, transformer), {
      filter,
      max,
      dryRun: true,
    });
    return [moved.length, left];
  };
  await fetcher.deadLetters.send(messageBody(taskOf(run)), { attributes: failure });
  await fetcher.deadLetters.send(messageBody(taskOf(other)));
  await transformer.deadLetters.send(messageBody(page), { attributes: failure });
  expect(await selected({})).toEqual([3, 0]);
  expect(await selected({}, 2)).toEqual([2, 1]);
  expect(await selected({ queue: "transformer" })).toEqual([1, 0]);
  expect(await selected({ run: run.runId })).toEqual([2, 0]);
  expect(await selected({ error: "unreach" })).toEqual([2, 0]);
  expect(await selected({ error: "STATUS PAGE" })).toEqual([2, 0]);
  expect(await selected({ error: "MARKED" })).toEqual([0, 0]);
  expect(await selected({ olderThanSeconds: 3600 })).toEqual([0, 0]);
  clock += 3_700_000;
  expect(await selected({ olderThanSeconds: 3600 })).toEqual([3, 0]);
  expect([await fetcher.source.count(), await transformer.source.count()]).toEqual([0, 0]);
});

test("a message is replayed with its body and attributes, without its error", async () => {
  const fetcher = local.queuePair("fetcher");
  const own = { Origin: "weekly", Trace: Buffer.from([0, 255]) };
  await fetcher.deadLetters.send(messageBody(taskOf(run)), { attributes: { ...own, ...failure } });
  await replayDeadLetters(depsOf(fetcher), everything);
  const messages = await take(fetcher.source);
  expect(messages.map(({ body }) => body)).toEqual([messageBody(taskOf(run))]);
  expect(messages[0]?.attributes).toEqual({ ...own, ReplayId: expect.any(String) });
  expect(await fetcher.deadLetters.count()).toBe(0);
});

test("a message that fails again during a replay is sent once and waits for the next replay", async () => {
  const queues = local.queuePair("fetcher");
  let sent = 0;
  queues.source.send = async (body, { attributes = {} } = {}) => {
    sent += 1;
    await queues.deadLetters.send(body, { attributes: { ...attributes, ...failure } });
  };
  await queues.deadLetters.sendAll(["one", "two"]);
  expect(await replayDeadLetters(depsOf(queues), everything)).toMatchObject({ moved: [{}, {}], left: 0 });
  expect(sent).toBe(2);
  await replayDeadLetters(depsOf(queues), everything);
  expect(sent).toBe(4);
  expect(await queues.deadLetters.count()).toBe(2);
});

test("an archived dead letter is one object in the work bucket and no longer in its queue", async () => {
  const transformer = local.queuePair("transformer");
  const work = local.store();
  const attributes = { ...failure, Trace: Buffer.from([0, 255]) };
  await transformer.deadLetters.send(messageBody(page), { attributes });
  const { moved, left } = await archiveDeadLetters(depsOf(transformer), everything, work);
  expect([moved, left]).toMatchObject([[{ run: run.runId }], 0]);
  const archived = JSON.parse(
    (await work.getText(`deadletters/transformer/${moved[0]?.messageId}.json`)) ?? "",
  );
  expect(archived).toMatchObject({
    queue: "transformer",
    run: run.runId,
    messageAttributes: { ...failure, Trace: { base64: "AP8=" } },
    body: messageBody(page),
  });
  expect([await transformer.deadLetters.count(), await transformer.source.count()]).toEqual([0, 0]);
});

test("dead letters that another command has received are counted as unseen", async () => {
  const fetcher = local.queuePair("fetcher");
  await fetcher.deadLetters.sendAll(["one", "two"]);
  await receive(fetcher.deadLetters);
  await fetcher.deadLetters.send("three");
  expect(await inspectDeadLetters(depsOf(fetcher), {}, 10)).toMatchObject({ deadLetters: [{}], unseen: 2 });
  expect(await listDeadLetters(depsOf(fetcher))).toMatchObject([{ messages: 3, seen: 1 }]);
  expect(await replayDeadLetters(depsOf(fetcher), everything)).toMatchObject({ moved: [{}], unseen: 2 });
});

test("a dead letter that cannot be archived stays in its queue", async () => {
  const transformer = local.queuePair("transformer");
  const work = local.store();
  work.put = () => Promise.reject(new Error("no room"));
  await transformer.deadLetters.send(messageBody(page));
  await expect(archiveDeadLetters(depsOf(transformer), everything, work)).rejects.toThrow("no room");
  expect(await take(transformer.deadLetters)).toHaveLength(1);
});

test("a replay interrupted at any call loses no dead letter, and a repeated replay completes it", async () => {
  const interruption = fc.record({
    call: fc.constantFrom<Interruption["call"]>("receive", "send", "delete", "release"),
    nth: fc.integer({ min: 1, max: 6 }),
    when: fc.constantFrom<Interruption["when"]>("before", "after"),
  });
  const count = fc.integer({ min: 0, max: 12 });
  const max = fc.integer({ min: 1, max: 12 });
  await fc.assert(
    fc.asyncProperty(count, max, fc.boolean(), interruption, async (count, max, isFifo, at) => {
      const queues = local.queuePair(isFifo ? "assembler" : "fetcher");
      const bodies = Array.from({ length: count }, (_, n) => `message ${n}`);
      for (const body of bodies) {
        await queues.deadLetters.send(body, isFifo ? { group: "one", deduplicationId: body } : {});
      }
      const through = interrupted(at);
      const interruptedPair = {
        ...queues,
        source: through(queues.source),
        deadLetters: through(queues.deadLetters),
      };
      await replayDeadLetters(depsOf(interruptedPair), { filter: {}, max }).catch(() => undefined);
      passTimeout();
      const remaining = await queues.deadLetters.count();
      const sent = (await take(queues.source)).map(({ body }) => body);
      expect(remaining + new Set(sent).size).toBeGreaterThanOrEqual(count);
      await replayDeadLetters(depsOf(queues), everything);
      const takenAgain = await take(queues.source);
      const arrived = [...sent, ...takenAgain.map(({ body }) => body)];
      expect(new Set(arrived)).toEqual(new Set(bodies));
      // A FIFO queue keeps the group and the order, and accepts each message once.
      if (isFifo) expect(arrived).toEqual(bodies);
      if (isFifo) expect(takenAgain.every(({ group }) => group === "one")).toBe(true);
      expect(await queues.deadLetters.count()).toBe(0);
    }),
    { numRuns: 100 },
  );
});

type Interruption = {
  call: "receive" | "send" | "delete" | "release";
  nth: number;
  when: "before" | "after";
};

/** Wraps queues so that the nth call fails, before or after it takes effect, and so does every later call. */
function interrupted(at: Interruption): (queue: MessageQueue) => MessageQueue {
  let calls = 0;
  let hasFailed = false;
  return (queue) =>
    intercepted(queue, async (method, _args, act) => {
      if (hasFailed) throw new Error("interrupted");
      if (method === at.call) calls += 1;
      hasFailed = method === at.call && calls === at.nth;
      if (hasFailed && at.when === "before") throw new Error("interrupted");
      const result = await act();
      if (hasFailed) throw new Error("interrupted");
      return result;
    });
}

test("dead letters are deleted for good by their bodies, and the others stay", async () => {
  const transformer = local.queuePair("transformer");
  const deps = depsOf(transformer, local.queuePair("fetcher"));
  for (let n = 1; n <= 12; n++) await transformer.deadLetters.send(`letter ${n % 2}`);
  const isOdd = (body: string) => body === "letter 1";
  expect(await deleteDeadLetters(deps, isOdd, true)).toEqual({ deleted: 6, unseen: 0 });
  expect(await transformer.deadLetters.count()).toBe(12);
  const [held] = await receive(transformer.deadLetters, { max: 1 });
  expect(held?.body).toBe("letter 1");
  expect(await deleteDeadLetters(deps, isOdd)).toEqual({ deleted: 5, unseen: 1 });
  passTimeout();
  expect((await take(transformer.deadLetters)).map(({ body }) => body).sort()).toEqual(
    [...Array<string>(6).fill("letter 0"), "letter 1"].sort(),
  );
  expect(await transformer.source.count()).toBe(0);
});
