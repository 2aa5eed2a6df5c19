// The daily look at a published file, over a clock.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ageHours, checkFreshness } from "../../../services/reporter/freshness.ts";
import type { Numbers } from "../../../shared/metrics.ts";
import { type LocalAws, startLocalAws } from "../../support/local-aws.ts";
import { defaultDataset } from "../../support/transformed.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws?.close());

const hour = 3_600_000;
const { name: dataset, publish, staleAfterDays } = defaultDataset;

/** What the daily looks after a publication tell. */
async function lookDaily(days: number) {
  const data = await aws.bucket();
  await data.put(publish.csv, "rows\n", "text/csv");
  const published = (await data.head(publish.csv))?.at.getTime() ?? 0;
  const told: number[] = [];
  for (let day = 0; day <= days; day++) {
    // At nine, three hours after the schedule.
    const now = () => new Date(published + (day * 24 + 3) * hour);
    const measure = ({ PublishedFileAgeHours = Number.NaN }: Numbers) => told.push(PublishedFileAgeHours);
    await checkFreshness(defaultDataset, { data, measure, now });
  }
  return told;
}

test("tells the file's age, which passes the alarm's threshold on the day after a missed week", async () => {
  const told = await lookDaily(9);
  expect(told).toEqual([3, 27, 51, 75, 99, 123, 147, 171, 195, 219]);
  expect(told.findIndex((hours) => hours > staleAfterDays * 24)).toBe(8);
});

test("tells nothing where nothing was ever published, which the alarm takes for the worst", async () => {
  const told: Numbers[] = [];
  const deps = {
    data: await aws.bucket(),
    measure: (numbers: Numbers) => told.push(numbers),
    now: () => new Date(),
  };
  expect(await checkFreshness(defaultDataset, deps)).toEqual({ dataset, published: false });
  expect(told).toEqual([]);
});

test("an age grows with the clock, and is never below zero where clocks differ", () => {
  const moment = fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true });
  fc.assert(
    fc.property(moment, moment, (at, now) => {
      const hours = ageHours({ at }, now);
      expect(hours).toBeGreaterThanOrEqual(0);
      expect(hours * hour).toBeCloseTo(Math.max(now.getTime() - at.getTime(), 0), -1);
    }),
  );
});
