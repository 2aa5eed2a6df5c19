// The handler as Lambda runs it: messages in a real queue, received by an event source mapping.
import { GetQueueAttributesCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs";
import type { SQSRecord } from "aws-lambda";
import fc from "fast-check";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { sqs } from "../../shared/aws/clients.ts";
import type { Queue } from "../../shared/aws/queue.ts";
import { type ErrorKind, PipelineError } from "../../shared/errors.ts";
import type { LogFields } from "../../shared/logger.ts";
import { receiveLimit, retryDelay, type SqsResponse, sqsHandler } from "../../shared/sqs-handler.ts";
import { startEventSourceMapping } from "../../stacks/local/event-source-mapping.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
  process.env.POWERTOOLS_LOG_LEVEL = "DEBUG";
});
afterAll(() => aws.close());

/** A patron's words; they may reach no log and no attribute. */
const words = "MARKED where is the library";
const message = z.strictObject({ n: z.int(), comment: z.string().optional() });
type Message = z.infer<typeof message>;

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
  handle: (message: Message) => Promise<LogFields>;
  afterBatch?: (messages: Message[]) => Promise<void>;
  onDeadLetter?: (message: Message, error: PipelineError) => Promise<void>;
  fifo?: boolean;
  retryBaseSeconds?: number;
};

/** A service with queues of its own, and what it logs and tells SQS. */
async function start({ handle, afterBatch, onDeadLetter, fifo = false, retryBaseSeconds = 30 }: Options) {
  const [source, deadLetters] = [await aws.queue({ fifo }), await aws.queue({ fifo })];
  vi.stubEnv("FETCHER_QUEUE_URL", source.url);
  vi.stubEnv("FETCH_DEAD_LETTERS_URL", deadLetters.url);
  vi.stubEnv("RETRY_BASE_SECONDS", String(retryBaseSeconds));
  const log = captureLog();
  const delays = captureDelays();
  const handler = sqsHandler({
    service: "fetcher",
    queue: "fetcher",
    schema: message,
    handle,
    ...(afterBatch && { afterBatch }),
    ...(onDeadLetter && { onDeadLetter }),
  });
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const responses: SqsResponse[] = [];

  /** Receives one batch. @returns the bodies that succeeded, that come back, and that are dead letters */
  async function runBatch() {
    const batch = Promise.withResolvers<Record<"done" | "retried" | "deadLetters", string[]>>();
    const mapping = startEventSourceMapping({
      sqs: sqs(),
      queue: { url: source.url, arn: "arn:aws:sqs:us-east-1:000000000000:fetch" },
      service: "fetcher",
      handler: async (event, context) => {
        const response = await handler(event, context);
        responses.push(structuredClone(response));
        return response;
      },
      batchSize: 10,
      concurrency: 1,
      timeoutSeconds: 20,
      onBatch: ({ done, retried, deadLetters }) => {
        // Before the poller receives again.
        void mapping.stop();
        batch.resolve({
          done: done.map(bodyIn),
          retried: retried.map(bodyIn),
          deadLetters: deadLetters.map(bodyIn),
        });
      },
      onError: batch.reject,
    });
    try {
      return await batch.promise;
    } finally {
      await mapping.stop();
    }
  }

  return { source, deadLetters, log, delays, responses, runBatch };
}

/** The lines that Powertools writes, parsed. */
function captureLog() {
  const written: string[] = [];
  const keep = (chunk: string | Uint8Array) => {
    written.push(String(chunk));
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(keep),
    vi.spyOn(process.stderr, "write").mockImplementation(keep),
  ];
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return {
    text: () => written.join(""),
    lines: (): unknown[] => written.map((line) => JSON.parse(line)),
  };
}

/** The visibility timeouts that were set, in seconds. */
function captureDelays(): number[] {
  const change = z.object({ VisibilityTimeout: z.number() });
  const delays: number[] = [];
  const name = "captureDelays";
  sqs().middlewareStack.add(
    (next, context) => (args) => {
      if (context.commandName === "ChangeMessageVisibilityCommand") {
        delays.push(change.parse(args.input).VisibilityTimeout);
      }
      return next(args);
    },
    { step: "initialize", name },
  );
  onTestFinished(() => {
    sqs().middlewareStack.remove(name);
  });
  return delays;
}

