// Local adapters for tests: a database in memory, and files in a temporary folder of the test file.
import { mkdtempSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, onTestFinished } from "vitest";
import type * as z from "zod/mini";
import type { EventType } from "../../shared/events.ts";
import { LocalStore } from "../../shared/local/local-store.ts";
import { type Local, openLocal } from "../../shared/local/open-local.ts";
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
  /** Returns a new bucket. */
  store(options?: { keepsVersions?: boolean; onWritten?: (key: string) => void }): LocalStore;
  /** Returns a new queue with its dead-letter queue, with the service's settings of FIFO and redrive. */
  queuePair(name: QueueName): { name: QueueName; source: SqliteQueue; deadLetters: SqliteQueue };
  queue(name: QueueName): SqliteQueue;
  close(): Promise<void>;
};

/** Opens adapters and closes them after the tests of the file. @param now for queues and stores */
export function useLocal(now?: () => number): TestLocal {
  const local = startLocal(now);
  afterAll(() => local.close());
  return local;
}

/** Opens all that services get on this machine until the test has finished, with a database in memory. */
export async function openLocalInMemory(): Promise<Local & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "libinsight-test-"));
  const local = await openLocal(folder, { inMemory: true });
  onTestFinished(async () => {
    await local.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { ...local, folder };
}

/** Opens adapters. @param now for queues and stores */
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

/** Receives and deletes every visible message. */
export async function take(queue: MessageQueue): Promise<Message[]> {
  const taken: Message[] = [];
  for (let receives = 0; receives < maxReceives; receives++) {
    const messages = await receive(queue);
    if (messages.length === 0) return taken;
    for (const message of messages) await queue.delete(message.receipt);
    taken.push(...messages);
  }
  throw new Error(`The queue still had messages after ${maxReceives} receives.`);
}

/** Returns a message's parsed body without its trace, whose times differ each time that a message is sent. */
export function withoutTrace({ body }: Pick<Message, "body">): unknown {
  return JSON.parse(body, (key, value) => (["traceparent", "sender"].includes(key) ? undefined : value));
}

/** Takes the messages and returns their parsed bodies, without their trace. */
export async function takeJson(queue: MessageQueue): Promise<unknown[]> {
  return (await take(queue)).map(withoutTrace);
}

/** Takes the fetch tasks. */
export async function takeTasks(queue: MessageQueue): Promise<FetchTask[]> {
  return (await takeJson(queue)).map((task) => fetchTask.parse(task));
}

/** Receives up to ten messages without waiting, unless the options differ. */
export function receive(
  queue: MessageQueue,
  options: Partial<Parameters<MessageQueue["receive"]>[0]> = {},
): Promise<Message[]> {
  return queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds: 0, ...options });
}

/** Returns a log and its lines. */
export function recordedLog(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const at = (level: string) => (message: string, fields?: object) => {
    lines.push({ level, message, ...fields });
  };
  return { log: { info: at("INFO"), warn: at("WARN"), error: at("ERROR") }, lines };
}

export const silent: Log = { info: () => {}, warn: () => {}, error: () => {} };

/** Runs a service on messages like a worker. Failed messages can be retried at once. */
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

export type EmittedEvent = { type: EventType; detail: unknown };

/** Returns an `emit` that records its events. */
export function capturedEvents(): { events: EmittedEvent[]; emit: Emit } {
  const events: EmittedEvent[] = [];
  return {
    events,
    emit: async (type, detail) => {
      events.push({ type, detail });
    },
  };
}
