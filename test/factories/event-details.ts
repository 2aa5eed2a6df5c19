// Messages with events of the bus.
import { randomUUID } from "node:crypto";
import { type EventDetail, type EventType, eventDetails, eventSource } from "../../shared/events.ts";

/** Returns the message of an event with a new id. */
export function eventMessage<T extends EventType>(
  type: T,
  detail: EventDetail<T>,
  time = "2026-01-05T12:00:00Z",
): string {
  const envelope = { id: randomUUID(), source: eventSource, time, "detail-type": type };
  return JSON.stringify({ ...envelope, detail: eventDetails[type].parse(detail) });
}
