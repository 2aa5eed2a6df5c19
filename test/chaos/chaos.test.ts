// Tests the pipeline under faults: random plans, and plans that once found a defect.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kindName } from "../../shared/kinds/kinds.ts";
import { checkInThreads } from "./check.ts";
import { anyPlan, type Plan, planOf, undisturbed } from "./fault-plan.ts";
import { type Harness, startHarness } from "./harness.ts";

const plans = 200;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness?.close());

test.each(kindName.options)("a plan without faults publishes the expected file of %s", async (kind) => {
  expect(await harness.run({ ...undisturbed, kind })).toEqual({
    wrong: [],
    injected: new Map(),
    replays: 0,
    excused: 0,
    reused: 0,
    states: ["published"],
  });
});

test("a plan makes the same port calls each time", async () => {
  const courses: [string[], string[]] = [[], []];
  for (const plan of fc.sample(anyPlan, { numRuns: 5, seed: 1 }))
    for (const course of courses) await harness.run(plan, (call) => course.push(call));
  expect(courses[0].length).toBeGreaterThan(200);
  expect(courses[1]).toEqual(courses[0]);
});

/** Plans as the reports of their failures printed them. */
const regressions = [
  [
    "publishes nothing wrong if records are removed after page 1 announced a page that no longer exists",
    '{"kind":"records","rows":false,"seed":0,"records":22,"pageSize":6,"busyDays":0,"planned":false,"refresh":null,"later":[],"concurrency":1,"tries":1,"earlierFile":"none","follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false}],"faults":[{"at":"source","kind":"remove","nth":2,"pick":0}]}',
  ],
  [
    "publishes nothing wrong if pages repeat a record in all three attempts",
    '{"kind":"records","rows":false,"seed":1,"records":40,"pageSize":7,"busyDays":0,"planned":false,"refresh":null,"later":[],"concurrency":3,"tries":1,"earlierFile":"none","follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false}],"faults":[{"at":"libinsight","kind":"repeated","nth":1,"times":8},{"at":"libinsight","kind":"repeated","nth":9,"times":8},{"at":"libinsight","kind":"repeated","nth":17,"times":8}]}',
  ],
  [
    "publishes nothing wrong if a page is fetched again with other records between the publication and its result",
    '{"kind":"records","rows":false,"seed":0,"records":2,"pageSize":4,"busyDays":0,"planned":false,"refresh":null,"later":[],"concurrency":1,"tries":1,"earlierFile":"none","follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false},{"id":"a","day":0,"skips":false},{"id":"b","day":0,"skips":false}],"faults":[{"at":"port","kind":"before","call":"head","nth":5,"times":3},{"at":"delivery","kind":"delay","queue":"transformer","nth":4,"steps":43},{"at":"delivery","kind":"visibility","queue":"fetcher","nth":4,"steps":6},{"at":"port","kind":"throttled","call":"stream","nth":3,"times":2},{"at":"source","kind":"remove","nth":4,"pick":611},{"at":"source","kind":"add","nth":3,"pick":974},{"at":"source","kind":"edit","nth":4,"pick":717}]}',
  ],
  [
    "stores a whole trace if a request that is sent again begins a second attempt that has begun",
    '{"kind":"records","addedField":false,"approves":false,"concurrency":1,"duckDb":false,"earlierFile":"foreign","faults":[{"at":"port","call":"emit","kind":"after","nth":4,"times":1},{"at":"deploy","kind":"declares a field","nth":298},{"at":"upload","bytes":9134,"kind":"dies","nth":5},{"at":"port","call":"upload","kind":"slow-down","nth":19,"times":14},{"at":"notification","kind":"lost","nth":3},{"at":"clock","kind":"a day","nth":126},{"at":"source","kind":"remove","nth":4,"pick":735}],"follows":false,"instance":false,"oversized":false,"pageSize":4,"busyDays":0,"planned":false,"refresh":null,"later":[],"records":50,"rejected":false,"requests":[{"day":-1,"id":"a","skips":false},{"day":0,"id":"b","skips":true},{"day":0,"id":"b","skips":true}],"rows":false,"seed":0,"tries":1}',
  ],
  [
    "stores the changes of a publication if another writer was in the way",
    '{"seed":0,"kind":"e-resources","records":0,"pageSize":4,"busyDays":0,"concurrency":1,"tries":1,"earlierFile":"none","planned":false,"follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"rows":false,"approves":false,"requests":[{"id":"a","day":0,"skips":false}],"faults":[{"at":"port","kind":"conflict","call":"upload","nth":4,"times":1}],"refresh":null,"later":[]}',
  ],
  [
    "compares a publication with the one before, even if two assemblers publish it",
    '{"seed":0,"kind":"records","records":0,"pageSize":4,"busyDays":0,"concurrency":2,"tries":1,"earlierFile":"none","planned":false,"follows":false,"instance":false,"duckDb":false,"oversized":false,"rejected":false,"addedField":false,"rows":false,"approves":true,"requests":[{"id":"a","day":0,"skips":false}],"faults":[],"refresh":{"lookbackDays":1,"full":"weekly"},"later":[{"days":0,"changes":[],"expires":null,"full":false,"faults":[{"at":"deploy","kind":"declares a field","nth":39}]},{"days":2,"changes":[],"expires":null,"full":false,"faults":[{"at":"delivery","kind":"visibility","queue":"assembler","nth":2,"steps":37},{"at":"query","kind":"silent","nth":1}]}]}',
  ],
] as const;

