// The daily check of running instances, and the email about a failed instance.
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

/** @returns the metrics of a stage's daily check */
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
    ["the hours of the instance that started first", "tagged", found, [30]],
    ["only the stage's instances", ["i-0000000b"], found, [3]],
    ["zero if none is running", "tagged", idle, [0]],
    ["nothing if the stage has no instances", "none", found, []],
    // Clocks differ, or EC2 returns no start time.
    ["no negative hours", "tagged", [instanceOf("i-1", "running", -1), instanceOf("i-2", "running")], [0]],
  ])("measures %s", async (_what, team, instances, hours) => {
    expect(await check(team, instances)).toEqual(
      hours.map((InstancesRunningHours) => [{ InstancesRunningHours }, {}]),
    );
  });

  test("that EC2 refuses is a terminal error with EC2's code", async () => {
    await expect(check("tagged", { refused: "UnauthorizedOperation" })).rejects.toMatchObject({
      name: "InstancesNotListed",
      kind: "terminal",
      message: expect.stringContaining("UnauthorizedOperation"),
    });
  });
});

test("the email about a failed instance has its ID, the reason and a command", () => {
  const reason = "EC2 has no capacity (InsufficientInstanceCapacity). Request it again later.";
  expect(instanceMail({ instanceId: "i-0123456789abcdef0", reason })).toEqual({
    subject: "EC2 instance i-0123456789abcdef0 did not start or stop",
    text: `EC2 instance i-0123456789abcdef0: ${reason}`,
    details: "npm run instances -- status",
  });
  expect(instanceMail({ reason: "No instance has the tag." }).subject).toBe(
    "EC2 instances did not start or stop",
  );
});
