// What every adapter of instances does, on AWS and on this machine.
import { describe, expect, test, vi } from "vitest";
import type { Instance, Instances } from "../../shared/ports.ts";

export type InstancesAdapter = {
  instances(): Instances;
  /** Creates an instance and returns its id. */
  create(state: "running" | "stopped" | "terminated", tags: Record<string, string>): Promise<string>;
};

const unknown = "i-0fffffffffffffff0";

export function instancesContract(adapter: string, { instances, create }: InstancesAdapter): void {
  const find = async (id: string): Promise<Instance> => {
    const found = await instances().find(id);
    if ("refused" in found) throw new Error(`${id}: ${found.refused}`);
    return found;
  };
  const untilState = (id: string, state: string) =>
    vi.waitFor(async () => expect((await find(id)).state).toBe(state), { timeout: 10_000, interval: 200 });

  describe(`instances on ${adapter}`, () => {
    test("are found by their ids, with their state and tags", async () => {
      const id = await create("stopped", { Application: "by id", Name: "Où? \u{1F4DA}" });
      const { tags, ...found } = await find(id);
      expect(found).toMatchObject({ id, state: "stopped" });
      expect(Object.fromEntries(tags)).toEqual({ Application: "by id", Name: "Où? \u{1F4DA}" });
    });

    test("are found by their tag, unless they are terminated", async () => {
      const tag = { key: "Application", value: "by tag" };
      const ids = [
        await create("stopped", { [tag.key]: tag.value }),
        await create("running", { [tag.key]: tag.value, Name: "second" }),
      ];
      await create("terminated", { [tag.key]: tag.value });
      await create("stopped", { [tag.key]: "another" });
      await create("stopped", { Other: tag.value });
      const found = await instances().findTagged(tag);
      if ("refused" in found) throw new Error(found.refused);
      expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
      expect(await instances().findTagged({ key: "Application", value: "none" })).toEqual([]);
    });

    test("start and stop, also where they already have", async () => {
      const id = await create("stopped", {});
      const before = Math.floor(Date.now() / 1_000) * 1_000;
      for (const again of [false, true]) {
        expect([again, await instances().start(id)]).toEqual([again, undefined]);
        await untilState(id, "running");
      }
      const { launchedAt } = await find(id);
      expect(launchedAt?.getTime()).toBeGreaterThanOrEqual(before);
      for (const again of [false, true]) {
        expect([again, await instances().stop(id)]).toEqual([again, undefined]);
        await untilState(id, "stopped");
      }
      expect((await find(id)).launchedAt).toEqual(launchedAt);
    });

    test("that do not exist are refused with EC2's code", async () => {
      const refused = { refused: "InvalidInstanceID.NotFound" };
      expect(await instances().find(unknown)).toEqual(refused);
      expect(await instances().start(unknown)).toEqual(refused);
      expect(await instances().stop(unknown)).toEqual(refused);
    });
  });
}
