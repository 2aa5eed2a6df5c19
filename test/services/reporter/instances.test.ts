// Instances that were left running, and those that did not do as they were asked.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkInstances, runningHours } from "../../../services/reporter/instances.ts";
import { instanceMail } from "../../../services/reporter/message.ts";
import type { Instance, Refused } from "../../../shared/aws/instances.ts";
import type { TeamInstances } from "../../../shared/instances.ts";

const now = new Date("2026-11-24T09:00:00Z");
const hoursAgo = (hours: number) => new Date(now.getTime() - hours * 3_600_000);

function instanceOf(id: string, state: string, hours?: number): Instance {
  const launchedAt = hours === undefined ? undefined : hoursAgo(hours);
  return { id, state, stateReason: undefined, launchedAt, tags: new Map() };
}

/** The look of a stage. @returns what it tells CloudWatch */
async function look(team: TeamInstances, tagged: Instance[] | Refused) {
  const told: unknown[] = [];
  await checkInstances({
    team,
    instances: async () => ({ findTagged: async () => tagged }),
    measure: (...numbers) => told.push(numbers),
    now: () => now,
  });
  return told;
}

describe("the daily look", () => {
  const found = [instanceOf("i-0000000a", "running", 30), instanceOf("i-0000000b", "running", 3)];

  test("tells the hours of the instance that has run longest", async () => {
    expect(await look("tagged", found)).toEqual([[{ InstancesRunningHours: 30 }, {}]]);
  });

  test("leaves out those that are not the stage's", async () => {
    expect(await look(["i-0000000b"], found)).toEqual([[{ InstancesRunningHours: 3 }, {}]]);
  });

  test("tells zero where none runs, and nothing where the stage has none", async () => {
    const stopped = instanceOf("i-0000000a", "stopped", 300);
    expect(await look("tagged", [stopped, instanceOf("i-0000000b", "pending")])).toEqual([
      [{ InstancesRunningHours: 0 }, {}],
    ]);
    expect(await look("none", found)).toEqual([]);
  });

  test("that EC2 refuses is a dead letter that says why, not a good number", async () => {
    await expect(look("tagged", { refused: "UnauthorizedOperation" })).rejects.toMatchObject({
      name: "InstancesUnseen",
      kind: "terminal",
      message: expect.stringContaining("UnauthorizedOperation"),
    });
  });

  test("over any clock tells the longest time of those that run, never below zero", () => {
    const instance = fc.record({
      state: fc.constantFrom("pending", "running", "stopping", "stopped", "terminated"),
      launchedAt: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(instance), fc.date({ noInvalidDate: true }), (instances, clock) => {
        const hours = runningHours(instances, clock);
        const all = instances
          .filter(({ state, launchedAt }) => state === "running" && launchedAt && launchedAt <= clock)
          .map(({ launchedAt = clock }) => (clock.getTime() - launchedAt.getTime()) / 3_600_000);
        expect([0, ...all]).toContain(hours);
        for (const each of all) expect(hours).toBeGreaterThanOrEqual(each);
      }),
    );
  });
});

test("an instance that did not do as it was asked is named, with why and what to do", () => {
  const reason = "EC2 has no room for it now (InsufficientInstanceCapacity). Ask again later.";
  expect(instanceMail({ instanceId: "i-0123456789abcdef0", reason })).toMatchInlineSnapshot(`
    {
      "more": "npm run instances -- status",
      "text": "EC2 instance i-0123456789abcdef0: EC2 has no room for it now (InsufficientInstanceCapacity). Ask again later.",
      "what": "EC2 instance i-0123456789abcdef0 failed",
    }
  `);
  expect(instanceMail({ reason: "No instance has the tag." }).what).toBe("EC2 instances failed");
});
