// The ports: interfaces between the services and their environment. shared/aws/ implements each port with AWS,
// shared/local/ on this machine. Both pass the port's contract suite in test/contracts/.
import type * as z from "zod/mini";
import { PipelineError } from "./errors.ts";
import type { EventDetail, EventType } from "./events.ts";
import { parseJson } from "./json.ts";
import type { ParquetType } from "./parquet.ts";
import { withTrace } from "./trace.ts";

/** A received message. It stays in its queue, invisible for a time, until it is deleted. */
export type Message = {
  id: string;
  /** Identifies this delivery. Each delivery of a message has another receipt. */
  receipt: string;
  body: string;
  /** How often it was received, including this time. */
  receives: number;
  sentAt: Date;
  /** Missing if the queue does not know it. */
  firstReceivedAt?: Date;
  /** Only in a FIFO queue. */
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

/** Size of a body. SQS accepts 1 MiB per message and per batch; the rest is for attributes. */
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
   * Sends small messages to a queue that is not FIFO. Messages that fail are sent again, at most three times.
   * @throws PipelineError `MessagesNotSent` if some still fail
   */
  sendAll(bodies: readonly string[]): Promise<void>;
  /**
   * Receives messages and hides them from other receivers for `visibilitySeconds`; 0 hides none.
   * @param max 1 to 10
   * @param waitSeconds how long to wait for a message, 0 to 20
   */
  receive(options: { max: number; visibilitySeconds: number; waitSeconds: number }): Promise<Message[]>;
  delete(receipt: string): Promise<void>;
  /** Makes a received message visible again after `seconds`. */
  retryAfter(receipt: string, seconds: number): Promise<void>;
  /**
   * Makes received messages visible at once. A message that cannot be released reappears after its visibility timeout.
   */
  release(receipts: readonly string[]): Promise<void>;
  /** Returns the approximate number of messages, including received ones and without delayed ones. */
  count(): Promise<number>;
}

/**
 * Returns a value as a message body, with the trace of the running handler. Escapes U+FFFE and U+FFFF, which SQS rejects and JSON.stringify does not escape.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
 */
export function messageBody(value: unknown): string {
  const traced = typeof value === "object" && value !== null ? withTrace(value) : value;
  return JSON.stringify(traced).replace(/[\uFFFE\uFFFF]/g, (c) => (c === "\uFFFE" ? "\\ufffe" : "\\uffff"));
}

/** `at`: when the object was written, in whole seconds. */
export type ObjectInfo = {
  etag: string;
  bytes: number;
  contentType: string;
  metadata: Record<string, string>;
  at: Date;
};
export type ListedObject = { key: string; etag: string; bytes: number; at: Date };
export type Version = { versionId: string; at: Date; isLatest: boolean };
/** The write succeeds only if the object has this ETag, or does not exist. */
export type Condition = { ifMatch: string } | "absent";
export type UploadOptions = { contentType: string; metadata: Record<string, string>; condition: Condition };

/** A bucket. A read sees every write that ended before the read began. */
export abstract class ObjectStore {
  abstract readonly bucket: string;

  /**
   * Writes an object atomically.
   * @returns its ETag, or undefined if the condition is not met
   */
  protected abstract write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined>;
  /** Returns the object, or undefined if it does not exist. */
  abstract getBytes(key: string): Promise<Uint8Array | undefined>;
  /** Returns the object's first bytes as text. @throws Error if the object does not exist */
  abstract getStart(key: string, bytes: number): Promise<string>;
  /** Streams the object, or one of its versions. */
  abstract stream(key: string, versionId?: string): Promise<AsyncIterable<Uint8Array>>;
  /** Describes the object, or one of its versions. Returns undefined if it does not exist. */
  abstract head(key: string, versionId?: string): Promise<ObjectInfo | undefined>;
  /** Returns at most `max` versions of a key, newest first. If the object was deleted, none is the latest. */
  abstract listVersions(key: string, max: number): Promise<Version[]>;
  /**
   * Yields the objects below a prefix in the order of their keys. Reads ahead at most a thousand.
   * @throws PipelineError `TooManyObjects` beyond `limit`
   */
  abstract objects(prefix: string, limit: number): AsyncIterable<ListedObject>;
  /** Returns the folders directly below a prefix, each with its "/". @throws PipelineError `TooManyObjects` */
  abstract listFolders(prefix: string, limit: number): Promise<string[]>;
  /**
   * Writes a stream as one object, atomically after the stream has ended. If the stream fails, writes nothing and
   * throws its error. Memory: a few parts of 5 MiB.
   * @returns the object's ETag, or undefined if the condition is not met
   */
  abstract upload(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options: UploadOptions,
  ): Promise<string | undefined>;

