// Real SDK clients for the local endpoints, in a folder of the test's own.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { onTestFinished } from "vitest";
import { startFauxqsOnLoopback } from "../../../../stacks/local/aws/fauxqs.ts";
import { startS3 } from "../../../../stacks/local/aws/s3.ts";

export function clientOptions(endpoint: string) {
  return { endpoint, region: "us-east-1", credentials: { accessKeyId: "local", secretAccessKey: "local" } };
}

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "local-aws-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A running fauxqs and an SQS client for it; both end with the test, or before by `stop`. */
export async function startSqs(dataDir: string) {
  const fauxqs = await startFauxqsOnLoopback(dataDir);
  const sqs = new SQSClient(clientOptions(fauxqs.endpoint));
  let running = true;
  const stop = async () => {
    if (!running) return;
    running = false;
    sqs.destroy();
    await fauxqs.close();
  };
  onTestFinished(stop);
  return { endpoint: fauxqs.endpoint, sqs, stop };
}

export const Bucket = "work";

/** S3 with one bucket, kept in `folder`; it ends with the test, or before by `stop`. */
export async function startBucket(folder?: string) {
  const dataDir = folder ?? (await temporaryFolder());
  const { endpoint: upstream, sqs, stop: stopSqs } = await startSqs(dataDir);
  const front = await startS3({ upstream, dataDir, sqs });
  // One attempt: a retry would hide an answer that was lost.
  const s3 = new S3Client({ ...clientOptions(front.endpoint), maxAttempts: 1 });
  await s3.send(new CreateBucketCommand({ Bucket }));
  let running = true;
  const stop = async () => {
    if (!running) return;
    running = false;
    s3.destroy();
    await front.close();
    await stopSqs();
  };
  onTestFinished(stop);
  return { endpoint: front.endpoint, s3, sqs, stop };
}

export async function read(s3: S3Client, Key: string, VersionId?: string): Promise<string | undefined> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...(VersionId && { VersionId }) }));
  return Body?.transformToString();
}

export function put(
  s3: S3Client,
  Key: string,
  Body: string,
  condition: { IfNoneMatch?: "*"; IfMatch?: string } = {},
) {
  return s3.send(new PutObjectCommand({ Bucket, Key, Body, ...condition }));
}

export const refused = { name: "PreconditionFailed", $metadata: { httpStatusCode: 412 } };

export async function createQueue(sqs: SQSClient, name: string, attributes: Record<string, string> = {}) {
  const { QueueUrl: url = "" } = await sqs.send(
    new CreateQueueCommand({ QueueName: name, Attributes: attributes }),
  );
  return { url, arn: await arnOf(sqs, url) };
}

export async function queueUrl(sqs: SQSClient, name: string): Promise<string> {
  const { QueueUrl = "" } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
  return QueueUrl;
}

async function arnOf(sqs: SQSClient, url: string): Promise<string> {
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["QueueArn"] }),
  );
  return Attributes?.QueueArn ?? "";
}

/** Up to ten messages that are there now, or, with `waitSeconds`, the first that come in that time. */
export async function receive(sqs: SQSClient, url: string, waitSeconds = 0): Promise<Message[]> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: waitSeconds,
      MessageSystemAttributeNames: ["All"],
      MessageAttributeNames: ["All"],
    }),
  );
  return Messages;
}

/** The bodies of `receive`, parsed. */
export async function receiveJson(sqs: SQSClient, url: string, waitSeconds = 0): Promise<unknown[]> {
  return (await receive(sqs, url, waitSeconds)).map(({ Body = "" }) => JSON.parse(Body));
}
