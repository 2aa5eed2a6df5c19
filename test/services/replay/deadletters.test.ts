// Dead letters in real queues. The property that matters: whatever happens while they are sent back, none is lost.
import { SQSClient } from "@aws-sdk/client-sqs";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { archive, inspect, type Looking, list, send } from "../../../services/replay/deadletters.ts";
import { sqs } from "../../../shared/aws/clients.ts";
import { messageBody, Queue, type SendOptions } from "../../../shared/aws/queue.ts";
import type { QueueName } from "../../../shared/config.ts";
import type { PageMessage } from "../../../shared/messages.ts";
import { recordOf } from "../../factories/records.ts";
import { requestOf, runOf, taskOf } from "../../factories/requests.ts";
import { type LocalAws, startLocalAws, take } from "../../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

const run = runOf("replayed");
const other = runOf("another");
const words = "MARKED asked where the library is";
const page: PageMessage = {
  task: taskOf(run, { page: 3 }),
  totals: { totalPages: 3, totalRecords: 201 },
  records: { inline: [recordOf(1, { "Comments/Notes": words })] },
};
const failure = {
  Error: { DataType: "String", StringValue: "LibInsightUnreachable" },
  ErrorText: { DataType: "String", StringValue: "LibInsight did not answer. Look at its status page." },
};
const everything = { filter: {}, max: 1_000 };

async function mailbox(name: QueueName, options: { fifo?: boolean } = {}) {
  return { name, source: await aws.queue(options), deadLetters: await aws.queue(options) };
}

function lookingAt(...mailboxes: Looking["mailboxes"]): Looking {
  return { mailboxes, now: () => new Date(), waitSeconds: 0 };
}

test("the list tells how many there are, of which runs and why; looking changes nothing", async () => {
  const fetch = await mailbox("fetcher");
  const pages = await mailbox("transformer");
  for (let n = 1; n <= 12; n++) {
    await fetch.deadLetters.send(messageBody(taskOf(run, { page: n })), { attributes: failure });
  }
  await fetch.deadLetters.send(messageBody(taskOf(other)));
  const looking = lookingAt(fetch, pages);
  const summary = {
    queue: "fetcher",
    letters: 13,
    seen: 13,
    matching: 13,
    oldestSeconds: expect.any(Number),
    runs: [run.runId, other.runId].sort(),
    errors: { LibInsightUnreachable: 12, "no reason given": 1 },
  };
  const none = { queue: "transformer", letters: 0, seen: 0, matching: 0, runs: [], errors: {} };

  expect(await list(looking)).toEqual([summary, none]);
  expect(await list(looking)).toEqual([summary, none]);
  expect(await take(fetch.deadLetters)).toHaveLength(13);
});

test("a dead letter is shown by its ids and never by its content", async () => {
  const pages = await mailbox("transformer");
  await pages.deadLetters.send(messageBody(page), { attributes: failure });
  await pages.deadLetters.send(`not JSON, ${words}`);
  await pages.deadLetters.send(messageBody({ runId: words, attempt: 1 }));
  await pages.deadLetters.send("{}", { attributes: { Note: { DataType: "String", StringValue: words } } });
  const looking = lookingAt(pages);

  const { letters } = await inspect(looking, {}, 10);

  expect(letters).toHaveLength(4);
  expect(letters.find(({ run: named }) => named)).toMatchObject({
    queue: "transformer",
    messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    run: run.runId,
    window: 1,
    attempt: 1,
    page: 3,
    error: "LibInsightUnreachable",
    errorText: "LibInsight did not answer. Look at its status page.",
    attributes: ["Error", "ErrorText"],
    receives: 1,
  });
  expect(JSON.stringify([letters, await list(looking)])).not.toContain("MARKED");
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
  ["reporter", { "detail-type": "run.held", detail: { runId: run.runId, reason: words } }, { run: run.runId }],
  ["ec2", { "detail-type": "run.held", detail: { runId: run.runId, reason: "x" } }, { run: run.runId }],
  ["ec2", { task: "check", instanceId: "i-1", goal: "g", checks: 2 }, { instance: "i-1" }],
  [
    "ec2",
    { "detail-type": "instance.start.requested", detail: { instanceId: "i-2" } },
    { instance: "i-2" },
  ],
] as const)("a dead letter of %s names what it is about", async (name, body, about) => {
  const box = await mailbox(name);
  await box.deadLetters.send(messageBody(body));
  expect(await inspect(lookingAt(box), {}, 10)).toMatchObject({ letters: [about], unseen: 0 });
});

