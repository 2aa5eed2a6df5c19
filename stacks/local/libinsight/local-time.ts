// Local times without a zone, as LibInsight tells them, counted in seconds as if they were UTC: nothing here
// depends on the machine's zone, and no hour is missing or twice.

export const secondsPerDay = 86_400;

/** @param date `YYYY-MM-DD`, in the calendar */
export function startOfDay(date: string): number {
  return Date.parse(`${date}T00:00:00Z`) / 1000;
}

/** `YYYY-MM-DD HH:MM:SS` */
export function localTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
}

/** The reverse of `localTime`; undefined for everything that it does not write. */
export function localSeconds(value: unknown): number | undefined {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(value)) return undefined;
  const seconds = Date.parse(`${value.replace(" ", "T")}Z`) / 1000;
  return Number.isNaN(seconds) || localTime(seconds) !== value ? undefined : seconds;
}
