// Delivers messages to the handlers, in place of event source mappings, in an order that the plan's seed decides: which
// batch starts next, and whose AWS call goes next, one at a time. Nothing here waits for a clock.
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import type { SQSRecord } from "aws-lambda";
import { sqs } from "../../shared/aws/clients.ts";
import type { SqsHandler } from "../../shared/sqs-handler.ts";
import { contextFor, toRecord } from "../../stacks/local/event-source-mapping.ts";
import { between, type Random, seeded } from "../../stacks/local/libinsight/random.ts";
import { services, type Wired } from "../../stacks/local/wiring.ts";
import { awsError, type Caller, callAs, connectionLost } from "./aws.ts";
import type { Faults } from "./faults.ts";
import { type ChaosQueue, type FaultAt, type Plan, queues } from "./plan.ts";

/** A plan takes some hundreds. */
const maxSteps = 30_000;
/** A handler that neither ends nor calls AWS for this long hangs. LibInsight's timeout is below it. */
const stuckMs = 5_000;
/** The local SQS makes a message visible after a millisecond where it is asked for at once. */
const visibleAgainMs = 3;
const maxReceives = 200;

/** The queues to which a queue's handler sends. */
const feeds: Record<ChaosQueue, ChaosQueue[]> = {
  kickoff: ["fetcher"],
  fetcher: ["fetcher", "transformer"],
  transformer: ["assembler"],
  assembler: ["fetcher"],
};

export type Handlers = Record<ChaosQueue, SqsHandler>;

type Waiting = { record: SQSRecord; from: number };
type Invocation = { queue: ChaosQueue; parked: (() => void)[]; dead: boolean };

export class Delivery {
  readonly #plan: Plan;
  readonly #faults: Faults;
  readonly #wired: Wired;
  readonly #handlers: Handlers;
  readonly #random: Random;
  readonly #pool: Record<ChaosQueue, Waiting[]> = { kickoff: [], fetcher: [], transformer: [], assembler: [] };
  readonly #running = new Set<Invocation>();
  /** Queues that may have got messages since they were last looked at. */
  readonly #fed = new Set<ChaosQueue>(queues);
  #step = 0;
  /** Why the harness itself failed. */
  #broken: unknown;

  constructor(plan: Plan, faults: Faults, wired: Wired, handlers: Handlers) {
    this.#plan = plan;
    this.#faults = faults;
    this.#wired = wired;
    this.#handlers = handlers;
    this.#random = seeded(plan.seed);
  }

