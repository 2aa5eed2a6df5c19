import { expect, test } from "vitest";
import type { Failure } from "../../../../shared/http.ts";
import { gateCount } from "../../../../shared/kinds/gate-count/gate-count.ts";
import { errorAt200, pageFailure } from "../../../../shared/libinsight/policy.ts";
import { errorOf, fakeApi } from "../fake-api.ts";

const week = { datasetId: 7, timeZone: "America/New_York", from: "2023-11-01", to: "2023-11-07" };
const libraries = { 3: "Main", 12: "Art" };
const payload = (hourly: unknown, names: unknown = libraries) => ({
  type: "success",
  payload: { libraries: names, hourly },
});
const rowsOf = async (body: unknown) => {
  const { api } = fakeApi(() => body);
  return gateCount.fetchPage(api, week, 1);
};

test("cuts a range into weeks that share no day, the last of which may be shorter", () => {
  expect(gateCount.periods({ from: "2023-10-30", to: "2023-11-14" })).toEqual([
    { from: "2023-10-30", to: "2023-11-05" },
    { from: "2023-11-06", to: "2023-11-12" },
    { from: "2023-11-13", to: "2023-11-14" },
  ]);
});

test("requests the hourly counts of the window and returns a record for each library and hour", async () => {
  const { api, requests } = fakeApi(() =>
    payload({
      "2023-11-01 9AM": { 3: 41, 12: "7" },
      "2023-11-01 12PM": { 3: 0 },
      "2023-11-02 12AM": { 3: 2 },
    }),
  );
  const page = await gateCount.fetchPage(api, week, 1);
  expect(requests).toEqual(["/gate-count/7/overview?from=2023-11-01&to=2023-11-07&aggregate=hourly"]);
  expect(page.totals).toEqual({ totalPages: 1, totalRecords: 4, sum: 50 });
  expect(page.records).toEqual([
    {
      _id: 30_000_000 + 19_662 * 24 + 9,
      library: "Main",
      count: 41,
      date: "2023-11-01",
      hour: 9,
      local_start: "2023-11-01 09:00:00",
      start: "2023-11-01T09:00:00-04:00",
    },
    expect.objectContaining({ _id: 120_000_000 + 19_662 * 24 + 9, library: "Art", count: "7", hour: 9 }),
    expect.objectContaining({ library: "Main", count: 0, hour: 12 }),
    expect.objectContaining({ library: "Main", count: 2, date: "2023-11-02", hour: 0 }),
  ]);
});

test.each<[text: string, zone: string, start: string]>([
  ["2023-11-05 12AM", "America/New_York", "2023-11-05T00:00:00-04:00"],
  // Both hours under one name begin at the first of them.
  ["2023-11-05 1AM", "America/New_York", "2023-11-05T01:00:00-04:00"],
  ["2023-11-05 1AM (2)", "America/New_York", "2023-11-05T01:00:00-05:00"],
  ["2023-11-05 2AM", "America/New_York", "2023-11-05T02:00:00-05:00"],
  ["2023-03-12 1AM", "America/New_York", "2023-03-12T01:00:00-05:00"],
  // The hour does not exist. A clock that did not go forward counts in it.
  ["2023-03-12 2AM", "America/New_York", "2023-03-12T02:00:00-05:00"],
  ["2023-03-12 3AM", "America/New_York", "2023-03-12T03:00:00-04:00"],
  ["2023-04-02 2AM", "Australia/Sydney", "2023-04-02T02:00:00+11:00"],
  ["2023-04-02 2AM (2)", "Australia/Sydney", "2023-04-02T02:00:00+10:00"],
  ["2023-05-01 09:00", "Asia/Kolkata", "2023-05-01T09:00:00+05:30"],
  ["2023-05-01 21:00:00", "UTC", "2023-05-01T21:00:00+00:00"],
])("the hour %s in %s starts at %s", async (text, timeZone, start) => {
  const { api } = fakeApi(() => payload({ [text]: { 3: 1 } }));
  const { records } = await gateCount.fetchPage(api, { ...week, timeZone }, 1);
  expect(records).toMatchObject([{ start, _id: expect.any(Number) }]);
});

test("gives the two hours of one name, with two counts, two ids and one hour", async () => {
  const { records, totals } = await rowsOf(
    payload({ "2023-11-05 1AM": { 3: 5 }, "2023-11-05 1AM (2)": { 3: 6 } }),
  );
  const [one, other] = records.map((record) =>
    record instanceof Object && "_id" in record ? record._id : 0,
  );
  expect(one).not.toBe(other);
  expect(records).toMatchObject([
    { hour: 1, count: 5 },
    { hour: 1, count: 6 },
  ]);
  expect(totals.sum).toBe(11);
});

