// One SQS queue. A batch call can fail for some entries and still answer 200, so every entry is looked at.
import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SendMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import pMap from "p-map";
import { PipelineError } from "../errors.ts";

/** SQS takes 1 MiB a message and a batch; the rest is room for attributes. */
export const maxMessageBytes = 1_000_000;
const batchEntries = 10;
const batchesAtOnce = 8;
const batchAttempts = 4;

export type SendOptions = {
  /** FIFO queues only. */
  groupId?: string;
  deduplicationId?: string;
  /** Not on FIFO queues; at most 900. */
  delaySeconds?: number;
  attributes?: Record<string, MessageAttributeValue>;
};

/**
 * A value as a message body. SQS refuses U+FFFE and U+FFFF, which JSON leaves as they are (it escapes the other
 * characters that SQS refuses).
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
 */
export function messageBody(value: unknown): string {
  return JSON.stringify(value).replace(/[\uFFFE\uFFFF]/g, (c) => (c === "\uFFFE" ? "\\ufffe" : "\\uffff"));
}

export class Queue {
  readonly #sqs: SQSClient;
  readonly url: string;

  constructor(sqs: SQSClient, url: string) {
    this.#sqs = sqs;
    this.url = url;
  }

  async send(body: string, options: SendOptions = {}): Promise<void> {
    await this.#sqs.send(
      new SendMessageCommand({
        QueueUrl: this.url,
        MessageBody: body,
        ...(options.groupId && { MessageGroupId: options.groupId }),
        ...(options.deduplicationId && { MessageDeduplicationId: options.deduplicationId }),
        ...(options.delaySeconds !== undefined && { DelaySeconds: options.delaySeconds }),
        ...(options.attributes && { MessageAttributes: options.attributes }),
      }),
    );
  }

  /**
   * Sends small messages, ten a call and eight calls at once: a window may have a hundred thousand, and its function two
   * minutes. Entries that fail are sent again, three times at most.
   * @throws PipelineError `MessagesNotSent` when some still fail
   */
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
      const answer = await this.#sqs.send(
        new SendMessageBatchCommand({ QueueUrl: this.url, Entries: entries }),
      );
      const sent = new Set(answer.Successful?.map((entry) => entry.Id));
      entries = entries.filter((entry) => !sent.has(entry.Id));
      if (entries.length === 0) return;
      if (attempt === batchAttempts) {
        throw new PipelineError("MessagesNotSent", {
          message: `SQS did not take ${entries.length} of ${all.length} messages.`,
          advice: "The step is tried again by itself; if it keeps failing, look at the queue's health.",
          kind: "transient",
          ids: { codes: [...new Set(answer.Failed?.map((entry) => entry.Code))].join(",") },
        });
      }
    }
  }

  /**
   * Receives up to ten messages with all that belongs to them, and hides them for `hiddenSeconds`.
   * @param waitSeconds 1 to 20: asks all of SQS's servers; 0 asks some, and may see nothing where there is something
   */
  async receive(options: { hiddenSeconds: number; waitSeconds: number }): Promise<Message[]> {
    const { Messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: this.url,
        MaxNumberOfMessages: batchEntries,
        VisibilityTimeout: options.hiddenSeconds,
        WaitTimeSeconds: options.waitSeconds,
        MessageSystemAttributeNames: ["All"],
        MessageAttributeNames: ["All"],
      }),
    );
    return Messages;
  }

  async remove(receiptHandle: string): Promise<void> {
    await this.#sqs.send(new DeleteMessageCommand({ QueueUrl: this.url, ReceiptHandle: receiptHandle }));
  }

  /** Lets received messages reappear at once. One that SQS refuses reappears when its time is over. */
  async showAgain(receiptHandles: readonly string[]): Promise<void> {
    for (let from = 0; from < receiptHandles.length; from += batchEntries) {
      const Entries = receiptHandles
        .slice(from, from + batchEntries)
        .map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle, VisibilityTimeout: 0 }));
      await this.#sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.url, Entries }));
    }
  }

  /** About how many messages it holds, those that somebody has received just now included. */
  async count(): Promise<number> {
    const names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"] as const;
    const { Attributes } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: this.url, AttributeNames: [...names] }),
    );
    return names.reduce((sum, name) => sum + Number(Attributes?.[name] ?? 0), 0);
  }

  /** Lets a received message reappear after `seconds` instead of after the queue's visibility timeout. */
  async retryAfter(receiptHandle: string, seconds: number): Promise<void> {
    await this.#sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: this.url,
        ReceiptHandle: receiptHandle,
        VisibilityTimeout: seconds,
      }),
    );
  }
}
