// Instances that were left running, and instances that failed.
import { describe, expect, test } from "vitest";
import { checkInstances, runningHours } from "../../../services/reporter/instances.ts";
import { instanceMail } from "../../../services/reporter/message.ts";
import type { TeamInstances } from "../../../shared/instances.ts";
import type { Instance, Refused } from "../../../shared/ports.ts";

const now = new Date("2026-11-24T09:00:00Z");

function instanceOf(id: string, state: string, hours?: number): Instance {
  const launchedAt = hours === undefined ? undefined : new Date(now.getTime() - hours * 3_600_000);
  return { id, state, stateReason: undefined, launchedAt, tags: new Map() };
}

/** @returns the numbers of a stage's daily check */
async function check(team: TeamInstances, found: Instance[] | Refused) {
  const measured: unknown[] = [];
  await checkInstances({
    team,
    instances: { findTagged: async () => found },
    measure: (...numbers) => measured.push(numbers),
    now: () => now,
  });
  return measured;
}

describe("the daily check", () => {
  const found = [instanceOf("i-0000000a", "running", 30), instanceOf("i-0000000b", "running", 3)];

  test("measures the hours of the instance that has run longest", async () => {
    expect(await check("tagged", found)).toEqual([[{ InstancesRunningHours: 30 }, {}]]);
  });

  test("leaves out instances that are not the stage's", async () => {
    expect(await check(["i-0000000b"], found)).toEqual([[{ InstancesRunningHours: 3 }, {}]]);
  });

  test("measures zero where none runs, and nothing where the stage has none", async () => {
    const idle = [instanceOf("i-0000000a", "stopped", 300), instanceOf("i-0000000b", "pending")];
    expect(await check("tagged", idle)).toEqual([[{ InstancesRunningHours: 0 }, {}]]);
    expect(await check("none", found)).toEqual([]);
  });

  test("that EC2 refuses is a dead letter with the reason, and measures nothing", async () => {
    await expect(check("tagged", { refused: "UnauthorizedOperation" })).rejects.toMatchObject({
      name: "InstancesUnseen",
      kind: "terminal",
      message: expect.stringContaining("UnauthorizedOperation"),
    });
  });

  test("is never below zero, where clocks differ or EC2 does not name a start", () => {
    expect(runningHours([instanceOf("i-0000000a", "running", -1)], now)).toBe(0);
    expect(runningHours([instanceOf("i-0000000a", "running")], now)).toBe(0);
  });
});

test("the message about a failed instance has its id, the reason and a command", () => {
  const reason = "EC2 has no capacity (InsufficientInstanceCapacity). Request it again later.";
  expect(instanceMail({ instanceId: "i-0123456789abcdef0", reason })).toEqual({
    what: "EC2 instance i-0123456789abcdef0 failed",
    text: `EC2 instance i-0123456789abcdef0: ${reason}`,
    more: "npm run instances -- status",
  });
  expect(instanceMail({ reason: "No instance has the tag." }).what).toBe("EC2 instances failed");
});
