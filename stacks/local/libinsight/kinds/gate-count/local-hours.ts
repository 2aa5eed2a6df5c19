// The hours of a day in a time zone. In the night in which clocks go back an hour of local time is there twice, and in the
// night in which they go forward one is missing.
import { offsets } from "../../../../../shared/time-zone.ts";

export type LocalHour = {
  date: string;
  /** 0 to 23 */
  hour: number;
  /** Whether it is the second of two equal hours. */
  isRepeated: boolean;
  /** In UTC, `2023-05-01T13:00:00.000Z`. */
  start: string;
};

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Returns a function that returns the hours of a local day, in order. */
export function localHours(timeZone: string): (date: string) => LocalHour[] {
  const offsetAt = offsets(timeZone);
  return (date) => {
    const midnight = Date.parse(date);
    // Local time is at most 14 hours ahead of UTC, and at most 12 hours behind.
    const [first, last] = [midnight - 14 * hourMs, midnight + 36 * hourMs];
    const offset = offsetAt(first);
    const changes = offset !== offsetAt(last);
    const hours: LocalHour[] = [];
    const from = changes ? first : midnight - offset;
    const to = changes ? last : from + 24 * hourMs;
    for (let time = from; time < to; time += changes ? 15 * minuteMs : hourMs) {
      const local = time + (changes ? offsetAt(time) : offset);
      if (local % hourMs !== 0 || local < midnight || local >= midnight + 24 * hourMs) continue;
      const hour = (local - midnight) / hourMs;
      const isRepeated = hours.some((earlier) => earlier.hour === hour);
      hours.push({ date, hour, isRepeated, start: new Date(time).toISOString() });
    }
    return hours;
  };
}

/** Returns LibInsight's name of an hour: `2023-05-01 9AM`. Both of two equal hours have the same. */
export function nameOf({ date, hour }: Pick<LocalHour, "date" | "hour">): string {
  return `${date} ${hour % 12 || 12}${hour < 12 ? "AM" : "PM"}`;
}
