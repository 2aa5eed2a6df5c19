// Runs a service as a Lambda function with an SQS queue. Its response names the messages to retry.
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import type * as z from "zod/mini";
import { processBatch, type Service } from "../message-loop.ts";
import { exportSpans } from "../otlp.ts";
import type { Message } from "../ports.ts";
import { createLogger } from "../powertools-logger.ts";
import type { EndedSpan } from "../trace.ts";
import { deadLetters, queue, settings } from "./deps.ts";

export type LambdaHandler = (event: SQSEvent, context?: Context) => Promise<SQSBatchResponse>;

/** Returns the handler of a service. @param depsOf returns the service's dependencies */
export function lambdaHandler<T extends z.ZodMiniType, Deps>(
  { name, schema, span, handle, afterBatch, onDeadLetter }: Service<T, Deps>,
  depsOf: () => Deps,
): LambdaHandler {
  const log = createLogger(name);
  // Dependencies are created for each message, so that a missing setting is the error of that message.
  const service: Service<T, undefined> = {
    name,
    schema,
    ...(span && { span }),
    handle: (message) => handle(message, depsOf()),
    ...(afterBatch && { afterBatch: (messages) => afterBatch(messages, depsOf()) }),
    ...(onDeadLetter && { onDeadLetter: (message, error) => onDeadLetter(message, error, depsOf()) }),
  };
  return async ({ Records }) => {
    const spans: EndedSpan[] = [];
    const { retried } = await processBatch(service, Records.map(messageOf), undefined, {
      source: queue(name),
      deadLetters: deadLetters(name),
      log,
      retryBaseSeconds: settings.retryBaseSeconds(),
      onSpan: (span) => spans.push(span),
    });
    // Lambda freezes the process after the response.
    await exportSpans(spans, log);
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
    firstReceivedAt: new Date(Number(attributes.ApproximateFirstReceiveTimestamp)),
    ...(attributes.MessageGroupId !== undefined && { group: attributes.MessageGroupId }),
    attributes: Object.fromEntries(
      Object.entries(messageAttributes).map(([name, { stringValue, binaryValue = "" }]) => [
        name,
        stringValue ?? Buffer.from(binaryValue, "base64"),
      ]),
    ),
  };
}
