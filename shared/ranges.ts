// Cuts periods into windows that each fit one page of LibInsight, and ranges that do not fit. Pure functions.
import { addDays, daysBetween } from "./dates.ts";
import type { DateRange } from "./kinds/kind.ts";
import type { Totals } from "./messages.ts";
import type { Profile } from "./profile.ts";

/** Records of a page. */
export const pageRecords = 100;
/** Expected records of a window, with room for records that are entered late. */
const windowRecords = 95;
/** Expected records of a piece, with room for busy days: a piece that does not fit costs two further requests. */
const pieceRecords = 65;
/** The days by which the days after a publication are estimated, and how much busier they may be. */
const recentDays = 28;
const busier = 1.5;

/**
 * Cuts a period into windows that are expected to fit one page each. A busier day is a window of its own.
 * @param expected number of records on a day
 */
export function windowsOf({ from, to }: DateRange, expected: (day: string) => number): DateRange[] {
  const windows: DateRange[] = [];
  let start = from;
  let records = 0;
  // Each iteration advances the day, so the loop ends.
  for (let day = from; day <= to; day = addDays(day, 1)) {
    const ofDay = expected(day);
    if (day > start && records + ofDay > windowRecords) {
      windows.push({ from: start, to: addDays(day, -1) });
      start = day;
      records = 0;
    }
    records += ofDay;
  }
  return [...windows, { from: start, to }];
}

/** Returns the expected number of records on a day, by the days of the last publication. */
export function densityOf({ from, days }: Pick<Profile, "from" | "days">): (day: string) => number {
  const mean = (of: readonly number[]) =>
    (busier * of.reduce((sum, count) => sum + count, 0)) / Math.max(of.length, 1);
  const [recent, all] = [mean(days.slice(-recentDays)), mean(days)];
  return (day) => {
    const index = daysBetween(from, day);
    return index < 0 ? all : (days[index] ?? recent);
  };
}

/**
 * Returns the pieces of a range of several days that does not fit one page, in order: two, or as many as its records
 * require.
 * @param totals of the range's page 1
 */
export function piecesOf(
  { from, to }: DateRange,
  { totalRecords }: Pick<Totals, "totalRecords">,
): DateRange[] {
  const days = daysBetween(from, to) + 1;
  const count = Math.min(Math.max(Math.ceil(totalRecords / pieceRecords), 2), days);
  const startOf = (piece: number) => addDays(from, Math.floor((piece * days) / count));
  return Array.from({ length: count }, (_, piece) => ({
    from: startOf(piece),
    to: addDays(startOf(piece + 1), -1),
  }));
}

/** Returns whether a range is one day, which has pages instead of pieces. */
export function isOneDay({ from, to }: DateRange): boolean {
  return from === to;
}
