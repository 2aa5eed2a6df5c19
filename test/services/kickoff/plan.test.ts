import fc from "fast-check";
import { expect, test } from "vitest";
import { planRun } from "../../../services/kickoff/plan.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { findDataset } from "../../../shared/datasets.ts";
import { addDays, daysBetween } from "../../../shared/dates.ts";
import type { RunRequested } from "../../../shared/events.ts";
import type { DateRange } from "../../../shared/kinds/kind.ts";
import type { Profile } from "../../../shared/profile.ts";
import { densityOf } from "../../../shared/ranges.ts";
import { anyProfiles } from "../../factories/profiles.ts";
import { requestOf } from "../../factories/requests.ts";

const dataset = findDataset("reference-transactions");
const [anyProfile] = anyProfiles(1);

/** Plans a run of a dataset without a published file. */
function planFirst(request: RunRequested, of: Dataset) {
  return planRun(request, of, undefined);
}

/** Returns the profile of a published file with these records on the days from its first one. */
function profileWith(from: string, days: number[]): Profile {
  return { ...anyProfile, from, to: addDays(from, days.length - 1), days };
}

const withoutNumber = ({ from, to }: DateRange) => ({ from, to });

test("plans from the dataset's first date to yesterday if the request has no dates", () => {
  const planned = planFirst(requestOf({ time: "2024-03-15T12:00:00Z" }), dataset);
  expect(planned).toMatchObject({
    from: "2021-12-02",
    to: "2024-03-14",
    windows: [
      { number: 1, from: "2021-12-02", to: "2022-12-01" },
      { number: 2, from: "2022-12-02", to: "2023-12-01" },
      { number: 3, from: "2023-12-02", to: "2024-03-14" },
    ],
  });
});

test("a run of whole months has the range of its windows, and needs at least one", () => {
  const monthly = { ...dataset, kind: "e-resources" as const };
  const time = "2024-03-15T12:00:00Z";
  expect(planFirst(requestOf({ time, detail: { from: "2023-12-15" } }), monthly)).toMatchObject({
    from: "2023-12-01",
    to: "2024-02-29",
    windows: [{ number: 1 }, { number: 2 }, { number: 3, from: "2024-02-01", to: "2024-02-29" }],
  });
  const short = requestOf({ time, detail: { from: "2024-02-02", to: "2024-02-28" } });
  expect(() => planFirst(short, monthly)).toThrow(/2024-02-02 to 2024-02-28 is too short/);
});

test.each([
  ["2024-01-01T04:59:59Z", "2023-12-30", "a second before midnight on New Year's Eve in New York"],
  ["2024-01-01T05:00:00Z", "2023-12-31", "at midnight on New Year's Eve in New York"],
  ["2024-03-11T03:59:59Z", "2024-03-09", "a second before the end of the day that clocks go forward"],
  ["2024-03-11T04:00:00Z", "2024-03-10", "at the end of the day that clocks go forward"],
  ["2024-11-04T04:59:59Z", "2024-11-02", "a second before the end of the day that clocks go back"],
  ["2024-11-04T05:00:00Z", "2024-11-03", "at the end of the day that clocks go back"],
])("a run requested at %s ends on %s: %s", (time, to) => {
  expect(planFirst(requestOf({ time }), dataset).to).toBe(to);
});

test("determines yesterday in the dataset's time zone", () => {
  const request = requestOf({ time: "2024-03-15T12:00:00Z" });
  expect(planFirst(request, { ...dataset, timeZone: "Pacific/Kiritimati" }).to).toBe("2024-03-15");
  expect(planFirst(request, { ...dataset, timeZone: "Pacific/Pago_Pago" }).to).toBe("2024-03-14");
});

test.each([
  { what: "before the dataset's first date", detail: { from: "2020-01-01", to: "2020-01-31" } },
  { what: "of one day, yesterday", detail: { from: "2024-03-14" } },
])("accepts a date range $what", ({ detail }) => {
  const { windows } = planFirst(requestOf({ detail }), dataset);
  expect(windows).toEqual([{ number: 1, to: "2024-03-14", ...detail }]);
});

test("derives the run id from the requestId, or from the event's id if there is none", () => {
  const idOf = (id: string, requestId?: string) =>
    planFirst(requestOf({ id, detail: requestId ? { requestId } : {} }), dataset).runId;
  expect(idOf("a")).toBe(idOf("a"));
  expect(idOf("a")).not.toBe(idOf("b"));
  expect(idOf("a", "weekly")).toBe(idOf("b", "weekly"));
  expect(idOf("a", "weekly")).not.toBe(idOf("a"));
  expect(idOf("a", "b")).toBe(idOf("b"));
});