  /**
   * Delivers until every queue is empty.
   * @throws Error when that takes more than `maxSteps`, or when a handler hangs
   */
  async drain(): Promise<void> {
    while (this.#step < maxSteps) {
      this.#step += 1;
      await this.#quiet();
      if (this.#broken) throw this.#broken;
      // Looking costs a call a queue, so not at every step.
      if (between(this.#random, 1, 4) === 1) await this.#receiveFed();
      const [choice, ...others] = this.#choices();
      if (choice) {
        const all = [choice, ...others];
        (all[between(this.#random, 0, all.length - 1)] ?? choice)();
        continue;
      }
      if (this.#fed.size > 0) {
        await this.#receiveFed();
        continue;
      }
      await delay(visibleAgainMs);
      for (const queue of queues) await this.#receive(queue);
      if (this.#isEmpty()) return;
    }
    throw new Error(`The plan did not end in ${maxSteps} steps.`);
  }

  #isEmpty(): boolean {
    return this.#running.size === 0 && queues.every((queue) => this.#pool[queue].length === 0);
  }

  /** Every handler that runs waits for its turn. */
  async #quiet(): Promise<void> {
    const stuckAt = Date.now() + stuckMs;
    await turn();
    while (!this.#broken && [...this.#running].some(({ parked }) => parked.length === 0)) {
      if (Date.now() > stuckAt) throw new Error("A handler neither ends nor calls AWS.");
      await turn();
    }
    // Calls that begin together are parked together.
    await turn();
  }

  #choices(): (() => void)[] {
    const calls = [...this.#running].flatMap((invocation) =>
      invocation.parked.map((go, index) => () => {
        invocation.parked.splice(index, 1);
        go();
      }),
    );
    if (this.#running.size >= this.#plan.concurrency) return calls;
    const ready = queues.filter((queue) => this.#pool[queue].some(({ from }) => from <= this.#step));
    // Where all that is left waits for later steps, later is now.
    const later = queues.filter((queue) => this.#pool[queue].length > 0);
    const startable = ready.length > 0 || calls.length > 0 ? ready : later;
    return [...calls, ...startable.map((queue) => () => this.#start(queue))];
  }

  #start(queue: ChaosQueue): void {
    const pool = this.#pool[queue];
    const due = pool.filter(({ from }) => from <= this.#step);
    const candidates = due.length > 0 ? due : [...pool];
    const size = between(this.#random, 1, Math.min(services[queue].batchSize, candidates.length));
    const batch: SQSRecord[] = [];
    for (let n = 0; n < size; n++) {
      const [chosen] = candidates.splice(between(this.#random, 0, candidates.length - 1), 1);
      if (!chosen) break;
      pool.splice(pool.indexOf(chosen), 1);
      batch.push(chosen.record);
    }
    const faults = this.#faults.nextBatch(queue);
    const late = faults.find(({ kind }) => kind === "delay");
    if (late) {
      this.#faults.happened("delivery delay");
      pool.push(...batch.map((record) => ({ record, from: this.#step + late.steps })));
      return;
    }
    const invocation: Invocation = { queue, parked: [], dead: false };
    this.#running.add(invocation);
    this.#run(invocation, batch, faults).catch((error: unknown) => {
      this.#broken = error;
    });
  }

  async #run(invocation: Invocation, batch: SQSRecord[], faults: FaultAt<"delivery">[]): Promise<void> {
    const { queue } = invocation;
    // Its first turn: batches that are started do not all begin at once.
    await new Promise<void>((go) => invocation.parked.push(go));
    if (faults.some(({ kind }) => kind === "visibility")) {
      this.#faults.happened("delivery visibility");
      await this.#showAgain(queue, batch);
      await delay(visibleAgainMs);
      await this.#receive(queue);
    }
    const died = Promise.withResolvers<"died">();
    const handled = callAs(
      this.#callerFor(invocation, () => died.resolve("died")),
      () => this.#handlers[queue]({ Records: batch }, contextFor(services[queue].service, 60)),
    ).catch(() => "threw" as const);
    const outcome = await Promise.race([handled, died.promise]);
    if (outcome === "died" || outcome === "threw") await this.#showAgain(queue, batch);
    else {
      const failed = new Set(outcome.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      const done = batch.filter(({ messageId }) => !failed.has(messageId));
      await this.#remove(queue, done);
      await this.#showAgain(
        queue,
        batch.filter(({ messageId }) => failed.has(messageId)),
      );
      const again = faults.find(({ kind }) => kind === "duplicate");
      if (again && done.length > 0) {
        this.#faults.happened("delivery duplicate");
        this.#pool[queue].push(...done.map((record) => ({ record, from: this.#step + again.steps })));
      }
    }
    for (const each of [queue, ...feeds[queue]]) this.#fed.add(each);
    this.#running.delete(invocation);
  }

  #callerFor(invocation: Invocation, die: () => void): Caller {
    const never = () => new Promise<never>(() => {});
    const isDead = (): boolean => invocation.dead;
    return {
      perform: async (command, send) => {
        if (isDead()) return never();
        await new Promise<void>((go) => invocation.parked.push(go));
        if (isDead()) return never();
        const fault = this.#faults.nextCall(command);
        if (!fault || !isPossible(fault)) return send();
        this.#faults.happened(`aws ${fault.kind}`);
        switch (fault.kind) {
          case "dies-before":
          case "dies-after":
            if (fault.kind === "dies-after") await send().catch(() => {});
            invocation.dead = true;
            die();
            return never();
          case "before":
            throw connectionLost();
          case "after":
            await send();
            throw connectionLost();
          case "slow-down":
            throw awsError("SlowDown", 503);
          case "throttled":
            throw awsError("ThrottlingException", 400);
          case "internal":
            throw awsError("InternalError", 500);
          case "conflict":
            throw awsError("ConditionalRequestConflict", 409);
          case "in-part":
            return send();
        }
      },
      entriesTaken: (command, entries) => {
        if (!this.#faults.nextBatchCall(command)) return undefined;
        this.#faults.happened("aws in-part");
        return Math.floor(entries / 2);
      },
    };
  }

  /** Makes messages visible again, as their visibility timeout would. */
  async #showAgain(queue: ChaosQueue, records: SQSRecord[]): Promise<void> {
    for (const { receiptHandle } of records) {
      try {
        await sqs().send(
          new ChangeMessageVisibilityCommand({
            QueueUrl: this.#wired.queues[queue].url,
            ReceiptHandle: receiptHandle,
            VisibilityTimeout: 0,
          }),
        );
      } catch (error) {
        // It is visible already, or somebody else has received or removed it.
        if (!(error instanceof Error && error.name === "MessageNotInflight")) throw error;
      }
    }
  }

  async #remove(queue: ChaosQueue, records: SQSRecord[]): Promise<void> {
    if (records.length === 0) return;
    const Entries = records.map(({ receiptHandle }, n) => ({ Id: String(n), ReceiptHandle: receiptHandle }));
    await sqs().send(new DeleteMessageBatchCommand({ QueueUrl: this.#wired.queues[queue].url, Entries }));
  }

  async #receiveFed(): Promise<void> {
    for (const queue of this.#fed) await this.#receive(queue);
    this.#fed.clear();
  }

  async #receive(queue: ChaosQueue): Promise<void> {
    const { url, arn } = this.#wired.queues[queue];
    for (const message of await receiveAll(url)) {
      this.#pool[queue].push({ record: toRecord(message, arn), from: 0 });
    }
  }
}

/** A conflict is an answer to writes only; what concerns entries is done where they are known. */
function isPossible({ kind, command }: FaultAt<"aws">): boolean {
  return kind !== "in-part" && (kind !== "conflict" || command === "PutObjectCommand");
}

/** All messages that are visible now. */
export async function receiveAll(url: string): Promise<Message[]> {
  const all: Message[] = [];
  for (let receives = 0; receives < maxReceives; receives++) {
    const { Messages = [] } = await sqs().send(
      new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: 0,
        VisibilityTimeout: 43_200,
        MessageSystemAttributeNames: ["All"],
        MessageAttributeNames: ["All"],
      }),
    );
    all.push(...Messages);
    if (Messages.length < 10) return all;
  }
  throw new Error(`A queue still had messages after ${maxReceives} receives.`);
}

/** Sends every dead letter back to the queue that it came from. @returns them */
export async function replayDeadLetters(wired: Wired): Promise<Message[]> {
  const replayed: Message[] = [];
  for (const queue of queues) {
    const { url, deadLetters } = wired.queues[queue];
    for (let rounds = 0; rounds < maxReceives; rounds++) {
      // Of a FIFO queue's group one comes at a time.
      const letters = await receiveAll(deadLetters.url);
      if (letters.length === 0) break;
      for (const letter of letters) {
        const group = letter.Attributes?.MessageGroupId;
        await sqs().send(
          new SendMessageCommand({
            QueueUrl: url,
            MessageBody: letter.Body,
            ...(group && { MessageGroupId: group, MessageDeduplicationId: `replay-${letter.MessageId}` }),
          }),
        );
        await sqs().send(
          new DeleteMessageCommand({ QueueUrl: deadLetters.url, ReceiptHandle: letter.ReceiptHandle }),
        );
      }
      replayed.push(...letters);
    }
  }
  return replayed;
}
