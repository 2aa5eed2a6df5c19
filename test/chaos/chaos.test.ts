// The pipeline under faults: random plans, and the plans that once found a defect.
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkPlans } from "./check.ts";
import { type Plan, undisturbed } from "./plan.ts";
import { startWorld, type World } from "./world.ts";

const plans = 50;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.close());

test("an undisturbed plan publishes what the verdict expects", async () => {
  expect(await world.run(undisturbed)).toEqual({
    wrong: [],
    injected: new Map(),
    replays: 0,
    states: ["published"],
  });
});

const found: [string, Partial<Plan>][] = [
  [
    "records removed after page 1 announced a page that is then gone",
    {
      records: 47,
      pageSize: 5,
      concurrency: 1,
      faults: [{ at: "source", kind: "remove", nth: 4, pick: 10 }],
    },
  ],
  [
    "pages that hold a record twice in all three readings of their window",
    { faults: [{ at: "libinsight", kind: "repeated", nth: 1, times: 200 }] },
  ],
];

test.each(found)("%s", async (_, given) => {
  const outcome = await world.run({ ...undisturbed, ...given });
  expect(outcome.wrong).toEqual([]);
  // A plan whose faults never come due shows nothing.
  expect(outcome.injected.size).toBeGreaterThan(0);
});

test("a record that is lost or doubled on the way is found", async () => {
  for (const lie of ["too-few", "repeated", "other-total"] as const) {
    const outcome = await world.run({
      ...undisturbed,
      faults: [{ at: "libinsight", kind: lie, nth: 2, times: 200 }],
    });
    expect(outcome).toMatchObject({ wrong: [], states: ["held"] });
  }
});

test(`${plans} random plans end with the undisturbed file, or with none and a reason`, {
  timeout: 240_000,
}, async () => {
  const { totals, failed } = await checkPlans(world, { plans, seed: 1 });
  expect(failed).toBeUndefined();
  expect(totals.plans).toBe(plans);
  expect(totals.injected.size).toBeGreaterThan(20);
});
