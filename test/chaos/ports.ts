// The local adapters as one running handler has them: each call waits for its turn, and the plan decides what befalls it.
import { Readable } from "node:stream";
import { PipelineError } from "../../shared/errors.ts";
import { localPublisher } from "../../shared/local/local-bus.ts";
import { LocalStore, type LocalStoreOptions } from "../../shared/local/local-store.ts";
import type { LocalDatabase } from "../../shared/local/sqlite.ts";
import { type QueueOptions, SqliteQueue } from "../../shared/local/sqlite-queue.ts";
import type { Condition, ListedObject, Publish, SendOptions, UploadOptions } from "../../shared/ports.ts";
import { type QueueName, receiveLimit, services } from "../../shared/topology.ts";
import type { FaultAt, PortCall } from "./plan.ts";

/** A running handler, as its port calls find it. */
export type Caller = {
  /**
   * Does a call when its turn has come, or what the plan has for it.
   * @param onConflict returns what the adapter returns where another conditional write wins at this moment
   */
  perform<T>(call: PortCall, act: () => Promise<T>, onConflict?: () => T): Promise<T>;
  /** Returns how many messages of a batch the port takes. */
  taken(call: PortCall, messages: number): number;
  /** Returns what ends the next upload in mid-stream. */
  nextUpload(): FaultAt<"upload"> | undefined;
  endUpload(fault: FaultAt<"upload">): Promise<never>;
};

export type Ports = {
  work: LocalStore;
  data: LocalStore;
  queue(name: QueueName): SqliteQueue;
  deadLetters(name: QueueName): SqliteQueue;
  publish: Publish;
};

/** In milliseconds; the bus's own clock may be off. */
export type Clock = { now: number; busOff: number };

/** What one plan's ports share. */
export type Machine = {
  database: LocalDatabase;
  /** Of the stores' files. */
  folder: string;
  clock: Clock;
  /** To the queues of its routes. */
  bus: Publish;
};

export function createMachine(
  database: LocalDatabase,
  folder: string,
  clock: Clock,
  onEvent: (event: unknown) => void,
): Machine {
  const queue = (name: QueueName) => new SqliteQueue(database, queueOptions(name, clock));
  const queues: Record<QueueName, SqliteQueue> = {
    kickoff: queue("kickoff"),
    fetcher: queue("fetcher"),
    transformer: queue("transformer"),
    assembler: queue("assembler"),
    athena: queue("athena"),
    tableau: queue("tableau"),
    reporter: queue("reporter"),
    ec2: queue("ec2"),
    replay: queue("replay"),
  };
  const now = () => new Date(clock.now + clock.busOff);
  return { database, folder, clock, bus: localPublisher({ database, queues, onEvent, now }) };
}

/** Returns the ports without faults or, of a running handler, with those that the plan has for it. */
export function portsOf({ database, folder, clock, bus }: Machine, caller?: Caller): Ports {
  const queue = (options: QueueOptions) =>
    caller ? new FaultyQueue(database, options, caller) : new SqliteQueue(database, options);
  const store = (bucket: string, keepsVersions: boolean) => {
    const options = { bucket, folder, keepsVersions, now: () => new Date(clock.now) };
    return caller ? new FaultyStore(database, options, caller) : new LocalStore(database, options);
  };
  return {
    work: store("work", false),
    data: store("data", true),
    queue: (name) => queue(queueOptions(name, clock)),
    deadLetters: (name) => {
      const { redrive: _, ...options } = queueOptions(name, clock);
      return queue({ ...options, name: deadLettersOf(name) });
    },
    publish: caller ? faultyPublish(bus, caller) : bus,
  };
}

function queueOptions(name: QueueName, clock: Clock): QueueOptions {
  const redrive = { to: deadLettersOf(name), receiveLimit };
  return { name, fifo: services[name].queue.fifo, redrive, now: () => clock.now };
}

function deadLettersOf(name: QueueName): string {
  return `${name}-dead-letters`;
}

class FaultyStore extends LocalStore {
  readonly #caller: Caller;

