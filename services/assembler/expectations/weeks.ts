// Finds the weeks that expectations compare: the last complete week of a run, and the same week of the term a year ago.
import { addDays, daysBetween, mondayOf } from "../../../shared/dates.ts";
import type { Term } from "../../../shared/expectations.ts";
import type { Profile } from "../../../shared/profile.ts";

/** Terms whose first days differ by at most as many weeks, apart from a year, are the same term. */
const startVariesBy = 4;

/** The Monday of week 0. */
const firstMonday = "1970-01-05";

/** Returns the number of the date's week. */
export function weekOf(date: string): number {
  return Math.floor(daysBetween(firstMonday, date) / 7);
}

/** Returns the Monday of a week. */
export function mondayOfWeek(week: number): string {
  return addDays(firstMonday, week * 7);
}

/** Returns the weeks of a profile's range that are complete. */
export function completeWeeks({ from, to, firstWeek }: Profile): { first: number; last: number } {
  const isMonday = mondayOf(from) === from;
  const isSunday = mondayOf(to) === addDays(to, -6);
  return {
    first: Math.max(weekOf(from) + (isMonday ? 0 : 1), weekOf(firstWeek)),
    last: isSunday ? weekOf(to) : weekOf(to) - 1,
  };
}

/** Returns the sum of a profile's weekly counts, both weeks inclusive. */
export function sumOf(weeks: readonly number[], { firstWeek }: Profile, first: number, last = first): number {
  const start = weekOf(firstWeek);
  let sum = 0;
  for (let week = first; week <= last; week++) sum += weeks[week - start] ?? 0;
  return sum;
}

/** Returns the week a year ago with the same number in the same term, or between terms one that was between terms, too. */
export function sameWeekLastYear(week: number, terms: readonly Term[]): number {
  const termOf = (number: number) =>
    terms.find(({ from, to }) => weekOf(from) <= number && number <= weekOf(to));
  const term = termOf(week);
  const lastYear = week - 52;
  if (!term) return [lastYear, lastYear - 1, lastYear + 1].find((number) => !termOf(number)) ?? lastYear;
  const start = weekOf(term.from);
  const weeksAway = ({ from }: Term) => Math.abs(weekOf(from) + 52 - start);
  const near = terms.filter((each) => weeksAway(each) <= startVariesBy);
  const [before] = near.sort((a, b) => weeksAway(a) - weeksAway(b));
  if (!before) return lastYear;
  const same = week - start + weekOf(before.from);
  // The earlier term may have been shorter.
  return same <= weekOf(before.to) + 1 ? same : lastYear;
}

/** Returns how many days of terms follow `after` up to `to`. Every day counts if there are no terms. */
export function termDays(after: string, to: string, terms: readonly Omit<Term, "name">[]): number {
  const all = { from: after, to };
  return (terms.length === 0 ? [all] : terms).reduce((sum, term) => {
    const next = addDays(after, 1);
    const first = next > term.from ? next : term.from;
    const last = to < term.to ? to : term.to;
    return sum + Math.max(0, daysBetween(first, last) + 1);
  }, 0);
}
