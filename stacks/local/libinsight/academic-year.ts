// Defines the calendar of a university in the southeastern US by rules, so that it holds for every year.
import { localTime, secondsPerDay, startOfDay } from "./local-time.ts";

/** `peak` is the last weeks of classes and the exams. On `closed` days no questions are asked. */
export type Season = "term" | "peak" | "break" | "summer" | "closed";

/** A term from its first day of classes to its last exam, both inclusive. */
export type Term = { name: string; from: string; to: string };

/** Returns the terms of a calendar year: spring, summer and fall. */
export function termsOf(year: number): [Term, Term, Term] {
  const { holiday, fall } = mondaysOf(year);
  const term = (name: string, from: number, to: number): Term => {
    return { name: `${name} ${year}`, from: dateOf(from), to: dateOf(to) };
  };
  return [
    term("Spring", holiday + 1, holiday + 114),
    term("Summer", holiday + 126, fall - 10),
    term("Fall", fall, fall + 114),
  ];
}

/** @param date `YYYY-MM-DD` */
export function seasonOf(date: string): Season {
  const year = Number(date.slice(0, 4));
  const { holiday, fall } = mondaysOf(year);
  // Each season lasts until the next one begins.
  const seasons: [from: number, season: Season][] = [
    [dayIn(year, 1, 1), "closed"],
    [dayIn(year, 1, 3), "break"],
    [holiday, "closed"],
    [holiday + 1, "term"],
    // The Saturday before spring break, in March.
    [holiday + 47, "break"],
    [holiday + 56, "term"],
    [holiday + 98, "peak"],
    [holiday + 115, "break"],
    [holiday + 126, "summer"],
    [dayIn(year, 7, 4), "closed"],
    [dayIn(year, 7, 5), "summer"],
    [fall - 9, "break"],
    [fall, "term"],
    // The Saturday before Thanksgiving. From Thanksgiving on the library is closed for three days.
    [fall + 89, "break"],
    [fall + 94, "closed"],
    [fall + 97, "peak"],
    [fall + 115, "break"],
    [dayIn(year, 12, 24), "closed"],
  ];
  const day = startOfDay(date) / secondsPerDay;
  return seasons.findLast(([from]) => from <= day)?.[1] ?? "closed";
}

/**
 * Returns the Mondays from which the other dates are counted: Martin Luther King Day (the third Monday of January), and
 * the first day of the fall term (the first Monday from August 20 on). Thanksgiving is always 94 days after the latter.
 */
function mondaysOf(year: number): { holiday: number; fall: number } {
  return { holiday: mondayFrom(dayIn(year, 1, 15)), fall: mondayFrom(dayIn(year, 8, 20)) };
}

/** Returns the first Monday that is not before the day. */
function mondayFrom(day: number): number {
  // Day 4 was a Monday, January 5, 1970.
  return day + ((((4 - day) % 7) + 7) % 7);
}

/** Returns the number of days since January 1, 1970. */
function dayIn(year: number, month: number, date: number): number {
  return Date.UTC(year, month - 1, date) / 1000 / secondsPerDay;
}

function dateOf(day: number): string {
  return localTime(day * secondsPerDay).slice(0, 10);
}
