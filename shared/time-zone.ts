// Time zones as EventBridge Scheduler takes them, and the local times that they skip. By Intl, because every function loads
// this file and a library for it would be in every bundle.

const minuteMs = 60_000;

/**
 * Whether the scheduler knows a zone: IANA's names, by Region/City, as they are spelled. Intl accepts more, which it
 * refuses: offsets, any case, and abbreviations such as PST.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#time-zones
 */
export function isTimeZone(zone: string): boolean {
  // Looked up first, because making a formatter takes 20 ms, in each cold start of each function.
  if (zone === "UTC" || Intl.supportedValuesOf("timeZone").includes(zone)) return true;
  // The list lacks further names of zones, such as US/Eastern.
  if (!/^(?!SystemV)[A-Z][A-Za-z]+(\/[A-Z][\w+-]*)+$/.test(zone)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** Returns the day in a zone, as `YYYY-MM-DD`. */
export function dayIn(timeZone: string, now: Date): string {
  // Sweden's dates are ISO's.
  return now.toLocaleDateString("sv-SE", { timeZone });
}

/** No transition that lasts for a shorter time is noticed; Morocco's of Ramadan last for a month. */
const step = 7 * 24 * 60 * minuteMs;

/**
 * Returns every minute of local time that does not exist, because the clocks go forward, as if its zone were UTC.
 * @param years after `from`
 */
export function skippedMinutes(timeZone: string, from: Date, years: number): Date[] {
  const offset = offsets(timeZone);
  const skipped: Date[] = [];
  const end = from.getTime() + years * 366 * 24 * 60 * minuteMs;
  for (let at = Math.floor(from.getTime() / minuteMs) * minuteMs; at < end; at += step) {
    let [before, after] = [at, at + step];
    if (offset(before) === offset(after)) continue;
    // 14 rounds from a week to a minute.
    while (after - before > minuteMs) {
      const middle = Math.floor((before + after) / 2 / minuteMs) * minuteMs;
      if (offset(middle) === offset(before)) before = middle;
      else after = middle;
    }
    for (let local = after + offset(before); local < after + offset(after); local += minuteMs)
      skipped.push(new Date(local));
  }
  return skipped;
}

/** Returns a function from a time to the zone's offset, in milliseconds. */
function offsets(timeZone: string): (time: number) => number {
  const format = new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "longOffset" });
  return (time) => {
    // `GMT`, `GMT-04:00`
    const text = format.formatToParts(time).find(({ type }) => type === "timeZoneName")?.value ?? "";
    const [, sign, hours, minutes] = /([+-])(\d{2}):(\d{2})/.exec(text) ?? [];
    const size = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * minuteMs;
    return sign === "-" ? -size : size;
  };
}
