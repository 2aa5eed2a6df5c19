// Tests that a chain of messages that Lambda would stop is detected.
import { expect, test } from "vitest";
import type { Message } from "../../shared/ports.ts";
import { Chains } from "./chains.ts";

const message: Message = {
  id: "1",
  receipt: "1",
  body: "{}",
  receives: 1,
  sentAt: new Date(),
  attributes: {},
};

test.each([
  ["transformer", 16, []],
  ["transformer", 17, ["Lambda would stop transformer after 16 invocations in a chain"]],
  ["athena", 17, []],
  ["fetcher", 17, []],
] as const)("a chain of %s with %i invocations", (name, invocations, wrong) => {
  const chains = new Chains();
  for (let n = 0; n < invocations; n++) chains.send(name, message.body, chains.invoke(name, [message]));
  expect([...chains.wrong]).toEqual(wrong);
});

test("a replay starts a new chain", () => {
  const chains = new Chains();
  for (let n = 0; n < 40; n++) {
    const sender = n % 10 === 9 ? "replay" : "transformer";
    chains.send("transformer", message.body, chains.invoke(sender, [message]));
  }
  expect(chains.wrong.size).toBe(0);
});
