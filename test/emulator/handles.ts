// Test access to an emulated stage: its stores, queues, event source mappings and logs.
import { setTimeout as delay } from "node:timers/promises";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  GetEventSourceMappingCommand,
  ListEventSourceMappingsCommand,
  UpdateEventSourceMappingCommand,
} from "@aws-sdk/client-lambda";
import {
  CreateQueueCommand,
  type CreateQueueCommandInput,
  GetQueueAttributesCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { S3Store } from "../../shared/aws/s3.ts";
import { SqsQueue } from "../../shared/aws/sqs.ts";
import { type QueueName, queueNames } from "../../shared/topology.ts";
import { take } from "../support/local-adapters.ts";
import type { Stage } from "./emulated-stage.ts";

const pollMs = 200;
const defaultMs = 60_000;

/** Polls until the condition is true. @throws Error with the description and the emulator's log after `ms` */
export async function until(
  stage: Stage,
  description: string,
  isTrue: () => Promise<boolean>,
  ms = defaultMs,
): Promise<void> {
  const ends = Date.now() + ms;
  while (!(await isTrue())) {
    if (Date.now() > ends)
      throw new Error(`Not within ${ms} ms: ${description}.\n${await stage.emulator.log()}`);
    await delay(pollMs);
  }
}

export function workOf({ clients: { s3 }, settings }: Stage): S3Store {
  return new S3Store(s3, setting(settings, "WORK_BUCKET"));
}

export function dataOf({ clients: { s3 }, settings }: Stage): S3Store {
  return new S3Store(s3, setting(settings, "DATA_BUCKET"));
}

export function queueOf(stage: Stage, name: QueueName): SqsQueue {
  return new SqsQueue(stage.clients.sqs, queueUrl(stage, name));
}

export function deadLettersOf(stage: Stage, name: QueueName): SqsQueue {
  return new SqsQueue(stage.clients.sqs, setting(stage.settings, `${name.toUpperCase()}_DEAD_LETTERS_URL`));
}

export function queueUrl({ settings }: Stage, name: QueueName): string {
  return setting(settings, `${name.toUpperCase()}_QUEUE_URL`);
}

function setting(settings: Record<string, string>, name: string): string {
  const value = settings[name];
  if (value === undefined) throw new Error(`The stage has no setting ${name}.`);
  return value;
}

const anyServiceMaySend = JSON.stringify({
  Version: "2012-10-17",
  Statement: [
    {
      Effect: "Allow",
      Principal: { Service: ["sns.amazonaws.com", "events.amazonaws.com"] },
      Action: "sqs:SendMessage",
      Resource: "*",
    },
  ],
});

/** Creates a queue that SNS and EventBridge may send to. */
export async function createQueue(sqs: SQSClient, { Attributes, ...input }: CreateQueueCommandInput) {
  const { QueueUrl: url = "" } = await sqs.send(
    new CreateQueueCommand({ ...input, Attributes: { Policy: anyServiceMaySend, ...Attributes } }),
  );
  const { Attributes: { QueueArn: arn = "" } = {} } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["QueueArn"] }),
  );
  return { url, arn, queue: new SqsQueue(sqs, url) };
}

/** Disables the event source mappings of queues, so that their messages wait. */
export function pause(stage: Stage, ...names: QueueName[]): Promise<void> {
  return setEnabled(stage, names, false);
}

export function resume(stage: Stage, ...names: QueueName[]): Promise<void> {
  return setEnabled(stage, names, true);
}

async function setEnabled(stage: Stage, names: QueueName[], Enabled: boolean): Promise<void> {
  const { lambda, sqs } = stage.clients;
  for (const name of names) {
    const QueueUrl = queueUrl(stage, name);
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
    );
    const { EventSourceMappings = [] } = await lambda.send(
      new ListEventSourceMappingsCommand({ EventSourceArn: Attributes?.QueueArn }),
    );
    const [mapping] = EventSourceMappings;
    if (!mapping?.UUID) throw new Error(`The queue ${name} has no event source mapping.`);
    const { UUID } = mapping;
    await lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled }));
    const expected = Enabled ? "Enabled" : "Disabled";
    await until(stage, `the mapping of ${name} is ${expected}`, async () => {
      const { State } = await lambda.send(new GetEventSourceMappingCommand({ UUID }));
      return State === expected;
    });
  }
  // A poll in progress may still receive a batch.
  if (!Enabled) await delay(500);
}

/** Returns the log lines of a service's function. */
export async function logOf({ clients: { logs }, graph }: Stage, service: QueueName): Promise<string[]> {
  const lines: string[] = [];
  let nextToken: string | undefined;
  do {
    const response = await logs.send(
      new FilterLogEventsCommand({
        logGroupName: `/${graph.app.name}/ada/${service}`,
        ...(nextToken && { nextToken }),
      }),
    );
    lines.push(...(response.events ?? []).map(({ message = "" }) => message));
    nextToken = response.nextToken;
  } while (nextToken && lines.length < 100_000);
  return lines;
}

/** Waits until every queue is empty. @throws Error if a message was dead-lettered */
export async function untilQuiet(stage: Stage): Promise<void> {
  await resume(stage, ...queueNames);
  await until(stage, "every queue is empty", async () => {
    const counts = await Promise.all(queueNames.map((name) => queueOf(stage, name).count()));
    return counts.every((count) => count === 0);
  });
  for (const name of queueNames) {
    const [deadLetter] = await take(deadLettersOf(stage, name));
    if (!deadLetter) continue;
    throw new Error(`${name} dead-lettered ${deadLetter.body}: ${deadLetter.attributes.ErrorText}`);
  }
}
