// The local adapters as one running handler has them: each call waits for its turn, and the plan decides what befalls it.
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
  results: LocalStore;
  queue(name: QueueName): SqliteQueue;
  deadLetters(name: QueueName): SqliteQueue;
  emit: Emit;
  engine: QueryEngine;
  instances: Instances;
  notify: Notify;
};

/** In milliseconds; the bus's own clock may be off. */
export type Clock = { now: number; busOff: number };

export type MachineOptions = {
  database: LocalDatabase;
  /** Of the stores' files. */
  folder: string;
  clock: Clock;
  faults: Faults;
  /** Whether queries run in DuckDB. */
  duckDb: boolean;
  /** Key of the published CSV, of which S3 notifies the athena queue. */
  publishedCsv: string;
  onEvent: (event: unknown) => void;
  /** Returns what a service's object is written as; undefined where it is not written. */
  forge: Forge;
};

export type Forge = (key: string, text: string) => string | undefined;

/** What one plan's ports share. */
export type Machine = MachineOptions & {
  /** To the queues of its routes. */
  bus: Emit;
  engine: DuckDbQueryEngine;
  instances: LocalInstances;
  /** What people were sent. */
  notifications: Notification[];
  /** S3's message about an object, unless the plan loses it. */
  notifyOf(bucket: string, key: string): void;
};

export const instanceId = "i-0123456789abcdef0";

export function createMachine(options: MachineOptions): Machine {
  const { database, folder, clock, faults, duckDb, publishedCsv, onEvent } = options;
  const queues = byQueue((name) => new SqliteQueue(database, queueOptions(name, clock)));
  const now = () => new Date(clock.now + clock.busOff);
  const store = (bucket: string, keepsVersions: boolean) =>
    new LocalStore(database, { bucket, folder: join(folder, bucket), keepsVersions, now });
  const [catalog, data, results] = [store("work", false), store("data", true), store("results", true)];
  const { queryEnded, instanceChanged } = awsRoutes;
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
  const instances = new LocalInstances(database, {
    now,
    onChange: (id, state) => {
      if (faults.losesNotification()) return;
      const detail = { "instance-id": id, state };
      queues[instanceChanged.to].insert(awsEvent(instanceChanged.source, instanceChanged.detailType, detail));
    },
  });
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
 * Returns the ports without faults or, of a running handler, with those that the plan has for it.
 * @param onWritten called in the transaction that makes an object visible
 */
export function portsOf(
  machine: Machine,
  caller?: Caller,
  onWritten?: (bucket: string, key: string) => void,
): Ports {
  const { database, folder, clock, bus, engine, instances, notifications } = machine;
  const queue = (options: QueueOptions) =>
    caller ? new FaultyQueue(database, options, caller) : new SqliteQueue(database, options);
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
      ? new FaultyStore(database, options, caller, machine.forge)
      : new LocalStore(database, options);
  };
  const notify: Notify = async (notification) => {
    notifications.push(notification);
  };
  /** Every method of a port as one kind of call. */
  const faulty = <T extends object>(port: T, call: PortCall): T =>
    caller ? intercepted(port, (_method, _args, act) => caller.perform(call, async () => act())) : port;
  return {
    work: store("work", false),
    data: store("data", true),
    results: store("results", true),
    queue: (name) => queue(queueOptions(name, clock)),
    deadLetters: (name) => {
      const { redrive: _, ...options } = queueOptions(name, clock);
      return queue({ ...options, name: deadLettersOf(name) });
    },
    emit: caller ? faultyPublish(bus, caller) : bus,
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
  readonly #forge: Forge;

  constructor(database: LocalDatabase, options: LocalStoreOptions, caller: Caller, forge: Forge) {
    super(database, options);
    this.#caller = caller;
    this.#forge = forge;
  }

  protected override write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined> {
    const forged = this.#forge(key, typeof body === "string" ? body : Buffer.from(body).toString());
    const act = async () =>
      forged === undefined ? "not written" : super.write(key, forged, contentType, condition);
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
    const forged = this.#forge(key, Buffer.concat(chunks).toString()) ?? "";
    const complete = () => super.upload(key, Readable.from([Buffer.from(forged)]), options);
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

function faultyPublish(bus: Emit, caller: Caller): Emit {
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