/** What lies in a queue now, with its attributes. */
async function contents({ url }: Queue) {
  const { Messages = [] } = await sqs().send(
    new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ["All"],
      MessageAttributeNames: ["All"],
    }),
  );
  return Messages.map(({ Body, Attributes, MessageAttributes = {} }) => ({
    body: Body,
    group: Attributes?.MessageGroupId,
    attributes: Object.fromEntries(
      Object.entries(MessageAttributes).map(([name, { StringValue }]) => [name, StringValue]),
    ),
  }));
}

/** Messages that are there, whether they can be received or not. */
async function left({ url }: Queue): Promise<number> {
  const { Attributes = {} } = await sqs().send(
    new GetQueueAttributesCommand({
      QueueUrl: url,
      AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    }),
  );
  return Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
}

const bodyIn = ({ body }: SQSRecord) => body;
const bodyOf = (n: number, comment?: string) => JSON.stringify({ n, ...(comment && { comment }) });

test("messages that succeed are gone, and the log has what the work tells of them", async () => {
  const handled: Message[] = [];
  const service = await start({
    handle: async (message) => {
      handled.push(message);
      return { page: message.n };
    },
  });
  await service.source.sendAll([bodyOf(1, words), bodyOf(2)]);

  expect(await service.runBatch()).toEqual({
    done: [bodyOf(1, words), bodyOf(2)],
    retried: [],
    deadLetters: [],
  });

  expect(handled.toSorted((a, b) => a.n - b.n)).toEqual([{ n: 1, comment: words }, { n: 2 }]);
  expect(await left(service.source)).toBe(0);
  expect(await contents(service.deadLetters)).toEqual([]);
  const done = { level: "INFO", message: "done", service: "fetcher", messageId: expect.stringMatching(/\S/) };
  expect(service.log.lines()).toMatchObject([
    { ...done, page: 1 },
    { ...done, page: 2 },
  ]);
  expect(service.log.text()).not.toContain("MARKED");
});

test.each([
  ["not JSON", `{"comment": "${words}`, "not JSON"],
  ["of another shape", JSON.stringify({ n: words }), "n"],
  ["not an object", JSON.stringify(words), "the whole"],
  ["with a field that nobody knows", JSON.stringify({ n: 1, [words]: words }), "the whole"],
])(
  "a message that is %s is a dead letter at once, without its words in attributes or log",
  async (_what, body, places) => {
    const handle = vi.fn<Options["handle"]>();
    const service = await start({ handle });
    await service.source.send(body);

    expect(await service.runBatch()).toEqual({ done: [], retried: [], deadLetters: [body] });

    expect(handle).not.toHaveBeenCalled();
    expect(await left(service.source)).toBe(0);
    const [dead, ...others] = await contents(service.deadLetters);
    expect(others).toEqual([]);
    expect(dead).toMatchObject({
      body,
      attributes: {
        Error: "MessageUnreadable",
        ErrorText: expect.stringMatching(/newer version.*messageId \S+, places /),
      },
    });
    expect(dead?.attributes.ErrorText).toContain(`places ${places})`);
    expect(JSON.stringify(dead?.attributes)).not.toContain("MARKED");
    expect(service.log.lines()).toMatchObject([
      {
        level: "ERROR",
        message: "dead letter",
        service: "fetcher",
        messageId: expect.stringMatching(/\S/),
        receives: 1,
        error: "MessageUnreadable",
        places,
      },
    ]);
    expect(service.log.text()).not.toContain("MARKED");
  },
);

test("a terminal error makes a dead letter at once, with its name and its sentence", async () => {
  const service = await start({ handle: () => Promise.reject(failure("terminal")) });
  await service.source.send(bodyOf(1, words));

  expect(await service.runBatch()).toEqual({ done: [], retried: [], deadLetters: [bodyOf(1, words)] });

  expect(await left(service.source)).toBe(0);
  expect(await contents(service.deadLetters)).toMatchObject([
    {
      body: bodyOf(1, words),
      attributes: {
        Error: "LibInsightBusy",
        ErrorText: "LibInsight was not ready. Wait a little. (page 3)",
      },
    },
  ]);
  expect(service.delays).toEqual([]);
  expect(service.log.lines()).toMatchObject([
    { level: "ERROR", error: "LibInsightBusy", kind: "terminal", page: 3 },
  ]);
  expect(service.log.text()).not.toContain("MARKED");
});

