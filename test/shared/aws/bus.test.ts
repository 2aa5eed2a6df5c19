import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { busPublisher } from "../../../shared/aws/bus.ts";
import type { EventDetail } from "../../../shared/events.ts";
import { startAwsJson } from "../../../stacks/local/aws/aws-json.ts";
import { clientOptions } from "../../stacks/local/aws/clients.ts";

const putEvents = z.object({
  Entries: z.array(
    z.strictObject({
      EventBusName: z.string(),
      Source: z.string(),
      DetailType: z.string(),
      Detail: z.string().transform((text): unknown => JSON.parse(text)),
    }),
  ),
});
type Entry = z.infer<typeof putEvents>["Entries"][number];

/** An EventBridge that answers each call with 200 and refuses the event in the first `failures` of them. */
async function start(failures: number) {
  const calls: Entry[][] = [];
  const bridge = await startAwsJson({
    name: "EventBridge",
    target: "AWSEvents",
    operations: {
      PutEvents: async (input) => {
        const failing = calls.push(putEvents.parse(input).Entries) <= failures;
        return failing
          ? {
              FailedEntryCount: 1,
              Entries: [{ ErrorCode: "ThrottlingException", ErrorMessage: "Slow down." }],
            }
          : { FailedEntryCount: 0, Entries: [{ EventId: "event-1" }] };
      },
    },
  });
  const client = new EventBridgeClient(clientOptions(bridge.endpoint));
  onTestFinished(async () => {
    client.destroy();
    await bridge.close();
  });
  return { calls, publish: busPublisher(client, "pipeline") };
}

const detail: EventDetail<"run.published"> = {
  runId: "gate-counts-0123456789ab",
  dataset: "gate-counts",
  bucket: "data",
  key: "gates/csv/gates.csv",
  rows: 3,
};

test("an event says which bus, who, what and of which run", async () => {
  const { calls, publish } = await start(0);

  await publish("run.published", detail);

  expect(calls).toEqual([
    [
      {
        EventBusName: "pipeline",
        Source: "libinsight.pipeline",
        DetailType: "run.published",
        Detail: detail,
      },
    ],
  ]);
});

test("an event that the bus refuses with status 200 is sent again", async () => {
  const { calls, publish } = await start(2);

  await publish("run.published", detail);

  expect(calls).toHaveLength(3);
  expect(new Set(calls.map((call) => JSON.stringify(call))).size).toBe(1);
});

test("an event that the bus refuses three times is given up, with the event's name and the bus's code", async () => {
  const { calls, publish } = await start(3);

  await expect(publish("run.published", detail)).rejects.toMatchObject({
    name: "EventNotPublished",
    kind: "transient",
    ids: { event: "run.published", code: "ThrottlingException" },
  });
  expect(calls).toHaveLength(3);
});

test.each([
  ["a negative count", { ...detail, rows: -1 }],
  ["something nobody declared", Object.assign({}, detail, { comment: "Where is the library?" })],
])("an event with %s is refused before it is sent", async (_what, wrong) => {
  const { calls, publish } = await start(0);

  await expect(publish("run.published", wrong)).rejects.toThrow(z.core.$ZodError);
  expect(calls).toEqual([]);
});
