import { createHash } from "node:crypto";
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import fc from "fast-check";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { sqs } from "../../../shared/aws/clients.ts";
import { messageBody, Queue } from "../../../shared/aws/queue.ts";
import { clientOptions } from "../../stacks/local/aws/clients.ts";
import { sendJson, startHttpServer } from "../../support/http-server.ts";
import { type LocalAws, startLocalAws, take, takeJson } from "../../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

test("all messages arrive once, however many batches they take", async () => {
  const queue = await aws.queue();
  const bodies = Array.from({ length: 34 }, (_, n) => `message ${n}`);

  await queue.sendAll(bodies);

  expect((await take(queue)).map(({ Body }) => Body).toSorted()).toEqual(bodies.toSorted());
});

test("no messages are no call", async () => {
  await expect(new Queue(sqs(), "http://127.0.0.1:9/none").sendAll([])).resolves.toBeUndefined();
});

test("a message carries its attributes, its group, and is taken once by its deduplication id", async () => {
  const queue = await aws.queue({ fifo: true });
  const attributes = { Error: { DataType: "String", StringValue: "LibInsightTimeout" } };
  const options = { groupId: "gate-counts", deduplicationId: "run-1", attributes };

  await queue.send("{}", options);
  await queue.send("{}", options);

  const { Messages } = await sqs().send(
    new ReceiveMessageCommand({
      QueueUrl: queue.url,
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ["All"],
      MessageAttributeNames: ["All"],
    }),
  );
  expect(Messages).toMatchObject([
    {
      Body: "{}",
      Attributes: { MessageGroupId: "gate-counts", MessageDeduplicationId: "run-1" },
      MessageAttributes: attributes,
    },
  ]);
});

test("a message is received again after the delay, not after the queue's visibility timeout", async () => {
  const queue = await aws.queue();
  await queue.send("again");
  const receive = async (WaitTimeSeconds: number) =>
    (await sqs().send(new ReceiveMessageCommand({ QueueUrl: queue.url, WaitTimeSeconds }))).Messages ?? [];
  const [first] = await receive(0);

  await queue.retryAfter(first?.ReceiptHandle ?? "", 600);
  expect(await receive(0)).toEqual([]);
  await queue.retryAfter(first?.ReceiptHandle ?? "", 0);
  expect(await receive(10)).toMatchObject([{ Body: "again" }]);
});

// What SQS refuses as it is, half a character, and what lies next to both.
const character = fc.oneof(
  fc.constantFrom("\uFFFE", "\uFFFF", "\uFFFD", "\uD800", "\uDFFF", "\u0000", "\u0008", "\u001F", "\u007F"),
  fc.constantFrom("\u0085", "\u2028", "\uFEFF", "\u{1F4DA}", "\u{1FFFE}", "\u{10FFFF}", '"', "\\", "\\ufffe"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
);
// As JSON carries it, which has no -0.
const value = fc
  .jsonValue({ stringUnit: character })
  .map((made): unknown => JSON.parse(JSON.stringify(made)));

const numbered = z.object({ n: z.int(), value: z.unknown() });

test("any value goes through SQS and is the same when it is parsed", async () => {
  const queue = await aws.queue();
  await fc.assert(
    fc.asyncProperty(fc.array(value, { maxLength: 12 }), async (values) => {
      const sent = values.map((value, n) => ({ n, value }));
      await queue.sendAll(sent.map(messageBody));
      const arrived = z.array(numbered).parse(await takeJson(queue));
      // A standard queue promises no order.
      expect(arrived.toSorted((a, b) => a.n - b.n)).toEqual(sent);
    }),
    { numRuns: 40 },
  );
});

test("what messageBody escapes is what SQS refuses", async () => {
  const { url } = await aws.queue();
  for (const refused of ["\uFFFE", "\uFFFF"]) {
    await expect(
      sqs().send(new SendMessageCommand({ QueueUrl: url, MessageBody: JSON.stringify(refused) })),
    ).rejects.toMatchObject({ name: expect.stringMatching(/InvalidMessageContents$/) });
  }
});

const batch = z.object({ Entries: z.array(z.object({ Id: z.string(), MessageBody: z.string() })) });
type Verdict = "taken" | "failed" | "forgotten";

/** An SQS that answers each batch with 200 and takes of it what the test says. */
async function startSqs(verdict: (body: string) => Verdict) {
  const calls: string[][] = [];
  const server = await startHttpServer(({ headers, body }, response) => {
    expect(headers["x-amz-target"]).toBe("AmazonSQS.SendMessageBatch");
    const { Entries } = batch.parse(JSON.parse(body));
    calls.push(Entries.map(({ MessageBody }) => MessageBody));
    const judged = Entries.map((entry) => ({ ...entry, verdict: verdict(entry.MessageBody) }));
    const of = (wanted: Verdict) => judged.filter((entry) => entry.verdict === wanted);
    sendJson(response, 200, {
      Successful: of("taken").map(({ Id, MessageBody }) => ({
        Id,
        MessageId: `message-${Id}`,
        MD5OfMessageBody: createHash("md5").update(MessageBody).digest("hex"),
      })),
      Failed: of("failed").map(({ Id }) => ({ Id, Code: "InternalError", SenderFault: false })),
    });
  });
  const client = new SQSClient(clientOptions(server.url));
  onTestFinished(() => client.destroy());
  return { calls, queue: new Queue(client, `${server.url}/000000000000/pages`) };
}

const messages = (count: number) => Array.from({ length: count }, (_, n) => `m${n}`);

test.each(["failed", "forgotten"] as const)(
  "of a batch only the entries that were %s are sent again",
  async (how) => {
    const failures = new Map([
      ["m2", 1],
      ["m7", 2],
    ]);
    const { calls, queue } = await startSqs((body) => {
      const left = failures.get(body) ?? 0;
      failures.set(body, left - 1);
      return left > 0 ? how : "taken";
    });

    await queue.sendAll(messages(12));

    // Batches are sent at once, so the second may come anywhere among them.
    const sent = [messages(10), ["m2", "m7"], ["m7"], ["m10", "m11"]];
    expect(calls).toHaveLength(sent.length);
    expect(calls).toEqual(expect.arrayContaining(sent));
  },
);

test("entries that fail four times are given up and counted", async () => {
  const { calls, queue } = await startSqs((body) => (["m3", "m4"].includes(body) ? "failed" : "taken"));

  await expect(queue.sendAll(messages(10))).rejects.toMatchObject({
    name: "MessagesNotSent",
    kind: "transient",
    message: "SQS did not take 2 of 10 messages.",
    ids: { codes: "InternalError" },
  });
  expect(calls).toEqual([messages(10), ["m3", "m4"], ["m3", "m4"], ["m3", "m4"]]);
});
