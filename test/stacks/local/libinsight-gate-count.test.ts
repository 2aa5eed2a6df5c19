// Tests the gate counts of the simulated LibInsight over HTTP, against the counts that it generated.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { addDays, daysBetween } from "../../../shared/dates.ts";
import { dayIn, offsets } from "../../../shared/time-zone.ts";
import {
  type LibInsight,
  type LibInsightSettings,
  startLibInsight,
} from "../../../stacks/local/libinsight.ts";
import { signIn } from "./libinsight-client.ts";

const zones = ["America/New_York", "Europe/Berlin", "Australia/Sydney", "Asia/Kolkata"];
const hourMs = 3_600_000;

const counts = z.record(z.string(), z.union([z.int(), z.string().regex(/^\d+$/)]));
const overviewBody = z.strictObject({
  type: z.literal("success"),
  payload: z.strictObject({
    libraries: z.union([z.record(z.string(), z.string()), z.tuple([])]),
    hourly: z.optional(z.unknown()),
    daily: z.optional(z.unknown()),
  }),
});
const isEmpty = (value: unknown) => JSON.stringify(value ?? null) === "[]" || value === "" || value == null;

type Range = { from: string; to: string };

async function start(settings: LibInsightSettings) {
  const server = await startLibInsight({ kind: "gate-count", datasetId: 7, ...settings });
  const client = await signIn(server);
  const get = (parameters: Record<string, string>) =>
    client.get(`/gate-count/7/overview?${new URLSearchParams(parameters)}`);
  const payload = async (aggregate: "hourly" | "daily", range: Range) =>
    overviewBody.parse(await (await get({ ...range, aggregate })).json()).payload;
  /** Returns the sums by hour or day and library, of a range in one request. */
  async function sums(aggregate: "hourly" | "daily", range: Range): Promise<Map<string, number>> {
    const found = (await payload(aggregate, range))[aggregate];
    if (isEmpty(found)) return new Map();
    return new Map(
      Object.entries(z.record(z.string(), counts).parse(found)).flatMap(([at, ofLibraries]) =>
        Object.entries(ofLibraries).map(([library, count]) => [`${at} ${library}`, Number(count)]),
      ),
    );
  }
  return { server, client, get, payload, sums, [Symbol.asyncDispose]: server.close };
}

/** Returns the generated counts by the name of the hour. Both of two equal hours have one name. */
function ledgerOf(server: LibInsight, { from, to }: Range): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { date, hour, library, count } of server.counts(from, to)) {
    const clock = hour === 0 ? "12AM" : hour < 12 ? `${hour}AM` : hour === 12 ? "12PM" : `${hour - 12}PM`;
    const key = `${date} ${clock} ${library}`;
    sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return sums;
}

/** Returns the local days on which the zone's clocks change within a year. */
function changesIn(timeZone: string, year: number): string[] {
  const offsetAt = offsets(timeZone);
  const days = Array.from({ length: 365 }, (_, n) => Date.UTC(year, 0, 1) + n * 24 * hourMs);
  return days
    .filter((day) => offsetAt(day) !== offsetAt(day + 24 * hourMs))
    .map((day) => {
      const hours = Array.from({ length: 24 }, (_, n) => day + n * hourMs);
      const last = hours.findLast((hour) => offsetAt(hour) === offsetAt(day)) ?? day;
      return dayIn(timeZone, new Date(last));
    });
}

/** Cuts a range into windows of these lengths, in turn. */
function cut({ from, to }: Range, lengths: readonly number[]): Range[] {
  const windows: Range[] = [];
  for (let start = from; start <= to; ) {
    const end = addDays(start, (lengths[windows.length % lengths.length] ?? 7) - 1);
    windows.push({ from: start, to: end < to ? end : to });
    start = addDays(end, 1);
  }
  return windows;
}

test("the zones have two changes of the clocks a year, except India's", () => {
  expect(zones.map((zone) => changesIn(zone, 2024))).toEqual([
    ["2024-03-10", "2024-11-03"],
    ["2024-03-31", "2024-10-27"],
    ["2024-04-07", "2024-10-06"],
    [],
  ]);
});

