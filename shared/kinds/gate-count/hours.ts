// Reads LibInsight's names of hours, which are local time without an offset.
import { daysBetween } from "../../dates.ts";
import { isoDate } from "../../schemas.ts";
import { offsets } from "../../time-zone.ts";

export type Hour = {
  date: string;
  /** 0 to 23 */
  hour: number;
  /** Whether it is the second of two equal hours, in the night in which clocks go back. */
  isRepeated: boolean;
  /** `2023-05-01 09:00:00` */
  localStart: string;
  /** `2023-05-01T09:00:00-04:00` */
  start: string;
  /** In local time. */
  hoursSince1970: number;
};

const hourMs = 60 * 60_000;

/** `2023-05-01 9AM`. The JSON parser appends `(2)` to the second of two equal names. */
const pattern = /^(\d{4}-\d{2}-\d{2})[ T](\d{1,2})(?::00){0,2} ?([AP]M)?( \(2\))?$/i;

/**
 * Returns a function that reads the name of an hour; undefined if it is not one.
 *
 * In spring an hour of local time does not exist. If it has a count anyway, it starts at the offset from before. In autumn
 * an hour exists twice. One name for both, whose count is that of two hours, starts at the first of them.
 */
export function hourReader(timeZone: string): (text: string) => Hour | undefined {
  const offsetAt = offsets(timeZone);
  return (text) => {
    const [, date = "", clock = "", half, again] = pattern.exec(text.trim()) ?? [];
    const hour = hourOf(Number(clock), half);
    if (hour === undefined || !isoDate.safeParse(date).success) return undefined;
    const local = Date.parse(date) + hour * hourMs;
    // No offset changes twice within a day.
    const before = offsetAt(local - 24 * hourMs);
    const after = offsetAt(local + 24 * hourMs);
    const valid = [before, after].filter((offset) => offsetAt(local - offset) === offset);
    const [first = before, second] = valid.sort((one, other) => other - one);
    const isRepeated = again !== undefined;
    if (isRepeated && (second === undefined || second === first)) return undefined;
    const time = `${String(hour).padStart(2, "0")}:00:00`;
    return {
      date,
      hour,
      isRepeated,
      localStart: `${date} ${time}`,
      start: `${date}T${time}${offsetText(isRepeated ? (second ?? first) : first)}`,
      hoursSince1970: daysBetween("1970-01-01", date) * 24 + hour,
    };
  };
}

/** Returns 0 to 23, or undefined. */
function hourOf(clock: number, half: string | undefined): number | undefined {
  if (half === undefined) return clock <= 23 ? clock : undefined;
  if (clock < 1 || clock > 12) return undefined;
  return (clock % 12) + (half.toLowerCase() === "pm" ? 12 : 0);
}

/** `-04:00` */
function offsetText(offset: number): string {
  const minutes = Math.abs(offset) / 60_000;
  const digits = (n: number) => String(Math.floor(n)).padStart(2, "0");
  return `${offset < 0 ? "-" : "+"}${digits(minutes / 60)}:${digits(minutes % 60)}`;
}
