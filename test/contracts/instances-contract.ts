// What every adapter of instances does, on AWS and on this machine.
import { describe, expect, test, vi } from "vitest";
import type { Instance, Instances } from "../../shared/ports.ts";

export type InstancesAdapter = {
  instances(): Instances;
  /** Creates an instance and returns its id. */
  create(state: "running" | "stopped" | "terminated", tags: Record<string, string>): Promise<string>;
};

export function instancesContract(adapter: string, { instances, create }: InstancesAdapter): void {
  const findTagged = async (key: string, value: string): Promise<Instance[]> => {
    const found = await instances().findTagged({ key, value });
    if ("refused" in found) throw new Error(found.refused);
    return found;
  };

  describe(`instances on ${adapter}`, () => {
    test("are found by their tag, with their state and tags, unless they are terminated", async () => {
      const stopped = await create("stopped", { Application: "by tag" });
      const running = await create("running", { Application: "by tag", Name: "Où? \u{1F4DA}" });
      await create("terminated", { Application: "by tag" });
      await create("stopped", { Application: "another" });
      await create("stopped", { Other: "by tag" });
      const found = await findTagged("Application", "by tag");
      expect(
        new Map(found.map(({ id, state, tags }) => [id, { state, ...Object.fromEntries(tags) }])),
      ).toEqual(
        new Map([
          [stopped, { state: "stopped", Application: "by tag" }],
          [running, { state: "running", Application: "by tag", Name: "Où? \u{1F4DA}" }],
        ]),
      );
      expect(await findTagged("Application", "none")).toEqual([]);
    });

    test("start and stop, also if they already have", async () => {
      const id = await create("stopped", { Name: "to start and stop" });
      const find = async () => (await findTagged("Name", "to start and stop"))[0];
      const untilState = (state: string) =>
        vi.waitFor(async () => expect((await find())?.state).toBe(state), { timeout: 10_000, interval: 200 });
      const before = Math.floor(Date.now() / 1_000) * 1_000;
      for (const again of [false, true]) {
        expect([again, await instances().start(id)]).toEqual([again, undefined]);
        await untilState("running");
      }
      const launchedAt = (await find())?.launchedAt;
      expect(launchedAt?.getTime()).toBeGreaterThanOrEqual(before);
      for (const again of [false, true]) {
        expect([again, await instances().stop(id)]).toEqual([again, undefined]);
        await untilState("stopped");
      }
      expect((await find())?.launchedAt).toEqual(launchedAt);
    });

    test("that do not exist are refused with EC2's code", async () => {
      const refused = { refused: "InvalidInstanceID.NotFound" };
      expect(await instances().start("i-0fffffffffffffff0")).toEqual(refused);
      expect(await instances().stop("i-0fffffffffffffff0")).toEqual(refused);
    });
  });
}
