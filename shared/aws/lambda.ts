// A service as a Lambda function behind an SQS queue: SQS's records in, the failed ones out.
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import type * as z from "zod/mini";
import type { Message } from "../ports.ts";
import { createLogger } from "../powertools-logger.ts";
import { processBatch, type Service } from "../service.ts";
import { deadLetters, queue, settings } from "./deps.ts";

export type LambdaHandler = (event: SQSEvent, context?: Context) => Promise<SQSBatchResponse>;

/** @param depsOf builds the service's dependencies, for each batch */
export function lambdaHandler<T extends z.ZodMiniType, Deps>(
  service: Service<T, Deps>,
  depsOf: () => Deps,
): LambdaHandler {
  const log = createLogger(service.name);
  return async ({ Records }) => {
    const { retried } = await processBatch(service, Records.map(messageOf), depsOf(), {
      source: queue(service.name),
      deadLetters: deadLetters(service.name),
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
