// The queue on SQS with batches that fail in part. The tests respond in the SDK's middleware.
import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import * as z from "zod";
import { SqsQueue } from "../../../shared/aws/sqs.ts";
import { backoffMs } from "../../../shared/clock.ts";
import { intercept, offline } from "../../contracts/inject.ts";
import { stoppedClock } from "../../support/stopped-clock.ts";

const batch = z.object({ Entries: z.array(z.object({ Id: z.string(), MessageBody: z.string() })) });
type Verdict = "accepted" | "failed" | "missing";

/** Starts an SQS that responds to each batch with status 200, and with a verdict on each entry. */
function startSqs(verdict: (body: string) => Verdict) {
  const client = new SQSClient({ ...offline, md5: false });
  const calls: string[][] = [];
  intercept(client, async ({ input }) => {
    const { Entries } = batch.parse(input);
    calls.push(Entries.map(({ MessageBody }) => MessageBody));
    const judged = Entries.map(({ Id, MessageBody }) => ({ Id, verdict: verdict(MessageBody) }));
    const having = (wanted: Verdict) => judged.filter((entry) => entry.verdict === wanted);
    return {
      $metadata: {},
      Successful: having("accepted").map(({ Id }) => ({ Id, MessageId: Id, MD5OfMessageBody: "" })),
      Failed: having("failed").map(({ Id }) => ({ Id, Code: "InternalError", SenderFault: false })),
    };
  });
  const { slept, sleep } = stoppedClock();
  return { calls, slept, queue: new SqsQueue(client, "https://sqs.invalid/000000000000/test", sleep) };
}

const messages = (count: number) => Array.from({ length: count }, (_, n) => `m${n}`);

test.each(["failed", "missing"] as const)("sends only the %s entries of a batch again", async (how) => {
  const failures = new Map([
    ["m2", 1],
    ["m7", 2],
  ]);
  const { calls, queue } = startSqs((body) => {
    const left = failures.get(body) ?? 0;
    failures.set(body, left - 1);
    return left > 0 ? how : "accepted";
  });
  await queue.sendAll(messages(12));
  // Batches are sent at the same time, so the second may be anywhere in the list.
  const sent = [messages(10), ["m2", "m7"], ["m7"], ["m10", "m11"]];
  expect(calls).toHaveLength(sent.length);
  expect(calls).toEqual(expect.arrayContaining(sent));
});

test("throws an error with the number of entries and SQS's code after four attempts with growing delays", async () => {
  const waits: number[][] = [];
  for (let run = 0; run < 5; run++) {
    const { calls, queue, slept } = startSqs((body) => (["m3", "m4"].includes(body) ? "failed" : "accepted"));
    await expect(queue.sendAll(messages(10))).rejects.toMatchObject({
      name: "MessagesNotSent",
      kind: "transient",
      message: "SQS rejected 2 of 10 messages.",
      ids: { codes: "InternalError" },
    });
    expect(calls).toEqual([messages(10), ["m3", "m4"], ["m3", "m4"], ["m3", "m4"]]);
    waits.push(slept);
  }
  for (const slept of waits) {
    expect(slept).toHaveLength(3);
    for (const [index, ms] of slept.entries()) {
      expect(ms).toBeGreaterThanOrEqual(backoffMs(index + 1, () => 0));
      expect(ms).toBeLessThanOrEqual(backoffMs(index + 1, () => 1));
    }
  }
  expect(new Set(waits.flat()).size).toBeGreaterThan(3);
  expect([1, 2, 3].map((attempt) => backoffMs(attempt, () => 1))).toEqual([250, 500, 1_000]);
  expect([1, 2, 3].map((attempt) => backoffMs(attempt, () => 0))).toEqual([125, 250, 500]);
});
