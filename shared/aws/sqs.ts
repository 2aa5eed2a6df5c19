// The message queue on SQS. A batch call may respond with status 200 although entries failed, so each is checked.
import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SendMessageCommand,
  type SQSClient,
  type Message as SqsMessage,
} from "@aws-sdk/client-sqs";
import pMap from "p-map";
import { backoffMs, realSleep, type Sleep } from "../clock.ts";
import { PipelineError } from "../errors.ts";
import type { Attributes, Message, MessageQueue, SendOptions } from "../ports.ts";

const batchEntries = 10;
/** A window may have a hundred thousand pages, which must be sent within the function's two minutes. */
const batchesAtOnce = 8;
const batchAttempts = 4;

export class SqsQueue implements MessageQueue {
  readonly #sqs: SQSClient;
  readonly #url: string;
  readonly #sleep: Sleep;

  constructor(sqs: SQSClient, url: string, sleep: Sleep = realSleep) {
    this.#sqs = sqs;
    this.#url = url;
    this.#sleep = sleep;
  }

  get isFifo(): boolean {
    return this.#url.endsWith(".fifo");
  }

  async send(body: string, options: SendOptions = {}): Promise<void> {
    await this.#sqs.send(
      new SendMessageCommand({
        QueueUrl: this.#url,
        MessageBody: body,
        ...(options.group && { MessageGroupId: options.group }),
        ...(options.deduplicationId && { MessageDeduplicationId: options.deduplicationId }),
        ...(options.delaySeconds !== undefined && { DelaySeconds: options.delaySeconds }),
        ...(options.attributes && { MessageAttributes: toSqs(options.attributes) }),
      }),
    );
  }

  async sendAll(bodies: readonly string[]): Promise<void> {
    const batches = Array.from({ length: Math.ceil(bodies.length / batchEntries) }, (_, n) =>
      bodies.slice(n * batchEntries, (n + 1) * batchEntries),
    );
    const send = (batch: readonly string[]) =>
      this.#sendBatch(batch.map((MessageBody, index) => ({ Id: String(index), MessageBody })));
    await pMap(batches, send, { concurrency: batchesAtOnce });
  }

  async #sendBatch(all: SendMessageBatchRequestEntry[]): Promise<void> {
    let entries = all;
    for (let attempt = 1; ; attempt++) {
      const response = await this.#sqs.send(
        new SendMessageBatchCommand({ QueueUrl: this.#url, Entries: entries }),
      );
      const sent = new Set(response.Successful?.map((entry) => entry.Id));
      entries = entries.filter((entry) => !sent.has(entry.Id));
      if (entries.length === 0) return;
      if (attempt === batchAttempts) {
        throw new PipelineError("MessagesNotSent", {
          message: `SQS rejected ${entries.length} of ${all.length} messages.`,
          advice: "Retried automatically. If it persists, check the queue's health.",
          kind: "transient",
          ids: { codes: [...new Set(response.Failed?.map((entry) => entry.Code))].join(",") },
        });
      }
      await this.#sleep(backoffMs(attempt));
    }
  }

  /** With a wait of 1 to 20 seconds, SQS checks all of its servers. With 0 it checks some and may miss a message. */
  async receive(options: {
    max: number;
    visibilitySeconds: number;
    waitSeconds: number;
  }): Promise<Message[]> {
    const { Messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#url,
        MaxNumberOfMessages: options.max,
        VisibilityTimeout: options.visibilitySeconds,
        WaitTimeSeconds: options.waitSeconds,
        MessageSystemAttributeNames: ["All"],
        MessageAttributeNames: ["All"],
      }),
    );
    return Messages.map(messageOf);
  }

  async delete(receipt: string): Promise<void> {
    await this.#sqs.send(new DeleteMessageCommand({ QueueUrl: this.#url, ReceiptHandle: receipt }));
  }

  async release(receipts: readonly string[]): Promise<void> {
    for (let from = 0; from < receipts.length; from += batchEntries) {
      const Entries = receipts
        .slice(from, from + batchEntries)
        .map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle, VisibilityTimeout: 0 }));
      await this.#sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#url, Entries }));
    }
  }

  async count(): Promise<number> {
    const names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"] as const;
    const { Attributes: counts } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: this.#url, AttributeNames: [...names] }),
    );
    return names.reduce((sum, name) => sum + Number(counts?.[name] ?? 0), 0);
  }

  async retryAfter(receipt: string, seconds: number): Promise<void> {
    await this.#sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: this.#url,
        ReceiptHandle: receipt,
        VisibilityTimeout: seconds,
      }),
    );
  }
}

function messageOf({
  MessageId,
  ReceiptHandle,
  Body,
  Attributes: system,
  MessageAttributes,
}: SqsMessage): Message {
  return {
    id: MessageId ?? "",
    receipt: ReceiptHandle ?? "",
    body: Body ?? "",
    receives: Number(system?.ApproximateReceiveCount ?? 0),
    sentAt: new Date(Number(system?.SentTimestamp ?? 0)),
    ...(system?.ApproximateFirstReceiveTimestamp !== undefined && {
      firstReceivedAt: new Date(Number(system.ApproximateFirstReceiveTimestamp)),
    }),
    ...(system?.MessageGroupId !== undefined && { group: system.MessageGroupId }),
    attributes: fromSqs(MessageAttributes ?? {}),
  };
}

function toSqs(attributes: Attributes): Record<string, MessageAttributeValue> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === "string"
        ? { DataType: "String", StringValue: value }
        : { DataType: "Binary", BinaryValue: value },
    ]),
  );
}

function fromSqs(attributes: Record<string, MessageAttributeValue>): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, { StringValue, BinaryValue }]) => {
      const value = StringValue ?? BinaryValue;
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
