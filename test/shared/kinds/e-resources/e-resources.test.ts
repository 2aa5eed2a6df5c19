import { expect, test } from "vitest";
import { eResources } from "../../../../shared/kinds/e-resources/e-resources.ts";
import { fakeApi } from "../fake-api.ts";

const month = { datasetId: 9, timeZone: "America/New_York", from: "2024-02-01", to: "2024-02-29" };
const platforms = { platforms: [{ id: 197, name: "JSTOR" }] };

/** Returns an API with these payloads. */
const apiOf = (use: unknown, listed: unknown = platforms) =>
  fakeApi((path) => ({ type: "success", payload: path.endsWith("/platforms") ? listed : use }));
const pageOf = (use: unknown, listed?: unknown) => eResources.fetchPage(apiOf(use, listed).api, month, 1);

test.each([
  ["2024-01-01", "2024-03-31", ["2024-01-01 2024-01-31", "2024-02-01 2024-02-29", "2024-03-01 2024-03-31"]],
  // The first month is collected whole, and the last one when it has ended.
  ["2023-12-15", "2024-02-28", ["2023-12-01 2023-12-31", "2024-01-01 2024-01-31"]],
  ["2023-02-28", "2023-02-28", ["2023-02-01 2023-02-28"]],
  ["2024-02-28", "2024-02-28", []],
])("cuts %s to %s into the months that end in it", (from, to, expected) => {
  expect(eResources.periods({ from, to }).map((each) => `${each.from} ${each.to}`)).toEqual(expected);
});

test("requests the use and the platforms of a month and returns a record for each metric", async () => {
  const { api, requests } = apiOf({
    overview_by_platforms: {
      197: {
        Book: { searches_platform: 5, total_item_requests: "7" },
        Journal: { total_item_requests: null },
      },
      4: { Book: { total_item_requests: 1 } },
    },
  });
  const { records, totals } = await eResources.fetchPage(api, month, 1);
  expect(requests).toEqual([
    "/e-resources/9/overview?from=2024-02-01&to=2024-02-29",
    "/e-resources/9/platforms",
  ]);
  const common = { month: "2024-02-01", _id: expect.any(Number) };
  expect(records).toEqual([
    // A platform that no longer exists has use and no name.
    { ...common, platform: "4", data_type: "Book", metric: "total_item_requests", value: 1 },
    { ...common, platform: "JSTOR", data_type: "Book", metric: "searches_platform", value: 5 },
    { ...common, platform: "JSTOR", data_type: "Book", metric: "total_item_requests", value: "7" },
    { ...common, platform: "JSTOR", data_type: "Journal", metric: "total_item_requests", value: null },
  ]);
  expect(totals).toEqual({ totalPages: 1, totalRecords: 4 });
});

test("gives a metric the same id in every run, and another one in every month, platform and type", async () => {
  const ids = async (from: string, platform: string, type: string) => {
    const use = { overview_by_platforms: { [platform]: { [type]: { a: 1, b: 2 } } } };
    const { records } = await eResources.fetchPage(apiOf(use).api, { ...month, from }, 1);
    return records.map((record) => (record instanceof Object && "_id" in record ? record._id : undefined));
  };
  const all = [
    ...(await ids("2024-02-01", "197", "Book")),
    ...(await ids("2024-02-01", "197", "Journal")),
    ...(await ids("2024-02-01", "1", "97Book")),
    ...(await ids("2024-03-01", "197", "Book")),
    ...(await ids("2099-12-01", "197", "Book")),
  ];
  expect(new Set(all).size).toBe(10);
  expect(all.every((id) => Number.isSafeInteger(id))).toBe(true);
  expect(await ids("2024-02-01", "197", "Book")).toEqual(all.slice(0, 2));
});

test.each([[[]], [""], [null], [{}]])("reads %j as no use", async (empty) => {
  const none = { records: [], totals: { totalPages: 1, totalRecords: 0 } };
  expect(await pageOf({ overview_by_platforms: empty })).toEqual(none);
  expect(await pageOf({ overview_by_platforms: { 197: empty } })).toEqual(none);
  expect(await pageOf({ overview_by_platforms: { 197: { Book: empty } } })).toEqual(none);
  expect(await pageOf([], [])).toEqual(none);
});

test("reads metrics that belong to no data type", async () => {
  const { records } = await pageOf({ overview_by_platforms: { 197: { searches_platform: 5 } } });
  expect(records).toMatchObject([
    { platform: "JSTOR", data_type: "", metric: "searches_platform", value: 5 },
  ]);
});

test.each([
  ["busy", platforms],
  [{ overview_by_platforms: "busy" }, platforms],
  [{ overview_by_platforms: {} }, "busy"],
])("refuses %j and %j as of an unknown shape", async (use, listed) => {
  await expect(pageOf(use, listed)).rejects.toMatchObject({ name: "LibInsightResponseUnreadable" });
});

test("has no second total", async () => {
  const { api, requests } = apiOf([]);
  expect([await eResources.recount(api, month), requests]).toEqual([{}, []]);
});
