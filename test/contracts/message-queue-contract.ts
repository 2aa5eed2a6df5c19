// The contract of the message queue, for the adapters on AWS and on this machine.
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Message,
  type MessageQueue,
  maxMessageBytes,
  messageBody,
  type SendOptions,
} from "../../shared/ports.ts";
import { receiveLimit } from "../../shared/topology.ts";
import { receive, take } from "../support/local-adapters.ts";

type QueueKind = "standard" | "by-id" | "by-content";

export type QueueAdapter = {
  /** Creates a queue that moves messages to the dead-letter queue at the receive limit. */
  open(kind: QueueKind): Promise<{ queue: MessageQueue; deadLetters: MessageQueue }>;
  /** Moves the queue's clock forward, or waits. */
  pass(seconds: number): Promise<void>;
  /** Whether `pass` returns at once. On a server, the five minutes of deduplication are too long for a test. */
  passesMinutes: boolean;
  now(): number;
};

export function messageQueueContract(
  adapter: string,
  { open, pass, passesMinutes, now }: QueueAdapter,
): void {
  describe(`the message queue on ${adapter}`, () => {
    test("delivers a message with its body, attributes and time, and counts its receives", async () => {
      const { queue } = await open("standard");
      const attributes = { Error: "LibInsightTimeout \u{1F4DA}", Bytes: new Uint8Array([0, 255, 10]) };
      await queue.send("{}", { attributes });
      const [message, ...others] = await receive(queue);
      expect(others).toEqual([]);
      expect(message).toMatchObject({ body: "{}", receives: 1, attributes: { Error: attributes.Error } });
      expect(message?.group).toBeUndefined();
      expect(Uint8Array.from(Buffer.from(message?.attributes.Bytes ?? ""))).toEqual(attributes.Bytes);
      expect(Math.abs((message?.sentAt.getTime() ?? 0) - now())).toBeLessThan(10_000);
    });

    test("delivers each message of several batches once", async () => {
      const { queue } = await open("standard");
      await queue.sendAll([]);
      const sent = Array.from({ length: 34 }, (_, n) => `message ${n}`);
      await queue.sendAll(sent);
      expect(await queue.count()).toBe(34);
      expect(bodiesOf(await take(queue)).toSorted()).toEqual(sent.toSorted());
      expect(await queue.count()).toBe(0);
    });

    test("delivers any JSON value that messageBody wrote", async () => {
      const { queue } = await open("standard");
      await fc.assert(
        fc.asyncProperty(fc.array(jsonValue, { maxLength: 12 }), async (values) => {
          const sent = values.map((value, n) => messageBody([n, value]));
          await queue.sendAll(sent);
          expect(bodiesOf(await take(queue)).toSorted()).toEqual(sent.toSorted());
          expect(sent.map((body) => JSON.parse(body)[1])).toEqual(values);
        }),
        { numRuns: 30 },
      );
    });

    test("accepts a body of maxMessageBytes, and refuses one of more than 1 MiB", async () => {
      const { queue } = await open("standard");
      const largest = "\u{1F4DA}".repeat(maxMessageBytes / 4);
      await queue.send(largest);
      await expect(queue.send("x".repeat(1024 * 1024 + 1))).rejects.toThrow();
      expect(bodiesOf(await take(queue))).toEqual([largest]);
    });

    test("a receive with a visibility of 0 seconds hides no message", async () => {
      const { queue } = await open("standard");
      await queue.send("seen");
      const look = () => receive(queue, { visibilitySeconds: 0 });
      expect([...bodiesOf(await look()), ...bodiesOf(await look())]).toEqual(["seen", "seen"]);
      expect(bodiesOf(await take(queue))).toEqual(["seen"]);
    });

    test("hides a message until its visibility timeout ends, and then accepts only its new receipt", async () => {
      const { queue } = await open("standard");
      await queue.send("again");
      const [first] = await receive(queue, { visibilitySeconds: 2 });
      expect(await receive(queue)).toEqual([]);
      expect(await queue.count()).toBe(1);
      await pass(2.2);
      const [second] = await receive(queue);
      expect(second).toMatchObject({ id: first?.id, body: "again", receives: 2 });
      // SQS may respond with an error.
      await queue.delete(receiptOf(first)).catch(() => {});
      await queue.retryAfter(receiptOf(first), 0).catch(() => {});
      await queue.release([receiptOf(first)]);
      expect(await receive(queue)).toEqual([]);
      expect(await queue.count()).toBe(1);
      await queue.delete(receiptOf(second));
      expect(await queue.count()).toBe(0);
    });

    test("hides a delayed message and does not count it until its delay ends", async () => {
      const { queue } = await open("standard");
      await queue.send("later", { delaySeconds: 2 });
      expect(await receive(queue)).toEqual([]);
      expect(await queue.count()).toBe(0);
      await pass(2.2);
      expect(bodiesOf(await receive(queue))).toEqual(["later"]);
    });

    test("delivers a message again after the delay of retryAfter, not after its visibility timeout", async () => {
      const { queue } = await open("standard");
      await queue.send("again");
      const [message] = await receive(queue, { visibilitySeconds: 2 });
      await queue.retryAfter(receiptOf(message), 600);
      await pass(2.2);
      expect(await receive(queue)).toEqual([]);
      await queue.retryAfter(receiptOf(message), 0);
      expect(await receive(queue)).toMatchObject([{ body: "again", receives: 2 }]);
    });

    test("releases more messages than a batch, and ignores an unknown receipt", async () => {
      const { queue } = await open("standard");
      await queue.sendAll(Array.from({ length: 12 }, (_, n) => String(n)));
      const received = [...(await receive(queue)), ...(await receive(queue))];
      await queue.release([]);
      await queue.release(["unknown", ...received.map(receiptOf)]);
      const again = [...(await receive(queue)), ...(await receive(queue))];
      expect(again).toHaveLength(12);
      expect(again.every(({ receives }) => receives === 2)).toBe(true);
    });

    test("returns when a message arrives, or without messages after the wait", async () => {
      const { queue } = await open("standard");
      const started = performance.now();
      expect(await receive(queue, { waitSeconds: 1 })).toEqual([]);
      expect(performance.now() - started).toBeGreaterThan(900);
      const waiting = receive(queue, { waitSeconds: 20 });
      await delay(200);
      await queue.send("arrived");
      expect(bodiesOf(await waiting)).toEqual(["arrived"]);
      expect(performance.now() - started).toBeLessThan(10_000);
    });

    test.each(["standard", "by-id"] as const)(
      "moves a message with its group and attributes to the dead letters at the receive limit (%s)",
      async (kind) => {
        const { queue, deadLetters } = await open(kind);
        const fifo: SendOptions = kind === "by-id" ? { group: "gate-counts", deduplicationId: "1" } : {};
        const attributes = { Error: "LibInsightTimeout" };
        await queue.send("a message", { attributes, ...fifo });
        for (let receives = 1; receives <= receiveLimit; receives++) {
          expect(await deadLetters.count()).toBe(0);
          const [message] = await receive(queue);
          expect(message).toMatchObject({ receives });
          await queue.release([receiptOf(message)]);
        }
        expect(await receive(queue)).toEqual([]);
        expect(await queue.count()).toBe(0);
        const [dead] = await receive(deadLetters);
        expect([dead?.body, dead?.group, dead?.attributes]).toEqual(["a message", fifo.group, attributes]);
      },
    );
  });

  describe(`the FIFO queue on ${adapter}`, () => {
    test("is FIFO, and requires a group and a deduplication id", async () => {
      const { queue } = await open("by-id");
      expect([queue.isFifo, (await open("standard")).queue.isFifo]).toEqual([true, false]);
      await expect(queue.send("a", { deduplicationId: "1" })).rejects.toThrow();
      await expect(queue.send("a", { group: "g" })).rejects.toThrow();
      expect(await queue.count()).toBe(0);
    });

    test("delivers each group in order", async () => {
      const { queue } = await open("by-id");
      const sent = ["a1", "b1", "a2", "a3", "b2", "b3", "b4", "a4"];
      for (const body of sent) await queue.send(body, { group: body.charAt(0), deduplicationId: body });
      const taken = await take(queue);
      expect(taken.every(({ body, group }) => body.charAt(0) === group)).toBe(true);
      // A stable sort keeps the order within a group.
      const byGroup = (a: string, b: string) => a.charCodeAt(0) - b.charCodeAt(0);
      expect(bodiesOf(taken).toSorted(byGroup)).toEqual(sent.toSorted(byGroup));
    });

    test("delivers a group to one receiver at a time, without blocking other groups", async () => {
      const { queue } = await open("by-id");
      for (const body of ["a1", "a2", "b1"]) {
        await queue.send(body, { group: body.charAt(0), deduplicationId: body });
      }
      const one = () => receive(queue, { max: 1, visibilitySeconds: 2 });
      const [a1] = await one();
      expect(a1?.body).toBe("a1");
      const [b1] = await one();
      expect(b1?.body).toBe("b1");
      expect(await one()).toEqual([]);
      await queue.delete(receiptOf(b1));
      // a1 was not deleted, so it is delivered before a2.
      await pass(2.2);
      const [again] = await one();
      expect(again).toMatchObject({ body: "a1", receives: 2 });
      expect(await one()).toEqual([]);
      await queue.delete(receiptOf(again));
      expect(bodiesOf(await one())).toEqual(["a2"]);
    });

    test("blocks a group while a message waits for its retry", async () => {
      const { queue } = await open("by-id");
      for (const body of ["1", "2"]) await queue.send(body, { group: "g", deduplicationId: body });
      const [first] = await receive(queue, { max: 1 });
      await queue.retryAfter(receiptOf(first), 2);
      expect(await receive(queue)).toEqual([]);
      await pass(2.2);
      expect(bodiesOf(await take(queue))).toEqual(["1", "2"]);
    });

    test("drops a second message with the same id, even after the first was deleted", async () => {
      const { queue } = await open("by-id");
      await queue.send("first", { group: "a", deduplicationId: "1" });
      await queue.send("second", { group: "b", deduplicationId: "1" });
      expect(bodiesOf(await take(queue))).toEqual(["first"]);
      await queue.send("third", { group: "a", deduplicationId: "1" });
      expect(await queue.count()).toBe(0);
    });

    test("drops a second message with the same content, unless it has another id", async () => {
      const { queue } = await open("by-content");
      await queue.send("same", { group: "g" });
      await queue.send("same", { group: "g" });
      await queue.send("other", { group: "g" });
      await queue.send("same", { group: "g", deduplicationId: "1" });
      expect(bodiesOf(await take(queue))).toEqual(["same", "other", "same"]);
    });

    if (passesMinutes) {
      test("accepts a message with the same id after five minutes", async () => {
        const { queue } = await open("by-id");
        const send = () => queue.send("again", { group: "g", deduplicationId: "1" });
        await send();
        await pass(299);
        await send();
        expect(await queue.count()).toBe(1);
        await pass(2);
        await send();
        expect(await queue.count()).toBe(2);
      });
    }
  });
}

function bodiesOf(messages: readonly Message[]): string[] {
  return messages.map(({ body }) => body);
}

function receiptOf(message: Message | undefined): string {
  if (!message) throw new Error("No message was received.");
  return message.receipt;
}

// Characters that SQS rejects, lone surrogates, and their neighbors.
const character = fc.oneof(
  fc.constantFrom("\uFFFE", "\uFFFF", "\uFFFD", "\uD800", "\uDFFF", "\u0000", "\u0008", "\u001F", "\u007F"),
  fc.constantFrom("\u0085", "\u2028", "\uFEFF", "\u{1F4DA}", "\u{1FFFE}", "\u{10FFFF}", '"', "\\", "\\ufffe"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
);
/** Any JSON value. JSON has no -0. */
const jsonValue = fc
  .jsonValue({ stringUnit: character })
  .map((made): unknown => JSON.parse(JSON.stringify(made)));
