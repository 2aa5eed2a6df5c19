// The use of electronic resources by platform, data type and metric. LibInsight has statistics of it without dates, so
// each whole month is requested, and a row is one metric in one month. LibInsight has no second total of them.
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { addDays } from "../../dates.ts";
import { tooLarge, unknownShape } from "../../libinsight/policy.ts";
import { cutRange, type Kind, type KindColumn } from "../kind.ts";
import { type Members, map, membersOf, namesOf } from "../php.ts";

/** A platform has dozens of metrics. */
const maxRows = 50_000;

const columns: KindColumn[] = [
  {
    name: "_id",
    type: "integer",
    required: true,
    meaning: "Number made of month, platform, type and metric",
  },
  { name: "month", type: "date", meaning: "First day of the month" },
  { name: "platform", type: "text", privacy: "keep", meaning: "Platform of the provider" },
  { name: "data_type", type: "text", privacy: "keep", meaning: "Type of resource, as COUNTER defines it" },
  { name: "metric", type: "text", privacy: "keep", meaning: "What was counted, as COUNTER defines it" },
  { name: "value", type: "integer", meaning: "Value of the metric in this month" },
];

export const eResources: Kind = {
  nouns: {
    row: "monthly value",
    meaning: "A row of the file: one metric of a platform and data type in one month.",
    amount: undefined,
    quantity: "unit",
  },
  isMonthly: true,
  /** The months that end in the range. A month that has not ended has no statistics. */
  periods: ({ from, to }) =>
    cutRange({ from: firstOfMonth(from), to }, lastOfMonth).filter(
      (month) => month.to === lastOfMonth(month.to),
    ),
  isPaged: false,
  columns,
  dateField: "month",

  async fetchPage(api, { datasetId, from, to }) {
    const [use, platforms] = [
      await api.get(`/e-resources/${datasetId}/overview`, { from, to }),
      await api.get(`/e-resources/${datasetId}/platforms`),
    ];
    const found = overviewResponse.safeParse(use.body).data;
    const listed = platformsResponse.safeParse(platforms.body).data;
    if (!found) throw use.failed(unknownShape);
    if (!listed) throw platforms.failed(unknownShape);
    const names = namesOf(listed.payload.platforms);
    const records: Record<string, unknown>[] = [];
    const ids = new Set<number>();
    for (const [platform, types] of found.payload.overview_by_platforms) {
      for (const { type, metric, value } of metricsOf(types)) {
        const id = idOf(from, [platform, type, metric]);
        records.push({
          // Two rows with one id would count as duplicates. Without an id the second one is rejected and stays visible.
          ...(!ids.has(id) && { _id: id }),
          month: from,
          platform: names.get(platform) ?? platform,
          data_type: type,
          metric,
          value,
        });
        ids.add(id);
      }
      if (records.length > maxRows) throw use.failed(tooLarge);
    }
    return { records, totals: { totalPages: 1, totalRecords: records.length } };
  },

  recount: async () => ({}),
};

const emptyPayload = z.tuple([]);
const overviewResponse = z.object({
  payload: z.union([
    z.object({ overview_by_platforms: map }),
    z.pipe(
      emptyPayload,
      z.transform((): { overview_by_platforms: Members } => ({ overview_by_platforms: [] })),
    ),
  ]),
});
const platformsResponse = z.object({
  payload: z.union([
    z.object({ platforms: z.unknown() }),
    z.pipe(
      emptyPayload,
      z.transform((): { platforms: unknown } => ({ platforms: [] })),
    ),
  ]),
});

/** Returns the metrics of a platform, which are grouped by data type. A metric without a group has the type "". */
function metricsOf(types: unknown): { type: string; metric: string; value: unknown }[] {
  return (membersOf(types) ?? [["", types] as const]).flatMap(([type, metrics]) => {
    const members = membersOf(metrics);
    if (!members) return [{ type: "", metric: type, value: metrics }];
    return members.map(([metric, value]) => ({ type, metric, value }));
  });
}

/** 40 bits. Ten thousand rows of a month share one with a probability of 0.005%. */
const hashes = 2 ** 40;

/** Returns an id that is the same in every run: the months since 1970, and a hash of the names. */
function idOf(month: string, names: readonly string[]): number {
  const hash = createHash("sha256").update(names.join("\0")).digest().readUIntBE(0, 5);
  const [year = 0, number = 0] = month.split("-").map(Number);
  return ((year - 1970) * 12 + number - 1) * hashes + hash;
}

function firstOfMonth(date: string): string {
  return `${date.slice(0, 7)}-01`;
}

function lastOfMonth(date: string): string {
  // 31 days after the first day are always in the next month.
  return addDays(firstOfMonth(addDays(firstOfMonth(date), 31)), -1);
}
