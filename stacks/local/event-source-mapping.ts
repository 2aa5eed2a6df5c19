// What Lambda does between a queue and its function: receive, call the handler with a batch, delete what succeeded,
// leave what failed to the visibility timeout and the redrive policy.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { Context, SQSEvent, SQSRecord } from "aws-lambda";
import type { SqsHandler, SqsResponse } from "../../shared/sqs-handler.ts";

/** Long polling: a queue without messages is asked once in this time. */
const waitSeconds = 2;
const pauseAfterErrorMs = 500;
const deleteAttempts = 3;

export type EventSourceMapping = {
  /** Receives nothing more, and waits for the handlers that run. */
  stop(): Promise<void>;
};

/** What became of a batch's messages. */
export type Batch = { done: SQSRecord[]; retried: SQSRecord[]; deadLetters: SQSRecord[] };

export type MappingOptions = {
  sqs: SQSClient;
  queue: { url: string; arn: string };
  service: string;
  handler: SqsHandler;
  batchSize: number;
  concurrency: number;
  timeoutSeconds: number;
  onBatch?: (batch: Batch) => void;
  /** Told when receiving or deleting fails; it goes on after a pause. */
  onError?: (error: unknown) => void;
};

export function startEventSourceMapping(options: MappingOptions): EventSourceMapping {
  const stopping = new AbortController();
  const pollers = Array.from({ length: options.concurrency }, () => poll(options, stopping.signal));
  return {
    async stop() {
      stopping.abort();
      await Promise.all(pollers);
    },
  };
}

async function poll(options: MappingOptions, stopping: AbortSignal): Promise<void> {
  while (!stopping.aborted) {
    try {
      const messages = await receive(options, stopping);
      if (messages.length > 0) await runBatch(options, messages);
    } catch (error) {
      if (stopping.aborted) return;
      options.onError?.(error);
      await delay(pauseAfterErrorMs, undefined, { signal: stopping }).catch(() => {});
    }
  }
}

async function receive(
  { sqs, queue, batchSize }: MappingOptions,
  abortSignal: AbortSignal,
): Promise<Message[]> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: queue.url,
      MaxNumberOfMessages: batchSize,
      WaitTimeSeconds: waitSeconds,
      MessageSystemAttributeNames: ["All"],
      MessageAttributeNames: ["All"],
    }),
    { abortSignal },
  );
  return Messages;
}

async function runBatch(options: MappingOptions, messages: Message[]): Promise<void> {
  const records = messages.map((message) => toRecord(message, options.queue.arn));
  const { batchItemFailures, deadLetters } = await invoke(options, records);
  const failed = new Set(batchItemFailures.map((failure) => failure.itemIdentifier));
  const given = new Set(deadLetters);
  const { retried = [], removed = [] } = Object.groupBy(records, ({ messageId }) =>
    failed.has(messageId) ? "retried" : "removed",
  );
  await remove(options, removed);
  options.onBatch?.({
    retried,
    done: removed.filter(({ messageId }) => !given.has(messageId)),
    deadLetters: removed.filter(({ messageId }) => given.has(messageId)),
  });
}

/** Where the handler throws or takes too long, all of its messages have failed. */
async function invoke(options: MappingOptions, records: SQSRecord[]): Promise<SqsResponse> {
  const { handler, service, timeoutSeconds } = options;
  const event: SQSEvent = { Records: records };
  const timeout = new AbortController();
  try {
    return await Promise.race([
      handler(event, contextFor(service, timeoutSeconds)),
      delay(timeoutSeconds * 1000, undefined, { signal: timeout.signal, ref: false }).then(() => {
        throw new Error(`${service} timed out after ${timeoutSeconds} seconds.`);
      }),
    ]);
  } catch (error) {
    options.onError?.(error);
    return {
      batchItemFailures: records.map(({ messageId }) => ({ itemIdentifier: messageId })),
      deadLetters: [],
    };
  } finally {
    timeout.abort();
  }
}

async function remove({ sqs, queue }: MappingOptions, records: SQSRecord[]): Promise<void> {
  let entries = records.map((record, index) => ({ Id: String(index), ReceiptHandle: record.receiptHandle }));
  for (let attempt = 1; entries.length > 0 && attempt <= deleteAttempts; attempt++) {
    const answer = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queue.url, Entries: entries }));
    const removed = new Set(answer.Successful?.map((entry) => entry.Id));
    // What stays is delivered again, and can be done again.
    entries = entries.filter((entry) => !removed.has(entry.Id));
  }
}

/** A received message as Lambda hands it to a handler. */
export function toRecord(message: Message, eventSourceARN: string): SQSRecord {
  const { Attributes: attributes = {} } = message;
  return {
    messageId: message.MessageId ?? "",
    receiptHandle: message.ReceiptHandle ?? "",
    body: message.Body ?? "",
    attributes: {
      ApproximateReceiveCount: attributes.ApproximateReceiveCount ?? "1",
      SentTimestamp: attributes.SentTimestamp ?? "0",
      SenderId: attributes.SenderId ?? "",
      ApproximateFirstReceiveTimestamp: attributes.ApproximateFirstReceiveTimestamp ?? "0",
      ...(attributes.MessageGroupId && { MessageGroupId: attributes.MessageGroupId }),
      ...(attributes.MessageDeduplicationId && { MessageDeduplicationId: attributes.MessageDeduplicationId }),
      ...(attributes.SequenceNumber && { SequenceNumber: attributes.SequenceNumber }),
    },
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(([name, { DataType, StringValue }]) => [
        name,
        { dataType: DataType ?? "String", ...(StringValue !== undefined && { stringValue: StringValue }) },
      ]),
    ),
    md5OfBody: message.MD5OfBody ?? "",
    eventSource: "aws:sqs",
    eventSourceARN,
    awsRegion: eventSourceARN.split(":")[3] ?? "",
  };
}

export function contextFor(service: string, timeoutSeconds: number): Context {
  const ends = Date.now() + timeoutSeconds * 1000;
  const done = (): never => {
    throw new Error("Handlers return promises; there is no callback.");
  };
  return {
    callbackWaitsForEmptyEventLoop: false,
    functionName: service,
    functionVersion: "$LATEST",
    invokedFunctionArn: `arn:aws:lambda:us-east-1:000000000000:function:${service}`,
    memoryLimitInMB: "512",
    awsRequestId: randomUUID(),
    logGroupName: `/aws/lambda/${service}`,
    logStreamName: "local",
    getRemainingTimeInMillis: () => Math.max(ends - Date.now(), 0),
    done,
    fail: done,
    succeed: done,
  };
}