test("hourly counts of any windows have the sums of the generated counts, and the daily ones the same sums by day", async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...zones),
      fc.integer({ min: 2016, max: 2029 }),
      fc.nat(1),
      fc.nat(12),
      fc.integer({ min: 1, max: 24 }),
      lengths,
      fc.nat(1_000),
      async (timeZone, year, nth, daysBefore, days, windowDays, seed) => {
        const change = changesIn(timeZone, year)[nth] ?? `${year}-12-28`;
        const from = addDays(change, -daysBefore);
        const range = { from, to: addDays(from, days) };
        await using own = await start({
          timeZone,
          seed,
          firstDay: `${year}-01-05`,
          lastDay: `${year}-12-31`,
        });
        const ledger = ledgerOf(own.server, range);
        const found: [string, number][] = [];
        for (const window of cut(range, windowDays)) found.push(...(await own.sums("hourly", window)));
        expect(found).toHaveLength(ledger.size);
        expect(new Map(found)).toEqual(ledger);
        const byDay = new Map<string, number>();
        for (const [key, count] of found) {
          const day = key.replace(/ \d+[AP]M /, " ");
          byDay.set(day, (byDay.get(day) ?? 0) + count);
        }
        expect(await own.sums("daily", range)).toEqual(byDay);
      },
    ),
    { numRuns: 60 },
  );
});

test.each(zones)(
  "every generated hour in %s is the hour of its zone, and no hour of the open library is missing",
  async (timeZone) => {
    await using own = await start({ timeZone, firstDay: "2023-01-05", lastDay: "2024-12-20" });
    const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
    const seen = new Set<string>();
    let before: { date: string; start: string } | undefined;
    for (const { library, date, hour, isRepeated, start: at, count } of own.server.counts()) {
      if (library !== 12) continue;
      const local = `${date} ${String(hour).padStart(2, "0")}:00`;
      expect(format.format(new Date(at))).toBe(local);
      expect(isRepeated).toBe(seen.has(local));
      seen.add(local);
      if (before && daysBetween(before.date, date) < 2) {
        expect(Date.parse(at) - Date.parse(before.start)).toBe(hourMs);
      }
      before = { date, start: at };
      expect(count).toBeGreaterThan(0);
    }
    const hoursOn = (day: string) => [...own.server.counts(day, day)].filter(({ library }) => library === 12);
    for (const [n, day] of changesIn(timeZone, 2024).entries()) {
      const isSpring = timeZone === "Australia/Sydney" ? n === 1 : n === 0;
      expect(hoursOn(day)).toHaveLength(isSpring ? 23 : 25);
    }
  },
);