test.each([
  ["transient", failure("transient"), 30],
  ["rate-limited", failure("rate-limited", 77), 77],
])("a %s error leaves the message in its queue until its delay is over", async (_kind, error, delay) => {
  const service = await start({ handle: () => Promise.reject(error) });
  await service.source.send(bodyOf(1, words));

  expect(await service.runBatch()).toEqual({ done: [], retried: [bodyOf(1, words)], deadLetters: [] });

  expect(service.delays).toEqual([delay]);
  expect(await contents(service.source)).toEqual([]);
  expect(await left(service.source)).toBe(1);
  expect(await contents(service.deadLetters)).toEqual([]);
  expect(service.log.lines()).toMatchObject([
    { level: "WARN", message: "retry", delay, receives: 1, messageId: expect.stringMatching(/\S/), page: 3 },
  ]);
});

test("a message that fails at every receive is a dead letter with its reason at the limit", async () => {
  const service = await start({
    handle: () => Promise.reject(failure("transient")),
    retryBaseSeconds: 0,
  });
  await service.source.send(bodyOf(1));

  for (let receive = 1; receive < receiveLimit; receive++) {
    expect(await service.runBatch()).toEqual({ done: [], retried: [bodyOf(1)], deadLetters: [] });
    expect(await left(service.deadLetters)).toBe(0);
  }
  expect(await service.runBatch()).toEqual({ done: [], retried: [], deadLetters: [bodyOf(1)] });

  expect(await left(service.source)).toBe(0);
  expect(await contents(service.deadLetters)).toMatchObject([
    { body: bodyOf(1), attributes: { Error: "LibInsightBusy" } },
  ]);
  const levels = z.array(z.object({ level: z.string(), receives: z.int() })).parse(service.log.lines());
  expect(levels.map(({ level, receives }) => `${level} ${receives}`)).toEqual([
    "WARN 1",
    "WARN 2",
    "WARN 3",
    "WARN 4",
    "ERROR 5",
  ]);
});

test("an error that nobody foresaw is tried again, and its own words are not repeated", async () => {
  const service = await start({
    handle: ({ comment }) =>
      Promise.reject(new TypeError(`can't read ${comment}\n    at the desk of ${comment}`)),
    retryBaseSeconds: 0,
  });
  await service.source.send(bodyOf(1, words));

  for (let receive = 1; receive < receiveLimit; receive++) {
    expect(await service.runBatch()).toMatchObject({ retried: [bodyOf(1, words)] });
  }
  expect(await service.runBatch()).toMatchObject({ deadLetters: [bodyOf(1, words)] });

  const [dead] = await contents(service.deadLetters);
  expect(dead?.attributes).toMatchObject({
    Error: "Unexpected",
    ErrorText: expect.stringContaining("TypeError"),
  });
  expect(JSON.stringify(dead?.attributes)).not.toContain("MARKED");
  expect(service.log.lines()[0]).toMatchObject({
    error: "Unexpected",
    cause: "TypeError",
    at: expect.arrayContaining([expect.stringContaining("sqs-handler")]),
  });
  expect(service.log.text()).not.toContain("MARKED");
});

test("of several messages each has its own end", async () => {
  const service = await start({
    handle: async ({ n }) => {
      if (n === 2) throw failure("transient");
      if (n === 3) throw failure("terminal");
      return {};
    },
  });
  await service.source.sendAll([bodyOf(1), bodyOf(2), bodyOf(3), bodyOf(4)]);

  expect(await service.runBatch()).toEqual({
    done: [bodyOf(1), bodyOf(4)],
    retried: [bodyOf(2)],
    deadLetters: [bodyOf(3)],
  });

  expect(await left(service.source)).toBe(1);
  expect(await contents(service.deadLetters)).toMatchObject([{ body: bodyOf(3) }]);
});

test("a batch in which every message fails is reported message by message", async () => {
  const service = await start({ handle: () => Promise.reject(failure("transient")) });
  await service.source.sendAll([bodyOf(1), bodyOf(2)]);

  expect(await service.runBatch()).toEqual({ done: [], retried: [bodyOf(1), bodyOf(2)], deadLetters: [] });
  expect(service.delays).toEqual([30, 30]);
});

test("a dead letter of a FIFO queue stays in its group", async () => {
  const service = await start({ handle: () => Promise.reject(failure("terminal")), fifo: true });
  for (const group of ["gate-counts", "instruction"]) {
    await service.source.send(bodyOf(1), { groupId: group, deduplicationId: group });
  }

  expect(await service.runBatch()).toMatchObject({ done: [], retried: [] });

  const dead = await contents(service.deadLetters);
  expect(dead.map(({ body, group }) => ({ body, group }))).toEqual([
    { body: bodyOf(1), group: "gate-counts" },
    { body: bodyOf(1), group: "instruction" },
  ]);
});

