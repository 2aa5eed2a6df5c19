// The local adapters of one running handler: each call waits for its turn, and the plan decides its fault.
import { join } from "node:path";
import { Readable } from "node:stream";
import { PipelineError } from "../../shared/errors.ts";
import type { DuckDbQueryEngine } from "../../shared/local/duckdb.ts";
import { awsEvent, localEmitter, objectCreatedMessage } from "../../shared/local/local-bus.ts";
import { LocalInstances } from "../../shared/local/local-instances.ts";
import { LocalStore, type LocalStoreOptions } from "../../shared/local/local-store.ts";
import type { LocalDatabase } from "../../shared/local/sqlite.ts";
import { type QueueOptions, SqliteQueue } from "../../shared/local/sqlite-queue.ts";
import type {
  Condition,
  Emit,
  Instances,
  ListedObject,
  Notification,
  Notify,
  QueryEngine,
  SendOptions,
  UploadOptions,
} from "../../shared/ports.ts";
import {
  awsRoutes,
  byQueue,
  filePublished,
  type QueueName,
  receiveLimit,
  services,
} from "../../shared/topology.ts";
import { intercepted } from "../support/intercepted-ports.ts";
import { DuckDbInStep, PlainEngine } from "./engine.ts";
import type { FaultAt, PortCall } from "./fault-plan.ts";
import type { Faults } from "./injected-faults.ts";

/** Schedules the port calls of one running handler. */
export type Caller = {
  /**
   * Performs a call at its turn, with the fault that the plan has for it.
   * @param onConflict returns the adapter's return value for a conflict with another conditional write
   */
  perform<T>(call: PortCall, act: () => Promise<T>, onConflict?: () => T): Promise<T>;
  /** Performs a request that is no call of a port. No other handler goes on before it ends. */
  request<T>(act: () => Promise<T>): Promise<T>;
  /** Returns how many messages of a batch the port accepts. */
  accepted(call: PortCall, messages: number): number;
  /** Returns the fault that ends the next upload in mid-stream. */
  nextUpload(): FaultAt<"upload"> | undefined;
  endUpload(fault: FaultAt<"upload">): Promise<never>;
};

export type Ports = {
  work: LocalStore;
  data: LocalStore;
  results: LocalStore;
  queue(name: QueueName): SqliteQueue;
  deadLetters(name: QueueName): SqliteQueue;
  emit: Emit;
  engine: QueryEngine;
  instances: Instances;
  notify: Notify;
};

/** Milliseconds. The clock of the bus may have an offset. */
export type Clock = { now: number; busOffset: number };

export type MachineOptions = {
  database: LocalDatabase;
  /** The folder of the stores' files. */
  folder: string;
  clock: Clock;
  faults: Faults;
  /** Whether queries run in DuckDB. */
  duckDb: boolean;
  /** The key of the published CSV. S3 notifies the athena queue of it. */
  publishedCsv: string;
  onEvent: (event: unknown) => void;
  tamper: Tamper;
};

/** Returns the text that is written instead of a service's object; undefined to write nothing. */
export type Tamper = (key: string, text: string) => string | undefined;

/** The state that the ports of one plan share. */
export type Machine = MachineOptions & {
  /** Sends an event to the queues of its routes. */
  bus: Emit;
  engine: DuckDbQueryEngine;
  instances: LocalInstances;
  notifications: Notification[];
  /** Sends S3's message about an object, unless the plan loses it. */
  notifyOf(bucket: string, key: string): void;
};

export const instanceId = "i-0123456789abcdef0";

export function createMachine(options: MachineOptions): Machine {
  const { database, folder, clock, faults, duckDb, publishedCsv, onEvent } = options;
  const queues = byQueue((name) => new SqliteQueue(database, queueOptions(name, clock)));
  const now = () => new Date(clock.now + clock.busOffset);
  const store = (bucket: string, keepsVersions: boolean) =>
    new LocalStore(database, { bucket, folder: join(folder, bucket), keepsVersions, now });
  const [catalog, data, results] = [store("work", false), store("data", true), store("results", true)];
  const { queryEnded } = awsRoutes;
  const announce = (id: string, state: string) => {
    const detail = { queryExecutionId: id, currentState: state, workgroupName: "chaos" };
    return queues[queryEnded.to].send(awsEvent(queryEnded.source, queryEnded.detailType, detail));
  };
  const common = { database: "library", catalog };
  const engine = duckDb
    ? new DuckDbInStep({
        ...common,
        filesIn: async (prefix) => data.filesIn(prefix),
        adopt: (key, path) => results.adopt(key, path, "text/csv"),
        temporaryFolder: join(folder, "tmp"),
        onEnd: ({ id, state }) => announce(id, state),
      })
    : new PlainEngine({ ...common, data, results, nextQuery: () => faults.nextQuery(), announce });
  const instances = new LocalInstances(database, now);
  return {
    ...options,
    bus: localEmitter({ database, queues, onEvent, now }),
    engine,
    instances,
    notifications: [],
    notifyOf: (bucket, key) => {
      if (bucket === data.bucket && key === publishedCsv && !faults.losesNotification())
        queues[filePublished.to].insert(objectCreatedMessage(bucket, key));
    },
  };
}

/**
 * Returns the ports without faults or, with a caller, the ports of a running handler with the plan's faults.
 * @param onWritten called in the transaction that makes an object visible
 * @param onSent called with each message of a handler before it is sent
 */