test("only those that are meant are sent: by queue, run, error and age, so many at most", async () => {
  const fetch = await mailbox("fetcher");
  const pages = await mailbox("transformer");
  const sent = async (filter: Parameters<typeof send>[1]["filter"], max = 100, now = () => new Date()) => {
    const options = { filter, max, dryRun: true };
    const { moved, left } = await send({ ...lookingAt(fetch, pages), now }, options);
    return [moved.length, left];
  };
  await fetch.deadLetters.send(messageBody(taskOf(run)), { attributes: failure });
  await fetch.deadLetters.send(messageBody(taskOf(other)));
  await pages.deadLetters.send(messageBody(page), { attributes: failure });

  expect(await sent({})).toEqual([3, 0]);
  expect(await sent({}, 2)).toEqual([2, 1]);
  expect(await sent({ queue: "transformer" })).toEqual([1, 0]);
  expect(await sent({ run: run.runId })).toEqual([2, 0]);
  expect(await sent({ error: "unreach" })).toEqual([2, 0]);
  expect(await sent({ error: "STATUS PAGE" })).toEqual([2, 0]);
  expect(await sent({ error: "MARKED" })).toEqual([0, 0]);
  expect(await sent({ olderThanSeconds: 3600 })).toEqual([0, 0]);
  expect(await sent({ olderThanSeconds: 3600 }, 100, () => new Date(Date.now() + 3_700_000))).toEqual([3, 0]);
  expect([await fetch.source.count(), await pages.source.count()]).toEqual([0, 0]);
});

test("a message goes back as it was: its body and attributes, without the reason of its failure", async () => {
  const fetch = await mailbox("fetcher");
  const origin = { Origin: { DataType: "String", StringValue: "weekly" } };
  await fetch.deadLetters.send(messageBody(taskOf(run)), { attributes: { ...origin, ...failure } });

  await send(lookingAt(fetch), everything);

  const [message, ...more] = await fetch.source.receive({ hiddenSeconds: 60, waitSeconds: 0 });
  expect(more).toEqual([]);
  expect(message).toMatchObject({ Body: messageBody(taskOf(run)), MessageAttributes: origin });
  expect(Object.keys(message?.MessageAttributes ?? {}).toSorted()).toEqual(["Origin", "ReplayId"]);
  expect(await fetch.deadLetters.count()).toBe(0);
});

test("a FIFO queue's letters keep their group and order, and are taken once however often they are sent", async () => {
  const assemble = await mailbox("assembler", { fifo: true });
  const tasks = [1, 2, 3].map((attempt) => messageBody({ runId: run.runId, dataset: run.dataset, attempt }));
  for (const [n, task] of tasks.entries()) {
    await assemble.deadLetters.send(task, { groupId: "gate-counts", deduplicationId: String(n) });
  }
  const { client, receipts } = interrupt({ call: "DeleteMessageCommand", nth: 1, when: "before" });
  const dying = lookingAt({ ...assemble, deadLetters: new Queue(client, assemble.deadLetters.url) });
  await expect(send(dying, everything)).rejects.toThrow("interrupted");
  await assemble.deadLetters.showAgain([...receipts.values()]);

  await send(lookingAt(assemble), everything);

  const messages = await take(assemble.source);
  expect(messages.map(({ Body }) => Body)).toEqual(tasks);
  expect(messages.map(({ Attributes }) => Attributes?.MessageGroupId)).toEqual(
    tasks.map(() => "gate-counts"),
  );
});

test("a message that fails again at once is sent once, and waits among the dead letters for the next time", async () => {
  const { deadLetters, ...box } = await mailbox("fetcher");
  let sent = 0;
  /** A service that gives every message up. */
  class Failing extends Queue {
    override async send(body: string, { attributes = {} }: SendOptions = {}) {
      sent += 1;
      await deadLetters.send(body, { attributes: { ...attributes, ...failure } });
    }
  }
  const failing = { ...box, deadLetters, source: new Failing(sqs(), box.source.url) };
  await deadLetters.sendAll(["one", "two"]);

  expect(await send(lookingAt(failing), everything)).toMatchObject({ moved: [{}, {}], left: 0 });
  expect(sent).toBe(2);
  await send(lookingAt(failing), everything);
  expect(sent).toBe(4);
  expect(await deadLetters.count()).toBe(2);
});

