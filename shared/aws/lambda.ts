// A service as a Lambda function behind an SQS queue: SQS's records in, the failed ones out.
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import type * as z from "zod/mini";
import { processBatch, type Service } from "../message-loop.ts";
import type { Message } from "../ports.ts";
import { createLogger } from "../powertools-logger.ts";
import { deadLetters, queue, settings } from "./deps.ts";

export type LambdaHandler = (event: SQSEvent, context?: Context) => Promise<SQSBatchResponse>;

/** @param depsOf builds the service's dependencies */
export function lambdaHandler<T extends z.ZodMiniType, Deps>(
  { name, schema, handle, afterBatch, onDeadLetter }: Service<T, Deps>,
  depsOf: () => Deps,
): LambdaHandler {
  const log = createLogger(name);
  // They are built where they are used, so that a missing setting is the reason of each message's failure.
  const service: Service<T, undefined> = {
    name,
    schema,
    handle: (message) => handle(message, depsOf()),
    ...(afterBatch && { afterBatch: (messages) => afterBatch(messages, depsOf()) }),
    ...(onDeadLetter && { onDeadLetter: (message, error) => onDeadLetter(message, error, depsOf()) }),
  };
  return async ({ Records }) => {
    const { retried } = await processBatch(service, Records.map(messageOf), undefined, {
      source: queue(name),
      deadLetters: deadLetters(name),
      log,
      retryBaseSeconds: settings.retryBaseSeconds(),
    });
    return { batchItemFailures: retried.map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

function messageOf({ messageId, receiptHandle, body, attributes, messageAttributes }: SQSRecord): Message {
  return {
    id: messageId,
    receipt: receiptHandle,
    body,
    receives: Number(attributes.ApproximateReceiveCount),
    sentAt: new Date(Number(attributes.SentTimestamp)),
    ...(attributes.MessageGroupId !== undefined && { group: attributes.MessageGroupId }),
    attributes: Object.fromEntries(
      Object.entries(messageAttributes).map(([name, { stringValue, binaryValue = "" }]) => [
        name,
        stringValue ?? Buffer.from(binaryValue, "base64"),
      ]),
    ),
  };
}
