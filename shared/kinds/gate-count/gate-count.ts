// Gate counts by library and hour. LibInsight has statistics of them and no records, so a row is a library's count in an
// hour, and the daily counts of the same days show whether all hours arrived.
// The API is as public clients use it. The daily counts are not documented.
import * as z from "zod/mini";
import { addDays } from "../../dates.ts";
import { PipelineError } from "../../errors.ts";
import { tooLarge, unknownShape } from "../../libinsight/policy.ts";
import { type Api, cutRange, type Kind, type KindColumn, type RangeRequest, type Recount } from "../kind.ts";
import { type Members, map, membersOf, namesOf, nothing, numberOf } from "../php.ts";
import { type Hour, hourReader } from "./hours.ts";

/** Other clients request a week at a time. */
const periodDays = 7;
/** A week has 168 hours, so this is enough for 297 libraries. */
const maxRows = 50_000;

const columns: KindColumn[] = [
  { name: "_id", type: "integer", required: true, meaning: "Number made of library, day and hour" },
  { name: "library", type: "text", privacy: "keep", meaning: "Library or entrance" },
  { name: "date", type: "date", meaning: "Day, local time" },
  { name: "hour", type: "integer", meaning: "Hour of the day, 0 to 23, local time" },
  { name: "count", type: "integer", meaning: "People counted in this hour" },
  { name: "local_start", type: "timestamp", meaning: "Start of the hour, local time" },
  { name: "start", type: "text", privacy: "keep", meaning: "Start of the hour with its UTC offset" },
];

export const gateCount: Kind = {
  nouns: {
    row: "hourly count",
    meaning: "A row of the file: what one library counted in one hour.",
    amount: undefined,
    quantity: "visit",
  },
  isMonthly: false,
  periods: (range) => cutRange(range, (start) => addDays(start, periodDays - 1)),
  isPaged: false,
  columns,
  roles: { location: "library", quantity: "count" },
  dateField: "date",

  async fetchPage(api, request) {
    const { body, failed } = await overview(api, request, "hourly");
    const payload = overviewResponse.safeParse(body).data?.payload;
    if (!payload) throw failed(unknownShape);
    const libraries = namesOf(payload.libraries);
    const hourOf = hourReader(request.timeZone);
    const records: Record<string, unknown>[] = [];
    let sum = 0;
    for (const [text, counts] of payload.hourly) {
      const hour = hourOf(text);
      for (const [library, count] of countsOf(counts)) {
        records.push(recordOf({ library, name: libraries.get(library) ?? library, count }, hour, text));
        sum += numberOf(count) ?? 0;
      }
      if (records.length > maxRows) throw failed(tooLarge);
    }
    return { records, totals: { totalPages: 1, totalRecords: records.length, sum } };
  },

  async recount(api, request) {
    const daily = await dailyCounts(api, request);
    return daily === undefined ? {} : { sum: daily };
  },
};

const noCounts = (): { libraries?: unknown; hourly: Members } => ({ hourly: [] });

/** `hourly` is by hour (`2023-05-01 9AM`) and library id. It may be missing only if there are no libraries either. */
const overviewResponse = z.object({
  payload: z.union([
    z.object({ libraries: z.optional(z.unknown()), hourly: map }),
    z.pipe(z.strictObject({ libraries: z.optional(nothing) }), z.transform(noCounts)),
    z.pipe(z.tuple([]), z.transform(noCounts)),
  ]),
});

function overview(api: Api, { datasetId, from, to }: RangeRequest, aggregate: "hourly" | "daily") {
  return api.get(`/gate-count/${datasetId}/overview`, { from, to, aggregate });
}

/** An hour of local time, since 1970, is below this number. The second of two equal hours comes after it. */
const repeatedHours = 5_000_000;
const idsOfLibrary = 2 * repeatedHours;
const libraryId = /^\d{1,8}$/;

/** Returns a record. Without a known hour or library it has no `_id`, so it is rejected and stays visible. */
function recordOf(
  { library, name, count }: { library: string; name: string; count: unknown },
  hour: Hour | undefined,
  text: string,
): Record<string, unknown> {
  const known = { library: name, count };
  if (!hour) return { ...known, local_start: text };
  const { date, hour: number, isRepeated, start, localStart, hoursSince1970 } = hour;
  const id = Number(library) * idsOfLibrary + hoursSince1970 + (isRepeated ? repeatedHours : 0);
  return {
    ...(libraryId.test(library) && { _id: id }),
    ...known,
    date,
    hour: number,
    local_start: localStart,
    start,
  };
}

/** Returns the counts by library id. A count that belongs to no library has the id "". */
function countsOf(value: unknown): Members {
  return membersOf(value) ?? [["", value]];
}

/** The errors with which LibInsight may refuse an aggregate that it does not have. */
const refusals = ["LibInsightErrorResponse", "LibInsightDatasetNotFound", "LibInsightRequestRefused"];

/** Returns the sum of the daily counts, or undefined if LibInsight has none. */
async function dailyCounts(api: Api, request: RangeRequest): Promise<Recount["sum"]> {
  try {
    const { body } = await overview(api, request, "daily");
    return sumOfDays(body);
  } catch (error) {
    if (!(error instanceof PipelineError && refusals.includes(error.name))) throw error;
    // It refuses the aggregate only if it still returns the hourly counts. Otherwise this throws.
    await overview(api, request, "hourly");
    return undefined;
  }
}

const dailyResponse = z.object({ payload: z.record(z.string(), z.unknown()) });

/** The name of the daily counts is probably that of the aggregate. Under another name they are recognized by their days. */
function sumOfDays(body: unknown): number | undefined {
  for (const [name, value] of Object.entries(dailyResponse.safeParse(body).data?.payload ?? {})) {
    const days = membersOf(value);
    if (!days?.every(([day]) => /^\d{4}-\d{2}-\d{2}$/.test(day))) continue;
    if (days.length === 0 && name !== "daily") continue;
    const counts = days.flatMap(([, ofDay]) => countsOf(ofDay));
    return counts.reduce((sum, [, count]) => sum + (numberOf(count) ?? 0), 0);
  }
  return undefined;
}
