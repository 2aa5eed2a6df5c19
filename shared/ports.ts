// What services need from their surroundings, in the domain's words. shared/aws/ implements each port with AWS,
// shared/local/ on this machine; test/contracts/ holds one suite a port that both must pass.
import type * as z from "zod/mini";
import { PipelineError } from "./errors.ts";
import type { EventDetail, EventType } from "./events.ts";
import { parseJson } from "./json.ts";

/** A received message. It stays in its queue, invisible for a while, until it is deleted. */
export type Message = {
  id: string;
  /** Names this delivery; a later one has another. */
  receipt: string;
  body: string;
  /** How often it was received, this time included. */
  receives: number;
  sentAt: Date;
  /** Of a FIFO queue. */
  group?: string;
  attributes: Attributes;
};
export type Attributes = Readonly<Record<string, string | Uint8Array>>;

export type SendOptions = {
  /** Required by FIFO queues, which deliver the messages of a group in order. */
  group?: string;
  /** FIFO queues drop a second message with the same id for five minutes. */
  deduplicationId?: string;
  /** Not on FIFO queues; at most `maxDelaySeconds`. */
  delaySeconds?: number;
  /** At most ten. */
  attributes?: Attributes;
};

/** Bytes of a body. SQS takes 1 MiB a message and a batch; the rest is room for attributes. */
export const maxMessageBytes = 1_000_000;
/** SQS's longest delay: 15 minutes. */
export const maxDelaySeconds = 900;

/** Returns the delay of the n-th retry or check, n from 0: `first` doubled n times, up to SQS's longest delay. */
export function growingDelay(first: number, n: number, atLeast = 0): number {
  return Math.min(Math.max(first * 2 ** n, atLeast), maxDelaySeconds);
}

/** A queue delivers each message at least once, to one receiver at a time, in any order unless it is FIFO. */
export interface MessageQueue {
  readonly isFifo: boolean;
  send(body: string, options?: SendOptions): Promise<void>;
  /**
   * Sends small messages to a queue that is not FIFO. Messages that the queue refuses are sent again, three times at most.
   * @throws PipelineError `MessagesNotSent` when some still fail
   */
  sendAll(bodies: readonly string[]): Promise<void>;
  /**
   * Receives messages and hides them from other receivers.
   * @param max 1 to 10
   * @param waitSeconds 0 to 20, until the first message arrives
   */
  receive(options: { max: number; visibilitySeconds: number; waitSeconds: number }): Promise<Message[]>;
  delete(receipt: string): Promise<void>;
  /** Makes a received message visible again after `seconds`. */
  retryAfter(receipt: string, seconds: number): Promise<void>;
  /** Makes received messages visible at once. One that cannot be released reappears when its visibility timeout ends. */
  release(receipts: readonly string[]): Promise<void>;
  /** About how many messages it holds, delayed ones excluded and received ones included. */
  count(): Promise<number>;
}

/**
 * Returns a value as a message body. SQS refuses U+FFFE and U+FFFF, which JSON leaves as they are (it escapes the other
 * characters that SQS refuses).
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
 */
export function messageBody(value: unknown): string {
  return JSON.stringify(value).replace(/[\uFFFE\uFFFF]/g, (c) => (c === "\uFFFE" ? "\\ufffe" : "\\uffff"));
}

/** `at`: when the object was written, to the second. */
export type ObjectInfo = {
  etag: string;
  bytes: number;
  contentType: string;
  metadata: Record<string, string>;
  at: Date;
};
export type ListedObject = { key: string; etag: string; bytes: number; at: Date };
export type Version = { versionId: string; at: Date; isLatest: boolean };
/** A write that must find the object with this ETag, or no object. */
export type Condition = { ifMatch: string } | "absent";
export type UploadOptions = { contentType: string; metadata: Record<string, string>; condition: Condition };

/** A bucket: whole objects under keys. A read sees every write that ended before it began. */
export abstract class ObjectStore {
  abstract readonly bucket: string;

