// The contract of the event bus, for the adapters on AWS and on this machine.
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { type EventDetail, type EventType, eventSource } from "../../shared/events.ts";
import type { Emit, Message, MessageQueue } from "../../shared/ports.ts";
import { type QueueName, queueNames, routes } from "../../shared/topology.ts";
import { take } from "../support/local-adapters.ts";

export type EventBus = {
  emit: Emit;
  /** Receives and deletes the messages that have arrived since the last call. */
  takeArrived(): Promise<Arrived>;
};
/** Queues without messages are missing. */
type Arrived = Partial<Record<QueueName, Message[]>>;

/** Receives and deletes the messages of every queue. */
export async function arrivedIn(queues: Readonly<Record<QueueName, MessageQueue>>): Promise<Arrived> {
  const all = await Promise.all(queueNames.map(async (name) => [name, await take(queues[name])] as const));
  return Object.fromEntries(all.filter(([, messages]) => messages.length > 0));
}

const run = { runId: "gate-counts-0123456789ab", dataset: "gate-counts" };
const reason = "Où? \u{1F4DA}\n\uFFFE";
const file = { bucket: "data", key: "gates/csv/gates.csv" };
const query = { queryExecutionId: "query-1" };
const instanceId = "i-0123456789abcdef0";

/** An example of each event's detail. */
export const eventExamples: { [T in EventType]: EventDetail<T> } = {
  "run.requested": { dataset: "gate-counts", reason },
  "run.started": { ...run, from: "2024-01-01", to: "2024-01-31", windows: 1 },
  "run.transformed": { ...run, attempt: 1 },
  "run.published": { ...run, ...file, rows: 3 },
  "deidentification.requested": { dataset: "gate-counts", reason },
  "deidentified.published": { ...run, dataset: "gate-counts-deidentified", ...file, rows: 3 },
  "run.held": { ...run, reason },
  "run.failed": { ...run, reason },
  "run.superseded": { ...run, reason },
  "deadletter.replay.requested": { reason },
  "results.published": { ...run, ...query, ...file, rows: 3 },
  "file.refused": { ...run, ...file, reason },
  "query.failed": { ...run, ...query, reason },
  "tableau.refreshed": { ...run, refreshed: [{ kind: "workbook", name: "Weekly" }] },
  "tableau.failed": { ...run, reason },
  "freshness.check.requested": { dataset: "gate-counts" },
  "instances.check.requested": {},
  "instance.start.requested": { reason },
  "instance.stop.requested": { instanceId, reason },
  "instance.started": { instanceId, reason },
  "instance.stopped": { instanceId, reason },
  "instance.failed": { reason },
};
const eventTypes = Object.keys(eventExamples).filter((type): type is EventType => type in eventExamples);

/** EventBridge adds more fields, such as the account and the region. */
const envelope = z.looseObject({
  id: z.string().min(1),
  source: z.literal(eventSource),
  time: z.iso.datetime(),
  "detail-type": z.string(),
  detail: z.unknown(),
});

export function eventBusContract(adapter: string, bus: () => EventBus): void {
  describe(`the event bus on ${adapter}`, () => {
    test.each(eventTypes)("delivers %s once to each queue of its routes", async (type) => {
      const { emit, takeArrived } = bus();
      const before = Math.floor(Date.now() / 1_000) * 1_000;
      await emit(type, eventExamples[type]);
      const arrived = await takeArrived();
      const expected = routes.filter(({ events }) => events.includes(type));
      expect(Object.keys(arrived).toSorted()).toEqual(expected.map(({ to }) => to).toSorted());
      for (const { to, group } of expected) {
        const [message, ...others] = arrived[to] ?? [];
        expect(others).toEqual([]);
        expect(message?.group).toBe(group);
        const event = envelope.parse(JSON.parse(message?.body ?? ""));
        expect([event["detail-type"], event.detail]).toEqual([type, eventExamples[type]]);
        expect(Date.parse(event.time)).toBeGreaterThanOrEqual(before);
      }
    });

    test.each([
      ["a negative count", { ...eventExamples["run.published"], rows: -1 }],
      ["an undeclared field", Object.assign({}, eventExamples["run.published"], { comment: "text" })],
    ])("refuses an event with %s", async (_what, detail) => {
      const { emit, takeArrived } = bus();
      await expect(emit("run.published", detail)).rejects.toThrow(z.core.$ZodError);
      expect(await takeArrived()).toEqual({});
    });
  });
}