test("a dead letter keeps what its message carried, and has the newest reason", async () => {
  const service = await start({ handle: () => Promise.reject(failure("terminal")) });
  const text = (StringValue: string) => ({ DataType: "String", StringValue });
  const attributes = { ReplayedBy: text("an operator"), Error: text("AnOlderReason") };
  await service.source.send(bodyOf(1), { attributes });

  await service.runBatch();

  expect(await contents(service.deadLetters)).toMatchObject([
    { attributes: { ReplayedBy: "an operator", Error: "LibInsightBusy" } },
  ]);
});

test("a message that the dead letters do not take stays in its queue", async () => {
  const service = await start({ handle: () => Promise.reject(failure("terminal")) });
  vi.stubEnv("FETCH_DEAD_LETTERS_URL", service.deadLetters.url.replace(/queue-\d+$/, "no-such-queue"));
  await service.source.send(bodyOf(1));

  expect(await service.runBatch()).toEqual({ done: [], retried: [bodyOf(1)], deadLetters: [] });
  expect(await left(service.source)).toBe(1);
});

test("afterBatch runs once, with the messages that succeeded", async () => {
  const afterBatch = vi.fn<NonNullable<Options["afterBatch"]>>();
  const service = await start({
    handle: async ({ n }) => {
      if (n === 2) throw failure("transient");
      return {};
    },
    afterBatch,
  });
  await service.source.sendAll([bodyOf(1), bodyOf(2), bodyOf(3)]);

  expect(await service.runBatch()).toMatchObject({ retried: [bodyOf(2)] });

  expect(afterBatch.mock.calls).toEqual([[expect.arrayContaining([{ n: 1 }, { n: 3 }])]]);
  expect(afterBatch.mock.calls[0]?.[0]).toHaveLength(2);
});

test("afterBatch does not run where no message succeeded", async () => {
  const afterBatch = vi.fn<NonNullable<Options["afterBatch"]>>();
  const service = await start({ handle: () => Promise.reject(failure("terminal")), afterBatch });
  await service.source.send(bodyOf(1));

  await service.runBatch();

  expect(afterBatch).not.toHaveBeenCalled();
});

test("when afterBatch fails, the messages that had succeeded come back, and the others keep their end", async () => {
  const service = await start({
    handle: async ({ n }) => {
      if (n === 2) throw failure("terminal");
      return {};
    },
    afterBatch: () => Promise.reject(failure("transient")),
  });
  await service.source.sendAll([bodyOf(1), bodyOf(2), bodyOf(3)]);

  expect(await service.runBatch()).toEqual({
    done: [],
    retried: [bodyOf(1), bodyOf(3)],
    deadLetters: [bodyOf(2)],
  });

  expect(service.delays).toEqual([30, 30]);
  expect(await left(service.source)).toBe(2);
  expect(await contents(service.deadLetters)).toMatchObject([{ body: bodyOf(2) }]);
});

test("what failed in one batch is not told of the next", async () => {
  const afterBatch = vi.fn<NonNullable<Options["afterBatch"]>>().mockRejectedValueOnce(failure("transient"));
  const service = await start({ handle: async () => ({}), afterBatch });

  await service.source.send(bodyOf(1));
  expect(await service.runBatch()).toMatchObject({ retried: [bodyOf(1)] });
  await service.source.send(bodyOf(2));
  expect(await service.runBatch()).toEqual({ done: [bodyOf(2)], retried: [], deadLetters: [] });
  expect(service.responses.map(({ batchItemFailures }) => batchItemFailures.length)).toEqual([1, 0]);
});

test("when afterBatch can't succeed, the messages that had succeeded are dead letters with its reason", async () => {
  const service = await start({
    handle: async () => ({}),
    afterBatch: () => Promise.reject(failure("terminal")),
  });
  await service.source.sendAll([bodyOf(1), bodyOf(2)]);

  expect(await service.runBatch()).toEqual({ done: [], retried: [], deadLetters: [bodyOf(1), bodyOf(2)] });

  expect(await left(service.source)).toBe(0);
  expect(await contents(service.deadLetters)).toMatchObject([
    { body: bodyOf(1), attributes: { Error: "LibInsightBusy" } },
    { body: bodyOf(2), attributes: { Error: "LibInsightBusy" } },
  ]);
});

