// The message loop of every service: parses each message of a batch, handles it, and decides what to do if it fails. A
// message that cannot succeed becomes a dead letter at once, with the error in its attributes. Any other failed message
// is retried after a growing delay.
import type * as z from "zod/mini";
import { $ZodError } from "zod/v4/core";
import { PipelineError, toPipelineError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { type Log, type LogFields, loggable } from "./logger.ts";
import { growingDelay, type Message, type MessageQueue } from "./ports.ts";
import { type QueueName, receiveLimit } from "./topology.ts";
import {
  deadLettersAttribute,
  deadLettersText,
  type EndedSpan,
  type Handling,
  handlingOf,
  inSpan,
  spanOf,
} from "./trace.ts";

export type Service<T extends z.ZodMiniType, Deps> = {
  /** Name of the service and of its queue. */
  name: QueueName;
  schema: T;
  /** Returns the name of the message's span, unique in its run, and the run if the message does not name it. */
  span?(message: z.infer<T>): { name: string; runId?: string };
  /** Handles one message and returns what to log. May run again for the same message. */
  handle(message: z.infer<T>, deps: Deps): Promise<LogFields>;
  /** Runs once with the messages of a batch that succeeded. If it throws, they fail too. */
  afterBatch?(messages: z.infer<T>[], deps: Deps): Promise<void>;
  /** Called after a message is dead-lettered. An error that it throws is only logged. */
  onDeadLetter?(message: z.infer<T>, error: PipelineError, deps: Deps): Promise<void>;
};

/** Infers a service's types. */
export function defineService<T extends z.ZodMiniType, Deps>(service: Service<T, Deps>): Service<T, Deps> {
  return service;
}

export type BatchDeps = {
  source: Pick<MessageQueue, "retryAfter">;
  deadLetters: Pick<MessageQueue, "send">;
  log: Log;
  /** The delay before the first retry. It doubles with each retry. */
  retryBaseSeconds: number;
  /** Called after a message is handled, with its log fields. */
  onHandled?: (fields: LogFields) => void;
  /** Called when a message has failed, before it is retried or dead-lettered. */
  onFailed?: (failed: FailedMessage) => void;
  /** Called for each message about a run that was handled or became a dead letter. */
  onSpan?: ((span: EndedSpan) => void) | undefined;
  /** The clock of spans: milliseconds since 1970. */
  now?: () => number;
};

/** `delaySeconds`: until the retry; undefined if the message becomes a dead letter. */
export type FailedMessage = { error: PipelineError; message: Message; delaySeconds: number | undefined };

/** The ids of a batch's messages, by outcome. The caller deletes all but `retried` from the queue. */
export type BatchResult = { done: string[]; retried: string[]; deadLetters: string[] };

/** Runs a service on a batch. Throws nothing: a message whose outcome is unknown is retried. */
export async function processBatch<T extends z.ZodMiniType, Deps>(
  service: Service<T, Deps>,
  messages: readonly Message[],
  deps: Deps,
  batch: BatchDeps,
): Promise<BatchResult> {
  const { schema, handle, afterBatch, onDeadLetter } = service;
  const { log, onSpan, now = Date.now } = batch;
  const result: BatchResult = { done: [], retried: [], deadLetters: [] };
  type Parsed = { parsed: z.infer<T>; handling: Handling };
  const end = ({ handling }: Parsed, runId: unknown, error?: PipelineError): EndedSpan[] =>
    typeof runId === "string"
      ? [{ ...spanOf(handling, runId), runId, service: service.name, ...(error && { error: error.name }) }]
      : [];
  /** @param its undefined if the message could not be parsed */
  const fail = async (thrown: unknown, message: Message, its?: Parsed): Promise<void> => {
    const error = toPipelineError(thrown);
    if (!(await isDeadLettered(error, message, batch))) {
      result.retried.push(message.id);
      return;
    }
    result.deadLetters.push(message.id);
    if (!its) return;
    for (const span of end(its, its.handling.runId ?? error.ids.run, error)) onSpan?.(span);
    try {
      await inSpan(its.handling, async () => onDeadLetter?.(its.parsed, error, deps));
    } catch (cause) {
      log.error("the onDeadLetter hook failed", {
        messageId: message.id,
        ...loggable(toPipelineError(cause)),
      });
    }
  };

  const handled: (Parsed & { message: Message; spans: EndedSpan[] })[] = [];
  await Promise.all(
    messages.map(async (message) => {
      let its: Parsed | undefined;
      try {
        const parsed = parseBody(message, schema);
        const handling = handlingOf(service.name, parsed, message, now, service.span?.(parsed));
        its = { parsed, handling };
        const fields = await inSpan(handling, () => handle(parsed, deps));
        log.info("done", { messageId: message.id, ...fields });
        batch.onHandled?.(fields);
        handled.push({ ...its, message, spans: end(its, handling.runId ?? fields.run) });
      } catch (error) {
        await fail(error, message, its);
      }
    }),
  );
  try {
    const all = handled.map(({ parsed }) => parsed);
    // What the batch sends together is a child of its last span.
    if (all.length > 0) await inSpan(handled.at(-1)?.handling, async () => afterBatch?.(all, deps));
    result.done.push(...handled.map(({ message }) => message.id));
    for (const span of handled.flatMap(({ spans }) => spans)) onSpan?.(span);
  } catch (error) {
    for (const { message, ...its } of handled) await fail(error, message, its);
  }
  return result;
}

function parseBody<T extends z.ZodMiniType>({ id, body }: Message, schema: T): z.infer<T> {
  try {
    return schema.parse(parseJson(body));
  } catch (error) {
    // Only the names of the invalid fields, because their values may be a patron's words.
    const fields =
      error instanceof $ZodError
        ? error.issues.map((issue) => issue.path.join(".") || "the whole")
        : ["not JSON"];
    throw new PipelineError("MessageUnreadable", {
      message: "A message in the queue does not have the schema that this service reads.",
      advice:
        "Find out which version sent it. If it was a newer version, deploy that version here too and replay the dead letter.",
      ids: { messageId: id, fields: fields.slice(0, 5).join(", ") },
    });
  }
}

/** Returns false if the message is retried, also because it could not be moved to the dead-letter queue. */
async function isDeadLettered(
  error: PipelineError,
  message: Message,
  { source, deadLetters, log, retryBaseSeconds, onFailed, now = Date.now }: BatchDeps,
): Promise<boolean> {
  const { id, receives, receipt, body, group } = message;
  const delay = retryDelay(error, receives, retryBaseSeconds);
  onFailed?.({ error, message, delaySeconds: delay });
  const ids = { messageId: id, receives };
  try {
    if (delay === undefined) {
      log.error("dead letter", { ...ids, ...loggable(error) });
      await deadLetters.send(body, {
        attributes: {
          ...message.attributes,
          Error: error.name,
          ErrorText: error.sentence,
          [deadLettersAttribute]: deadLettersText(message, error.name, now()),
        },
        ...(group !== undefined && { group, deduplicationId: id }),
      });
      return true;
    }
    log.warn("retry", { ...ids, delay, ...loggable(error) });
    await source.retryAfter(receipt, delay);
  } catch (cause) {
    // The message reappears when its visibility timeout ends.
    log.error("a failed message could not be moved", { ...ids, ...loggable(toPipelineError(cause)) });
  }
  return false;
}

/**
 * Returns the seconds until a failed message is retried, or undefined if it becomes a dead letter.
 * @param receives how often it was received, including this time
 * @param base the first delay, which doubles with each retry
 */
export function retryDelay(
  error: Pick<PipelineError, "kind" | "retryAfterSeconds">,
  receives: number,
  base: number,
): number | undefined {
  if (error.kind === "terminal" || receives >= receiveLimit) return undefined;
  return growingDelay(base, receives - 1, error.retryAfterSeconds);
}
