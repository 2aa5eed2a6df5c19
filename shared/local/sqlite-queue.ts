// The message queue in SQLite, with the features of SQS that the pipeline uses: visibility timeout, delay, receive
// count, redrive to the dead-letter queue at the receive limit, FIFO groups, and deduplication for five minutes.
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { deserialize, serialize } from "node:v8";
import * as z from "zod/mini";
import { type Message, type MessageQueue, maxMessageBytes, type SendOptions } from "../ports.ts";
import type { LocalDatabase } from "./sqlite.ts";

const deduplicationMs = 5 * 60_000;
/** The limit of SQS. */
const maxWaitMs = 20_000;
/** 1 MiB, the limit of SQS with attributes. */
const maxBytes = maxMessageBytes + 48_576;

export type QueueOptions = {
  name: string;
  fifo?: "by-id" | "by-content" | undefined;
  /** The dead-letter queue, and the receives after which a message moves there. */
  redrive?: { to: string; receiveLimit: number };
  now?: () => number;
};

const row = z.object({
  id: z.number(),
  receives: z.number(),
  receipt: z.string(),
  grp: z.nullable(z.string()),
  attributes: z.nullable(z.instanceof(Uint8Array)),
  sent: z.number(),
  received: z.number(),
});
const attributesSchema = z.record(z.string(), z.union([z.string(), z.instanceof(Uint8Array)]));

export class SqliteQueue implements MessageQueue {
  readonly #database: LocalDatabase;
  readonly #options: QueueOptions;
  readonly #now: () => number;
  readonly #arrivals = new EventEmitter();

  constructor(database: LocalDatabase, options: QueueOptions) {
    this.#database = database;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    // Every waiting receiver is a listener.
    this.#arrivals.setMaxListeners(0);
  }

  get isFifo(): boolean {
    return this.#options.fifo !== undefined;
  }

  async send(body: string, options: SendOptions = {}): Promise<void> {
    await this.#database.write(() => this.insert(body, options));
  }

