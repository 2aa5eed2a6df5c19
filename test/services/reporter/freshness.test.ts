// The daily check of a published file's age.
import { expect, test } from "vitest";
import { ageHours, checkFreshness } from "../../../services/reporter/freshness.ts";
import type { Numbers } from "../../../shared/metrics.ts";
import { useLocal } from "../../support/local.ts";
import { defaultDataset } from "../../support/transformed.ts";

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
    // At nine, three hours after the schedule.
    const now = () => new Date(published.getTime() + (day * 24 + 3) * hour);
    await checkFreshness(defaultDataset, { data, measure, now });
  }
  expect(hours).toEqual([3, 27, 51, 75, 99, 123, 147, 171, 195, 219]);
  expect(hours.findIndex((each) => each > staleAfterDays * 24)).toBe(8);
});

test("without a published file there is no number, which the alarm treats as the worst", async () => {
  const measured: Numbers[] = [];
  const measure = (numbers: Numbers) => measured.push(numbers);
  const deps = { data: local.store(), measure, now: () => published };
  expect(await checkFreshness(defaultDataset, deps)).toEqual({ dataset, published: false });
  expect(measured).toEqual([]);
});

test("an age is never below zero where clocks differ", () => {
  expect(ageHours({ at: new Date(published.getTime() + hour) }, published)).toBe(0);
});
