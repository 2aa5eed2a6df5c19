// The event bus on EventBridge. The tests respond in the SDK's middleware.
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { expect, test } from "vitest";
import { eventBridgeEmitter } from "../../../shared/aws/eventbridge.ts";
import { backoffMs } from "../../../shared/clock.ts";
import { eventExamples } from "../../contracts/event-bus-contract.ts";
import { intercept, offline } from "../../contracts/inject.ts";
import { stoppedClock } from "../../support/stopped-clock.ts";

const detail = eventExamples["run.published"];

/** Starts an EventBridge that always responds with status 200, but rejects the event in the first `failures` calls. */
function start(failures: number) {
  const client = new EventBridgeClient(offline);
  const calls: unknown[] = [];
  intercept(client, async ({ input }) => {
    const isRefused = calls.push(input) <= failures;
    return isRefused
      ? { $metadata: {}, FailedEntryCount: 1, Entries: [{ ErrorCode: "ThrottlingException" }] }
      : { $metadata: {}, FailedEntryCount: 0, Entries: [{ EventId: "1" }] };
  });
  const { slept, sleep } = stoppedClock();
  return { calls, slept, emit: eventBridgeEmitter(client, "pipeline", sleep) };
}

test("sends an event that the bus rejects with status 200 again, after growing delays", async () => {
  const { calls, slept, emit } = start(2);
  await emit("run.published", detail);
  const Entries = [
    {
      EventBusName: "pipeline",
      Source: "libinsight.pipeline",
      DetailType: "run.published",
      Detail: JSON.stringify(detail),
    },
  ];
  expect(calls).toEqual([{ Entries }, { Entries }, { Entries }]);
  expect(slept).toHaveLength(2);
  for (const [index, ms] of slept.entries()) {
    expect(ms).toBeGreaterThanOrEqual(backoffMs(index + 1, () => 0));
    expect(ms).toBeLessThanOrEqual(backoffMs(index + 1, () => 1));
  }
});

test("throws an error with the event and the bus's code after three attempts", async () => {
  const { calls, emit } = start(3);
  await expect(emit("run.published", detail)).rejects.toMatchObject({
    name: "EventNotPublished",
    kind: "transient",
    ids: { event: "run.published", code: "ThrottlingException" },
  });
  expect(calls).toHaveLength(3);
});
