// What a test takes hold of in a stage: its queues, the mappings between them and the functions, what functions logged.

import { setTimeout as delay } from "node:timers/promises";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  GetEventSourceMappingCommand,
  ListEventSourceMappingsCommand,
  UpdateEventSourceMappingCommand,
} from "@aws-sdk/client-lambda";
import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
} from "@aws-sdk/client-sqs";
import { S3Store } from "../../shared/aws/s3.ts";
import { SqsQueue } from "../../shared/aws/sqs.ts";
import { type QueueName, queueNames } from "../../shared/topology.ts";
import type { Stage } from "./stage.ts";

const pollMs = 200;
const defaultMs = 60_000;
/** More messages than any test sends. */
const maxReceives = 200;

/** Asks until the answer is yes. @throws Error that says what did not come about, with the emulator's log */
export async function until(
  stage: Stage,
  what: string,
  isSo: () => Promise<boolean>,
  ms = defaultMs,
): Promise<void> {
  const ends = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > ends) throw new Error(`Not within ${ms} ms: ${what}.\n${await stage.emulator.log()}`);
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
  return new SqsQueue(stage.clients.sqs, deadLettersUrl(stage, name));
}

export function queueUrl({ settings }: Stage, name: QueueName): string {
  return setting(settings, `${name.toUpperCase()}_QUEUE_URL`);
}

export function deadLettersUrl({ settings }: Stage, name: QueueName): string {
  return setting(settings, `${name.toUpperCase()}_DEAD_LETTERS_URL`);
}

function setting(settings: Record<string, string>, name: string): string {
  const value = settings[name];
  if (value === undefined) throw new Error(`The stage has no setting ${name}.`);
  return value;
}

/** Receives and deletes all that is in a queue now. */
export async function takeAll({ clients: { sqs } }: Stage, QueueUrl: string): Promise<Message[]> {
  const taken: Message[] = [];
  for (let receives = 0; receives < maxReceives; receives++) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["All"],
      }),
    );
    if (Messages.length === 0) return taken;
    for (const { ReceiptHandle } of Messages) {
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
    taken.push(...Messages);
  }
  throw new Error(`${QueueUrl} still had messages after ${maxReceives} receives.`);
}

/** Messages wait in the queue from now on: its function gets none. */
export function pause(stage: Stage, ...names: QueueName[]): Promise<void> {
  return setEnabled(stage, names, false);
}

export function goOn(stage: Stage, ...names: QueueName[]): Promise<void> {
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
    if (!mapping?.UUID) throw new Error(`${name} feeds no function.`);
    const { UUID } = mapping;
    await lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled }));
    const wanted = Enabled ? "Enabled" : "Disabled";
    await until(stage, `the mapping of ${name} is ${wanted}`, async () => {
      const { State } = await lambda.send(new GetEventSourceMappingCommand({ UUID }));
      return State === wanted;
    });
  }
  // A poll that had begun may still take a batch.
  if (!Enabled) await delay(500);
}

/** The lines that a service's function wrote into its log group. */
export async function logOf({ clients: { logs }, graph }: Stage, folder: string): Promise<string[]> {
  const lines: string[] = [];
  let nextToken: string | undefined;
  do {
    const answer = await logs.send(
      new FilterLogEventsCommand({
        logGroupName: `/${graph.app.name}/ada/${folder}`,
        ...(nextToken && { nextToken }),
      }),
    );
    lines.push(...(answer.events ?? []).map(({ message = "" }) => message));
    nextToken = answer.nextToken;
  } while (nextToken && lines.length < 100_000);
  return lines;
}

/** Waits until every queue is empty. @throws Error where a message was dead-lettered */
export async function untilQuiet(stage: Stage): Promise<void> {
  await goOn(stage, ...queueNames);
  await until(stage, "every queue is empty", async () => {
    const counts = await Promise.all(queueNames.map((name) => queueOf(stage, name).count()));
    return counts.every((count) => count === 0);
  });
  for (const name of queueNames) {
    const [deadLetter] = await takeAll(stage, deadLettersUrl(stage, name));
    if (!deadLetter) continue;
    const { Body, MessageAttributes } = deadLetter;
    throw new Error(`${name} dead-lettered ${Body}: ${MessageAttributes?.ErrorText?.StringValue}`);
  }
}
