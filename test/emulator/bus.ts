// The stage's bus for tests, which emit events and receive all events.
import { PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import { z } from "zod";
import { eventBridgeEmitter } from "../../shared/aws/eventbridge.ts";
import { type EventType, eventDetails, eventSource } from "../../shared/events.ts";
import type { Emit } from "../../shared/ports.ts";
import type { Emulator } from "./emulator.ts";
import type { Clients } from "./emulator-clients.ts";
import { createQueue } from "./handles.ts";

/** The wait of one long polling call. */
const waitSeconds = 2;
const defaultMs = 60_000;

const busEvent = z.object({
  "detail-type": z.string(),
  detail: z.record(z.string(), z.unknown()),
});
type ReceivedEvent = { type: string; detail: Record<string, unknown> };

export type Bus = {
  emit: Emit;
  /** Waits until the received events satisfy `enough`. @throws Error with the received events after `ms` */
  until(
    description: string,
    enough: (received: readonly ReceivedEvent[]) => boolean,
    ms?: number,
  ): Promise<void>;
  /** Waits for the first event of a type whose detail contains these properties. @returns its detail */
  next(type: EventType, about: Record<string, unknown>, ms?: number): Promise<Record<string, unknown>>;
};

/** Adds a rule and a queue that receives every event of the pipeline. */
export async function observe(busName: string, emulator: Emulator, { events, sqs }: Clients): Promise<Bus> {
  const { queue, arn } = await createQueue(sqs, { QueueName: "observer" });
  const rule = { Rule: "observer", EventBusName: busName };
  await events.send(
    new PutRuleCommand({
      Name: rule.Rule,
      EventBusName: busName,
      EventPattern: JSON.stringify({ source: [eventSource] }),
    }),
  );
  await events.send(new PutTargetsCommand({ ...rule, Targets: [{ Id: "queue", Arn: arn }] }));
  const received: ReceivedEvent[] = [];

  async function receive(): Promise<void> {
    const messages = await queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds });
    for (const { body, receipt } of messages) {
      const { "detail-type": type, detail } = busEvent.parse(JSON.parse(body));
      received.push({ type, detail });
      await queue.delete(receipt);
    }
  }

  async function until(
    description: string,
    enough: (received: readonly ReceivedEvent[]) => boolean,
    ms = defaultMs,
  ): Promise<void> {
    const ends = Date.now() + ms;
    while (!enough(received)) {
      if (Date.now() > ends) {
        const list = received.map(({ type, detail }) => `${type} ${JSON.stringify(detail)}`).join("\n");
        throw new Error(
          `Not within ${ms} ms: ${description}. ReceivedEvent:\n${list}\n${await emulator.log()}`,
        );
      }
      await receive();
    }
  }

  return {
    emit: eventBridgeEmitter(events, busName),
    until,
    async next(type, about, ms) {
      const matches = (event: ReceivedEvent): boolean =>
        event.type === type && Object.entries(about).every(([name, value]) => event.detail[name] === value);
      await until(`${type} ${JSON.stringify(about)}`, (all) => all.some(matches), ms);
      return eventDetails[type].parse(received.find(matches)?.detail);
    },
  };
}
