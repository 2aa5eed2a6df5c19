// Converts local times without a time zone, as LibInsight returns them, to seconds and back. It treats them as UTC, so
// nothing depends on the machine's zone, and no hour is skipped or repeated.

export const secondsPerDay = 86_400;

/** @param date a calendar date, `YYYY-MM-DD` */
export function startOfDay(date: string): number {
  return Date.parse(`${date}T00:00:00Z`) / 1000;
}

/** Returns `YYYY-MM-DD HH:MM:SS`. */
export function localTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
}

/** Parses the output of `localTime`; returns undefined for anything else. */
export function localSeconds(value: unknown): number | undefined {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(value)) return undefined;
  const seconds = Date.parse(`${value.replace(" ", "T")}Z`) / 1000;
  return Number.isNaN(seconds) || localTime(seconds) !== value ? undefined : seconds;
}
