// The outcomes of the messages of a batch, with queues in memory.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { type ErrorKind, PipelineError } from "../../shared/errors.ts";
import type { LogFields } from "../../shared/logger.ts";
import { defineService, processBatch, retryDelay } from "../../shared/message-loop.ts";
import type { MessageQueue } from "../../shared/ports.ts";
import { receiveLimit } from "../../shared/topology.ts";
import { receive, recordedLog, take, useLocal } from "../support/local-adapters.ts";

const local = useLocal();

/** A patron's words, which must not reach a log or an attribute. */
const words = "MARKED where is the library";
const schema = z.strictObject({ n: z.int(), comment: z.optional(z.string()) });
type Parsed = z.infer<typeof schema>;

function failure(kind: ErrorKind, retryAfterSeconds?: number): PipelineError {
  return new PipelineError("LibInsightBusy", {
    kind,
    message: "LibInsight was not ready.",
    advice: "Wait a little.",
    ids: { page: 3 },
    retryAfterSeconds,
  });
}

type Options = {
  handle: (message: Parsed) => Promise<LogFields>;
  afterBatch?: (messages: Parsed[]) => Promise<void>;
  onDeadLetter?: (message: Parsed, error: PipelineError) => Promise<void>;
  isFifo?: boolean;
  retryBaseSeconds?: number;
};

/** Returns a service with queues of its own, whose log and retry delays are recorded. */
function start({ isFifo = false, retryBaseSeconds = 30, ...hooks }: Options) {
  const { source, deadLetters } = local.queuePair(isFifo ? "assembler" : "fetcher");
  const service = defineService({ name: "fetcher", schema, ...hooks });
  const { log, lines: logged } = recordedLog();
  const delays: number[] = [];
  const retryAfter: MessageQueue["retryAfter"] = async (receipt, seconds) => {
    delays.push(seconds);
    await source.retryAfter(receipt, seconds);
  };
  const batch = { source: { retryAfter }, deadLetters, log, retryBaseSeconds };

  /** Receives and handles one batch. @returns the bodies by outcome */
  async function runBatch() {
    const messages = await receive(source);
    const result = await processBatch(service, messages, undefined, batch);
    for (const { id, receipt } of messages) if (!result.retried.includes(id)) await source.delete(receipt);
    const bodies = (ids: string[]) => messages.filter(({ id }) => ids.includes(id)).map(({ body }) => body);
    return {
      done: bodies(result.done),
      retried: bodies(result.retried),
      deadLetters: bodies(result.deadLetters),
    };
  }
  return { source, deadLetters, logged, delays, runBatch };
}

const bodyOf = (n: number, comment?: string) => JSON.stringify({ n, ...(comment && { comment }) });
/** Returns the attribute that keeps when and why a message became a dead letter. */
const endings = (error: string, receives: number) =>
  expect.stringMatching(
    new RegExp(`^\\[\\{"sentAt":\\d+,"at":\\d+,"receives":${receives},"error":"${error}"\\}\\]$`),
  );
const none = { done: [], retried: [], deadLetters: [] };
const isUnavailable = () => Promise.reject(new Error("unavailable"));

test("deletes messages that succeed, and logs the fields that the handler returns", async () => {
  const handled: Parsed[] = [];
  const { source, deadLetters, logged, runBatch } = start({
    handle: async (message) => {
      handled.push(message);
      return { page: message.n };
    },
  });
  await source.sendAll([bodyOf(1, words), bodyOf(2)]);
  expect(await runBatch()).toEqual({ ...none, done: [bodyOf(1, words), bodyOf(2)] });
  expect(handled).toEqual([{ n: 1, comment: words }, { n: 2 }]);
  expect([await source.count(), await deadLetters.count()]).toEqual([0, 0]);
  const done = { level: "INFO", message: "done", messageId: expect.stringMatching(/\S/) };
  expect(logged).toEqual([
    { ...done, page: 1 },
    { ...done, page: 2 },
  ]);
});

