// Events as the bus delivers them to a queue.
import { randomUUID } from "node:crypto";
import { type EventDetail, type EventType, eventDetails, eventSource } from "../../shared/events.ts";

/** Returns the message of an event, each with an id of its own. */
export function eventMessage<T extends EventType>(
  type: T,
  detail: EventDetail<T>,
  time = "2026-01-05T12:00:00Z",
): string {
  const envelope = { id: randomUUID(), source: eventSource, time, "detail-type": type };
  return JSON.stringify({ ...envelope, detail: eventDetails[type].parse(detail) });
}
