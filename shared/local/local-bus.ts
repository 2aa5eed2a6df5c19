// The event bus on this machine: sends an event to the queues of its routes in one transaction, then calls listeners.
import { randomUUID } from "node:crypto";
import { eventDetails, eventSource } from "../events.ts";
import type { Emit } from "../ports.ts";
import { type QueueName, routes } from "../topology.ts";
import { withTrace } from "../trace.ts";
import type { LocalDatabase } from "./sqlite.ts";
import type { SqliteQueue } from "./sqlite-queue.ts";

export type LocalBusOptions = {
  database: LocalDatabase;
  queues: Readonly<Record<QueueName, SqliteQueue>>;
  /** Called after an event is stored, with the event as EventBridge delivers it. */
  onEvent?: (event: unknown) => void;
  now?: () => Date;
};

export function localEmitter({ database, queues, onEvent, now }: LocalBusOptions): Emit {
  return async (type, detail) => {
    const event = {
      id: randomUUID(),
      source: eventSource,
      time: (now?.() ?? new Date()).toISOString(),
      "detail-type": type,
      detail: eventDetails[type].parse(withTrace(detail)),
    };
    const body = JSON.stringify(event);
    const targets = routes.filter(({ events }) => events.includes(type));
    await database.write(() => {
      for (const { to, group } of targets) queues[to].insert(body, group === undefined ? {} : { group });
    });
    onEvent?.(event);
  };
}

/** Returns an event of an AWS service as EventBridge delivers it. */
export function awsEvent(source: string, detailType: string, detail: object): string {
  return JSON.stringify({
    id: randomUUID(),
    source,
    time: new Date().toISOString(),
    "detail-type": detailType,
    detail,
  });
}

/** Returns the message that S3 sends when an object is written. */
export function objectCreatedMessage(bucket: string, key: string): string {
  const encoded = encodeURIComponent(key).replaceAll("%20", "+").replaceAll("%2F", "/");
  const record = {
    eventName: "ObjectCreated:Put",
    s3: { bucket: { name: bucket }, object: { key: encoded } },
  };
  return JSON.stringify({ Records: [record] });
}
