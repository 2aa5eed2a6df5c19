// LibInsight answers for at most one year at a time, so a run's range is cut into windows.
import { addToDate } from "../../shared/dates.ts";
import type { Window } from "../../shared/messages.ts";

/**
 * The windows from `from` to `to`, both inclusive: in order, without a gap or an overlap, each at most one year
 * (its last day is before the same date a year later).
 */
export function planWindows(from: string, to: string): Window[] {
  const windows: Window[] = [];
  // ISO dates compare as text. Each round advances by a year less a leap day at most, so this ends.
  for (let start = from; start <= to; ) {
    const yearEnd = addToDate(start, { years: 1, days: -1 });
    const end = yearEnd < to ? yearEnd : to;
    windows.push({ number: windows.length + 1, from: start, to: end });
    start = addToDate(end, { days: 1 });
  }
  return windows;
}