test.each(regressions)("%s", async (_, report) => {
  const outcome = await harness.run(planOf(report));
  expect(outcome.wrong).toEqual([]);
  // A plan whose faults are never injected proves nothing.
  expect(outcome.injected.size).toBeGreaterThan(0);
});

test("a record is lost only if another change compensates it in the count of its period", async () => {
  const move = { at: "source", kind: "move", nth: 8, pick: 450 } as const;
  const plan: Plan = { ...undisturbed, follows: false, rows: false, concurrency: 1, faults: [move] };
  expect(await harness.run(plan)).toMatchObject({ wrong: [], excused: 0, states: ["published"] });
  const compensated: Plan = { ...plan, faults: [move, { at: "source", kind: "remove", nth: 12, pick: 700 }] };
  expect(await harness.run(compensated)).toMatchObject({ wrong: [], excused: 1, states: ["published"] });
});

test("an incremental run reuses windows, except those whose kept parts have expired", async () => {
  const later = { days: 1, changes: [], expires: null, full: false, faults: [] };
  const refresh = { lookbackDays: 60, full: "quarterly" } as const;
  const plan: Plan = { ...undisturbed, follows: false, refresh, later: [later] };
  const whole = await harness.run(plan);
  expect(whole).toMatchObject({ wrong: [], states: ["published", "published"] });
  expect(whole.reused).toBeGreaterThan(2);
  const partly = await harness.run({ ...plan, later: [{ ...later, expires: 300 }] });
  expect(partly).toMatchObject({ wrong: [], states: ["published", "published"], reused: whole.reused - 1 });
});

test("a run with lost or repeated records is held", async () => {
  for (const kind of ["too-few", "repeated", "other-total"] as const) {
    const outcome = await harness.run({
      ...undisturbed,
      faults: [{ at: "libinsight", kind, nth: 2, times: 200 }],
    });
    expect(outcome).toMatchObject({ wrong: [], states: ["held"] });
  }
});

test("a run of gate counts that do not add up to the daily counts is held", async () => {
  const outcome = await harness.run({
    ...{ ...undisturbed, kind: "gate-count" },
    faults: [{ at: "libinsight", kind: "too-few", nth: 1, times: 200 }],
  });
  expect(outcome).toMatchObject({ wrong: [], states: ["held"] });
});

test(`${plans} random plans end with the same file as without faults, or with no file and a reason`, {
  timeout: 600_000,
}, async () => {
  const { totals, failed } = await checkInThreads({ plans, seed: 1 });
  expect(failed).toBeUndefined();
  expect(totals.plans).toBe(plans);
  // This is nearly every kind of fault.
  expect(totals.injected.size).toBeGreaterThan(30);
});
