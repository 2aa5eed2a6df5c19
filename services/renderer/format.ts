// Numbers, dates and times as the report writes them. None depends on the machine's locale or time zone.
import { daysBetween } from "../../shared/dates.ts";
import { count } from "../../shared/quantity.ts";
import { changeOf, type Shown, smallest } from "./small-counts.ts";

export const months = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];
const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const space = "\u00a0";

/** "<5", "~90" or "1,234" */
export function shownText(shown: Shown): string {
  if (shown.kind === "hidden") return `<${smallest}`;
  return `${shown.kind === "about" ? "~" : ""}${count(shown.n)}`;
}

/** "fewer than 5", "about 90" or "1,234", for sentences */
export function shownWords(shown: Shown): string {
  if (shown.kind === "hidden") return `fewer than ${smallest}`;
  return `${shown.kind === "about" ? `about${space}` : ""}${count(shown.n)}`;
}

/** "13.2k" from 10,000, for narrow cells */
export function cellText(n: number): string {
  return n < 10_000 ? count(n) : `${(n / 1_000).toFixed(1)}k`;
}

/** "+31", "−22" or "0", with a true minus */
export function signed(n: number, digits = 0): string {
  const size = Math.abs(n).toFixed(digits);
  if (Number(size) === 0) return "0";
  return `${n < 0 ? "−" : "+"}${digits === 0 ? count(Number(size)) : size}`;
}

/** "+3%", "~+3%", or a dash if it cannot be stated */
export function changeText(now: Shown, before: Shown, digits = 0): string {
  const found = changeOf(now, before);
  if (!found) return "–";
  return `${found.isExact ? "" : "~"}${signed(found.change * 100, digits)}%`;
}

/** "98.6%". Only all is 100%, and only nothing is 0%. */
export function percent(share: number, digits = 1): string {
  if (share === 0 || share >= 1) return `${(share * 100).toFixed(0)}%`;
  const step = 10 ** -digits;
  return `${Math.min(Math.max(share * 100, step), 100 - step).toFixed(digits)}%`;
}

/** "Dec" */
export function monthOf(date: string): string {
  return months[Number(date.slice(5, 7)) - 1]?.slice(0, 3) ?? "";
}

/** "Dec 2" */
export function shortDay(date: string): string {
  return `${monthOf(date)}${space}${Number(date.slice(8, 10))}`;
}

/** "Dec 2, 2024" */
export function day(date: string): string {
  return `${shortDay(date)},${space}${date.slice(0, 4)}`;
}

/** "December 2, 2024" */
export function longDay(date: string): string {
  return `${months[Number(date.slice(5, 7)) - 1]}${space}${Number(date.slice(8))}, ${date.slice(0, 4)}`;
}

/** "Monday" for 0 */
export function weekday(index: number): string {
  return weekdays[index] ?? "";
}

export function weekdayOf(date: string): string {
  // 1970-01-05 was a Monday.
  return weekday(((daysBetween("1970-01-05", date) % 7) + 7) % 7);
}

/** "2 p.m." */
export function hour(index: number): string {
  return `${index % 12 === 0 ? 12 : index % 12}${space}${index % 24 < 12 ? "a.m." : "p.m."}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** "2024-12-02 06:00". Creating a format takes longer than the rest of the report, so it is kept. */
function localTime(time: Date | string, timeZone: string): string {
  // Swedish dates have the ISO format.
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
  formats.set(timeZone, format);
  return format.format(new Date(time));
}

/** Returns the day of a time, as `YYYY-MM-DD`. */
export function dayOf(time: Date | string, { timeZone }: { timeZone: string }): string {
  return localTime(time, timeZone).slice(0, 10);
}

/** "Dec 2, 6:00 a.m." */
export function clock(time: Date | string, { timeZone }: { timeZone: string }): string {
  const local = localTime(time, timeZone);
  const [number, half] = hour(Number(local.slice(11, 13))).split(space);
  return `${shortDay(local)}, ${number}${local.slice(13)}${space}${half}`;
}

/** "3.8 s" or "4 min" */
export function duration(ms: number): string {
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)}${space}s` : `${Math.round(ms / 60_000)}${space}min`;
}

/** "a week ago", or "on Nov 25" */
export function whenText(date: string, today: string): string {
  const days = daysBetween(date, today);
  if (days === 7) return "a week ago";
  if (days === 1) return "yesterday";
  if (days === 0) return "earlier today";
  return `on ${date.slice(0, 4) === today.slice(0, 4) ? shortDay(date) : day(date)}`;
}

/** "31 more", "22 fewer" or "as many" */
export function moreOrFewer(change: number): string {
  if (change === 0) return "as many";
  return `${count(Math.abs(change))} ${change < 0 ? "fewer" : "more"}`;
}

export function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** "a, b and c" */
export function list(texts: readonly string[]): string {
  return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
}
