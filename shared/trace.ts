// The trace of a run. Handling one message is one span. The span's ids are hashes of what the message is about, so a message
// that is delivered twice is the same span. Every message and event about a run carries the `traceparent` of the span that
// sent it (https://www.w3.org/TR/trace-context/), and that span itself as `sender`. A service stores both spans in the
// object that it writes anyway, so a trace needs no further requests to S3.
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import type { FetchTask } from "./messages.ts";
import type { Attributes, Message } from "./ports.ts";
import { nonNegativeInt, positiveInt } from "./schemas.ts";

const spanId = z.string().check(z.regex(/^[0-9a-f]{16}$/));
const errorName = z.string().check(z.regex(/^\w{1,64}$/));

/** An earlier end of the message as a dead letter. Times are milliseconds since 1970. */
const deadLetterEnd = z.strictObject({
  sentAt: nonNegativeInt,
  at: nonNegativeInt,
  receives: positiveInt,
  error: errorName,
});

/** Ids, times and counts only: no text of a record and no secret. Times are milliseconds since 1970. */
export const span = z.strictObject({
  id: spanId,
  /** Missing for the root of the trace, which is the kickoff's span. */
  parent: z.optional(spanId),
  /** What was done, such as `fetch 2/1` for attempt 1 at window 2. Unique in the run. */
  name: z.string().check(z.maxLength(200)),
  sentAt: nonNegativeInt,
  /** Missing if the queue does not know it. */
  firstReceivedAt: z.optional(nonNegativeInt),
  startedAt: nonNegativeInt,
  endedAt: nonNegativeInt,
  receives: nonNegativeInt,
  /** If the message was replayed. */
  deadLetters: z.optional(z.array(deadLetterEnd)),
});
export type Span = z.infer<typeof span>;

/** The spans that an object in the work bucket stores. */
export const spans = z.optional(z.array(span));

/** Fields of messages and events about a run. Messages from before this version, and those from operators, have none. */
export const traceFields = {
  traceparent: z.optional(z.string().check(z.regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/))),
  /** The span that sent the message. */
  sender: z.optional(span),
};

/** A span that ended, for an exporter. `error`: the name of the error with which the message became a dead letter. */
export type EndedSpan = Span & { runId: string; service: string; error?: string };

/** The kickoff's name for its span. */
export const rootName = "kickoff";

export function traceIdOf(runId: string): string {
  return createHash("sha256").update(runId).digest("hex").slice(0, 32);
}

export function spanIdOf(runId: string, name: string): string {
  return createHash("sha256").update(`${runId}\n${name}`).digest("hex").slice(0, 16);
}

/** Matches the names of `pageSpanName`: work, window, attempt, and the range and page if they are not the whole window. */
export const pageSpan = /^(fetch|transform) (\d+)\/(\d+)(?: (.+))?$/;

/**
 * Returns the name of what is done with a page: `fetch 2/1` for attempt 1 at window 2, `transform 2/1 2024-01-05 page 7` for a
 * page of a day, `fetch 2/1 2024-01-05 to 2024-01-09` for another range of the window.
 */
export function pageSpanName(
  work: "fetch" | "transform",
  task: Omit<FetchTask, "runId" | "dataset" | "last">,
): string {
  const { window, attempt, range, page, pages } = task;
  const isWhole = range.from === window.from && range.to === window.to;
  const days = range.from === range.to ? range.from : `${range.from} to ${range.to}`;
  const parts = [
    `${work} ${window.number}/${attempt}`,
    ...(isWhole && pages === undefined ? [] : [days]),
    ...(pages === undefined ? [] : [`page ${page}`]),
  ];
  return parts.join(" ");
}

const aboutRun = z.object({ runId: z.string(), ...traceFields });
/** The run that a message or an event is about, with its trace. */
const carried = z.union([
  z.pipe(
    z.object({ task: z.object({ runId: z.string(), sender: z.optional(span) }), ...traceFields }),
    z.transform(({ task, ...trace }) => ({ ...trace, runId: task.runId, taskSender: task.sender })),
  ),
  z.pipe(
    z.object({ detail: aboutRun }),
    z.transform(({ detail }) => detail),
  ),
  aboutRun,
]);

