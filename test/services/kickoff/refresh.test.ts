import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planRun } from "../../../services/kickoff/plan.ts";
import { planRefresh } from "../../../services/kickoff/refresh.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { addDays, daysBetween, mondayOf } from "../../../shared/dates.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import type { KeptIndex, KeptWindow } from "../../../shared/kept.ts";
import { dayIn } from "../../../shared/time-zone.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { requestOf } from "../../factories/requests.ts";

type Refresh = NonNullable<Dataset["refresh"]>;
const refreshing = (refresh: Refresh) => ({ ...datasetOf([{ name: "Topic", type: "text" }]), refresh });
const dataset = refreshing({ lookbackDays: 14, full: "monthly" });
const fullRun = { runId: "test-dataset-000000000001", requestedAt: "2026-10-05T10:00:00Z" };
const last = { runId: "test-dataset-000000000002", requestedAt: "2026-10-12T10:00:00Z" };

/** Returns windows of so many days each, without gaps. */
function windowsOf(from: string, days: readonly number[]): KeptWindow[] {
  let start = from;
  return days.map((length) => {
    const window = { from: start, to: addDays(start, length - 1) };
    start = addDays(start, length);
    return { ...window, at: fullRun.requestedAt, runId: fullRun.runId, records: 1, parts: ["a".repeat(64)] };
  });
}

function indexOf(windows: KeptWindow[], given: Partial<KeptIndex> = {}): KeptIndex {
  const [first, end] = [windows[0], windows.at(-1)];
  const range = { from: first?.from ?? "", to: end?.to ?? "" };
  return { ...last, entry: fingerprintOf(dataset), ...range, full: fullRun, windows, ...given };
}

// 2026-09-01 to 2026-10-11.
const index = indexOf(windowsOf("2026-09-01", [10, 10, 10, 11]));
const run = { from: "2026-09-01", to: "2026-10-18", requestedAt: "2026-10-19T10:00:00Z" };
const file = { metadata: { "run-id": last.runId, "requested-at": last.requestedAt } };

test("a run reuses the windows that end before its lookback", () => {
  expect(planRefresh(run, false, dataset, { file, index })).toEqual({
    refresh: { reason: "a run of this month has collected everything", lastFull: fullRun },
    // The last of the four windows ends on October 11, and every day from October 4 on is fetched.
    reused: index.windows.slice(0, 3),
  });
  const onLimit = refreshing({ lookbackDays: 18, full: "monthly" });
  expect(planRefresh(run, false, onLimit, { file, index }).reused).toHaveLength(2);
});

const other = { ...dataset, undeclared: "reject" as const };
const rolledBack = { metadata: { "run-id": fullRun.runId, "requested-at": fullRun.requestedAt } };
const again = { metadata: { ...file.metadata, "requested-at": "2026-10-13T10:00:00Z" } };
test.each([
  ["is asked for everything", planRefresh(run, true, dataset, { file, index }), "requested"],
  ["is the first one", planRefresh(run, false, dataset, { file: undefined, index }), "no file is published"],
  ["finds no index", planRefresh(run, false, dataset, { file, index: undefined }), "no parts"],
  [
    "follows a rollback",
    planRefresh(run, false, dataset, { file: rolledBack, index }),
    "not those of the published",
  ],
  [
    "follows another request",
    planRefresh(run, false, dataset, { file: again, index }),
    "not those of the published",
  ],
  [
    "follows another writer",
    planRefresh(run, false, dataset, { file: { metadata: {} }, index }),
    "not those of",
  ],
  ["has another entry", planRefresh(run, false, other, { file, index }), "entry has changed"],
  ["begins later", planRefresh({ ...run, from: "2026-09-02" }, false, dataset, { file, index }), "dates"],
  ["ends earlier", planRefresh({ ...run, to: "2026-10-10" }, false, dataset, { file, index }), "dates"],
  [
    "looks back to the first day",
    planRefresh(run, false, refreshing({ lookbackDays: 366, full: "monthly" }), { file, index }),
    "every window lies in the lookback",
  ],
])("a run collects everything if it %s", (_, plan, reason) => {
  expect(plan).toEqual({ refresh: { reason: expect.stringContaining(reason) }, reused: [] });
});