  constructor(database: LocalDatabase, options: LocalStoreOptions, caller: Caller) {
    super(database, options);
    this.#caller = caller;
  }

  protected override write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined> {
    const act = () => super.write(key, body, contentType, condition);
    if (condition === undefined) return this.#caller.perform("put", act);
    return this.#caller.perform("create", act, () => {
      // A 409 on a key that has to be absent says nothing yet (shared/aws/s3.ts).
      if (condition === "absent") throw new PortError(conflict, key);
      return undefined;
    });
  }

  override getBytes(key: string) {
    return this.#caller.perform("getBytes", () => super.getBytes(key));
  }

  override getStart(key: string, bytes: number) {
    return this.#caller.perform("getStart", () => super.getStart(key, bytes));
  }

  override stream(key: string, versionId?: string) {
    return this.#caller.perform("stream", () => super.stream(key, versionId));
  }

  override head(key: string, versionId?: string) {
    return this.#caller.perform("head", () => super.head(key, versionId));
  }

  override async *objects(prefix: string, limit: number): AsyncGenerator<ListedObject> {
    yield* await this.#caller.perform("objects", () => Array.fromAsync(super.objects(prefix, limit)));
  }

  /** Nothing is visible before the whole body has arrived, so completing the upload is one call. */
  override async upload(key: string, body: AsyncIterable<Uint8Array>, options: UploadOptions) {
    const fault = this.#caller.nextUpload();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (fault && bytes >= fault.bytes) await this.#caller.endUpload(fault);
    }
    const complete = () => super.upload(key, Readable.from(chunks), options);
    return this.#caller.perform("upload", complete, () => undefined);
  }
}

/** As the adapter of SQS has them (shared/aws/sqs.ts). */
const batchMessages = 10;
const batchAttempts = 4;

class FaultyQueue extends SqliteQueue {
  readonly #caller: Caller;

  constructor(database: LocalDatabase, options: QueueOptions, caller: Caller) {
    super(database, options);
    this.#caller = caller;
  }

  override send(body: string, options?: SendOptions) {
    return this.#caller.perform("send", () => super.send(body, options));
  }

  override async sendAll(bodies: readonly string[]): Promise<void> {
    const batches: Promise<void>[] = [];
    for (let from = 0; from < bodies.length; from += batchMessages)
      batches.push(this.#sendBatch(bodies.slice(from, from + batchMessages)));
    await Promise.all(batches);
  }

  async #sendBatch(all: readonly string[]): Promise<void> {
    let left = all;
    for (let attempt = 1; attempt <= batchAttempts && left.length > 0; attempt++) {
      const taken = left.slice(0, this.#caller.taken("sendAll", left.length));
      if (taken.length > 0) await this.#caller.perform("sendAll", () => super.sendAll(taken));
      left = left.slice(taken.length);
    }
    if (left.length > 0) throw refused("MessagesNotSent");
  }

  override retryAfter(receipt: string, seconds: number) {
    return this.#caller.perform("retryAfter", () => super.retryAfter(receipt, seconds));
  }
}

/** As the adapter of EventBridge has it (shared/aws/eventbridge.ts). */
const publishAttempts = 3;

function faultyPublish(bus: Publish, caller: Caller): Publish {
  return async (type, detail) => {
    for (let attempt = 1; attempt <= publishAttempts; attempt++) {
      if (caller.taken("publish", 1) === 1) return caller.perform("publish", () => bus(type, detail));
    }
    throw refused("EventNotPublished");
  };
}

function refused(name: string): PipelineError {
  return new PipelineError(name, { message: "Simulated.", advice: "None.", kind: "transient" });
}

const conflict = "ConditionalRequestConflict";

/** What an adapter throws, by the name that AWS gives it. */
export class PortError extends Error {
  override readonly name: string;
  /** Whether the AWS SDK tries the call again. */
  readonly mayPass: boolean;

  /** @param quoted as messages of foreign errors quote anything */
  constructor(name: string, quoted: string) {
    super(`Simulated ${name}: ${quoted}`);
    this.name = name;
    this.mayPass = name !== conflict;
  }
}