test.each([
  ["not JSON", `{"comment": "${words}`, "not JSON"],
  ["of another schema", JSON.stringify({ n: words }), "n"],
  ["not an object", JSON.stringify(words), "the whole"],
  ["with an unknown field", JSON.stringify({ n: 1, [words]: words }), "the whole"],
])("dead-letters a message that is %s, and names fields and no values", async (_, body, fields) => {
  const handle = vi.fn<Options["handle"]>();
  const { source, deadLetters, logged, runBatch } = start({ handle });
  await source.send(body);
  expect(await runBatch()).toEqual({ ...none, deadLetters: [body] });
  expect(handle).not.toHaveBeenCalled();
  expect(await source.count()).toBe(0);
  const [dead, ...others] = await take(deadLetters);
  expect(others).toEqual([]);
  expect(dead?.body).toBe(body);
  expect(dead?.attributes).toEqual({
    Error: "MessageUnreadable",
    ErrorText: expect.stringMatching(new RegExp(`newer version.*messageId \\S+, fields ${fields}\\)$`)),
    DeadLetters: endings("MessageUnreadable", 1),
  });
  expect(logged).toMatchObject([
    { level: "ERROR", message: "dead letter", receives: 1, error: "MessageUnreadable", fields },
  ]);
  expect(JSON.stringify([dead?.attributes, logged])).not.toContain("MARKED");
});

test("dead-letters a terminal error at once, with the message's attributes and the newest error", async () => {
  const { source, deadLetters, delays, logged, runBatch } = start({
    handle: () => Promise.reject(failure("terminal")),
  });
  const own = { ReplayedBy: "an operator", Trace: Buffer.from([0, 255]) };
  await source.send(bodyOf(1, words), { attributes: { ...own, Error: "EarlierError" } });
  expect(await runBatch()).toEqual({ ...none, deadLetters: [bodyOf(1, words)] });
  expect(await source.count()).toBe(0);
  const [dead, ...others] = await take(deadLetters);
  expect(others).toEqual([]);
  expect(dead?.body).toBe(bodyOf(1, words));
  const ErrorText = "LibInsight was not ready. Wait a little. (page 3)";
  expect(dead?.attributes).toEqual({
    ...own,
    Error: "LibInsightBusy",
    ErrorText,
    DeadLetters: endings("LibInsightBusy", 1),
  });
  expect(delays).toEqual([]);
  expect(logged).toMatchObject([{ level: "ERROR", error: "LibInsightBusy", kind: "terminal", page: 3 }]);
  expect(JSON.stringify(logged)).not.toContain("MARKED");
});

test.each([
  ["transient", failure("transient"), 30],
  ["rate-limited", failure("rate-limited", 77), 77],
])("retries a %s error of each message after its delay", async (_kind, error, delay) => {
  const { source, deadLetters, delays, logged, runBatch } = start({ handle: () => Promise.reject(error) });
  await source.sendAll([bodyOf(1), bodyOf(2)]);
  expect(await runBatch()).toEqual({ ...none, retried: [bodyOf(1), bodyOf(2)] });
  expect(delays).toEqual([delay, delay]);
  expect(await receive(source)).toEqual([]);
  expect([await source.count(), await deadLetters.count()]).toEqual([2, 0]);
  expect(logged[0]).toMatchObject({
    level: "WARN",
    message: "retry",
    delay,
    receives: 1,
    messageId: expect.stringMatching(/\S/),
    page: 3,
  });
});

test("retries an unexpected error up to the receive limit, without repeating its message", async () => {
  const { source, deadLetters, logged, runBatch } = start({
    handle: ({ comment }) =>
      Promise.reject(new TypeError(`can't read ${comment}\n    at the desk of ${comment}`)),
    retryBaseSeconds: 0,
  });
  await source.send(bodyOf(1, words));
  for (let receive = 1; receive < receiveLimit; receive++) {
    expect(await runBatch()).toEqual({ ...none, retried: [bodyOf(1, words)] });
    expect(await deadLetters.count()).toBe(0);
  }
  expect(await runBatch()).toEqual({ ...none, deadLetters: [bodyOf(1, words)] });
  expect(await source.count()).toBe(0);
  const [dead] = await take(deadLetters);
  expect(dead?.attributes).toEqual({
    Error: "Unexpected",
    ErrorText: expect.stringContaining("TypeError"),
    DeadLetters: endings("Unexpected", receiveLimit),
  });
  expect(logged.map(({ level, receives }) => `${level} ${receives}`)).toEqual([
    "WARN 1",
    "WARN 2",
    "WARN 3",
    "WARN 4",
    "ERROR 5",
  ]);
  const at = expect.arrayContaining([expect.stringContaining("message-loop.test")]);
  expect(logged[0]).toMatchObject({ error: "Unexpected", cause: "TypeError", at });
  expect(JSON.stringify([dead?.attributes, logged])).not.toContain("MARKED");
});