describe("the first run of a week, month or quarter collects everything", () => {
  test.each<[Refresh["full"], string, string, boolean]>([
    // Monday and Sunday of a week.
    ["weekly", "2026-10-12T10:00:00Z", "2026-10-18T10:00:00Z", false],
    ["weekly", "2026-10-18T10:00:00Z", "2026-10-19T10:00:00Z", true],
    ["monthly", "2026-10-01T10:00:00Z", "2026-10-31T10:00:00Z", false],
    ["monthly", "2026-10-31T10:00:00Z", "2026-11-01T10:00:00Z", true],
    ["monthly", "2025-10-05T10:00:00Z", "2026-10-05T10:00:00Z", true],
    ["quarterly", "2026-07-01T10:00:00Z", "2026-09-30T10:00:00Z", false],
    ["quarterly", "2026-09-30T10:00:00Z", "2026-10-01T10:00:00Z", true],
    ["quarterly", "2026-10-01T10:00:00Z", "2026-12-31T10:00:00Z", false],
    // Midnight in New York.
    ["monthly", "2026-10-31T03:59:59Z", "2026-11-01T03:59:59Z", false],
    ["monthly", "2026-10-31T03:59:59Z", "2026-11-01T04:00:00Z", true],
  ])("%s: the last full run was requested at %s, this run at %s", (full, before, requestedAt, isFull) => {
    const kept = { ...index, full: { ...fullRun, requestedAt: before } };
    const plan = planRefresh({ ...run, requestedAt }, false, refreshing({ lookbackDays: 14, full }), {
      file,
      index: kept,
    });
    expect(plan.refresh?.lastFull === undefined).toBe(isFull);
    expect(plan.refresh?.reason).toMatch(isFull ? /^it is the first run of the/ : /^a run of this/);
  });
});

test("a dataset without refresh is always collected in full", () => {
  expect(planRefresh(run, false, datasetOf([]), { file, index })).toEqual({ reused: [] });
});

test("reused windows begin with the run's first day, have no gaps, and end before the lookback", () => {
  const windows = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 });
  const refresh = fc.record({
    lookbackDays: fc.integer({ min: 1, max: 366 }),
    full: fc.constantFrom<Refresh["full"]>("weekly", "monthly", "quarterly"),
  });
  fc.assert(
    fc.property(windows, refresh, fc.nat(60), fc.nat(120), (days, settings, later, daysSince) => {
      const kept = indexOf(windowsOf("2020-02-01", days));
      const to = addDays(kept.to, later);
      const requestedAt = `${addDays(fullRun.requestedAt.slice(0, 10), daysSince)}T10:00:00Z`;
      const refreshed = refreshing(settings);
      const plan = planRefresh({ from: kept.from, to, requestedAt }, false, refreshed, { file, index: kept });
      expect(plan.reused).toEqual(kept.windows.slice(0, plan.reused.length));
      // The days of the lookback are fetched, and so is everything that no window of the index has.
      const next = addDays(plan.reused.at(-1)?.to ?? addDays(kept.from, -1), 1);
      expect(next <= to).toBe(true);
      for (const { to: end } of plan.reused)
        expect(daysBetween(end, to)).toBeGreaterThan(settings.lookbackDays);
      if (plan.refresh?.lastFull) {
        const following = kept.windows[plan.reused.length];
        expect(following === undefined || daysBetween(following.to, to) <= settings.lookbackDays).toBe(true);
        const age = daysBetween(fullRun.requestedAt.slice(0, 10), requestedAt.slice(0, 10));
        expect(age).toBeLessThan({ weekly: 7, monthly: 31, quarterly: 92 }[settings.full]);
        if (settings.full === "weekly")
          expect(mondayOf(dayIn("America/New_York", new Date(requestedAt)))).toBe("2026-10-05");
      } else expect(plan.reused).toEqual([]);
    }),
  );
});

test("the windows of a plan cover the run's dates without gaps, each in one period, reused ones first", () => {
  const days = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(days, fc.nat(20), fc.integer({ min: 1, max: 366 }), (lengths, later, lookbackDays) => {
      const from = "2020-02-29";
      // No window of an earlier run is in two periods.
      const windows = windowsOf(from, lengths).filter(({ to }) => to < "2021-02-28");
      const refreshed = { ...refreshing({ lookbackDays, full: "monthly" }), firstDate: from };
      const kept = indexOf(windows.length > 0 ? windows : windowsOf(from, [1]));
      const to = addDays(kept.to, later);
      const request = requestOf({ time: "2026-10-19T10:00:00Z", detail: { from, to } });
      const planned = planRun(request, refreshed, undefined, { file, index: kept });
      let next = from;
      for (const window of planned.windows) {
        expect(window.from).toBe(next);
        next = addDays(window.to, 1);
        const inside = planned.periods.filter(
          (period) => period.from <= window.from && window.to <= period.to,
        );
        expect(inside).toHaveLength(1);
      }
      expect(next).toBe(addDays(to, 1));
      const reused = planned.windows.filter((window) => window.reused);
      expect(planned.windows.slice(0, reused.length)).toEqual(reused);
      expect(reused.length).toBeLessThan(planned.windows.length);
      expect(reused.length > 0).toBe(planned.refresh?.lastFull !== undefined);
    }),
  );
});
