import { expect, test } from "vitest";
import { planRun } from "../../../services/kickoff/plan.ts";
import { findDataset } from "../../../shared/datasets.ts";
import { requestOf } from "../../factories/requests.ts";

const dataset = findDataset("reference-transactions");

test("plans from the dataset's first date to yesterday if the request has no dates", () => {
  const planned = planRun(requestOf({ time: "2024-03-15T12:00:00Z" }), dataset);
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
  expect(planRun(requestOf({ time, detail: { from: "2023-12-15" } }), monthly)).toMatchObject({
    from: "2023-12-01",
    to: "2024-02-29",
    windows: [{ number: 1 }, { number: 2 }, { number: 3, from: "2024-02-01", to: "2024-02-29" }],
  });
  const short = requestOf({ time, detail: { from: "2024-02-02", to: "2024-02-28" } });
  expect(() => planRun(short, monthly)).toThrow(/2024-02-02 to 2024-02-28 is too short/);
});

test.each([
  ["2024-01-01T04:59:59Z", "2023-12-30", "a second before midnight on New Year's Eve in New York"],
  ["2024-01-01T05:00:00Z", "2023-12-31", "at midnight on New Year's Eve in New York"],
  ["2024-03-11T03:59:59Z", "2024-03-09", "a second before the end of the day that clocks go forward"],
  ["2024-03-11T04:00:00Z", "2024-03-10", "at the end of the day that clocks go forward"],
  ["2024-11-04T04:59:59Z", "2024-11-02", "a second before the end of the day that clocks go back"],
  ["2024-11-04T05:00:00Z", "2024-11-03", "at the end of the day that clocks go back"],
])("a run requested at %s ends on %s: %s", (time, to) => {
  expect(planRun(requestOf({ time }), dataset).to).toBe(to);
});

test("determines yesterday in the dataset's time zone", () => {
  const request = requestOf({ time: "2024-03-15T12:00:00Z" });
  expect(planRun(request, { ...dataset, timeZone: "Pacific/Kiritimati" }).to).toBe("2024-03-15");
  expect(planRun(request, { ...dataset, timeZone: "Pacific/Pago_Pago" }).to).toBe("2024-03-14");
});

test.each([
  { what: "before the dataset's first date", detail: { from: "2020-01-01", to: "2020-01-31" } },
  { what: "of one day, yesterday", detail: { from: "2024-03-14" } },
])("accepts a date range $what", ({ detail }) => {
  const { windows } = planRun(requestOf({ detail }), dataset);
  expect(windows).toEqual([{ number: 1, to: "2024-03-14", ...detail }]);
});

test("derives the run id from the requestId, or from the event's id if there is none", () => {
  const idOf = (id: string, requestId?: string) =>
    planRun(requestOf({ id, detail: requestId ? { requestId } : {} }), dataset).runId;
  expect(idOf("a")).toBe(idOf("a"));
  expect(idOf("a")).not.toBe(idOf("b"));
  expect(idOf("a", "weekly")).toBe(idOf("b", "weekly"));
  expect(idOf("a", "weekly")).not.toBe(idOf("a"));
  expect(idOf("a", "b")).toBe(idOf("b"));
});

test("derives a run id that is valid in a key from any requestId", () => {
  const planned = planRun(requestOf({ detail: { requestId: "../../Straße 💥\n" } }), dataset);
  expect(planned.runId).toMatch(/^reference-transactions-[0-9a-f]{12}$/);
  expect(planned.requestId).toBe("../../Straße 💥\n");
});

test.each([
  { what: "a first day after the last", detail: { from: "2024-02-02", to: "2024-02-01" } },
  { what: "a first day that is today", detail: { from: "2024-03-15" } },
  { what: "a last day before the dataset begins", detail: { to: "2021-12-01" } },
  { what: "a last day in the future", detail: { to: "2024-03-16" } },
])("rejects $what and explains what to request instead", ({ detail }) => {
  expect(() => planRun(requestOf({ detail }), dataset)).toThrow(
    expect.objectContaining({
      name: "RangeImpossible",
      kind: "terminal",
      sentence: expect.stringMatching(/(is empty|in the future when .*)\. Request a range/),
    }),
  );
});
