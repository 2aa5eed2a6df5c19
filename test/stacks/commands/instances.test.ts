// `npm run instances` as an operator runs it, and its status of each instance.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operator } from "../../../services/ec2/needs.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import type { Instance } from "../../../shared/ports.ts";
import { accountsOf, statusText } from "../../../stacks/commands/instances/status-text.ts";
import { takeJson } from "../../support/local-adapters.ts";
import { command, temporaryFolder } from "../../support/npm-start.ts";

const id = "i-0123456789abcdef0";
const other = "i-0fffffffffffffff0";

describe("on a .local folder", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await takeRequests();
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  async function takeRequests(): Promise<unknown[]> {
    const local = await openLocal(join(folder.path, ".local"));
    try {
      return await takeJson(local.queues.ec2);
    } finally {
      await local.close();
    }
  }

  const run = (args: string[], env: Record<string, string> = {}) =>
    command("instances", folder.path, args, env).ended;

  test("start emits a request with its reason and its time", async () => {
    const args = ["start", "--instance", id, "--reason", "a look"];
    const { code, stdout } = await run([...args, "--json"]);
    expect({ code, printed: JSON.parse(stdout) }).toEqual({
      code: 0,
      printed: { requested: [id], refused: [] },
    });
    expect(await takeRequests()).toMatchObject([
      {
        "detail-type": "instance.start.requested",
        detail: { instanceId: id, reason: "a look", requestedAt: expect.stringMatching(/^\d.*\.\d{3}Z$/) },
      },
    ]);
  });

  test("the instance starts, and stops when an operator requests it", async () => {
    const done = (stdout: string) => ({ code: 0, stderr: "", stdout });
    expect(await run(["start", "--reason", "a look at the data"])).toEqual(
      done(`Requested ${id} to start; see npm run instances -- status. The next npm start works on it.\n`),
    );
    // It also waits for the delayed check.
    expect(await run(["stop", "--wait"], { INSTANCE_CHECK_SECONDS: "6" })).toEqual(
      done(
        `Requested ${id} to stop; see npm run instances -- status.\nEvery queue is empty; no dead letters are left.\n`,
      ),
    );
    expect(await run(["status"])).toEqual(
      done("instance             state    for  needed by  asked to\ni-0123456789abcdef0  stopped\n"),
    );
  });

  test.each([
    ["none", [], "No instance is configured on this stage."],
    [
      "tagged",
      ["--instance", other],
      `${other}: EC2 has no such instance with the tag Application=DataPipeline`,
    ],
    [other, ["--instance", id], `${id}: The instance is not one of this stage's.`],
  ])("with INSTANCES=%s, stop %j is refused and emits no request", async (instances, args, why) => {
    const { code, stdout, stderr } = await run(["stop", ...args], { INSTANCES: instances });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr.startsWith(why)).toBe(true);
    expect(await takeRequests()).toEqual([]);
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
    const known = { ended: {}, instances: { [id]: { needs, ...(its && { goal: its }) } } };
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
  ])("of an instance that is %s with the needs %j and the goal %j", (state, needs, asked, expected) => {
    expect(lines(state, needs, asked)).toEqual([[id, ...expected]]);
  });

  test("says why an instance did not reach its desired state, and why one is refused", () => {
    const failed = { ...goal, failed: "EC2 refused it (X)." };
    expect(lines("running", {}, failed)).toEqual([
      [id, "running", "60 min"],
      [`${id} is not stopped. EC2 refused it (X).`],
    ]);
    const refused = [{ instanceId: "i-1", reason: "Not tagged." }, { reason: "None." }];
    expect(statusText([], refused, now)).toBe("i-1: Not tagged.\nNone.\n");
  });
});
