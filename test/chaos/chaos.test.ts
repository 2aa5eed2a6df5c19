// The pipeline under faults: random plans, and the plans that once found a defect.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkPlans } from "./check.ts";
import { anyPlan, planOf, undisturbed } from "./fault-plan.ts";
import { startWorld, type World } from "./world.ts";

const plans = 200;

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

test("a plan takes the same course each time", async () => {
  const courses: [string[], string[]] = [[], []];
  for (const plan of fc.sample(anyPlan, { numRuns: 5, seed: 1 }))
    for (const course of courses) await world.run(plan, (call) => course.push(call));
  expect(courses[0].length).toBeGreaterThan(200);
  expect(courses[1]).toEqual(courses[0]);
});

/** As their reports have them. */
const found = [
  [
    "records removed after page 1 announced a page that no longer exists",
    '{"seed":0,"records":22,"pageSize":6,"concurrency":1,"tries":1,"earlierFile":"none","follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false}],"faults":[{"at":"source","kind":"remove","nth":2,"pick":0}]}',
  ],
  [
    "pages that hold a record twice in all three readings of their window",
    '{"seed":1,"records":40,"pageSize":7,"concurrency":3,"tries":1,"earlierFile":"none","follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false}],"faults":[{"at":"libinsight","kind":"repeated","nth":1,"times":8},{"at":"libinsight","kind":"repeated","nth":9,"times":8},{"at":"libinsight","kind":"repeated","nth":17,"times":8}]}',
  ],
  [
    "a page fetched again with other records between the publication and its result",
    '{"seed":0,"records":2,"pageSize":4,"concurrency":1,"tries":1,"earlierFile":"none","follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false},{"id":"a","day":0,"skips":false},{"id":"b","day":0,"skips":false}],"faults":[{"at":"port","kind":"before","call":"head","nth":5,"times":3},{"at":"delivery","kind":"delay","queue":"transformer","nth":4,"steps":43},{"at":"delivery","kind":"visibility","queue":"fetcher","nth":4,"steps":6},{"at":"port","kind":"throttled","call":"stream","nth":3,"times":2},{"at":"source","kind":"remove","nth":4,"pick":611},{"at":"source","kind":"add","nth":3,"pick":974},{"at":"source","kind":"edit","nth":4,"pick":717}]}',
  ],
] as const;

test.each(found)("%s", async (_, report) => {
  const outcome = await world.run(planOf(report));
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
  timeout: 600_000,
}, async () => {
  const { totals, failed } = await checkPlans(world, { plans, seed: 1 });
  expect(failed).toBeUndefined();
  expect(totals.plans).toBe(plans);
  // Nearly every kind of fault there is.
  expect(totals.injected.size).toBeGreaterThan(30);
});
