// Reads what LibInsight has of a dataset: the field list, the newest month of records and the day of the first record.
import { isObject } from "../../../services/transformer/record.ts";
import { addDays, addYears } from "../../../shared/dates.ts";
import { PipelineError } from "../../../shared/errors.ts";
import type { DateRange, RangeRequest } from "../../../shared/kinds/kind.ts";
import { type KindName, kinds } from "../../../shared/kinds/kinds.ts";
import { type FormField, fieldsOf } from "../../../shared/kinds/records/fields.ts";
import type { libInsightClient } from "../../../shared/libinsight/client.ts";
import { isoDate } from "../../../shared/schemas.ts";

type Client = ReturnType<typeof libInsightClient>;
export type Source = Omit<RangeRequest, "from" | "to"> & { kind: KindName; shared: boolean };
export type Sample = {
  records: unknown[];
  /** The days of the records, if there are any. */
  range: DateRange | undefined;
  /** Undefined if there are no records, or if the kind's records are statistics. */
  firstDate: string | undefined;
};

/** How far back to look for records, a year at a time, and how many empty years end the search for the first one. */
const most = { years: 30, emptyYears: 3, periods: 12, pages: 10 };

/** Errors with which LibInsight may refuse a field list that it does not have. */
const refusals = [
  "LibInsightAccessDenied",
  "LibInsightDatasetNotFound",
  "LibInsightErrorResponse",
  "LibInsightRequestRefused",
  "LibInsightResponseUnreadable",
];

/** Returns the field list; undefined if LibInsight refuses it. @throws PipelineError */
export async function readFields(
  client: Client,
  { datasetId, shared }: Source,
): Promise<FormField[] | undefined> {
  try {
    const { body } = await client
      .api(datasetId)
      .get(`/${shared ? "shared" : "custom"}-dataset/${datasetId}/fields`);
    return fieldsOf(body);
  } catch (error) {
    if (error instanceof PipelineError && refusals.includes(error.name)) return undefined;
    throw error;
  }
}

/** Reads the newest records. @param lastDay at which to begin @throws PipelineError */
export function readSample(client: Client, source: Source, lastDay: string): Promise<Sample> {
  return source.kind === "records" ? readMonth(client, source, lastDay) : readPeriod(client, source, lastDay);
}

/** Reads the newest period of statistics that has any. */
async function readPeriod(client: Client, source: Source, to: string): Promise<Sample> {
  const periods = kinds[source.kind].periods({ from: addYears(to, -1), to }).reverse();
  for (const range of periods.slice(0, most.periods)) {
    const { records } = await client.fetchPage({ ...source, ...range, page: 1 });
    if (records.length > 0) return { records, range, firstDate: undefined };
  }
  return { records: [], range: undefined, firstDate: undefined };
}

async function readMonth(client: Client, source: Source, lastDay: string): Promise<Sample> {
  const fetchPage = (range: DateRange, page: number) => client.fetchPage({ ...source, ...range, page });
  let month: DateRange | undefined;
  let firstDate: string | undefined;
  let empty = 0;
  for (let year = 0; year < most.years && !(month && empty === most.emptyYears); year++) {
    const to = addYears(lastDay, -year);
    const range = { from: addDays(addYears(to, -1), 1), to };
    const { records, totals } = await fetchPage(range, 1);
    if (totals.totalRecords === 0) {
      empty += 1;
      continue;
    }
    empty = 0;
    firstDate = daysOf(records)[0] ?? range.from;
    if (month) continue;
    const last = totals.totalPages > 1 ? await fetchPage(range, totals.totalPages) : { records };
    const newest = daysOf(last.records).at(-1) ?? range.to;
    month = { from: addDays(newest, -30), to: newest };
  }
  if (!month) return { records: [], range: undefined, firstDate };
  const { records, totals } = await fetchPage(month, 1);
  for (let page = 2; page <= Math.min(totals.totalPages, most.pages); page++)
    records.push(...(await fetchPage(month, page)).records);
  return { records, range: month, firstDate };
}

/** Returns the days of records in order. */
function daysOf(records: readonly unknown[]): string[] {
  const days = records.filter(isObject).map(({ _start_date: start }) => String(start).slice(0, 10));
  return days.filter((day) => isoDate.safeParse(day).success).sort();
}