describe("in New York", () => {
  let own: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    own = await start({});
  });
  afterAll(() => own.server.close());

  test("clocks that go back give one name with the sum of both hours", async () => {
    const sunday = { from: "2023-11-05", to: "2023-11-05" };
    const both = [...own.server.counts("2023-11-05", "2023-11-05")].filter(
      ({ hour, library }) => hour === 1 && library === 12,
    );
    expect(both.map(({ isRepeated, start }) => [isRepeated, start])).toEqual([
      [false, "2023-11-05T05:00:00.000Z"],
      [true, "2023-11-05T06:00:00.000Z"],
    ]);
    const sum = both.reduce((total, { count }) => total + count, 0);
    expect(Math.min(...both.map(({ count }) => count))).toBeGreaterThan(0);
    expect((await own.sums("hourly", sunday)).get("2023-11-05 1AM 12")).toBe(sum);
  });

  test("clocks that go forward leave out 2AM", async () => {
    const { hourly } = await own.payload("hourly", { from: "2024-03-10", to: "2024-03-10" });
    expect(Object.keys(hourly ?? {}).slice(0, 3)).toEqual([
      "2024-03-10 12AM",
      "2024-03-10 1AM",
      "2024-03-10 3AM",
    ]);
    expect(Object.keys(hourly ?? {})).toContain("2024-03-10 12PM");
  });

  test("a week has named libraries, one without a name, counts as numbers and as texts, and zeros", async () => {
    const { libraries, hourly } = await own.payload("hourly", { from: "2024-02-05", to: "2024-02-11" });
    const names = z.record(z.string(), z.string()).parse(libraries);
    expect(names[3]).toBe("Main Library");
    const week = Object.values(z.record(z.string(), counts).parse(hourly));
    expect(week).toHaveLength(168);
    const unnamed = new Set(week.flatMap(Object.keys).filter((id) => !(id in names)));
    expect([...unnamed]).toEqual(["1310"]);
    const values = week.flatMap((hour) => Object.values(hour));
    expect(new Set(values.map((value) => typeof value))).toEqual(new Set(["number", "string"]));
    expect(values).toContain(0);
    const response: unknown = await (await own.client.get("/gate-count/7/libraries")).json();
    expect(response).toEqual({ type: "success", payload: { libraries: names } });
  });

  test("a week without counts is an empty list, an empty text, null or missing, in turn", async () => {
    const weeks = Array.from({ length: 8 }, (_, n) => addDays("2030-01-03", 7 * n));
    const found = [];
    for (const from of weeks) found.push(await own.payload("hourly", { from, to: addDays(from, 6) }));
    const turns = found.map(({ libraries, ...rest }) => [libraries, JSON.stringify(rest)]);
    expect(new Set(turns.map(([, text]) => text))).toEqual(
      new Set(['{"hourly":[]}', '{"hourly":""}', '{"hourly":null}', "{}"]),
    );
    expect(turns.slice(0, 4)).toEqual(turns.slice(4));
    expect(turns.every(([libraries]) => Array.isArray(libraries))).toBe(true);
    const july = (year: number) => ({ from: `${year}-07-12`, to: `${year}-07-18` });
    const shapes = [];
    for (const year of [2022, 2023, 2024]) shapes.push((await own.payload("hourly", july(year))).hourly);
    expect(shapes.every(isEmpty)).toBe(true);
  });

  test("closed days, and days outside the data, have no counts", async () => {
    const days = async (from: string, to: string) =>
      [...(await own.sums("daily", { from, to })).keys()].map((key) => key.slice(0, 10));
    expect(new Set(await days("2023-11-22", "2023-11-27"))).toEqual(
      new Set(["2023-11-22", "2023-11-26", "2023-11-27"]),
    );
    expect(new Set(await days("2021-11-20", "2021-12-02"))).toEqual(new Set(["2021-12-02"]));
  });

  test.each<[string, Record<string, string>]>([
    ["more than one year", { from: "2023-01-01", to: "2024-01-01", aggregate: "hourly" }],
    ["from after to", { from: "2024-01-02", to: "2024-01-01", aggregate: "daily" }],
    ["an unknown aggregate", { from: "2024-01-01", to: "2024-01-01", aggregate: "weekly" }],
    ["no aggregate", { from: "2024-01-01", to: "2024-01-01" }],
    ["an unknown parameter", { from: "2024-01-01", to: "2024-01-01", aggregate: "hourly", page: "1" }],
  ])("returns an error at status 200 for %s", async (_, parameters) => {
    const response = await own.get(parameters);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ type: "error" });
  });

  test.each([
    "/gate-count/8/libraries",
    "/gate-count/7/data-grid",
    "/custom-dataset/7/fields",
    "/constructor/7/fields",
  ])("%s is not found", async (path) => {
    expect((await own.client.get(path)).status).toBe(404);
  });
});

test("a site without daily counts refuses the aggregate, at status 200", async () => {
  await using own = await start({ dailyCounts: false });
  const range = { from: "2024-02-05", to: "2024-02-11" };
  const refused = await own.get({ ...range, aggregate: "daily" });
  expect([refused.status, await refused.json()]).toMatchObject([200, { type: "error" }]);
  expect((await own.sums("hourly", range)).size).toBeGreaterThan(168);
});

test("a count can be changed between two requests", async () => {
  await using own = await start({});
  const day = { from: "2024-02-05", to: "2024-02-05" };
  const entry = [...own.server.counts(day.from, day.to)].find(
    ({ library, hour }) => library === 3 && hour === 14,
  );
  if (!entry) throw new Error("The main library is closed.");
  const before = await own.sums("daily", day);
  own.server.setCount(entry, entry.count + 100);
  expect((await own.sums("hourly", day)).get("2024-02-05 2PM 3")).toBe(entry.count + 100);
  expect((await own.sums("daily", day)).get("2024-02-05 3")).toBe((before.get("2024-02-05 3") ?? 0) + 100);
  expect(ledgerOf(own.server, day).get("2024-02-05 2PM 3")).toBe(entry.count + 100);
  expect(() => own.server.setCount({ ...entry, library: 4 }, 1)).toThrow("no such count");
  expect([[...own.server.records()], [...own.server.uses()]]).toEqual([[], []]);
});