  async sendAll(bodies: readonly string[]): Promise<void> {
    await this.#database.write(() => {
      for (const body of bodies) this.insert(body);
    });
  }

  /** Sends a message in the caller's transaction. */
  insert(body: string, options: SendOptions = {}): void {
    const { name, fifo } = this.#options;
    if (Buffer.byteLength(body) > maxBytes) throw new Error(`A message of ${name} is larger than 1 MiB.`);
    if ((fifo !== undefined) !== (options.group !== undefined))
      throw new Error(`A message of ${name} ${fifo ? "needs a group" : "cannot have a group"}.`);
    const now = this.#now();
    if (fifo !== undefined) {
      const id = options.deduplicationId ?? (fifo === "by-content" ? body : undefined);
      if (id === undefined) throw new Error(`A message of ${name} needs a deduplication id.`);
      if (this.#isRepeated(id, now)) return;
    }
    const { lastInsertRowid } = this.#database
      .prepare("INSERT INTO message (queue, due, receives, grp, attributes, sent) VALUES (?, ?, 0, ?, ?, ?)")
      .run(
        name,
        now + (options.delaySeconds ?? 0) * 1_000,
        options.group ?? null,
        options.attributes ? serialize(options.attributes) : null,
        now,
      );
    this.#database.prepare("INSERT INTO body (id, text) VALUES (?, ?)").run(lastInsertRowid, body);
    // After the transaction.
    setImmediate(() => this.#arrivals.emit("message"));
  }

  #isRepeated(id: string, now: number): boolean {
    const { name } = this.#options;
    this.#database.prepare("DELETE FROM deduplication WHERE queue = ? AND until <= ?").run(name, now);
    const { changes } = this.#database
      .prepare("INSERT OR IGNORE INTO deduplication (queue, id, until) VALUES (?, ?, ?)")
      .run(name, id, now + deduplicationMs);
    return changes === 0;
  }

  /** Receives messages. @param signal ends the wait */
  async receive(options: {
    max: number;
    visibilitySeconds: number;
    waitSeconds: number;
    signal?: AbortSignal;
  }): Promise<Message[]> {
    const ends = this.#now() + options.waitSeconds * 1_000;
    for (;;) {
      // Checks for messages first, so that an idle queue writes nothing.
      if (this.#nextDue() <= this.#now()) {
        const messages = await this.#database.write(() => this.#take(options.max, options.visibilitySeconds));
        if (messages.length > 0) return messages;
      }
      const now = this.#now();
      if (now >= ends || options.signal?.aborted) return [];
      // Messages of a blocked FIFO group are due, but available only after a deletion.
      const due = this.#nextDue();
      await this.#arrival(Math.min(ends, due <= now ? now + 50 : due) - now, options.signal);
    }
  }

  #nextDue(): number {
    const found = this.#database
      .prepare("SELECT min(due) AS due FROM message WHERE queue = ?")
      .get(this.#options.name);
    return typeof found?.due === "number" ? found.due : Number.POSITIVE_INFINITY;
  }

  /** Resolves after `ms`, when a message arrives, or when the signal aborts. */
  #arrival(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#arrivals.off("message", done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, maxWaitMs));
      this.#arrivals.once("message", done);
      signal?.addEventListener("abort", done);
    });
  }

  #take(max: number, visibilitySeconds: number): Message[] {
    const { name, redrive } = this.#options;
    const now = this.#now();
    if (redrive) {
      this.#database
        .prepare(
          "UPDATE message SET queue = ?, receives = 0, receipt = NULL, received = NULL, due = ? WHERE queue = ? AND due <= ? AND receives >= ?",
        )
        .run(redrive.to, now, name, now, redrive.receiveLimit);
    }
    const taken = this.#database
      .prepare(
        `UPDATE message SET receives = receives + 1, received = coalesce(received, ?), due = ?, receipt = id || '.' || ? WHERE id IN (
           SELECT id FROM message AS m WHERE queue = ? AND due <= ? AND (grp IS NULL OR NOT EXISTS (
             SELECT 1 FROM message AS older WHERE older.queue = m.queue AND older.grp = m.grp AND older.id < m.id))
           ORDER BY due, id LIMIT ?)
         RETURNING id, receives, receipt, grp, attributes, sent, received`,
      )
      .all(now, now + visibilitySeconds * 1_000, randomUUID(), name, now, max);
    return taken.map((each) => this.#messageOf(row.parse(each))).sort((a, b) => Number(a.id) - Number(b.id));
  }

  #messageOf({ id, receives, receipt, grp, attributes, sent, received }: z.infer<typeof row>): Message {
    const body = this.#database.prepare("SELECT text FROM body WHERE id = ?").get(id);
    return {
      id: String(id),
      receipt,
      body: String(body?.text ?? ""),
      receives,
      sentAt: new Date(sent),
      firstReceivedAt: new Date(received),
      ...(grp !== null && { group: grp }),
      attributes: attributes ? attributesSchema.parse(deserialize(attributes)) : {},
    };
  }

  async delete(receipt: string): Promise<void> {
    await this.#database.write(() => {
      const id = idOf(receipt);
      const { changes } = this.#database
        .prepare("DELETE FROM message WHERE id = ? AND receipt = ?")
        .run(id, receipt);
      if (changes === 1) this.#database.prepare("DELETE FROM body WHERE id = ?").run(id);
    });
    if (this.isFifo) this.#arrivals.emit("message");
  }

  async retryAfter(receipt: string, seconds: number): Promise<void> {
    await this.#database.write(() => this.#setDue(receipt, this.#now() + seconds * 1_000));
    this.#arrivals.emit("message");
  }

  async release(receipts: readonly string[]): Promise<void> {
    await this.#database.write(() => {
      for (const receipt of receipts) this.#setDue(receipt, this.#now());
    });
    this.#arrivals.emit("message");
  }

  #setDue(receipt: string, due: number): void {
    this.#database
      .prepare("UPDATE message SET due = ? WHERE id = ? AND receipt = ?")
      .run(due, idOf(receipt), receipt);
  }

  async count(): Promise<number> {
    const found = this.#database
      .prepare("SELECT count(*) AS n FROM message WHERE queue = ? AND (due <= ? OR receipt IS NOT NULL)")
      .get(this.#options.name, this.#now());
    return Number(found?.n ?? 0);
  }
}

function idOf(receipt: string): number {
  return Number.parseInt(receipt, 10);
}