export function portsOf(
  machine: Machine,
  caller?: Caller,
  onWritten?: (bucket: string, key: string) => void,
  onSent: (queue: QueueName, body: string) => void = () => {},
): Ports {
  const { database, folder, clock, bus, engine, instances, notifications } = machine;
  const queue = (options: QueueOptions, onSend: (body: string) => void = () => {}) =>
    caller ? new FaultyQueue(database, options, caller, onSend) : new SqliteQueue(database, options);
  const store = (bucket: string, keepsVersions: boolean) => {
    const options = {
      ...{ bucket, keepsVersions, folder: join(folder, bucket) },
      now: () => new Date(clock.now),
      onWritten: (key: string) => {
        onWritten?.(bucket, key);
        if (caller) machine.notifyOf(bucket, key);
      },
    };
    return caller
      ? new FaultyStore(database, options, caller, machine.tamper)
      : new LocalStore(database, options);
  };
  const notify: Notify = async (notification) => {
    notifications.push(notification);
  };
  /** Treats every method of a port as one kind of call. */
  const faulty = <T extends object>(port: T, call: PortCall): T =>
    caller ? intercepted(port, (_method, _args, act) => caller.perform(call, async () => act())) : port;
  return {
    work: store("work", false),
    data: store("data", true),
    results: store("results", true),
    queue: (name) => queue(queueOptions(name, clock), (body) => onSent(name, body)),
    deadLetters: (name) => {
      const { redrive: _, ...options } = queueOptions(name, clock);
      return queue({ ...options, name: deadLettersOf(name) });
    },
    emit: caller ? faultyEmit(bus, caller) : bus,
    engine: faulty(engine, "engine"),
    instances: faulty(instances, "ec2"),
    notify: caller ? (each) => caller.perform("notify", () => notify(each)) : notify,
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
  readonly #tamper: Tamper;

  constructor(database: LocalDatabase, options: LocalStoreOptions, caller: Caller, tamper: Tamper) {
    super(database, options);
    this.#caller = caller;
    this.#tamper = tamper;
  }

  /** Returns the body to write, or undefined to write nothing. */
  #tampered(key: string, body: string | Uint8Array): string | Uint8Array | undefined {
    const text = typeof body === "string" ? body : Buffer.from(body).toString();
    const tampered = this.#tamper(key, text);
    // The bytes of an object that is not a text differ from those of its text.
    return tampered === text ? body : tampered;
  }

  protected override write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined> {
    const tampered = this.#tampered(key, body);
    const act = async () =>
      tampered === undefined ? "not written" : super.write(key, tampered, contentType, condition);
    if (condition === undefined) return this.#caller.perform("put", act);
    return this.#caller.perform("create", act, () => {
      // A 409 leaves open whether the key exists, so the adapter throws it (shared/aws/s3.ts).
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

  /** Counts as one call when it completes, because no part of the object is visible before. */
  override async upload(key: string, body: AsyncIterable<Uint8Array>, options: UploadOptions) {
    const fault = this.#caller.nextUpload();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (fault && bytes >= fault.bytes) await this.#caller.endUpload(fault);
    }
    const tampered = this.#tampered(key, Buffer.concat(chunks)) ?? "";
    const complete = () => super.upload(key, Readable.from([Buffer.from(tampered)]), options);
    return this.#caller.perform("upload", complete, () => undefined);
  }
}

/** The limits of the SQS adapter (shared/aws/sqs.ts). */
const batchMessages = 10;
const batchAttempts = 4;

class FaultyQueue extends SqliteQueue {
  readonly #caller: Caller;
  readonly #onSend: (body: string) => void;

  constructor(
    database: LocalDatabase,
    options: QueueOptions,
    caller: Caller,
    onSend: (body: string) => void,
  ) {
    super(database, options);
    this.#caller = caller;
    this.#onSend = onSend;
  }

  override send(body: string, options?: SendOptions) {
    this.#onSend(body);
    return this.#caller.perform("send", () => super.send(body, options));
  }

  override async sendAll(bodies: readonly string[]): Promise<void> {
    for (const body of bodies) this.#onSend(body);
    const batches: Promise<void>[] = [];
    for (let from = 0; from < bodies.length; from += batchMessages)
      batches.push(this.#sendBatch(bodies.slice(from, from + batchMessages)));
    await Promise.all(batches);
  }

  async #sendBatch(all: readonly string[]): Promise<void> {
    let left = all;
    for (let attempt = 1; attempt <= batchAttempts && left.length > 0; attempt++) {
      const accepted = left.slice(0, this.#caller.accepted("sendAll", left.length));
      if (accepted.length > 0) await this.#caller.perform("sendAll", () => super.sendAll(accepted));
      left = left.slice(accepted.length);
    }
    if (left.length > 0) throw notAccepted("MessagesNotSent");
  }

  override retryAfter(receipt: string, seconds: number) {
    return this.#caller.perform("retryAfter", () => super.retryAfter(receipt, seconds));
  }
}

/** The limit of the EventBridge adapter (shared/aws/eventbridge.ts). */
const emitAttempts = 3;

function faultyEmit(bus: Emit, caller: Caller): Emit {
  return async (type, detail) => {
    for (let attempt = 1; attempt <= emitAttempts; attempt++) {
      if (caller.accepted("emit", 1) === 1) return caller.perform("emit", () => bus(type, detail));
    }
    throw notAccepted("EventNotPublished");
  };
}

function notAccepted(name: string): PipelineError {
  return new PipelineError(name, { message: "Simulated.", advice: "None.", kind: "transient" });
}

const conflict = "ConditionalRequestConflict";

/** An error with the name that AWS gives it. */
export class PortError extends Error {
  override readonly name: string;
  /** Whether the AWS SDK retries the call. */
  readonly isTransient: boolean;

  /** @param quoted a text in the message, because messages of foreign errors may quote anything */
  constructor(name: string, quoted: string) {
    super(`Simulated ${name}: ${quoted}`);
    this.name = name;
    this.isTransient = name !== conflict;
  }
}