  /** Writes an object. @returns its ETag */
  async put(key: string, body: string | Uint8Array, contentType: string): Promise<string> {
    const etag = await this.write(key, body, contentType);
    if (etag === undefined)
      throw new Error(`The object store refused to write ${key}, although the write has no condition.`);
    return etag;
  }

  /** Writes an object if it does not exist. @returns whether this call wrote it */
  async create(key: string, body: string | Uint8Array, contentType: string): Promise<boolean> {
    return (await this.write(key, body, contentType, "absent")) !== undefined;
  }

  /** Writes JSON if the object does not exist. @returns whether this call wrote it */
  putOnce(key: string, value: unknown): Promise<boolean> {
    return this.create(key, JSON.stringify(value), "application/json");
  }

  /** Replaces an object with JSON if it has this ETag. @returns whether this call replaced it */
  async replaceJson(key: string, value: unknown, etag: string): Promise<boolean> {
    const body = JSON.stringify(value);
    return (await this.write(key, body, "application/json", { ifMatch: etag })) !== undefined;
  }

  async getText(key: string): Promise<string | undefined> {
    const bytes = await this.getBytes(key);
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  }

  /** Returns the object's JSON, in which long numbers keep their digits, or undefined if it does not exist. */
  async getJson<T extends z.ZodMiniType>(key: string, schema: T): Promise<z.infer<T> | undefined> {
    const text = await this.getText(key);
    return text === undefined ? undefined : schema.parse(parseJson(text));
  }

  /** Returns the keys below a prefix, in order. @throws PipelineError `TooManyObjects` beyond `limit` */
  async list(prefix: string, limit: number): Promise<string[]> {
    return Array.fromAsync(this.objects(prefix, limit), ({ key }) => key);
  }
}

/** A version of an object, or the mark that S3 keeps of a deletion. */
export type StoredVersion = { key: string; versionId: string; isLatest: boolean };

/**
 * Deletes objects for good. Apart from ObjectStore, because only a person's command does this (`npm run privacy -- forget`):
 * no function may delete objects.
 */
export interface Eraser {
  /** Yields every version and deletion mark of the objects below a prefix, also of deleted ones. */
  versions(prefix: string): AsyncIterable<StoredVersion>;
  /** Deletes these versions. One that does not exist any more is no error. @throws Error if some stay */
  erase(versions: readonly StoredVersion[]): Promise<void>;
}

/** Returns the error for a listing beyond its limit, which is never cut. */
export function tooManyObjects(prefix: string, limit: number): PipelineError {
  return new PipelineError("TooManyObjects", {
    message: `There are more than ${limit} objects below ${prefix}.`,
    advice: "Request a shorter date range, or raise the limit in the code.",
    ids: { prefix },
  });
}

/**
 * Emits an event on the pipeline's bus. Consumers may receive it more than once.
 * @throws PipelineError `EventNotPublished` if the bus rejects it
 */
export type Emit = <T extends EventType>(type: T, detail: EventDetail<T>) => Promise<void>;

export type TableLocation = {
  /** Folder in the data bucket, with its "/". If another tool created the table, it may be any URL. */
  folder: string;
  /** A text that the table keeps until its next change. */
  mark?: string | undefined;
};
/** A comment is one line of at most 255 bytes. */
export type TableColumn = { name: string; comment: string };
/** A table over the files in a folder. A table without columns cannot be queried. */
export type TableDefinition = TableLocation &
  (
    | {
        /** Each file has one header line. A column is the field at its position, as text. */
        format: "csv";
        columns: TableColumn[];
      }
    | {
        /** A column is found by its name. In a file without it, it is null. */
        format: "parquet";
        columns: (TableColumn & { type: ParquetType })[];
      }
  );
