// Deliveries of the local S3 and EventBridge to SQS queues, which both know by their ARN.
import { GetQueueUrlCommand, SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";

export const queueArn = /^arn:aws:sqs:([a-z0-9-]+):(\d{12}):([\w-]{1,80}(?:\.fifo)?)$/;

export type Delivery = {
  /** Must match `queueArn`. */
  arn: string;
  body: string;
  /** FIFO queues need one. */
  messageGroupId?: string | undefined;
  /** String attributes of the message. */
  attributes?: Readonly<Record<string, string>>;
};

// The SDK tries each request three times; this bounds all of them together.
const deliveryTimeoutMs = 5_000;
const maxKnownQueues = 1_000;

/** Sends to queues by ARN. The returned function rejects with the SDK's error when SQS does not take the message. */
export function createQueueSender(sqs: SQSClient): (delivery: Delivery) => Promise<void> {
  const urls = new Map<string, string>();

  async function urlOf(arn: string, abortSignal: AbortSignal): Promise<string> {
    const known = urls.get(arn);
    if (known !== undefined) return known;
    const name = queueArn.exec(arn)?.[3];
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }), { abortSignal });
    if (QueueUrl === undefined) throw new Error("SQS named no URL for the queue.");
    if (urls.size >= maxKnownQueues) urls.clear();
    urls.set(arn, QueueUrl);
    return QueueUrl;
  }

  return async ({ arn, body, messageGroupId, attributes = {} }) => {
    const abortSignal = AbortSignal.timeout(deliveryTimeoutMs);
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: await urlOf(arn, abortSignal),
        MessageBody: body,
        MessageGroupId: messageGroupId,
        MessageAttributes: Object.fromEntries(
          Object.entries(attributes).map(([name, value]) => [
            name,
            { DataType: "String", StringValue: value },
          ]),
        ),
      }),
      { abortSignal },
    );
  };
}
