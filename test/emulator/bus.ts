// The pipeline's bus as a test uses it: it publishes there, and receives every event.
import { PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import { z } from "zod";
import { eventBridgeEmitter } from "../../shared/aws/eventbridge.ts";
import { type EventType, eventDetails, eventSource } from "../../shared/events.ts";
import type { Emit } from "../../shared/ports.ts";
import type { Emulator } from "./emulator.ts";
import type { Clients } from "./emulator-clients.ts";
import { createQueue } from "./handles.ts";

/** Long polling: as long as it makes sense to wait in one call. */
const waitSeconds = 2;
const defaultMs = 60_000;

const busEvent = z.object({
  "detail-type": z.string(),
  detail: z.record(z.string(), z.unknown()),
});
export type Heard = { type: string; detail: Record<string, unknown> };

export type Bus = {
  emit: Emit;
  /** Waits until `enough` of what was published. @throws Error with what was heard instead */
  until(what: string, enough: (heard: readonly Heard[]) => boolean, ms?: number): Promise<void>;
  /** Waits for the first event of a type with these in its detail. @returns its detail */
  next(type: EventType, about: Record<string, unknown>, ms?: number): Promise<Record<string, unknown>>;
};

/** Adds a rule and a queue to the stage's own. */
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
  const heard: Heard[] = [];

  async function hear(): Promise<void> {
    const messages = await queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds });
    for (const { body, receipt } of messages) {
      const { "detail-type": type, detail } = busEvent.parse(JSON.parse(body));
      heard.push({ type, detail });
      await queue.delete(receipt);
    }
  }

  async function until(
    what: string,
    enough: (heard: readonly Heard[]) => boolean,
    ms = defaultMs,
  ): Promise<void> {
    const ends = Date.now() + ms;
    while (!enough(heard)) {
      if (Date.now() > ends) {
        const said = heard.map(({ type, detail }) => `${type} ${JSON.stringify(detail)}`).join("\n");
        throw new Error(`Not within ${ms} ms: ${what}. Heard:\n${said}\n${await emulator.log()}`);
      }
      await hear();
    }
  }

  return {
    emit: eventBridgeEmitter(events, busName),
    until,
    async next(type, about, ms) {
      const isIt = (event: Heard): boolean =>
        event.type === type && Object.entries(about).every(([name, value]) => event.detail[name] === value);
      await until(`${type} ${JSON.stringify(about)}`, (all) => all.some(isIt), ms);
      return eventDetails[type].parse(heard.find(isIt)?.detail);
    },
  };
}
