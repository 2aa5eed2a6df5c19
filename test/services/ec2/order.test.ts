// Messages arrive twice, late and in any order, and while others are in progress. The state that an instance ends in depends
// on the times of the requests alone.
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { changeNeeds, endGoal, readNeeds } from "../../../services/ec2/needs.ts";
import { datasets } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { minute, useInstanceStages } from "../../support/ec2-service.ts";
import { take, useLocal } from "../../support/local-adapters.ts";

const newStage = useInstanceStages();
const local = useLocal();

const ids = ["i-00000000000000001", "i-00000000000000002"] as const;
const names = ["gate-counts", "transactions"] as const;
/** An operator's request names an instance, a dataset's is for all. */
const request = fc.record({
  verb: fc.constantFrom("start", "stop"),
  by: fc.oneof(
    fc.record({ instanceId: fc.constantFrom(...ids) }),
    fc.record({ dataset: fc.constantFrom(...names) }),
  ),
  // Few times, so that many requests have the same one.
  at: fc.integer({ min: 0, max: 5 }),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

/** Returns whether an instance must run: a start has no stop of the same holder, or of an operator, at its time or later. */
function isNeeded(id: string, requests: readonly Request[]): boolean {
  const isFor = ({ by }: Request) => !("instanceId" in by) || by.instanceId === id;
  const holderOf = ({ by }: Request) => ("dataset" in by ? by.dataset : "operator");
  const [starts, stops] = ["start", "stop"].map((verb) =>
    requests.filter((each) => each.verb === verb && isFor(each)),
  );
  return (starts ?? []).some(
    (start) =>
      !stops?.some((stop) => stop.at >= start.at && ["operator", holderOf(start)].includes(holderOf(stop))),
  );
}

test("an instance ends in the state that the times of the requests decide, and each outcome is reported once", async () => {
  datasets.push(...names.map((name) => ({ ...datasetOf([]), name })));
  onTestFinished(() => void datasets.splice(-names.length));
  const arrivals = fc.array(request, { maxLength: 6 }).chain((requests) => {
    const once = requests.map((_, index) => index);
    return fc.subarray(once).chain((again) =>
      fc.record({
        requests: fc.constant(requests),
        order: fc.shuffledSubarray([...once, ...again], { minLength: once.length + again.length }),
        pauses: fc.array(fc.constantFrom(0, 0, 30, 120), { minLength: 2 * once.length }),
      }),
    );
  });
  await fc.assert(
    fc.asyncProperty(arrivals, async ({ requests, order, pauses }) => {
      const stage = newStage();
      for (const _ of ids) stage.launch("stopped");
      const bodies = requests.map(({ verb, by, at }, index) =>
        eventMessage(`instance.${verb}.requested`, { ...by, reason: `${index}` }, minute(at - 60)),
      );
      for (const [n, index] of order.entries()) {
        await stage.queue.send(bodies[index] ?? "");
        await stage.pass(pauses[n]);
      }
      await stage.pass();
      expect(ids.map((id) => [id, stage.ec2.stateOf(id)])).toEqual(
        ids.map((id) => [id, isNeeded(id, requests) ? "running" : "stopped"]),
      );
      const outcomes = stage.events.map((event) => JSON.stringify(event));
      expect(outcomes).toEqual([...new Set(outcomes)]);
      expect(stage.events.filter(({ type }) => type === "instance.failed")).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test("requests of one second are ordered by their requestedAt, unless that is in the future", async () => {
  const stage = newStage();
  const id = stage.launch("stopped");
  const reason = "test";
  await stage.emit("instance.stop.requested", { reason, requestedAt: "2026-01-05T06:00:00.1Z" }, minute(0));
  await stage.emit("instance.start.requested", { reason, requestedAt: "2026-01-05T06:00:00.9Z" }, minute(0));
  await stage.pass();
  expect(stage.ec2.stateOf(id)).toBe("running");
  await stage.emit("instance.start.requested", { reason, requestedAt: "2099-01-01T00:00:00Z" }, minute(1));
  await stage.emit("instance.stop.requested", { reason }, minute(2));
  await stage.pass();
  expect(stage.ec2.stateOf(id)).toBe("stopped");
});

test("a request and a check that are handled twice at the same time have one outcome", async () => {
  const stage = newStage();
  stage.launch("stopped");
  await stage.emit("instance.start.requested", { reason: "test" });
  for (const seconds of [0, 0, 60]) {
    stage.skip(seconds);
    const messages = await take(stage.queue);
    await Promise.all([...messages, ...messages].map((message) => stage.handle(message)));
  }
  await stage.pass();
  expect(stage.events.map(({ type }) => type)).toEqual(["instance.started"]);
});

const now = () => new Date("2026-02-05T12:00:00Z");

test("changes of the record that two handlers make at once are both kept", async () => {
  const work = local.store();
  for (const round of ["first", "later"]) {
    const changes = ["a", "b"].map((name) =>
      changeNeeds({ work, now }, ({ ended }) =>
        Object.assign(ended, { [`${round}-${name}`]: now().toISOString() }),
      ),
    );
    await Promise.all(changes);
  }
  expect(Object.keys((await readNeeds(work)).ended).sort()).toEqual([
    "first-a",
    "first-b",
    "later-a",
    "later-b",
  ]);
});

test("a change of the record that other handlers prevent five times is a transient error", async () => {
  const work = local.store();
  let attempts = 0;
  work.putOnce = async () => {
    attempts += 1;
    return false;
  };
  const change = changeNeeds({ work, now }, ({ ended }) => Object.assign(ended, { a: now().toISOString() }));
  await expect(change).rejects.toMatchObject({ name: "NeedsContended", kind: "transient" });
  expect(attempts).toBe(5);
});

test("the record forgets an instance without needs or a goal, and the end of needs after 30 days", async () => {
  const work = local.store();
  const goal = { id: "g", state: "running" as const, reason: "test" };
  const record = {
    instances: { "i-1": { needs: {} }, "i-2": { needs: { a: minute(0) } }, "i-3": { needs: {}, goal } },
    ended: { a: "2026-01-06T12:00:00Z", b: "2026-01-06T12:00:01Z" },
  };
  await work.putOnce(keys.needs, record);
  const { instances, ended } = await changeNeeds({ work, now }, () => {});
  expect([Object.keys(instances), Object.keys(ended)]).toEqual([["i-2", "i-3"], ["b"]]);
  expect(await readNeeds(work)).toEqual({ instances, ended });
  // A change of nothing writes nothing.
  work.replaceJson = () => Promise.reject(new Error("It wrote."));
  await changeNeeds({ work, now }, (same) => endGoal(same, "i-3", "an earlier goal"));
});