test("keeps the group of a FIFO queue's dead letter, and sends it once if its message is delivered again", async () => {
  const { source, deadLetters, runBatch } = start({
    handle: () => Promise.reject(failure("terminal")),
    isFifo: true,
  });
  for (const group of ["gate-counts", "instruction"]) {
    await source.send(bodyOf(1), { group, deduplicationId: group });
  }
  // As when a function dies before its messages are deleted.
  source.delete = (receipt) => source.release([receipt]);
  await runBatch();
  await runBatch();
  expect((await take(deadLetters)).map(({ group }) => group)).toEqual(["gate-counts", "instruction"]);
});

test.each([
  ["terminal", "dead letter"],
  ["transient", "retry"],
] as const)("retries a message with a %s error that cannot be moved", async (kind, message) => {
  const onDeadLetter = vi.fn<NonNullable<Options["onDeadLetter"]>>();
  const { source, deadLetters, logged, runBatch } = start({
    handle: () => Promise.reject(failure(kind)),
    onDeadLetter,
  });
  deadLetters.send = isUnavailable;
  source.retryAfter = isUnavailable;
  await source.send(bodyOf(1));
  expect(await runBatch()).toEqual({ ...none, retried: [bodyOf(1)] });
  expect(await source.count()).toBe(1);
  expect(onDeadLetter).not.toHaveBeenCalled();
  expect(logged.map((line) => line.message)).toEqual([message, "a failed message could not be moved"]);
});

test("calls afterBatch once with the messages that succeeded, and not if none did", async () => {
  const afterBatch = vi.fn<NonNullable<Options["afterBatch"]>>();
  const { source, runBatch } = start({
    handle: async ({ n }) => {
      if (n === 2) throw failure("terminal");
      return {};
    },
    afterBatch,
  });
  await source.sendAll([bodyOf(1), bodyOf(2), bodyOf(3)]);
  expect(await runBatch()).toMatchObject({ deadLetters: [bodyOf(2)] });
  await source.send(bodyOf(2));
  await runBatch();
  expect(afterBatch.mock.calls.map(([messages]) => messages)).toEqual([[{ n: 1 }, { n: 3 }]]);
});

test("retries the messages that succeeded if afterBatch fails, and keeps the outcome of the others", async () => {
  const { source, deadLetters, delays, runBatch } = start({
    handle: async ({ n }) => {
      if (n === 2) throw failure("terminal");
      return {};
    },
    afterBatch: () => Promise.reject(failure("transient")),
  });
  await source.sendAll([bodyOf(1), bodyOf(2), bodyOf(3)]);
  expect(await runBatch()).toEqual({ ...none, retried: [bodyOf(1), bodyOf(3)], deadLetters: [bodyOf(2)] });
  expect(delays).toEqual([30, 30]);
  expect(await source.count()).toBe(2);
  expect(await take(deadLetters)).toMatchObject([{ body: bodyOf(2) }]);
});