test("derives a run id that is valid in a key from any requestId", () => {
  const planned = planFirst(requestOf({ detail: { requestId: "../../Straße 💥\n" } }), dataset);
  expect(planned.runId).toMatch(/^reference-transactions-[0-9a-f]{12}$/);
  expect(planned.requestId).toBe("../../Straße 💥\n");
});

test.each([
  { what: "a first day after the last", detail: { from: "2024-02-02", to: "2024-02-01" } },
  { what: "a first day that is today", detail: { from: "2024-03-15" } },
  { what: "a last day before the dataset begins", detail: { to: "2021-12-01" } },
  { what: "a last day in the future", detail: { to: "2024-03-16" } },
])("rejects $what and explains what to request instead", ({ detail }) => {
  expect(() => planFirst(requestOf({ detail }), dataset)).toThrow(
    expect.objectContaining({
      name: "RangeImpossible",
      kind: "terminal",
      sentence: expect.stringMatching(/(is empty|in the future when .*)\. Request a range/),
    }),
  );
});

test("without a published file, each period is one window", () => {
  const { periods, windows } = planFirst(requestOf(), dataset);
  expect(periods).toHaveLength(3);
  expect(windows).toEqual(periods);
});

test("with a published file, plans windows that are expected to fit one page, in each period", () => {
  // 20 records on each day of two weeks, and then a busy day.
  const published = profileWith("2023-11-20", [...new Array(14).fill(20), 200]);
  const request = requestOf({ detail: { from: "2022-12-01", to: "2023-12-05" } });
  const { periods, windows } = planRun(request, dataset, published);
  expect(periods).toEqual([
    { number: 1, from: "2022-12-01", to: "2023-11-30" },
    { number: 2, from: "2023-12-01", to: "2023-12-05" },
  ]);
  expect(windows.map(({ number }) => number)).toEqual(windows.map((_, index) => index + 1));
  expect(windows.filter(({ to }) => to >= "2023-11-20").map(withoutNumber)).toEqual([
    // The days before the file are expected to have 1.5 times its mean of 32 records.
    { from: "2023-11-19", to: "2023-11-21" },
    { from: "2023-11-22", to: "2023-11-25" },
    { from: "2023-11-26", to: "2023-11-29" },
    { from: "2023-11-30", to: "2023-11-30" },
    { from: "2023-12-01", to: "2023-12-03" },
    { from: "2023-12-04", to: "2023-12-04" },
    { from: "2023-12-05", to: "2023-12-05" },
  ]);
});

test("statistics have one window for each period, whatever was published", () => {
  const days = new Array(800).fill(1_000);
  for (const kind of ["gate-count", "e-resources"] as const) {
    const { periods, windows } = planRun(requestOf(), { ...dataset, kind }, profileWith("2022-01-01", days));
    expect(windows).toEqual(periods);
  }
});

test("windows cover their periods without gaps or overlaps, and only a single day is expected to exceed 95 records", () => {
  const day = fc.integer({ min: 0, max: 1_500 }).map((days) => addDays("2020-01-01", days));
  const records = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 20 }) },
    fc.integer({ min: 0, max: 200 }),
  );
  const days = fc.array(records, { maxLength: 400 });
  fc.assert(
    fc.property(day, day, day, days, (one, other, firstDay, days) => {
      const [from, to] = one < other ? [one, other] : [other, one];
      const published = profileWith(firstDay, days);
      const { periods, windows } = planRun(requestOf({ detail: { from, to } }), dataset, published);
      const density = densityOf(published);
      const expected = (range: DateRange) =>
        Array.from({ length: daysBetween(range.from, range.to) + 1 }, (_, index) =>
          density(addDays(range.from, index)),
        ).reduce((sum, count) => sum + count, 0);
      for (const period of periods) {
        const own = windows.filter((window) => window.from >= period.from && window.to <= period.to);
        expect([own[0]?.from, own.at(-1)?.to]).toEqual([period.from, period.to]);
        own.forEach((window, index) => {
          expect(window.from <= window.to).toBe(true);
          const next = own[index + 1];
          if (next) expect(next.from).toBe(addDays(window.to, 1));
          if (window.from < window.to) expect(expected(window)).toBeLessThanOrEqual(95 + 1e-9);
        });
      }
      expect([periods[0]?.from, periods.at(-1)?.to]).toEqual([from, to]);
      expect(windows.map(({ number }) => number)).toEqual(windows.map((_, index) => index + 1));
      const inPeriods = periods.map(
        ({ from, to }) => windows.filter((window) => window.from >= from && window.to <= to).length,
      );
      expect(inPeriods.reduce((sum, count) => sum + count, 0)).toBe(windows.length);
    }),
  );
});
