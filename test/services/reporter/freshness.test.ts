// The daily check of a published file's age.
import { expect, test } from "vitest";
import { ageHours, checkFreshness } from "../../../services/reporter/freshness.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import type { Numbers } from "../../../shared/metrics.ts";
import { useLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";

const published = new Date("2026-11-23T11:05:00Z");
const local = useLocal(() => published.getTime());

const hour = 3_600_000;
const { name: dataset, publish, staleAfterDays } = defaultDataset;

test("the file's age passes the alarm's threshold on the day after a missed week", async () => {
  const data = local.store();
  await data.put(publish.csv, "rows\n", "text/csv");
  const hours: number[] = [];
  const measure = ({ PublishedFileAgeHours = Number.NaN }: Numbers) => hours.push(PublishedFileAgeHours);
  for (let day = 0; day <= 9; day++) {
    // The check runs three hours after the weekly schedule.
    const now = () => new Date(published.getTime() + (day * 24 + 3) * hour);
    await checkFreshness(defaultDataset, { data, results: local.store(), measure, now });
  }
  expect(hours).toEqual([3, 27, 51, 75, 99, 123, 147, 171, 195, 219]);
  expect(hours.findIndex((each) => each > staleAfterDays * 24)).toBe(8);
});

test("without a published file there is no metric, which the alarm treats as breaching", async () => {
  const measured: Numbers[] = [];
  const measure = (numbers: Numbers) => measured.push(numbers);
  const deps = { data: local.store(), results: local.store(), measure, now: () => published };
  expect(await checkFreshness(defaultDataset, deps)).toEqual({ dataset, published: false });
  expect(measured).toEqual([]);
});

test("an age is never negative if clocks differ", () => {
  expect(ageHours({ at: new Date(published.getTime() + hour) }, published)).toBe(0);
});

const ofRun = { "run-id": "run-2", "requested-at": "2026-11-23T11:00:00Z" };
test.each([
  ["from the file's run", 0, ofRun],
  ["from an earlier run", 3, { "run-id": "run-1", "requested-at": "2026-11-16T11:00:00Z" }],
  ["from the same run before a rollback to it", 3, { ...ofRun, "requested-at": "2026-11-24T09:00:00Z" }],
  ["that do not exist", 3, undefined],
])("results %s have been behind the file for %s hours", async (_which, expected, of) => {
  const data = local.store();
  const results = local.store();
  await overwrite(data, publish.csv, "rows\n", ofRun);
  if (of) await overwrite(results, publish.results, "rows\n", of);
  const measured: Numbers[] = [];
  await checkFreshness(defaultDataset, {
    data,
    results,
    measure: (numbers) => measured.push(numbers),
    now: () => new Date(published.getTime() + 3 * hour),
  });
  expect(measured).toEqual([{ PublishedFileAgeHours: 3, ResultsBehindHours: expected, StrayObjects: 0 }]);
});

test("a stray object in the published file's folder is counted and logged", async () => {
  const data = local.store();
  await data.put(publish.csv, "rows\n", "text/csv");
  const copy = publish.csv.replace(".csv", " (copy).csv");
  await data.put(copy, "rows\n", "text/csv");
  const measured: Numbers[] = [];
  const measure = (numbers: Numbers) => measured.push(numbers);
  const deps = { data, results: local.store(), measure, now: () => published };
  expect(await checkFreshness(defaultDataset, deps)).toMatchObject({ stray: copy });
  expect(measured).toMatchObject([{ StrayObjects: 1 }]);
});