/** Each change of a table changes its version. */
export type FoundTable = TableLocation & { version: string };
/** A view. Its SELECT is Trino SQL, with the database in each name. */
export type ViewDefinition = { select: string; comments: ReadonlyMap<string, string> };

export type Query = {
  id: string;
  state: "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "UNKNOWN";
  /** The engine's code for the failure. The engine's own message may quote a record. */
  reason: string;
  /** Whether the engine says that a retry can succeed. */
  retryable: boolean;
  /** Key of the result in the results bucket, or undefined if the engine wrote it elsewhere. */
  output: string | undefined;
};
/** Values in the format of Athena's results. */
export type Rows = { columns: string[]; rows: (string | null)[][] };

/** The tables over the published files. Each change is atomic: a reader sees the old table or the new one. */
export interface TableCatalog {
  /** Returns a table, even if another tool created it, or undefined if it does not exist. */
  table(name: string): Promise<FoundTable | undefined>;
  /**
   * Creates a table, or changes its columns and location.
   * @param ifVersion the version that the table must have, or undefined if it must not exist
   * @throws PipelineError `TableChanged` if the condition is not met
   */
  defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void>;
  /** Changes only the location of a table. @throws PipelineError `TableChanged` */
  moveTable(name: string, location: TableLocation, ifVersion: string): Promise<void>;
}

/** Returns the error for a condition that a table does not meet. @param table its name */
export function tableChanged(table: string): PipelineError {
  return new PipelineError("TableChanged", {
    message: "The table was changed by another call at the same time.",
    advice:
      "Retried automatically. If this persists, check for other tools that change this table in the catalog.",
    kind: "transient",
    ids: { table },
  });
}

/** Tables, views and SELECTs over the published files, in Trino SQL. Results are CSV files in the results bucket. */
export interface QueryEngine extends TableCatalog {
  /** The database of all tables and views. */
  readonly database: string;
  /** Creates or replaces a view. @throws PipelineError `StatementFailed`, `StatementTooSlow` */
  defineView(name: string, view: ViewDefinition): Promise<void>;
  /**
   * Starts a query and does not wait for it. When it ends, the athena queue gets a message, at best effort.
   * @param folder of the result, in the results bucket, without "/"
   * @param token 32 to 128 characters; repeated calls with the same token and query start one query
   * @returns the query's id
   */
  start(sql: string, folder: string, token: string): Promise<string>;
  get(id: string): Promise<Query>;
  /**
   * Runs a small query and returns at most its first 999 rows.
   * @throws PipelineError `StatementFailed`, `StatementTooSlow`
   */
  firstRows(sql: string, folder: string, max: number): Promise<Rows>;
}

/** An email or another message to people. */
export type Notification = {
  /** One line of ASCII, below 100 characters. https://docs.aws.amazon.com/sns/latest/api/API_Publish.html */
  subject: string;
  body: string;
};
/** Sends a message to all subscribers. Some may receive it twice. */
export type Notify = (notification: Notification) => Promise<void>;

export type Instance = {
  id: string;
  /** `pending`, `running`, `stopping`, `stopped`, `shutting-down` or `terminated`. */
  state: string;
  /** EC2's code for the reason of this state, if it has one. */
  stateReason: string | undefined;
  /** The time of the last start. */
  launchedAt: Date | undefined;
  tags: ReadonlyMap<string, string>;
};
/** EC2's code for a request that it would refuse again, such as `UnauthorizedOperation`. */
export type Refused = { refused: string };

/** EC2 instances. Methods throw errors that a retry may resolve, such as throttling. */
export interface Instances {
  /** Returns the instances with the tag that are not terminated. @throws PipelineError `TooManyInstances` */
  findTagged(tag: { key: string; value: string }): Promise<Instance[] | Refused>;
  /**
   * Requests a start. Succeeds if the instance is already running.
   * @returns undefined if EC2 accepted the request, although the instance may not be running yet
   */
  start(id: string): Promise<Refused | undefined>;
  /** Requests a stop. Returns as `start`. */
  stop(id: string): Promise<Refused | undefined>;
}

/** Returns the time in milliseconds since 1970, and waits. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
}