test("dead-letters the messages that succeeded if afterBatch has a terminal error", async () => {
  const onDeadLetter = vi.fn<NonNullable<Options["onDeadLetter"]>>(async () => {});
  const { source, deadLetters, runBatch } = start({
    handle: async () => ({}),
    afterBatch: () => Promise.reject(failure("terminal")),
    onDeadLetter,
  });
  await source.sendAll([bodyOf(1), bodyOf(2)]);
  expect(await runBatch()).toEqual({ ...none, deadLetters: [bodyOf(1), bodyOf(2)] });
  expect(await source.count()).toBe(0);
  const attributes = { Error: "LibInsightBusy" };
  expect(await take(deadLetters)).toMatchObject([
    { body: bodyOf(1), attributes },
    { body: bodyOf(2), attributes },
  ]);
  expect(onDeadLetter.mock.calls.map(([message]) => message)).toEqual([{ n: 1 }, { n: 2 }]);
});

test("calls onDeadLetter with the message and the error after dead-lettering", async () => {
  const calls: unknown[] = [];
  const { source, deadLetters, runBatch } = start({
    handle: ({ n }) => Promise.reject(failure(n === 1 ? "terminal" : "transient")),
    onDeadLetter: async (message, { name, kind }) => {
      calls.push([message, name, kind, await deadLetters.count()]);
    },
    retryBaseSeconds: 0,
  });
  for (const body of [bodyOf(1), "not JSON", bodyOf(2)]) {
    await source.send(body);
    await runBatch();
  }
  for (let receive = 2; receive <= receiveLimit; receive++) await runBatch();
  // The unreadable message is the second dead letter.
  expect(calls).toEqual([
    [{ n: 1 }, "LibInsightBusy", "terminal", 1],
    [{ n: 2 }, "LibInsightBusy", "transient", 3],
  ]);
});

test("logs a failure of onDeadLetter without its message, and keeps the dead letter", async () => {
  const { source, deadLetters, logged, runBatch } = start({
    handle: () => Promise.reject(failure("terminal")),
    onDeadLetter: () => {
      throw new Error(words);
    },
  });
  await source.send(bodyOf(1));
  expect(await runBatch()).toEqual({ ...none, deadLetters: [bodyOf(1)] });
  expect(await take(deadLetters)).toMatchObject([{ body: bodyOf(1) }]);
  expect(logged).toMatchObject([
    { message: "dead letter" },
    { level: "ERROR", message: "the onDeadLetter hook failed", error: "Unexpected" },
  ]);
  expect(JSON.stringify(logged)).not.toContain("MARKED");
});

type Retry = [
  ErrorKind,
  receives: number,
  base: number,
  retryAfter: number | undefined,
  delay: number | undefined,
];
test.each<Retry>([
  ["transient", 1, 30, undefined, 30],
  ["transient", 2, 30, undefined, 60],
  ["transient", 4, 30, undefined, 240],
  ["transient", 5, 30, undefined, undefined],
  ["transient", 4, 900, undefined, 900],
  ["transient", 1, 0, undefined, 0],
  ["rate-limited", 1, 30, 77, 77],
  ["rate-limited", 3, 30, 77, 120],
  ["rate-limited", 5, 30, 77, undefined],
  ["terminal", 1, 30, 77, undefined],
])(
  "delays a %s error at receive %i with base %i s and Retry-After %s by %s s",
  (kind, receives, base, retryAfter, delay) => {
    expect(retryDelay({ kind, retryAfterSeconds: retryAfter }, receives, base)).toBe(delay);
  },
);

test("returns growing delays in whole seconds, at most 900 and otherwise at least Retry-After", () => {
  const error = fc.record({
    kind: fc.constantFrom<ErrorKind>("transient", "rate-limited"),
    retryAfterSeconds: fc.option(fc.nat(100_000), { nil: undefined }),
  });
  const receives = fc.integer({ min: 1, max: receiveLimit - 1 });
  fc.assert(
    fc.property(error, receives, fc.nat(900), (error, receives, base) => {
      const delay = retryDelay(error, receives, base) ?? Number.NaN;
      expect(Number.isInteger(delay)).toBe(true);
      expect(delay).toBeLessThanOrEqual(900);
      expect(delay).toBeGreaterThanOrEqual(Math.min(error.retryAfterSeconds ?? 0, 900));
      if (receives > 1) {
        expect(delay).toBeGreaterThanOrEqual(retryDelay(error, receives - 1, base) ?? Number.NaN);
      }
    }),
  );
});
