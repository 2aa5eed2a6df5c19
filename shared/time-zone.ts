// Time zones that EventBridge Scheduler accepts, and the local times that they skip. Uses Intl, because a library would
// be in the bundle of every function.

const minuteMs = 60_000;

/**
 * Returns whether EventBridge Scheduler accepts a time zone: an IANA name (Region/City) in its exact case. Intl also
 * accepts offsets, other cases and abbreviations such as PST.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#time-zones
 */
export function isTimeZone(zone: string): boolean {
  // The list is checked first, because creating a formatter takes 20 ms in each cold start of each function.
  if (zone === "UTC" || Intl.supportedValuesOf("timeZone").includes(zone)) return true;
  // The list lacks some names, such as US/Eastern.
  if (!/^(?!SystemV)[A-Z][A-Za-z]+(\/[A-Z][\w+-]*)+$/.test(zone)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** Returns the current day in a time zone, as `YYYY-MM-DD`. */
export function dayIn(timeZone: string, now: Date): string {
  // Swedish dates have the ISO format.
  return now.toLocaleDateString("sv-SE", { timeZone });
}

/** Misses an offset that is in effect for a shorter time. The shortest, Morocco's during Ramadan, takes a month. */
const step = 7 * 24 * 60 * minuteMs;

/**
 * Returns every minute of local time that does not exist because clocks go forward, as if local time were UTC.
 * @param years to search after `from`
 */
export function skippedMinutes(timeZone: string, from: Date, years: number): Date[] {
  const offset = offsets(timeZone);
  const skipped: Date[] = [];
  const end = from.getTime() + years * 366 * 24 * 60 * minuteMs;
  for (let at = Math.floor(from.getTime() / minuteMs) * minuteMs; at < end; at += step) {
    let [before, after] = [at, at + step];
    if (offset(before) === offset(after)) continue;
    // 14 rounds, from a week to a minute.
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

/** Returns a function that returns the zone's offset at a time, in milliseconds. */
export function offsets(timeZone: string): (time: number) => number {
  const format = new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "longOffset" });
  return (time) => {
    // `GMT` or `GMT-04:00`.
    const text = format.formatToParts(time).find(({ type }) => type === "timeZoneName")?.value ?? "";
    const [, sign, hours, minutes] = /([+-])(\d{2}):(\d{2})/.exec(text) ?? [];
    const size = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * minuteMs;
    return sign === "-" ? -size : size;
  };
}
