// Publishing on the pipeline's EventBridge bus.
import { type EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { PipelineError } from "../errors.ts";
import { type EventDetail, type EventType, eventDetails, eventSource } from "../events.ts";

const attempts = 3;

/** Publishes one event. Consumers may see it more than once. */
export type Publish = <T extends EventType>(type: T, detail: EventDetail<T>) => Promise<void>;

/** @returns a function that throws PipelineError `EventNotPublished` when the bus does not take the event */
export function busPublisher(client: EventBridgeClient, busName: string): Publish {
  return async (type, detail) => {
    const entry = {
      EventBusName: busName,
      Source: eventSource,
      DetailType: type,
      Detail: JSON.stringify(eventDetails[type].parse(detail)),
    };
    for (let attempt = 1; ; attempt++) {
      // PutEvents answers 200 even when it refuses an entry.
      const { FailedEntryCount = 0, Entries } = await client.send(new PutEventsCommand({ Entries: [entry] }));
      if (FailedEntryCount === 0) return;
      if (attempt === attempts) {
        throw new PipelineError("EventNotPublished", {
          message: `The bus did not take the event ${type}.`,
          advice: "The step is tried again by itself; if it keeps failing, look at the bus and its quotas.",
          kind: "transient",
          ids: { event: type, code: Entries?.[0]?.ErrorCode ?? "unknown" },
        });
      }
    }
  };
}
