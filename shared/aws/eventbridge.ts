// Emits events on EventBridge.
import { type EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { backoffMs, realSleep, type Sleep } from "../clock.ts";
import { PipelineError } from "../errors.ts";
import { eventDetails, eventSource } from "../events.ts";
import type { Emit } from "../ports.ts";
import { withTrace } from "../trace.ts";

const attempts = 3;

export function eventBridgeEmitter(
  client: EventBridgeClient,
  busName: string,
  sleep: Sleep = realSleep,
): Emit {
  return async (type, detail) => {
    const entry = {
      EventBusName: busName,
      Source: eventSource,
      DetailType: type,
      Detail: JSON.stringify(eventDetails[type].parse(withTrace(detail))),
    };
    for (let attempt = 1; ; attempt++) {
      // PutEvents responds with status 200 even if it rejects an entry.
      const { FailedEntryCount = 0, Entries } = await client.send(new PutEventsCommand({ Entries: [entry] }));
      if (FailedEntryCount === 0) return;
      if (attempt === attempts) {
        throw new PipelineError("EventNotPublished", {
          message: `The event bus rejected the event ${type}.`,
          advice: "Retried automatically. If it persists, check the bus and its quotas.",
          kind: "transient",
          ids: { event: type, code: Entries?.[0]?.ErrorCode ?? "unknown" },
        });
      }
      await sleep(backoffMs(attempt));
    }
  };
}