  /**
   * Writes an object in one atomic step.
   * @returns its ETag; undefined where the condition does not hold
   */
  protected abstract write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined>;
  /** Returns the object, or undefined where there is none. */
  abstract getBytes(key: string): Promise<Uint8Array | undefined>;
  /** Returns the object's first bytes as text. @throws Error where there is no object */
  abstract getStart(key: string, bytes: number): Promise<string>;
  /** Returns the object's bytes as they arrive; those of an earlier version where one is named. */
  abstract stream(key: string, versionId?: string): Promise<AsyncIterable<Uint8Array>>;
  /** Returns what is known of the object, or of an earlier version; undefined where it does not exist. */
  abstract head(key: string, versionId?: string): Promise<ObjectInfo | undefined>;
  /** Returns at most `max` versions of a key, the newest first. Where the object was deleted none is the latest. */
  abstract listVersions(key: string, max: number): Promise<Version[]>;
  /**
   * Yields the objects below a prefix in the order of their keys, and reads ahead no more than a thousand.
   * @throws PipelineError `TooManyObjects` beyond `limit`
   */
  abstract objects(prefix: string, limit: number): AsyncIterable<ListedObject>;
  /** Returns the folders right below a prefix, each with its "/". @throws PipelineError `TooManyObjects` */
  abstract listFolders(prefix: string, limit: number): Promise<string[]>;
  /**
   * Writes a stream as one object, in one atomic step when the stream has ended. Memory: some parts of 5 MiB. Where the
   * stream fails nothing is written, and its error is thrown.
   * @returns the new object's ETag; undefined where the condition does not hold
   */
  abstract upload(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options: UploadOptions,
  ): Promise<string | undefined>;

  /** @returns the object's ETag */
  async put(key: string, body: string | Uint8Array, contentType: string): Promise<string> {
    const etag = await this.write(key, body, contentType);
    if (etag === undefined) throw new Error(`A write of ${key} without a condition was refused.`);
    return etag;
  }

  /** Writes an object unless the key is taken. @returns whether this call wrote it */
  async create(key: string, body: string | Uint8Array, contentType: string): Promise<boolean> {
    return (await this.write(key, body, contentType, "absent")) !== undefined;
  }

  /** Writes JSON unless the key is taken. @returns whether this call wrote it */
  putOnce(key: string, value: unknown): Promise<boolean> {
    return this.create(key, JSON.stringify(value), "application/json");
  }

  /** Writes JSON over an object that still has this ETag. @returns whether it had */
  async replaceJson(key: string, value: unknown, etag: string): Promise<boolean> {
    const body = JSON.stringify(value);
    return (await this.write(key, body, "application/json", { ifMatch: etag })) !== undefined;
  }

  async getText(key: string): Promise<string | undefined> {
    const bytes = await this.getBytes(key);
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  }

  /** Returns the object as parsed JSON, long numbers with their digits, or undefined where there is none. */
  async getJson<T extends z.ZodMiniType>(key: string, schema: T): Promise<z.infer<T> | undefined> {
    const text = await this.getText(key);
    return text === undefined ? undefined : schema.parse(parseJson(text));
  }

  /** Returns all keys below a prefix, in order. @throws PipelineError `TooManyObjects` beyond `limit` */
  async list(prefix: string, limit: number): Promise<string[]> {
    return Array.fromAsync(this.objects(prefix, limit), ({ key }) => key);
  }
}

/** Hitting a listing's limit is an error and never a shorter list. */
export function tooManyObjects(prefix: string, limit: number): PipelineError {
  return new PipelineError("TooManyObjects", {
    message: `There are more than ${limit} objects below ${prefix}.`,
    advice: "Narrow the dataset's range, or raise the limit where it is written down.",
    ids: { prefix },
  });
}

/**
 * Publishes one event on the pipeline's bus. Consumers may see it more than once.
 * @throws PipelineError `EventNotPublished` when the bus does not take it
 */
export type Emit = <T extends EventType>(type: T, detail: EventDetail<T>) => Promise<void>;

/** Where a table's files are, and a text that is kept with the table until its next change. */
export type TablePlace = {
  /** In the data bucket, with its "/"; of a table that others made it may be anything. */
  folder: string;
  mark?: string | undefined;
};
/** A table over the CSV files in a folder. Each file has one header line. */
export type TableDefinition = TablePlace & {
  /** All are text. A comment is one line, at most 255 bytes. A table without columns cannot be queried. */
  columns: { name: string; comment: string }[];
};
/** Each change gives a table another version. */
export type FoundTable = TablePlace & { version: string };
/** A view: its SELECT in Trino's SQL, over names with their database. */
export type ViewDefinition = { select: string; comments: ReadonlyMap<string, string> };

