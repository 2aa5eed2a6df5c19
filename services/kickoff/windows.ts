// LibInsight accepts at most one year per query, so a run's date range is split into windows.
import { addDays, addYears } from "../../shared/dates.ts";
import type { Window } from "../../shared/messages.ts";

/**
 * Returns the windows from `from` to `to`, both inclusive, in order, without gaps or overlaps. Each ends before the same
 * date a year later.
 */
export function planWindows(from: string, to: string): Window[] {
  const windows: Window[] = [];
  // ISO dates compare as text. Each iteration advances `start`, so the loop ends.
  for (let start = from; start <= to; ) {
    const yearEnd = addDays(addYears(start, 1), -1);
    const end = yearEnd < to ? yearEnd : to;
    windows.push({ number: windows.length + 1, from: start, to: end });
    start = addDays(end, 1);
  }
  return windows;
}