test("onDeadLetter is told of a message exactly when it has become a dead letter, and why", async () => {
  const onDeadLetter = vi.fn<NonNullable<Options["onDeadLetter"]>>(async (_, error) => {
    expect(await left(service.deadLetters)).toBe(error.kind === "terminal" ? 1 : 2);
  });
  const service = await start({
    handle: ({ n }) => Promise.reject(failure(n === 1 ? "terminal" : "transient")),
    onDeadLetter,
    retryBaseSeconds: 0,
  });
  await service.source.send(bodyOf(1));
  expect(await service.runBatch()).toMatchObject({ deadLetters: [bodyOf(1)] });
  await service.source.send(bodyOf(2));
  for (let receive = 1; receive < receiveLimit; receive++) {
    expect(await service.runBatch()).toMatchObject({ retried: [bodyOf(2)] });
  }
  expect(onDeadLetter).toHaveBeenCalledTimes(1);
  expect(await service.runBatch()).toMatchObject({ deadLetters: [bodyOf(2)] });

  expect(onDeadLetter.mock.calls).toMatchObject([
    [{ n: 1 }, { name: "LibInsightBusy", kind: "terminal" }],
    [{ n: 2 }, { name: "LibInsightBusy", kind: "transient" }],
  ]);
  // What it checked did hold.
  expect(service.log.text()).not.toContain("nobody was told");
});

test("a onDeadLetter that fails is logged, without its words, and the dead letter stays one", async () => {
  const service = await start({
    handle: () => Promise.reject(failure("terminal")),
    onDeadLetter: () => {
      throw new Error(words);
    },
  });
  await service.source.send(bodyOf(1));

  expect(await service.runBatch()).toEqual({ done: [], retried: [], deadLetters: [bodyOf(1)] });

  expect(await contents(service.deadLetters)).toMatchObject([{ body: bodyOf(1) }]);
  expect(service.log.lines()).toMatchObject([
    { message: "dead letter" },
    { level: "ERROR", message: "nobody was told of a dead letter", error: "Unexpected" },
  ]);
  expect(service.log.text()).not.toContain("MARKED");
});

test("onDeadLetter is not told of a message that can't be read, nor of one that the dead letters do not take", async () => {
  const onDeadLetter = vi.fn<NonNullable<Options["onDeadLetter"]>>();
  const service = await start({ handle: () => Promise.reject(failure("terminal")), onDeadLetter });
  await service.source.send("not JSON");
  expect(await service.runBatch()).toMatchObject({ deadLetters: ["not JSON"] });
  vi.stubEnv("FETCH_DEAD_LETTERS_URL", service.deadLetters.url.replace(/queue-\d+$/, "no-such-queue"));
  await service.source.send(bodyOf(1));
  expect(await service.runBatch()).toMatchObject({ retried: [bodyOf(1)] });
  expect(onDeadLetter).not.toHaveBeenCalled();
});

test("onDeadLetter is told of messages that afterBatch gives up", async () => {
  const onDeadLetter = vi.fn<NonNullable<Options["onDeadLetter"]>>(async () => {});
  const service = await start({
    handle: async () => ({}),
    afterBatch: () => Promise.reject(failure("terminal")),
    onDeadLetter,
  });
  await service.source.sendAll([bodyOf(1), bodyOf(2)]);
  expect(await service.runBatch()).toMatchObject({ deadLetters: [bodyOf(1), bodyOf(2)] });
  expect(onDeadLetter.mock.calls.map(([message]) => message)).toEqual([{ n: 1 }, { n: 2 }]);
});

test.each<
  [ErrorKind, receives: number, base: number, retryAfter: number | undefined, delay: number | undefined]
>([
  ["transient", 1, 30, undefined, 30],
  ["transient", 2, 30, undefined, 60],
  ["transient", 3, 30, undefined, 120],
  ["transient", 4, 30, undefined, 240],
  ["transient", 5, 30, undefined, undefined],
  ["transient", 6, 30, undefined, undefined],
  ["transient", 4, 900, undefined, 900],
  ["transient", 1, 0, undefined, 0],
  ["rate-limited", 1, 30, 77, 77],
  ["rate-limited", 3, 30, 77, 120],
  ["rate-limited", 1, 30, 0, 30],
  ["rate-limited", 1, 30, 5_000, 900],
  ["rate-limited", 5, 30, 77, undefined],
  ["terminal", 1, 30, undefined, undefined],
  ["terminal", 1, 30, 77, undefined],
])(
  "%s, received %i times, base %i s, Retry-After %s: delay %s",
  (kind, receives, base, retryAfterSeconds, delay) => {
    expect(retryDelay({ kind, retryAfterSeconds }, receives, base)).toBe(delay);
  },
);

test("a delay is whole seconds, grows, is never above 900 and never below Retry-After up to that", () => {
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
