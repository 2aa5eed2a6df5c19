// What every service has in common: take a batch of messages, parse each, do the work, and decide message by message
// what happens to those that fail. A message that cannot succeed becomes a dead letter at once, with the reason in its
// attributes; one that may succeed later comes back after a growing delay.
import type * as z from "zod/mini";
import { $ZodError } from "zod/v4/core";
import { PipelineError, toPipelineError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { type Log, type LogFields, loggable } from "./logger.ts";
import { growingDelay, type Message, type MessageQueue } from "./ports.ts";
import { type QueueName, receiveLimit } from "./topology.ts";

export type Service<T extends z.ZodMiniType, Deps> = {
  /** Of the service and of the queue that feeds it. */
  name: QueueName;
  /** What its messages look like. */
  schema: T;
  /** Does the work of one message, and returns what to log of it. May run again for the same message. */
  handle(message: z.infer<T>, deps: Deps): Promise<LogFields>;
  /** Runs once with the messages of a batch that succeeded. When it throws, they have failed too. */
  afterBatch?(messages: z.infer<T>[], deps: Deps): Promise<void>;
  /** Called after a message is dead-lettered. When it throws, that is logged and changes nothing. */
  onDeadLetter?(message: z.infer<T>, error: PipelineError, deps: Deps): Promise<void>;
};

/** Names a service's types once. */
export function defineService<T extends z.ZodMiniType, Deps>(service: Service<T, Deps>): Service<T, Deps> {
  return service;
}

export type BatchDeps = {
  source: Pick<MessageQueue, "retryAfter">;
  deadLetters: Pick<MessageQueue, "send">;
  log: Log;
  /** The first delay before a failed message is tried again; it doubles each time. */
  retryBaseSeconds: number;
  /** Called after a message is handled, with what was logged of it. */
  onHandled?: (fields: LogFields) => void;
  /** Called when a message has failed, before that is stored. */
  onFailed?: (failure: FailedMessage) => void;
};

/** `delaySeconds`: until the message is tried again; undefined where it becomes a dead letter. */
export type FailedMessage = { error: PipelineError; message: Message; delaySeconds: number | undefined };

/** How each message of a batch ended, by its id. Only those that come back are not to be deleted. */
export type BatchResult = { done: string[]; retried: string[]; deadLetters: string[] };

/** Runs a service on a batch. Never throws: a message whose outcome is unknown comes back. */
export async function processBatch<T extends z.ZodMiniType, Deps>(
  service: Service<T, Deps>,
  messages: readonly Message[],
  deps: Deps,
  batch: BatchDeps,
): Promise<BatchResult> {
  const { schema, handle, afterBatch, onDeadLetter } = service;
  const { log } = batch;
  const result: BatchResult = { done: [], retried: [], deadLetters: [] };
  /** @param parsed missing where the message could not be read */
  const fail = async (thrown: unknown, message: Message, parsed?: z.infer<T>): Promise<void> => {
    const error = toPipelineError(thrown);
    if (!(await isDeadLettered(error, message, batch))) {
      result.retried.push(message.id);
      return;
    }
    result.deadLetters.push(message.id);
    try {
      if (parsed !== undefined) await onDeadLetter?.(parsed, error, deps);
    } catch (cause) {
      log.error("the onDeadLetter hook failed", {
        messageId: message.id,
        ...loggable(toPipelineError(cause)),
      });
    }
  };

  const handled: { message: Message; parsed: z.infer<T> }[] = [];
  await Promise.all(
    messages.map(async (message) => {
      let parsed: z.infer<T> | undefined;
      try {
        parsed = parseBody(message, schema);
        const fields = await handle(parsed, deps);
        log.info("done", { messageId: message.id, ...fields });
        batch.onHandled?.(fields);
        handled.push({ message, parsed });
      } catch (error) {
        await fail(error, message, parsed);
      }
    }),
  );
  try {
    if (handled.length > 0)
      await afterBatch?.(
        handled.map(({ parsed }) => parsed),
        deps,
      );
    result.done.push(...handled.map(({ message }) => message.id));
  } catch (error) {
    for (const { message, parsed } of handled) await fail(error, message, parsed);
  }
  return result;
}

function parseBody<T extends z.ZodMiniType>({ id, body }: Message, schema: T): z.infer<T> {
  try {
    return schema.parse(parseJson(body));
  } catch (error) {
    // zod names the fields that are wrong; their values may be a patron's words.
    const fields =
      error instanceof $ZodError
        ? error.issues.map((issue) => issue.path.join(".") || "the whole")
        : ["not JSON"];
    throw new PipelineError("MessageUnreadable", {
      message: "A message in the queue does not have the schema that this service reads.",
      advice:
        "Find out which version sent it; if a newer version did, deploy that version here too and replay the dead letter.",
      ids: { messageId: id, fields: fields.slice(0, 5).join(", ") },
    });
  }
}

/** @returns false where the message comes back, also where it could not be moved to the dead-letter queue */
async function isDeadLettered(
  error: PipelineError,
  message: Message,
  { source, deadLetters, log, retryBaseSeconds, onFailed }: BatchDeps,
): Promise<boolean> {
  const { id, receives, receipt, body, group } = message;
  const delay = retryDelay(error, receives, retryBaseSeconds);
  onFailed?.({ error, message, delaySeconds: delay });
  const ids = { messageId: id, receives };
  try {
    if (delay === undefined) {
      log.error("dead letter", { ...ids, ...loggable(error) });
      await deadLetters.send(body, {
        attributes: { ...message.attributes, Error: error.name, ErrorText: error.sentence },
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
 * Returns the seconds until a failed message is tried again, or undefined where it is a dead letter.
 * @param receives how often it was received, this time included
 * @param base the first delay; it doubles each time
 */
export function retryDelay(
  error: Pick<PipelineError, "kind" | "retryAfterSeconds">,
  receives: number,
  base: number,
): number | undefined {
  if (error.kind === "terminal" || receives >= receiveLimit) return undefined;
  return growingDelay(base, receives - 1, error.retryAfterSeconds);
}
