// The pipeline's bus as a test uses it: it says something there, and hears whatever is said.
import { PutEventsCommand, PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
} from "@aws-sdk/client-sqs";
import { z } from "zod";
import { type EventDetail, type EventType, eventDetails, eventSource } from "../../shared/events.ts";
import type { Clients } from "./clients.ts";
import type { Emulator } from "./emulator.ts";

/** Long polling: as long as it makes sense to wait in one call. */
const waitSeconds = 2;
const defaultMs = 60_000;

const busEvent = z.object({
  id: z.string(),
  time: z.iso.datetime(),
  "detail-type": z.string(),
  detail: z.record(z.string(), z.unknown()),
});
export type Heard = { type: string; time: string; detail: Record<string, unknown> };

export type Bus = {
  /** Puts an event on the bus, as an operator, a schedule or a service does. */
  say<T extends EventType>(type: T, detail: EventDetail<T>): Promise<void>;
  /** Everything that was said since the stage was created. */
  heard: readonly Heard[];
  /** Waits until `enough` of what was said. @throws Error with what was heard instead */
  until(what: string, enough: (heard: readonly Heard[]) => boolean, ms?: number): Promise<void>;
  /** Waits for the first event of a type with these in its detail. @returns its detail */
  next(type: EventType, about: Record<string, unknown>, ms?: number): Promise<Record<string, unknown>>;
};

/** With a rule and a queue of the test's own beside the stage's. */
export async function observe(busName: string, emulator: Emulator, { events, sqs }: Clients): Promise<Bus> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "observer" }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
  );
  const rule = { Rule: "observer", EventBusName: busName };
  await events.send(
    new PutRuleCommand({
      Name: rule.Rule,
      EventBusName: busName,
      EventPattern: JSON.stringify({ source: [eventSource] }),
    }),
  );
  await events.send(
    new PutTargetsCommand({ ...rule, Targets: [{ Id: "queue", Arn: Attributes?.QueueArn }] }),
  );
  const heard: Heard[] = [];

  async function hear(): Promise<void> {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: waitSeconds }),
    );
    if (Messages.length === 0) return;
    for (const { Body = "" } of Messages) {
      const { "detail-type": type, time, detail } = busEvent.parse(JSON.parse(Body));
      heard.push({ type, time, detail });
    }
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
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
    heard,
    until,
    async say(type, detail) {
      const entry = {
        EventBusName: busName,
        Source: eventSource,
        DetailType: type,
        Detail: JSON.stringify(detail),
      };
      const { FailedEntryCount, Entries } = await events.send(new PutEventsCommand({ Entries: [entry] }));
      if (FailedEntryCount) throw new Error(`EventBridge refused ${type}: ${Entries?.[0]?.ErrorMessage}`);
    },
    async next(type, about, ms) {
      const isIt = (event: Heard): boolean =>
        event.type === type && Object.entries(about).every(([name, value]) => event.detail[name] === value);
      await until(`${type} ${JSON.stringify(about)}`, (all) => all.some(isIt), ms);
      return eventDetails[type].parse(heard.find(isIt)?.detail);
    },
  };
}