test.each([
  ["2023-11-01 13PM", { 3: 4 }],
  ["2023-02-30 9AM", { 3: 4 }],
  ["2023-11-01 9AM (2)", { 3: 4 }],
  ["2023-11-05 1AM (3)", { 3: 4 }],
  ["Total", { 3: 4 }],
  ["2023-11-01 9AM", { all: 4 }],
  ["2023-11-01 9AM", 4],
])("keeps the count of %j %j, without an id, so that it is rejected and not lost", async (hour, counts) => {
  const { records, totals } = await rowsOf(payload({ [hour]: counts }));
  expect(records).toMatchObject([{ count: 4 }]);
  expect(records[0]).not.toHaveProperty("_id");
  expect(totals).toEqual({ totalPages: 1, totalRecords: 1, sum: 4 });
});

test.each([[[]], [""], [null], [undefined], [{}]])("reads %j as no counts", async (hourly) => {
  expect(await rowsOf(payload(hourly, []))).toEqual({
    records: [],
    totals: { totalPages: 1, totalRecords: 0, sum: 0 },
  });
});

test.each([[[]], [{}], [{ libraries: [] }], [{ libraries: null }]])(
  "reads the payload %j as no counts",
  async (empty) => {
    expect(await rowsOf({ type: "success", payload: empty })).toMatchObject({ records: [] });
  },
);

test.each([
  [null],
  [{}],
  [{ payload: "x" }],
  [{ payload: { libraries } }],
  [{ payload: { hours: {} } }],
  [payload("busy")],
  [payload([{ 3: 1 }])],
  ["text"],
])("refuses the response %j as of an unknown shape", async (body) => {
  await expect(rowsOf(body)).rejects.toMatchObject({ name: "LibInsightResponseUnreadable" });
});

test.each([
  [{ 3: "Main" }, "Main"],
  [[{ id: 3, name: "Main" }], "Main"],
  [[{ id: "3", name: "Main" }], "Main"],
  // A library that no longer exists has counts and no name.
  [{ 12: "Art" }, "3"],
  [[], "3"],
  [null, "3"],
])("finds the name of a library in %j", async (names, library) => {
  const { records } = await rowsOf(payload({ "2023-11-01 9AM": { 3: 1 } }, names));
  expect(records).toMatchObject([{ library }]);
});

test("refuses more rows than a week of 297 libraries has", async () => {
  const counts = Object.fromEntries(Array.from({ length: 50_001 }, (_, n) => [n, 1]));
  await expect(rowsOf(payload({ "2023-11-01 9AM": counts }))).rejects.toMatchObject({
    name: "LibInsightResponseTooLarge",
  });
});

test.each([
  [{ daily: { "2023-11-01": { 3: 41, 12: "7" }, "2023-11-02": { 3: 2 } } }, 50],
  [{ libraries, days: { "2023-11-01": 50 } }, 50],
  [{ libraries, daily: [] }, 0],
  [{ libraries: [], daily: null }, 0],
  [{ libraries: [], days: [] }, undefined],
  [{ libraries: [] }, undefined],
  [{ libraries, hourly: { "2023-11-01 9AM": { 3: 41 } } }, undefined],
  [[], undefined],
])("counts again by the daily counts in %j: %j", async (daily, sum) => {
  const { api, requests } = fakeApi(() => ({ type: "success", payload: daily }));
  expect(await gateCount.recount(api, week)).toEqual(sum === undefined ? {} : { sum });
  expect(requests).toEqual(["/gate-count/7/overview?from=2023-11-01&to=2023-11-07&aggregate=daily"]);
});

const answering = (hourly: () => unknown, daily: () => never) =>
  fakeApi((_, { aggregate }) => (aggregate === "hourly" ? hourly() : daily()));
const failing = (failure: Failure) => () => {
  throw errorOf(failure);
};

test.each([[errorAt200], [pageFailure(400)], [pageFailure(404)]])(
  "has no second total if LibInsight refuses the daily counts and returns the hourly ones (%j)",
  async (failure) => {
    const { api, requests } = answering(() => payload({}), failing(failure));
    expect(await gateCount.recount(api, week)).toEqual({});
    expect(requests).toHaveLength(2);
  },
);

test.each([[errorAt200], [pageFailure(503)], [pageFailure(429)], [pageFailure(401)]])(
  "fails, and is retried, if LibInsight does not respond at all (%j)",
  async (failure) => {
    const { api } = answering(failing(failure), failing(failure));
    await expect(gateCount.recount(api, week)).rejects.toMatchObject({ name: failure.name });
  },
);
