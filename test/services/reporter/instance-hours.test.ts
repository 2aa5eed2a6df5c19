// Instances that were left running, and instances that failed.
import { describe, expect, test } from "vitest";
import { checkInstances } from "../../../services/reporter/instance-hours.ts";
import { instanceMail } from "../../../services/reporter/message.ts";
import type { TeamInstances } from "../../../shared/instance-settings.ts";
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

  const idle = [instanceOf("i-0000000a", "stopped", 300), instanceOf("i-0000000b", "pending")];

  test.each<[what: string, TeamInstances, Instance[], hours: number[]]>([
    ["the hours of the instance that has run longest", "tagged", found, [30]],
    ["no instance that is not the stage's", ["i-0000000b"], found, [3]],
    ["zero where none runs", "tagged", idle, [0]],
    ["nothing where the stage has none", "none", found, []],
    // Where clocks differ, or EC2 does not name a start.
    ["nothing below zero", "tagged", [instanceOf("i-1", "running", -1), instanceOf("i-2", "running")], [0]],
  ])("measures %s", async (_what, team, instances, hours) => {
    expect(await check(team, instances)).toEqual(
      hours.map((InstancesRunningHours) => [{ InstancesRunningHours }, {}]),
    );
  });

  test("that EC2 refuses is a dead letter with the reason, and measures nothing", async () => {
    await expect(check("tagged", { refused: "UnauthorizedOperation" })).rejects.toMatchObject({
      name: "InstancesUnseen",
      kind: "terminal",
      message: expect.stringContaining("UnauthorizedOperation"),
    });
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