export type Query = {
  id: string;
  state: "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "UNKNOWN";
  /** Why it failed, as the engine's code; the engine's own sentence may quote a value of a record. */
  reason: string;
  /** Whether the engine expects that it may succeed when it is started again. */
  retryable: boolean;
  /** Key of the result in the results bucket; undefined where the engine wrote it elsewhere. */
  output: string | undefined;
};
/** Each value as Athena spells it. */
export type Rows = { columns: string[]; rows: (string | null)[][] };

/**
 * The tables over the published files. Each change is one step, without dropping the table: a reader sees the old table or
 * the new one.
 */
export interface TableCatalog {
  /** Returns a table, this pipeline's or a foreign one; undefined where there is none. */
  table(name: string): Promise<FoundTable | undefined>;
  /**
   * Creates a table, or changes its columns and its place.
   * @param ifVersion which version the table still has; undefined: it does not exist
   * @throws PipelineError `TableChanged` where that is not so
   */
  defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void>;
  /** Changes the place of a table and nothing else. @throws PipelineError `TableChanged` */
  moveTable(name: string, place: TablePlace, ifVersion: string): Promise<void>;
}

/** @param table its name */
export function tableChanged(table: string): PipelineError {
  return new PipelineError("TableChanged", {
    message: "The table was changed by another call at the same time.",
    advice: "Retried automatically. If this persists, check who else changes this table in the catalog.",
    kind: "transient",
    ids: { table },
  });
}

/** Tables, views and SELECTs over the published files, in Trino's SQL. Results go to the results bucket as CSV. */
export interface QueryEngine extends TableCatalog {
  /** The database of all names here. */
  readonly database: string;
  /** Creates or replaces a view. @throws PipelineError `StatementFailed`, `StatementTooSlow` */
  defineView(name: string, view: ViewDefinition): Promise<void>;
  /**
   * Starts a query and does not wait for it. Its end is announced by a message to the athena queue, at best effort.
   * @param folder of the result, in the results bucket, without "/"
   * @param token 32 to 128 characters; the same token and query start one query, however often
   * @returns the query's id
   */
  start(sql: string, folder: string, token: string): Promise<string>;
  get(id: string): Promise<Query>;
  /** Runs a small query to its end and returns its first rows, 999 at most. @throws PipelineError as `defineView` */
  firstRows(sql: string, folder: string, max: number): Promise<Rows>;
}

/** A message to people. */
export type Notification = {
  /** One line of ASCII, below 100 characters. https://docs.aws.amazon.com/sns/latest/api/API_Publish.html */
  subject: string;
  body: string;
};
/** Sends a message to everyone who subscribed; some may receive it twice. */
export type Notify = (notification: Notification) => Promise<void>;

export type Instance = {
  id: string;
  /** `pending`, `running`, `stopping`, `stopped`, `shutting-down` or `terminated`. */
  state: string;
  /** Why it is in this state, as EC2's code; EC2 does not always say. */
  stateReason: string | undefined;
  /** When it was last started. */
  launchedAt: Date | undefined;
  tags: ReadonlyMap<string, string>;
};
/** EC2 refused, and would refuse again at once: its error's code, such as `UnauthorizedOperation`. */
export type Refused = { refused: string };

/** EC2 instances. Anything that may pass (the network, throttling) is thrown. */
export interface Instances {
  find(id: string): Promise<Instance | Refused>;
  /** Returns those that have the tag and are not terminated. @throws PipelineError `TooManyInstances` */
  findTagged(tag: { key: string; value: string }): Promise<Instance[] | Refused>;
  /** Asks for a start. One that runs is a success too. @returns undefined where EC2 accepted, which is not yet that it runs */
  start(id: string): Promise<Refused | undefined>;
  /** Asks for a stop, as `start`. */
  stop(id: string): Promise<Refused | undefined>;
}

/** The time in milliseconds since 1970, and waiting. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
}
