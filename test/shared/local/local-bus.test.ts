// The event bus on this machine, beyond its contract, and messages as AWS services send them.
import { afterAll, beforeAll, expect, test } from "vitest";
import { objectCreated } from "../../../shared/aws-events.ts";
import { objectCreatedMessage } from "../../../shared/local/local-bus.ts";
import { type Local, openLocal } from "../../../shared/local/open-local.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const events: unknown[] = [];
const folder = useFolder();
let local: Local;
beforeAll(async () => {
  local = await openLocal(folder, { inMemory: true, onEvent: (event) => events.push(event) });
});
afterAll(() => local.close());

test("calls the listener with an event after storing it", async () => {
  await local.emit("run.requested", { dataset: "gate-counts", reason: "a test" });
  const [message] = await local.queues.kickoff.receive({ max: 10, visibilitySeconds: 60, waitSeconds: 0 });
  expect(events).toEqual([JSON.parse(message?.body ?? "")]);
});

test.each(["gates/csv/gates.csv", "a folder/Où + 1%2B?&=\u{1F4DA}.csv"])(
  "returns a message with the key of a written object: %s",
  (key) => {
    const { Records } = objectCreated.parse(JSON.parse(objectCreatedMessage("data", key)));
    expect(Records.map(({ s3 }) => [s3.bucket.name, s3.object.key])).toEqual([["data", key]]);
  },
);
