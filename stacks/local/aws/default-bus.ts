// How the local AWS services tell what they did: on the account's default bus, at best effort, as on AWS.
import {
  type EventBridgeClient,
  PutEventsCommand,
  type PutEventsRequestEntry,
} from "@aws-sdk/client-eventbridge";

const sendingMs = 5_000;

/**
 * Never rejects: where the event can't be sent, a line on stderr says so.
 * @param what for that line: `The local EC2 could not send the event that ...`
 */
export async function tellDefaultBus(
  events: EventBridgeClient,
  entry: PutEventsRequestEntry,
  what: string,
): Promise<void> {
  try {
    const answer = await events.send(new PutEventsCommand({ Entries: [entry] }), {
      abortSignal: AbortSignal.timeout(sendingMs),
    });
    if (answer.FailedEntryCount) throw new Error(answer.Entries?.[0]?.ErrorCode ?? "refused");
  } catch (error) {
    const why = error instanceof Error ? `${error.name}: ${error.message}` : "unknown";
    process.stderr.write(`${what}: ${why}\n`);
  }
}
