// What every service's Lambda handler has in common: take a batch from SQS, parse each message, do the work, and
// report failures message by message. A message that can't succeed goes to the dead letters at once, with the
// reason in its attributes; one that may succeed later comes back after a growing delay.
import { BatchProcessor, EventType, processPartialResponse } from "@aws-lambda-powertools/batch";
import type { MessageAttributeValue } from "@aws-sdk/client-sqs";
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import type * as z from "zod/mini";
import { $ZodError } from "zod/v4/core";
import { sqs } from "./aws/clients.ts";
import { Queue } from "./aws/queue.ts";
import { config, type QueueName } from "./config.ts";
import { PipelineError, toPipelineError } from "./errors.ts";
import { createLogger, type Facts, type Log, loggable } from "./logger.ts";

/** After this many receives a message is a dead letter. The queues' redrive policy says the same. */
export const receiveLimit = 5;
/** SQS allows 12 hours; nothing here is worth waiting more than 15 minutes for. */
const maxDelaySeconds = 900;

/** Lambda reads `batchItemFailures`; `npm start` also counts what was given up. */
export type SqsResponse = SQSBatchResponse & { deadLetters: string[] };
export type SqsHandler = (event: SQSEvent, context: Context) => Promise<SqsResponse>;

/**
 * A service's Lambda handler.
 * @param service names it in the logs
 * @param queue the queue that feeds it
 * @param schema what its messages look like
 * @param handle does the work of one message, and tells what to log of it; may run again for the same message
 * @param afterBatch runs once with the messages that succeeded; when it throws, they have failed too
 * @param gaveUp is told when a message lies among the dead letters; when it throws, that is logged and changes nothing
 */
export function sqsHandler<T extends z.ZodMiniType>(options: {
  service: string;
  queue: QueueName;
  schema: T;
  handle: (message: z.infer<T>) => Promise<Facts>;
  afterBatch?: (messages: z.infer<T>[]) => Promise<void>;
  gaveUp?: (message: z.infer<T>, error: PipelineError) => Promise<void>;
}): SqsHandler {
  const { service, queue, schema, handle, afterBatch, gaveUp } = options;
  const log = createLogger(service);

  return async (event, context) => {
    const queues = {
      source: new Queue(sqs(), config.queueUrl(queue)),
      deadLetters: new Queue(sqs(), config.deadLetterUrl(queue)),
    };
    const done: { record: SQSRecord; message: z.infer<T> }[] = [];
    const deadLetters: string[] = [];
    /** Throws where the message comes back. `message` is missing where it could not be read. */
    const fail = async (error: unknown, record: SQSRecord, message?: z.infer<T>): Promise<void> => {
      const reason = toPipelineError(error);
      await settle(reason, record, queues, log);
      const { messageId } = record;
      deadLetters.push(messageId);
      try {
        if (message !== undefined) await gaveUp?.(message, reason);
      } catch (untold) {
        log.error("nobody was told of a dead letter", { messageId, ...loggable(toPipelineError(untold)) });
      }
    };
    const response = await processPartialResponse(
      event,
      async (record: SQSRecord) => {
        let message: z.infer<T> | undefined;
        try {
          const parsed = parseBody(record, schema);
          message = parsed;
          const facts = await handle(parsed);
          log.info("done", { messageId: record.messageId, ...facts });
          done.push({ record, message: parsed });
        } catch (error) {
          await fail(error, record, message);
        }
      },
      new BatchProcessor(EventType.SQS, { logger: silent }),
      // A batch in which every message failed is reported like any other: message by message.
      { context, throwOnFullBatchFailure: false },
    );
    // Powertools answers every good batch with one and the same array.
    const batchItemFailures = [...response.batchItemFailures];
    try {
      if (afterBatch && done.length > 0) await afterBatch(done.map(({ message }) => message));
    } catch (error) {
      for (const { record, message } of done) {
        await fail(error, record, message).catch(() => {
          batchItemFailures.push({ itemIdentifier: record.messageId });
        });
      }
    }
    return { batchItemFailures, deadLetters };
  };
}

function parseBody<T extends z.ZodMiniType>(record: SQSRecord, schema: T): z.infer<T> {
  try {
    return schema.parse(JSON.parse(record.body));
  } catch (error) {
    // zod names the places that are wrong; what stood there may be a patron's words.
    const places =
      error instanceof $ZodError
        ? error.issues.map((issue) => issue.path.join(".") || "the whole")
        : ["not JSON"];
    throw new PipelineError("MessageUnreadable", {
      message: "A message in the queue is not of the form that this service reads.",
      advice:
        "Look who sent it; if a newer version did, deploy that version here too and replay the dead letter.",
      ids: { messageId: record.messageId, places: places.slice(0, 5).join(", ") },
    });
  }
}

/**
 * Decides what becomes of a message that failed: returns when it is among the dead letters, throws when it comes back.
 */
async function settle(
  error: PipelineError,
  record: SQSRecord,
  queues: { source: Queue; deadLetters: Queue },
  log: Log,
): Promise<void> {
  const receives = Number(record.attributes.ApproximateReceiveCount);
  const delay = retryDelay(error, receives, config.retryBaseSeconds());
  const ids = { messageId: record.messageId, receives };
  if (delay === undefined) {
    log.error("dead letter", { ...ids, ...loggable(error) });
    await queues.deadLetters.send(record.body, {
      attributes: { ...copiedAttributes(record), ...errorAttributes(error) },
      ...(record.attributes.MessageGroupId && {
        groupId: record.attributes.MessageGroupId,
        deduplicationId: record.messageId,
      }),
    });
    return;
  }
  log.warn("retry", { ...ids, delay, ...loggable(error) });
  await queues.source.retryAfter(record.receiptHandle, delay);
  throw error;
}

/**
 * Seconds until a failed message is tried again, or undefined where it is a dead letter.
 * @param receives how often it was received, this time included
 * @param base the first delay; it doubles each time
 */
export function retryDelay(
  error: Pick<PipelineError, "kind" | "retryAfterSeconds">,
  receives: number,
  base: number,
): number | undefined {
  if (error.kind === "terminal" || receives >= receiveLimit) return undefined;
  const growing = base * 2 ** (receives - 1);
  return Math.min(Math.max(growing, error.retryAfterSeconds ?? 0), maxDelaySeconds);
}

/** SQS takes ten attributes a message; ours carry only these. */
function errorAttributes(error: PipelineError): Record<string, MessageAttributeValue> {
  return {
    Error: { DataType: "String", StringValue: error.name },
    ErrorText: { DataType: "String", StringValue: error.sentence },
  };
}

function copiedAttributes(record: SQSRecord): Record<string, MessageAttributeValue> {
  const copied: Record<string, MessageAttributeValue> = {};
  for (const [name, { dataType, stringValue }] of Object.entries(record.messageAttributes)) {
    if (stringValue !== undefined) copied[name] = { DataType: dataType, StringValue: stringValue };
  }
  return copied;
}

/** The processor's own lines would say again, without ids, what `settle` has said. */
const silent = { debug: () => {}, warn: () => {}, error: () => {} };
