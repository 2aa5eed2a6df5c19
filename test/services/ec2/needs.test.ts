// Needs are the same whatever order messages come in, and however often.
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  endOfAllNeeds,
  endOfGoal,
  endOfNeed,
  type Needs,
  need,
  noNeeds,
  operator,
  withoutForgotten,
} from "../../../services/ec2/needs.ts";

type Message = { id: string; at: number } & (
  | { kind: "start"; instanceId: string; dataset?: string }
  | { kind: "stop"; instanceId: string }
  | { kind: "end"; dataset: string }
);

const timeOf = (at: number): string => new Date(Date.UTC(2026, 0, 5) + at * 1_000).toISOString();

function apply(from: Needs, message: Message): Needs {
  const at = timeOf(message.at);
  const asked = { id: message.id, reason: "test" };
  switch (message.kind) {
    case "start": {
      const { instanceId, dataset } = message;
      return need(from, {
        instanceId,
        at,
        asked: { ...asked, ...(dataset && { dataset }) },
        isRunning: false,
      });
    }
    case "stop":
      return endOfAllNeeds(from, { instanceId: message.instanceId, at, asked });
    case "end": {
      const { dataset } = message;
      return endOfNeed(from, { dataset, at, askedFor: () => ({ ...asked, dataset }) });
    }
  }
}

const instanceId = fc.constantFrom("i-1", "i-2");
const dataset = fc.constantFrom("gate-counts", "transactions");
/** Few times, so that many messages are of one second. */
const at = fc.integer({ min: 0, max: 5 });
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant("start" as const), id: fc.uuid(), at, instanceId }),
  fc.record({ kind: fc.constant("start" as const), id: fc.uuid(), at, instanceId, dataset }),
  fc.record({ kind: fc.constant("stop" as const), id: fc.uuid(), at, instanceId }),
  fc.record({ kind: fc.constant("end" as const), id: fc.uuid(), at, dataset }),
);

/** The needs after all messages, by the messages' times alone. */
function expected(messages: readonly Message[]): Record<string, Record<string, string>> {
  const all: Record<string, Record<string, string>> = {};
  for (const start of messages) {
    if (start.kind !== "start") continue;
    const who = start.dataset ?? operator;
    const hasEnded = messages.some(
      (other) =>
        other.at >= start.at &&
        ((other.kind === "stop" && other.instanceId === start.instanceId) ||
          (other.kind === "end" && other.dataset === who)),
    );
    if (hasEnded) continue;
    const needs = all[start.instanceId] ?? {};
    const since = timeOf(start.at);
    all[start.instanceId] = { ...needs, [who]: (needs[who] ?? "") < since ? since : (needs[who] ?? since) };
  }
  return all;
}

function needed({ instances }: Needs): Record<string, Record<string, string>> {
  const found = Object.entries(instances).map(([id, { needs }]) => [id, needs] as const);
  return Object.fromEntries(found.filter(([, needs]) => Object.keys(needs).length > 0));
}

test("needs depend on the times of the messages, and not on their order or on duplicates", () => {
  const arrivals = fc.array(message, { maxLength: 8 }).chain((messages) =>
    fc.record({
      messages: fc.constant(messages),
      order: fc.shuffledSubarray([...messages, ...messages], { minLength: 2 * messages.length }),
    }),
  );
  fc.assert(
    fc.property(arrivals, ({ messages, order }) => {
      const needs = order.reduce(apply, noNeeds);
      expect(needed(needs)).toEqual(expected(messages));
      for (const { needs: left, goal } of Object.values(needs.instances)) {
        // The last request decides what is needed.
        if (goal) expect(goal.state).toBe(Object.keys(left).length > 0 ? "running" : "stopped");
      }
    }),
    { numRuns: 1_000 },
  );
});

const asked = { id: "goal", reason: "test" };
const start = (from: Needs, at: number, isRunning = false) =>
  need(from, { instanceId: "i-1", at: timeOf(at), asked, isRunning });

test("a goal that is reached is removed, and the goal that overtook it stays", () => {
  const needs = start(noNeeds, 1);
  expect(endOfGoal(needs, "i-1", "another")).toBe(needs);
  expect(endOfGoal(needs, "i-2", "goal")).toBe(needs);
  expect(endOfGoal(needs, "i-1", "goal").instances["i-1"]).toEqual({ needs: { [operator]: timeOf(1) } });
});

test("an instance without a need or a goal is removed, a month after its last stop", () => {
  const idle = endOfGoal(start(noNeeds, 1), "i-1", "goal");
  expect(withoutForgotten(idle, new Date(timeOf(9))).instances).toHaveProperty("i-1");
  const stopped = endOfAllNeeds(idle, { instanceId: "i-1", at: timeOf(5), asked });
  expect(withoutForgotten(stopped, new Date(timeOf(9))).instances).toHaveProperty("i-1");
  const done = endOfGoal(stopped, "i-1", "goal");
  expect(withoutForgotten(done, new Date(timeOf(4))).instances).toHaveProperty("i-1");
  expect(withoutForgotten(done, new Date(timeOf(5))).instances).toEqual({});
});