test("an archived letter is an object in the work bucket, whole, and no longer in the queue", async () => {
  const pages = await mailbox("transformer");
  const work = await aws.bucket();
  await pages.deadLetters.send(messageBody(page), { attributes: failure });
  const [letter] = (await inspect(lookingAt(pages), {}, 1)).letters;

  expect(await archive(lookingAt(pages), everything, work)).toMatchObject({
    moved: [{ run: run.runId }],
    left: 0,
  });

  const kept = JSON.parse((await work.getText(`deadletters/pages/${letter?.messageId}.json`)) ?? "");
  expect(kept).toMatchObject({ queue: "transformer", run: run.runId, messageAttributes: failure });
  expect(JSON.parse(kept.body)).toEqual(page);
  expect([await pages.deadLetters.count(), await pages.source.count()]).toEqual([0, 0]);
});

test("letters that somebody else looks at are not seen, and that is told", async () => {
  const fetch = await mailbox("fetcher");
  await fetch.deadLetters.sendAll(["one", "two"]);
  await fetch.deadLetters.receive({ hiddenSeconds: 60, waitSeconds: 0 });
  await fetch.deadLetters.send("three");

  expect(await inspect(lookingAt(fetch), {}, 10)).toMatchObject({ letters: [{}], unseen: 2 });
  expect(await list(lookingAt(fetch))).toMatchObject([{ letters: 3, seen: 1 }]);
  expect(await send(lookingAt(fetch), everything)).toMatchObject({ moved: [{}], unseen: 2 });
});

test("a letter that can't be archived stays where it is", async () => {
  const pages = await mailbox("transformer");
  const work = await aws.bucket();
  await pages.deadLetters.send(messageBody(page));
  const full = Object.assign(Object.create(work), { put: () => Promise.reject(new Error("no room")) });

  await expect(archive(lookingAt(pages), everything, full)).rejects.toThrow("no room");
  expect(await take(pages.deadLetters)).toHaveLength(1);
});

test("wherever sending is interrupted, no letter is lost, and repeating it finishes it", async () => {
  const interruption = fc.record({
    call: fc.constantFrom(
      "ReceiveMessageCommand",
      "SendMessageCommand",
      "DeleteMessageCommand",
      "ChangeMessageVisibilityBatchCommand",
    ),
    nth: fc.integer({ min: 1, max: 6 }),
    when: fc.constantFrom("before", "after"),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      interruption,
      async (letters, max, fifo, where) => {
        const box = await mailbox(fifo ? "assembler" : "fetcher", { fifo });
        const bodies = Array.from({ length: letters }, (_, n) => `letter ${n}`);
        for (const body of bodies) {
          await box.deadLetters.send(body, fifo ? { groupId: "one", deduplicationId: body } : {});
        }
        const { client, receipts } = interrupt(where);
        const through = {
          ...box,
          source: new Queue(client, box.source.url),
          deadLetters: new Queue(client, box.deadLetters.url),
        };
        await send(lookingAt(through), { filter: {}, max }).catch(() => undefined);
        client.destroy();
        // What a crash leaves hidden comes back by itself; here it need not be waited for.
        await box.deadLetters.showAgain([...receipts.values()]);

        const remaining = await box.deadLetters.count();
        const sent = (await take(box.source)).map(({ Body }) => Body);
        expect(remaining + new Set(sent).size).toBeGreaterThanOrEqual(letters);

        await send(lookingAt(box), everything);
        const resent = (await take(box.source)).map(({ Body }) => Body);
        expect(new Set([...sent, ...resent])).toEqual(new Set(bodies));
        expect(await box.deadLetters.count()).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});

/** A client whose nth call of a command fails, before it is made or after it took effect, and every call after it. */
function interrupt({ call, nth, when }: { call: string; nth: number; when: string }) {
  const client = new SQSClient({ useQueueUrlAsEndpoint: false });
  const receipts = new Map<string, string>();
  let calls = 0;
  let dead = false;
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (dead) throw new Error("interrupted");
        if (commandName === call) calls += 1;
        dead = commandName === call && calls === nth;
        if (dead && when === "before") throw new Error("interrupted");
        const result = await next(args);
        for (const { MessageId, ReceiptHandle } of received.safeParse(result.output).data?.Messages ?? []) {
          receipts.set(MessageId, ReceiptHandle);
        }
        if (dead) throw new Error("interrupted");
        return result;
      },
    { step: "initialize", priority: "high" },
  );
  return { client, receipts };
}

const received = z.object({
  Messages: z.array(z.object({ MessageId: z.string(), ReceiptHandle: z.string() })).default([]),
});
