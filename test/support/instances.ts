// The service of InstanceQueue as its tests meet it: real SQS, S3 and EventBridge, and an EC2 whose instances change their
// states when a test says so. Delayed messages come at once, and their delays are written down.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PutEventsCommand } from "@aws-sdk/client-eventbridge";
import type { Message } from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { z } from "zod";
import { eventBridge, sqs } from "../../shared/aws/clients.ts";
import { ec2 as ec2Client } from "../../shared/aws/instances.ts";
import { Queue } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { type EventDetail, type EventType, eventSource } from "../../shared/events.ts";
import type { SqsResponse } from "../../shared/sqs-handler.ts";
import { type LocalEc2, startEc2 } from "../../stacks/local/aws/ec2.ts";
import type { Ec2State } from "../../stacks/local/aws/ec2-instances.ts";
import { type LocalAws, lambdaContext, sqsEvent, startLocalAws, take, takeJson } from "./local-aws.ts";

/** Longer than any test. */
const never = 10 * 60_000;
/** More than the service looks. */
const maxRounds = 20;
export const tagged = { Application: "DataPipeline" };

const toldEvent = z.object({ "detail-type": z.string(), detail: z.record(z.string(), z.unknown()) });
export type Told = { type: string; detail: Record<string, unknown> };

export class InstanceStage {
  readonly aws: LocalAws;
  readonly ec2: LocalEc2;
  /** The seconds of each delayed message, in their order. */
  delays: number[] = [];
  /** The test's own. */
  work: Store;
  #ids: string[] = [];
  #made = 0;
  readonly #folder: string;

  /** One a test file: it sets the process's environment. */
  static async start(): Promise<InstanceStage> {
    const aws = await startLocalAws();
    const folder = await mkdtemp(join(tmpdir(), "instances-"));
    const ec2 = await startEc2({
      dataDir: folder,
      events: eventBridge(),
      startingMs: never,
      stoppingMs: never,
    });
    process.env.AWS_ENDPOINT_URL_EC2 = ec2.endpoint;
    return new InstanceStage(aws, ec2, folder);
  }

  private constructor(aws: LocalAws, ec2: LocalEc2, folder: string) {
    this.aws = aws;
    this.ec2 = ec2;
    this.work = aws.work;
    this.#folder = folder;
    sqs().middlewareStack.add(
      (next, { commandName = "" }) =>
        (args) => {
          const { input } = args;
          if (commandName !== "SendMessageCommand" || !("DelaySeconds" in input)) return next(args);
          this.delays.push(Number(input.DelaySeconds));
          return next(Object.assign({}, args, { input: { ...input, DelaySeconds: 0 } }));
        },
      { step: "initialize", name: "delays" },
    );
  }

  /** Nothing of an earlier test is left: no needs, no messages, no instances with the tag. */
  async fresh(): Promise<void> {
    for (const id of this.#ids.splice(0)) await this.ec2.put({ id, state: "terminated", tags: {} });
    this.ec2.faults.length = 0;
    const deadLetters = new Queue(sqs(), config.deadLetterUrl("INSTANCE"));
    for (const queue of [this.queue, deadLetters, this.aws.observer]) await take(queue);
    this.work = await this.aws.bucket();
    Object.assign(process.env, { WORK_BUCKET: this.work.bucket, INSTANCES: "tagged" });
    // As on Lambda.
    delete process.env.INSTANCE_CHECK_SECONDS;
    this.delays = [];
  }

  async close(): Promise<void> {
    ec2Client().destroy();
    await this.ec2.close();
    await this.aws.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A new instance. @returns its id */
  async launch(state: Ec2State, tags: Record<string, string> = tagged): Promise<string> {
    this.#made += 1;
    const id = `i-${String(this.#made).padStart(17, "0")}`;
    this.#ids.push(id);
    await this.ec2.put({ id, state, tags });
    // EC2 told of it, and nobody asked.
    await take(this.queue);
    return id;
  }

  /** EC2 changes the state, and tells it unless it is to be kept quiet. */
  async change(id: string, state: Ec2State, { quietly = false } = {}): Promise<void> {
    const { queue } = this;
    const waiting = quietly ? await take(queue) : [];
    await this.ec2.put({ id, state, tags: tagged });
    if (!quietly) return;
    await take(queue);
    for (const { Body = "" } of waiting) await queue.send(Body);
  }

  get queue(): Queue {
    return this.aws.serviceQueue("INSTANCE");
  }

  /** Puts an event on the bus. */
  async say<T extends EventType>(type: T, detail: EventDetail<T>, time?: string): Promise<void> {
    const entry = {
      EventBusName: config.busName(),
      Source: eventSource,
      DetailType: type,
      Detail: JSON.stringify(detail),
      ...(time && { Time: new Date(time) }),
    };
    expect((await eventBridge().send(new PutEventsCommand({ Entries: [entry] }))).FailedEntryCount).toBe(0);
  }

  /** Hands the handler what is in the queue now. @returns the messages */
  async deliver(): Promise<Message[]> {
    const messages = await take(this.queue);
    for (const message of messages) {
      expect(await this.handle(message)).toEqual({ batchItemFailures: [], deadLetters: [] });
    }
    return messages;
  }

  /** Delivers until the queue is empty. */
  async deliverAll(): Promise<void> {
    for (let rounds = 0; rounds < maxRounds; rounds++) {
      if ((await this.deliver()).length === 0) return;
    }
    throw new Error(`There were still messages after ${maxRounds} rounds.`);
  }

  async handle(message: Message, receives = 1): Promise<SqsResponse> {
    // Loaded when the environment is set: a logger reads its level when it is made.
    const { handler } = await import("../../services/ec2/handler.ts");
    const event = sqsEvent([message]);
    for (const { attributes } of event.Records) attributes.ApproximateReceiveCount = String(receives);
    return handler(event, lambdaContext);
  }

  /** What the service has told since the last time. */
  async told(): Promise<Told[]> {
    const events = (await takeJson(this.aws.observer)).map((event) => toldEvent.parse(event));
    const own = events.filter((event) => /^instance\.(started|stopped|failed)$/.test(event["detail-type"]));
    return own.map(({ "detail-type": type, detail }) => ({ type, detail }));
  }
}
