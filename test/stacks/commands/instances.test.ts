// `npm run instances` as an operator meets it, on this machine and on a stage, and how it tells of each instance.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noNeeds, operator } from "../../../services/ec2/needs.ts";
import type { Instance } from "../../../shared/aws/instances.ts";
import { accountsOf, statusText } from "../../../stacks/commands/instances/report.ts";
import { type LocalAws, startLocalAws, takeJson } from "../../support/local-aws.ts";
import { command, temporaryFolder } from "../../support/start.ts";

const id = "i-0123456789abcdef0";
test("on this machine the team's instance starts, and stops when an operator changes his mind", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, ".local"));
  const run = async (...args: string[]): Promise<string> => {
    // The message that looks comes when nothing has moved for so long that no other would be waited for.
    const env = { INSTANCE_CHECK_SECONDS: "6" };
    const { code, stdout, stderr } = await command("instances", folder.path, args, env).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };

  expect(await run("start", "--reason", "a look at the data")).toBe(
    `Asked ${id} to start; see npm run instances -- status. The next npm start works on it.\n`,
  );
  expect(await run("stop", "--finish")).toBe(
    `Asked ${id} to stop; see npm run instances -- status.\nEvery queue is empty; no dead letters are left.\n`,
  );
  expect(await run("status")).toBe(
    "instance             state    for  needed by  asked to\ni-0123456789abcdef0  stopped\n",
  );
});

describe("on a stage, as sst shell tells of it", () => {
  let aws: LocalAws;
  beforeAll(async () => {
    aws = await startLocalAws();
  });
  afterAll(() => aws?.close());

  /** What the functions have in their environment stands in the link. */
  function onStage(instances: string, ...args: string[]) {
    const { BUS_NAME = "", WORK_BUCKET = "" } = process.env;
    const variables = { BUS_NAME, WORK_BUCKET, INSTANCES: instances };
    const none = Object.fromEntries(Object.keys(variables).map((key) => [key, undefined]));
    const settings = JSON.stringify({ variables, type: "sst.sst.Linkable" });
    return command("instances", "/", args, { ...none, SST_RESOURCE_Settings: settings }).ended;
  }

  test("a start is asked for on the bus, with its reason and its time", async () => {
    const args = ["start", "--instance", id, "--reason", "a look", "--json"];
    const { code, stdout } = await onStage("tagged", ...args);
    expect({ code, told: JSON.parse(stdout) }).toEqual({ code: 0, told: { asked: [id], refused: [] } });
    const [event] = await takeJson(aws.serviceQueue("ec2"), 5);
    expect(event).toMatchObject({
      "detail-type": "instance.start.requested",
      detail: { instanceId: id, reason: "a look", requestedAt: expect.stringMatching(/^\d.*\.\d{3}Z$/) },
    });
  });

  test.each([
    ["none", [], "No instance is configured on this stage."],
    [
      "tagged",
      ["--instance", "i-0fffffffffffffff0"],
      "i-0fffffffffffffff0: EC2 knows no instance of this id.",
    ],
    ["i-0fffffffffffffff0", ["--instance", id], `${id}: This instance is none of the stage's.`],
  ])("where the stage has %s, a wish with %j is refused before it is asked", async (instances, args, why) => {
    const { code, stdout, stderr } = await onStage(instances, "stop", ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr.startsWith(why)).toBe(true);
    expect(await takeJson(aws.serviceQueue("ec2"))).toEqual([]);
  });

  test("where none is configured, its status is that", async () => {
    const { code, stdout } = await onStage("none", "status");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^No instance is configured/),
    });
  });
});

describe("the status", () => {
  const now = new Date("2026-01-05T12:00:00Z");
  const at = "2026-01-05T10:45:00Z";
  const instance = (state: string): Instance => ({
    id,
    state,
    stateReason: undefined,
    launchedAt: new Date("2026-01-05T11:00:00Z"),
    tags: new Map(),
  });
  const goal = { id: "g", state: "stopped", reason: "test" } as const;
  const lines = (state: string, needs: Record<string, string>, its?: typeof goal & { failed?: string }) => {
    const known = { ...noNeeds, instances: { [id]: { needs, ...(its && { goal: its }) } } };
    const [, ...rows] = statusText(accountsOf([instance(state)], known), [], now).split("\n");
    return rows.map((row) => row.split(/ {2,}/)).filter(([first]) => first);
  };

  test.each([
    [
      "running",
      { "gate-counts": at, [operator]: at },
      undefined,
      ["running", "60 min", "gate-counts, an operator"],
    ],
    ["pending", { [operator]: at }, undefined, ["pending", "60 min", "an operator"]],
    ["running", {}, goal, ["running", "60 min", "be stopped"]],
    ["stopping", {}, goal, ["stopping", "be stopped"]],
    ["stopped", { [operator]: at }, undefined, ["stopped"]],
  ])("of an instance that is %s, needed by %j and asked %j", (state, needs, asked, expected) => {
    expect(lines(state, needs, asked)).toEqual([[id, ...expected]]);
  });

  test("says why an instance did not get where it was asked to be, and why one is refused", () => {
    const failed = { ...goal, failed: "EC2 refused it (X)." };
    expect(lines("running", {}, failed)).toEqual([
      [id, "running", "60 min"],
      [`${id} did not get to be stopped. EC2 refused it (X).`],
    ]);
    const refused = [{ instanceId: "i-1", reason: "Not tagged." }, { reason: "None." }];
    expect(statusText([], refused, now)).toBe("i-1: Not tagged.\nNone.\n");
  });
});