/** The handling of one message. */
export type Handling = {
  service: string;
  name: string;
  /** Undefined if the message does not name its run. */
  runId: string | undefined;
  parent: string | undefined;
  /** The spans that the message carries. */
  senders: Span[];
  message: Pick<Message, "receives" | "attributes"> & { sentAt: number; firstReceivedAt: number | undefined };
  startedAt: number;
  now: () => number;
};

const current = new AsyncLocalStorage<Handling>();

/**
 * Returns the span to run a message's handler in.
 * @param subject what the service says about the message; default: the service's name and the event's type
 */
export function handlingOf(
  service: string,
  parsed: unknown,
  { receives, attributes, sentAt, firstReceivedAt }: Message,
  now: () => number,
  subject?: { name: string; runId?: string },
): Handling {
  const found = carried.safeParse(parsed).data;
  const senders = found ? [found.sender, "taskSender" in found ? found.taskSender : undefined] : [];
  return {
    service,
    name: subject?.name ?? [service, typeOf(parsed)].join(" ").trim(),
    runId: subject?.runId ?? found?.runId,
    parent: found?.traceparent?.split("-")[2],
    senders: senders.filter((sender) => sender !== undefined),
    message: { receives, attributes, sentAt: sentAt.getTime(), firstReceivedAt: firstReceivedAt?.getTime() },
    startedAt: now(),
    now,
  };
}

function typeOf(parsed: unknown): string {
  const event = z.object({ "detail-type": z.string() }).safeParse(parsed);
  return event.data?.["detail-type"] ?? "";
}

/** Calls `act`. Messages that it sends and events that it emits are children of the span. */
export function inSpan<T>(handling: Handling | undefined, act: () => Promise<T>): Promise<T> {
  return handling ? current.run(handling, act) : act();
}

/** Returns the handler's span until now. Without a parent of its own it is a child of the root. */
export function spanOf(handling: Handling, runId: string): Span {
  const { name, parent, message, startedAt, now } = handling;
  const { sentAt, firstReceivedAt, receives, attributes } = message;
  const id = spanIdOf(runId, name);
  const root = spanIdOf(runId, rootName);
  const deadLetters = deadLettersIn(attributes);
  return {
    id,
    ...(id !== root && { parent: parent ?? root }),
    name,
    sentAt,
    ...(firstReceivedAt !== undefined && { firstReceivedAt }),
    startedAt,
    endedAt: now(),
    receives,
    ...(deadLetters.length > 0 && { deadLetters }),
  };
}

/** Returns a message or an event's detail with the trace of the handler that sends it, if it is about a run. */
export function withTrace<T extends object>(value: T): T {
  const handling = current.getStore();
  const runId = handling && carried.safeParse(value).data?.runId;
  if (!handling || runId === undefined) return value;
  // A handler may send messages about another run than its own message, which are children of their own run's root.
  const sender = handling.runId === runId ? spanOf(handling, runId) : undefined;
  const parent = sender?.id ?? spanIdOf(runId, rootName);
  return { ...value, traceparent: `00-${traceIdOf(runId)}-${parent}-01`, ...(sender && { sender }) };
}

/** Returns the running handler's spans to store in an object of the run. Outside of a handler there are none. */
export function spanFields(runId: string): { spans?: Span[] } {
  const handling = current.getStore();
  if (!handling || (handling.runId ?? runId) !== runId) return {};
  return { spans: [...handling.senders, spanOf(handling, runId)] };
}

/** The attribute in which a dead letter keeps when and why its message became one. A replay does not remove it. */
export const deadLettersAttribute = "DeadLetters";
const maxDeadLetterEnds = 10;
const deadLetterEnds = z.array(deadLetterEnd);

/** Returns the attribute for a message that becomes a dead letter now. */
export function deadLettersText(message: Message, error: string, at: number): string {
  const { attributes, receives, sentAt } = message;
  const ends = [...deadLettersIn(attributes), { sentAt: sentAt.getTime(), at, receives, error }];
  return JSON.stringify(ends.slice(-maxDeadLetterEnds));
}

function deadLettersIn({ [deadLettersAttribute]: text }: Attributes): z.infer<typeof deadLetterEnds> {
  if (typeof text !== "string") return [];
  try {
    return deadLetterEnds.safeParse(JSON.parse(text)).data ?? [];
  } catch {
    return [];
  }
}
