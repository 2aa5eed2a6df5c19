// The local adapters for the tests of services: a database in memory, files in a folder of the test file's own.
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type * as z from "zod/mini";
import type { EventType } from "../../shared/events.ts";
import { LocalStore } from "../../shared/local/local-store.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import { SqliteQueue } from "../../shared/local/sqlite-queue.ts";
import type { Log } from "../../shared/logger.ts";
import { type BatchResult, processBatch, type Service } from "../../shared/message-loop.ts";
import { type FetchTask, fetchTask } from "../../shared/messages.ts";
import type { Emit, Message, MessageQueue } from "../../shared/ports.ts";
import { type QueueName, receiveLimit, services } from "../../shared/topology.ts";

/** More messages than any test sends. */
const maxReceives = 200;

export type TestLocal = {
  database: LocalDatabase;
  /** Returns a bucket of the test's own. */
  store(options?: { keepsVersions?: boolean; onWritten?: (key: string) => void }): LocalStore;
  /** Returns a queue of the test's own, with its dead letters; FIFO and redrive as the service's. */
  queuePair(name: QueueName): { name: QueueName; source: SqliteQueue; deadLetters: SqliteQueue };
  queue(name: QueueName): SqliteQueue;
  close(): Promise<void>;
};

/** Opens the adapters of a test file, which are closed after its tests. @param now for queues and stores */
export function useLocal(now?: () => number): TestLocal {
  const local = startLocal(now);
  afterAll(() => local.close());
  return local;
}

/** Opens adapters until they are closed. @param now for queues and stores */
export function startLocal(now?: () => number): TestLocal {
  const folder = mkdtempSync(join(tmpdir(), "libinsight-test-"));
  const database = new LocalDatabase(":memory:");
  let made = 0;
  const queuePair: TestLocal["queuePair"] = (name) => {
    made += 1;
    const { fifo } = services[name].queue;
    const own = `${name}-${made}`;
    const clock = now && { now };
    return {
      name,
      source: new SqliteQueue(database, {
        name: own,
        fifo,
        redrive: { to: `${own}-dead-letters`, receiveLimit },
        ...clock,
      }),
      deadLetters: new SqliteQueue(database, {
        name: `${own}-dead-letters`,
        fifo: fifo && "by-id",
        ...clock,
      }),
    };
  };
  return {
    database,
    store({ keepsVersions = false, onWritten } = {}) {
      made += 1;
      const bucket = `bucket-${made}`;
      return new LocalStore(database, {
        bucket,
        folder: join(folder, bucket),
        keepsVersions,
        ...(onWritten && { onWritten }),
        ...(now && { now: () => new Date(now()) }),
      });
    },
    queuePair,
    queue: (name) => queuePair(name).source,
    async close() {
      database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Receives and deletes every message that is in the queue now. */
export async function take(queue: MessageQueue): Promise<Message[]> {
  const taken: Message[] = [];
  for (let receives = 0; receives < maxReceives; receives++) {
    const messages = await queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds: 0 });
    if (messages.length === 0) return taken;
    for (const message of messages) await queue.delete(message.receipt);
    taken.push(...messages);
  }
  throw new Error(`The queue still had messages after ${maxReceives} receives.`);
}

/** Returns the bodies of `take`, parsed. */
export async function takeJson(queue: MessageQueue): Promise<unknown[]> {
  return (await take(queue)).map(({ body }) => JSON.parse(body));
}

/** Takes the fetcher's tasks. */
export async function takeTasks(queue: MessageQueue): Promise<FetchTask[]> {
  return (await takeJson(queue)).map((task) => fetchTask.parse(task));
}

/** Receives up to ten messages and leaves them in the queue. */
export function receive(queue: MessageQueue): Promise<Message[]> {
  return queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds: 0 });
}

/** Returns a log and the lines that are written to it. */
export function recordedLog(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const at = (level: string) => (message: string, fields?: object) => {
    lines.push({ level, message, ...fields });
  };
  return { log: { info: at("INFO"), warn: at("WARN"), error: at("ERROR") }, lines };
}

export const silent: Log = { info: () => {}, warn: () => {}, error: () => {} };

/** Runs a service on messages as a worker does. Failed messages come back at once. */
export async function runService<T extends z.ZodMiniType, Deps>(
  service: Service<T, Deps>,
  deps: Deps,
  { source, deadLetters }: { source: MessageQueue; deadLetters: MessageQueue },
  messages: readonly Message[],
): Promise<BatchResult> {
  const batch = { source, deadLetters, log: silent, retryBaseSeconds: 0 };
  const result = await processBatch(service, messages, deps, batch);
  for (const { id, receipt } of messages) if (!result.retried.includes(id)) await source.delete(receipt);
  return result;
}

export type PublishedEvent = { type: EventType; detail: unknown };

/** Returns a `publish` that keeps its events. */
export function capturedEvents(): { events: PublishedEvent[]; emit: Emit } {
  const events: PublishedEvent[] = [];
  return {
    events,
    emit: async (type, detail) => {
      events.push({ type, detail });
    },
  };
}
