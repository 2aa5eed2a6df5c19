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
/** SQS gives, and deletes, no more in a call. */
const maxMessages = 10;
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

/**
 * Like Lambda's own, it receives for all handlers that are free at once, and deletes for all that have ended meanwhile:
 * with a call each for every message, this machine would do little else. Nothing is received before a handler is free
 * for it.
 */
export function startEventSourceMapping(options: MappingOptions): EventSourceMapping {
  const stopping = new AbortController();
  const polled = poll(options, stopping.signal);
  return {
    async stop() {
      stopping.abort();
      await polled;
    },
  };
}

async function poll(options: MappingOptions, stopping: AbortSignal): Promise<void> {
  const { batchSize, concurrency, onError } = options;
  const running = new Set<Promise<void>>();
  const remove = deletions(options);
  const start = (messages: Message[]) => {
    const batch = runBatch(options, messages, remove)
      // After a pause, the messages having stayed where they are.
      .catch(pauseAfter)
      .finally(() => running.delete(batch));
    running.add(batch);
  };
  async function pauseAfter(error: unknown): Promise<void> {
    onError?.(error);
    await delay(pauseAfterErrorMs, undefined, { signal: stopping }).catch(() => {});
  }

  while (!stopping.aborted) {
    if (running.size >= concurrency) {
      await Promise.race(running);
      continue;
    }
    try {
      const messages = await receive(options, concurrency - running.size, stopping);
      for (let at = 0; at < messages.length; at += batchSize) start(messages.slice(at, at + batchSize));
    } catch (error) {
      if (!stopping.aborted) await pauseAfter(error);
    }
  }
  await Promise.all(running);
}

/** @param free how many batches can be handled now */
async function receive(
  { sqs, queue, batchSize }: MappingOptions,
  free: number,
  abortSignal: AbortSignal,
): Promise<Message[]> {
  // Several batches of a FIFO queue may be of one group, of which only one may be handled at a time.
  const batches = queue.arn.endsWith(".fifo") ? 1 : free;
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: queue.url,
      MaxNumberOfMessages: Math.min(batches * batchSize, maxMessages),
      WaitTimeSeconds: waitSeconds,
      MessageSystemAttributeNames: ["All"],
      MessageAttributeNames: ["All"],
    }),
    { abortSignal },
  );
  return Messages;
}

async function runBatch(options: MappingOptions, messages: Message[], remove: Remove): Promise<void> {
  const records = messages.map((message) => toRecord(message, options.queue.arn));
  const { batchItemFailures, deadLetters } = await invoke(options, records);
  const failed = new Set(batchItemFailures.map((failure) => failure.itemIdentifier));
  const given = new Set(deadLetters);
  const { retried = [], removed = [] } = Object.groupBy(records, ({ messageId }) =>
    failed.has(messageId) ? "retried" : "removed",
  );
  await remove(removed);
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

/** Resolves when they are deleted, as far as SQS would delete them. */
type Remove = (records: readonly SQSRecord[]) => Promise<void>;

/** What comes while a call is on its way goes with the next. */
function deletions({ sqs, queue }: MappingOptions): Remove {
  type Waiting = PromiseWithResolvers<void> & { record: SQSRecord };
  const waiting: Waiting[] = [];
  let isCalling = false;

  async function call(): Promise<void> {
    isCalling = true;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, maxMessages);
      try {
        await deleteMessages(batch.map(({ record }) => record));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isCalling = false;
  }

  async function deleteMessages(records: SQSRecord[]): Promise<void> {
    let entries = records.map(({ receiptHandle }, index) => ({
      Id: String(index),
      ReceiptHandle: receiptHandle,
    }));
    for (let attempt = 1; entries.length > 0 && attempt <= deleteAttempts; attempt++) {
      const answer = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queue.url, Entries: entries }));
      const removed = new Set(answer.Successful?.map((entry) => entry.Id));
      // What stays is delivered again, and can be done again.
      entries = entries.filter((entry) => !removed.has(entry.Id));
    }
  }

  return async (records) => {
    const added = records.map((record): Waiting => ({ record, ...Promise.withResolvers<void>() }));
    waiting.push(...added);
    if (!isCalling) void call();
    await Promise.all(added.map(({ promise }) => promise));
  };
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
