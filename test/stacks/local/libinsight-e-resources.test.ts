// Tests the e-resource statistics of the simulated LibInsight over HTTP, against the use that it generated.
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { addDays } from "../../../shared/dates.ts";
import {
  type LibInsight,
  type LibInsightSettings,
  startLibInsight,
} from "../../../stacks/local/libinsight.ts";
import { signIn } from "./libinsight-client.ts";

type Range = { from: string; to: string };

const value = z.union([z.int(), z.string().regex(/^\d+$/), z.null()]);
const platforms = z.record(z.string(), z.record(z.string(), z.record(z.string(), value)));
const overviewBody = z.strictObject({
  type: z.literal("success"),
  payload: z.strictObject({ overview_by_platforms: z.unknown() }),
});

async function start(settings: LibInsightSettings = {}) {
  const server = await startLibInsight({ kind: "e-resources", datasetId: 7, ...settings });
  const client = await signIn(server);
  const get = ({ from, to }: Range) => client.get(`/e-resources/7/overview?from=${from}&to=${to}`);
  const overview = async (range: Range) =>
    overviewBody.parse(await (await get(range)).json()).payload.overview_by_platforms;
  /** Returns the values by platform, type and metric. */
  async function values(range: Range): Promise<Map<string, z.infer<typeof value>>> {
    const found = await overview(range);
    if (Array.isArray(found) || found === "" || found === null) return new Map();
    return new Map(
      Object.entries(platforms.parse(found)).flatMap(([platform, types]) =>
        Object.entries(types).flatMap(([type, metrics]) =>
          Object.entries(metrics).map(([metric, value]) => [`${platform} ${type} ${metric}`, value] as const),
        ),
      ),
    );
  }
  return { server, client, get, overview, values, [Symbol.asyncDispose]: server.close };
}

function ledgerOf(server: LibInsight, { from, to }: Range): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { platform, type, metric, count } of server.uses(from, to)) {
    const key = `${platform} ${type} ${metric}`;
    sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return sums;
}

const february = { from: "2024-02-01", to: "2024-02-29" };

test("any range has the sums of its days, so a month that is cut wrongly has other values", async () => {
  await using own = await start();
  const numbers = async (range: Range) =>
    new Map([...(await own.values(range))].map(([key, value]) => [key, Number(value)]));
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: -30, max: 1_130 }),
      fc.integer({ min: 0, max: 364 }),
      async (first, days) => {
        const from = addDays("2021-12-02", first);
        const range = { from, to: addDays(from, days) };
        expect(await numbers(range)).toEqual(ledgerOf(own.server, range));
      },
    ),
    { numRuns: 60 },
  );
  expect(await numbers(february)).not.toEqual(await numbers({ from: "2024-02-01", to: "2024-02-28" }));
});

test("a month has every data type and metric, values as numbers, texts and null, and one platform without a name", async () => {
  await using own = await start();
  const found = await own.values(february);
  const parts = [...found.keys()].map((key) => key.split(" "));
  expect(new Set(parts.map(([, type]) => type))).toEqual(
    new Set(["Book", "Journal", "Database", "Multimedia", "Other"]),
  );
  expect(new Set(parts.map(([, , metric]) => metric))).toEqual(
    new Set([
      "searches_platform",
      "total_item_investigations",
      "unique_item_investigations",
      "total_item_requests",
      "unique_item_requests",
      "no_license",
      "limit_exceeded",
    ]),
  );
  const values = [...found.values()];
  for (const type of ["number", "string"]) expect(values.some((value) => typeof value === type)).toBe(true);
  expect(values).toContain(null);
  expect(values).toContain(0);
  const listed = z
    .object({ payload: z.object({ platforms: z.array(z.object({ id: z.int(), name: z.string() })) }) })
    .parse(await (await own.client.get("/e-resources/7/platforms")).json()).payload.platforms;
  const ids = listed.map(({ id }) => String(id));
  expect([...new Set(parts.map(([platform = ""]) => platform))].filter((id) => !ids.includes(id))).toEqual([
    "4022",
  ]);
  expect(ids).toContain("88");
  expect([...found.keys()].some((key) => key.startsWith("88 "))).toBe(false);
});

test("a unique count is at most its total", async () => {
  await using own = await start();
  const ledger = ledgerOf(own.server, february);
  for (const [key, count] of ledger) {
    expect(count).toBeLessThanOrEqual(ledger.get(key.replace("unique", "total")) ?? 0);
  }
});

test("a month without use is an empty list, an empty text or null, in turn", async () => {
  await using own = await start();
  const junes = [];
  for (const year of [2022, 2023, 2024])
    junes.push(await own.overview({ from: `${year}-06-01`, to: `${year}-06-30` }));
  expect(junes).toHaveLength(3);
  expect(junes).toEqual(expect.arrayContaining([[], "", null]));
});

test.each<[string, Range]>([
  ["more than one year", { from: "2023-01-01", to: "2024-01-01" }],
  ["from after to", { from: "2024-01-02", to: "2024-01-01" }],
])("returns an error at status 200 for %s", async (_, range) => {
  await using own = await start();
  const response = await own.get(range);
  expect([response.status, await response.json()]).toMatchObject([200, { type: "error" }]);
});

test("a value can be changed between two requests", async () => {
  await using own = await start();
  const [entry] = own.server.uses(february.from, february.to);
  if (!entry) throw new Error("There is no use in February.");
  const key = `${entry.platform} ${entry.type} ${entry.metric}`;
  const before = Number((await own.values(february)).get(key));
  own.server.setCount(entry, entry.count + 100);
  expect(Number((await own.values(february)).get(key))).toBe(before + 100);
  expect(() => own.server.setCount({ ...entry, metric: "none" }, 1)).toThrow("no such count");
});
