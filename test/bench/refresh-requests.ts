// Calculates the requests of weekly runs, full and incremental, from the records of each day, for sizes that take too long to
// measure. It plans, splits and searches with the pipeline's own functions.
import { changedWindows, maxRequests } from "../../services/fetcher/search.ts";
import { addDays } from "../../shared/dates.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import { densityOf, isOneDay, pageRecords, piecesOf, windowsOf } from "../../shared/ranges.ts";
import { generateRecords } from "../../stacks/local/libinsight/generate-records.ts";
import { localTime } from "../../stacks/local/libinsight/local-time.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";

/** Searches are sent one after the other, all other requests 8 at once. */
export type Requests = { pages: number; recounts: number; searches: number };

/** @param late days with one record more since the run before */
export async function calculateRequests(
  records: number,
  late: readonly string[],
  lookbackDays: number,
): Promise<{ full: Requests; incremental: Requests }> {
  const days = recordsByDay(records);
  const recordsIn = ({ from, to }: DateRange): number => {
    let sum = 0;
    for (let day = from; day <= to; day = addDays(day, 1)) sum += days.get(day) ?? 0;
    return sum;
  };
  /** Returns the ranges that are requested for a window, after splits. */
  const rangesOf = (range: DateRange): DateRange[] => {
    const totalRecords = recordsIn(range);
    const fits = totalRecords <= pageRecords || isOneDay(range);
    return fits ? [range] : piecesOf(range, { totalRecords }).flatMap(rangesOf);
  };
  const pagesOf = (windows: readonly DateRange[]) =>
    windows
      .flatMap(rangesOf)
      .reduce((sum, range) => sum + Math.max(Math.ceil(recordsIn(range) / pageRecords), 1), 0);
  const periodsUntil = (to: string) => kinds.records.periods({ from: firstDay, to });
  const densityUntil = (to: string) => {
    const known: number[] = [];
    for (let day = firstDay; day <= to; day = addDays(day, 1)) known.push(days.get(day) ?? 0);
    return densityOf({ from: firstDay, days: known });
  };

  const before = addDays(lastDay, -7);
  const periods = periodsUntil(before);
  const density = densityUntil(addDays(lastDay, -14));
  const planned = periods.flatMap((period) => windowsOf(period, density));
  const full = { pages: pagesOf(planned), recounts: periods.length, searches: 0 };

  const firstFetched = addDays(lastDay, -lookbackDays);
  const reused = planned.flatMap(rangesOf).filter(({ to }) => to < firstFetched);
  const start = addDays(reused.at(-1)?.to ?? addDays(firstDay, -1), 1);
  const fetched = periodsUntil(lastDay)
    .filter(({ to }) => to >= start)
    .flatMap(({ from, to }) => windowsOf({ from: from < start ? start : from, to }, densityUntil(before)));
  const counted = (range: DateRange) =>
    recordsIn(range) + late.filter((day) => range.from <= day && day <= range.to).length;
  let searches = 0;
  const windows = [...reused, ...fetched].map((window, number) => {
    return { ...window, number, records: recordsIn(window) };
  });
  const searched = periodsUntil(lastDay).map((period) => ({
    counted: counted(period),
    windows: windows.filter(({ from, to }) => period.from <= from && to <= period.to),
  }));
  const found = await changedWindows(searched, async (some) => {
    const [first, last] = [some[0], some.at(-1)];
    if (searches === maxRequests || !first || !last) return undefined;
    searches += 1;
    return counted({ from: first.from, to: last.to });
  });
  const again = windows.filter(({ number }) => found.includes(number));
  // The windows that are fetched again are followed by another recount.
  const recounts = (again.length > 0 ? 2 : 1) * periodsUntil(lastDay).length;
  return { full, incremental: { pages: pagesOf(fetched) + pagesOf(again), recounts, searches } };
}

/** Returns the number of records on each day of the simulation. */
function recordsByDay(records: number): Map<string, number> {
  const { count, startOf } = generateRecords({ count: records, seed: 1, firstDay, lastDay });
  const days = new Map<string, number>();
  for (let n = 0; n < count; n++) {
    const day = localTime(startOf(n)).slice(0, 10);
    days.set(day, (days.get(day) ?? 0) + 1);
  }
  return days;
}
