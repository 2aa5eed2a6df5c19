// Tests that the rows of statistics add up to what the simulated LibInsight has, whatever the range.
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import * as z from "zod/mini";
import { transformPage } from "../../../services/transformer/page.ts";
import { addDays } from "../../../shared/dates.ts";
import { type KindName, kinds } from "../../../shared/kinds/kinds.ts";
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import { type LibInsight, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { datasetOfKind } from "../../factories/dataset-entries.ts";

type Range = { from: string; to: string };

/** Fetches a range in periods. @returns the rows, with the recount of each period */
async function collect(kind: KindName, range: Range, timeZone: string, libInsight: LibInsight) {
  const { baseUrl, clientId, clientSecret, datasetId } = libInsight;
  const client = libInsightClient({ baseUrl, clientId, clientSecret });
  const rows: unknown[] = [];
  for (const period of kinds[kind].periods(range)) {
    const request = { kind, datasetId, timeZone, ...period };
    const { records, totals } = await client.fetchPage({ ...request, page: 1 });
    const { sum } = await client.recount(request);
    // An empty week may have no daily counts.
    if (kind === "gate-count") expect(sum ?? 0).toBe(totals.sum);
    const { jsonl, summary } = transformPage(records, datasetOfKind(kind));
    expect(summary).toMatchObject({ records: records.length, rejects: {}, undeclared: {}, mistyped: {} });
    rows.push(
      ...jsonl
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    );
  }
  return rows;
}

const hourRow = z.object({ _id: z.int(), library: z.string(), start: z.string(), count: z.int() });

test.each([
  ["America/New_York", "2023-02-20", "2023-11-20"],
  ["Europe/Berlin", "2024-03-20", "2024-11-10"],
  ["Australia/Sydney", "2023-03-20", "2023-10-20"],
  ["Asia/Kolkata", "2023-03-01", "2023-04-10"],
])(
  "gate counts in %s are complete over both changes of the clocks, with one row for each library and hour",
  async (timeZone, from, to) => {
    const libInsight = await startLibInsight({ kind: "gate-count", timeZone, firstDay: from, lastDay: to });
    onTestFinished(libInsight.close);
    const rows = z.array(hourRow).parse(await collect("gate-count", { from, to }, timeZone, libInsight));
    const expected = new Map<string, number>();
    for (const {
      library,
      name = String(library),
      date,
      hour,
      start,
      isRepeated,
      count,
    } of libInsight.counts()) {
      // The two hours of one name start at the first of them.
      const first = isRepeated ? Date.parse(start) - 3_600_000 : Date.parse(start);
      const key = `${name} ${new Date(first).toISOString()}`;
      expected.set(key, (expected.get(key) ?? 0) + count);
      expect(hour >= 0 && date >= from).toBe(true);
    }
    const found = rows.map(({ library, start, count }) => [
      `${library} ${new Date(start).toISOString()}`,
      count,
    ]);
    expect(found.length).toBeGreaterThan(1_000);
    expect(new Map(found.map(([key, count]) => [String(key), Number(count)]))).toEqual(expected);
    expect(new Set(rows.map(({ _id }) => _id)).size).toBe(rows.length);
  },
);

test("gate counts of a range are the same whatever the day on which its weeks begin", async () => {
  const [firstDay, lastDay] = ["2023-10-20", "2023-11-20"];
  const libInsight = await startLibInsight({ kind: "gate-count", firstDay, lastDay });
  onTestFinished(libInsight.close);
  const day = fc.integer({ min: 0, max: 31 }).map((days) => addDays(firstDay, days));
  await fc.assert(
    fc.asyncProperty(day, day, async (one, other) => {
      const range = one < other ? { from: one, to: other } : { from: other, to: one };
      const rows = z.array(hourRow).parse(await collect("gate-count", range, "America/New_York", libInsight));
      const counted = [...libInsight.counts(range.from, range.to)].reduce((sum, { count }) => sum + count, 0);
      expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(counted);
    }),
    { numRuns: 20 },
  );
});

const useRow = z.object({
  month: z.string(),
  platform: z.string(),
  data_type: z.string(),
  metric: z.string(),
  value: z.nullable(z.int()),
});

test("the use of e-resources is that of each month that has ended", async () => {
  const libInsight = await startLibInsight({
    ...{ kind: "e-resources", firstDay: "2022-12-01", lastDay: "2024-03-20" },
  });
  onTestFinished(libInsight.close);
  const range = { from: "2022-12-15", to: "2024-03-20" };
  const rows = z.array(useRow).parse(await collect("e-resources", range, "America/New_York", libInsight));
  const expected = new Map<string, number>();
  for (const { platform, name = String(platform), date, type, metric, count } of libInsight.uses(
    "2022-12-01",
    "2024-02-29",
  )) {
    const key = [`${date.slice(0, 7)}-01`, name, type, metric].join(" | ");
    expected.set(key, (expected.get(key) ?? 0) + count);
  }
  const found = rows.map(({ month, platform, data_type, metric, value }) => {
    return [[month, platform, data_type, metric].join(" | "), value ?? 0] as const;
  });
  expect(new Map(found)).toEqual(expected);
  expect(found.length).toBe(expected.size);
});
