// Expectations about the last weeks of a run, which know the year of a library: its terms and breaks.
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { addDays, daysBetween } from "../../../shared/dates.ts";
import type { ExpectationOf } from "../../../shared/expectations.ts";
import { count, quantity } from "../../../shared/quantity.ts";
import { binomialSurprise, improbable, shareSurprise } from "./chance.ts";
import { type Checked, countedBy, type Finding, listed, quoted } from "./finding.ts";
import { completeWeeks, mondayOfWeek, sameWeekLastYear, sumOf, termDays } from "./weeks.ts";

/** Weeks whose rows, against a year ago, are the trend. */
const trendWeeks = 8;
/** Weeks in which an answer's share of all rows is its usual one. */
const usualWeeks = 26;
/** Like `improbable`, for a second comparison that only confirms the first. */
const unusual = 5;
/** Days after the last term from which the entry lacks a term. */
const maxDaysWithoutTerm = 150;
/** A window that is shorter may be without records, for example at the turn of the year. */
const minWindowDays = 28;

export function newest({ maxDays, maxDaysBetweenTerms }: ExpectationOf<"newest">, checked: Checked): Finding {
  const { nouns } = checked;
  const { terms } = checked.dataset;
  const { profile, noun } = countedBy(checked);
  const what = noun === "row" ? (nouns?.row ?? "record") : noun;
  const between = terms.length === 0 ? "" : `, or ${maxDaysBetweenTerms} days between terms`;
  const title = `Newest ${what} is at most ${quantity(maxDays, "day")} old${between}`;
  const limit = quantity(maxDays, "day");
  if (profile.rows === 0) return { title, limit, found: "", unknown: `there are no ${noun}s` };
  const index = profile.days.findLastIndex((rows) => rows > 0);
  if (index === -1) return { title, limit, found: `no dated ${what}`, unmet: `no ${what} has a date` };
  const date = addDays(profile.from, index);
  const age = daysBetween(date, profile.to);
  const isOld = termDays(date, profile.to, terms) > maxDays || age > Math.max(maxDays, maxDaysBetweenTerms);
  return {
    title,
    limit,
    found: quantity(age, "day"),
    unmet: isOld
      ? `the newest ${what} is of ${date}, ${quantity(age, "day")} before the end of the range`
      : undefined,
  };
}

/** Windows of a week are judged together. */
export function windows(_: ExpectationOf<"windows">, { windows, nouns }: Checked): Finding {
  const noun = nouns?.row ?? "record";
  const gaps: { from: string; to: string }[] = [];
  const first = windows.findIndex(({ totalRecords }) => totalRecords > 0);
  for (const { from, to, totalRecords } of first === -1 ? [] : windows.slice(first)) {
    const last = gaps.at(-1);
    if (totalRecords > 0) continue;
    if (last && addDays(last.to, 1) === from && daysBetween(from, to) < minWindowDays - 1) last.to = to;
    else gaps.push({ from, to });
  }
  const empty = gaps.filter(({ from, to }) => daysBetween(from, to) >= minWindowDays - 1);
  const ranges = empty.map(({ from, to }) => `${from} to ${to}`);
  return {
    title: `No window is empty after one with ${noun}s`,
    limit: "none",
    found: quantity(empty.length, "empty window"),
    unmet:
      empty.length === 0
        ? undefined
        : `LibInsight has no ${noun}s for ${listed(ranges)}, but for earlier dates`,
  };
}

/** Compares with three weeks of the last year, because holidays move by a week. */
export function volume({ maxChangePercent }: ExpectationOf<"volume">, checked: Checked): Finding {
  const { terms } = checked.dataset;
  const { profile, noun } = countedBy(checked);
  const { first, last } = completeWeeks(profile);
  const title = `${noun.charAt(0).toUpperCase()}${noun.slice(1)}s of the last week are within ${maxChangePercent}% of the same week of the term a year ago`;
  const finding = { title, limit: `${maxChangePercent}%`, found: "" };
  const rows = (week: number) => sumOf(profile.weeks, profile, week);
  const now = rows(last);
  const same = sameWeekLastYear(last, terms);
  const trend = { before: 0, now: 0 };
  for (let week = last - trendWeeks; week < last; week++) {
    const earlier = sameWeekLastYear(week, terms);
    if (earlier <= first) return { ...finding, unknown: "the range has no full year before the last weeks" };
    trend.now += rows(week);
    trend.before += rows(earlier);
  }
  const missing = missingTerm(profile.to, terms);
  if (missing) return { ...finding, unknown: missing };
  if (trend.before === 0 || trend.now === 0)
    return {
      ...finding,
      unknown: `there are no ${noun}s in the ${trendWeeks} weeks before, now or a year ago`,
    };
  const growth = trend.now / trend.before;
  const weeks = [rows(same - 1), rows(same), rows(same + 1)];
  const [least, greatest] = [Math.min(...weeks), Math.max(...weeks)];
  const isImprobable = (before: number) =>
    binomialSurprise(now, now + before, growth / (1 + growth)) > improbable;
  const isLow = now < least * growth * (1 - maxChangePercent / 100) && isImprobable(least);
  const isHigh = now > greatest * growth * (1 + maxChangePercent / 100) && isImprobable(greatest);
  const expected = `${count(Math.round(least * growth))} to ${count(Math.round(greatest * growth))}`;
  return {
    ...finding,
    found: quantity(now, noun),
    unmet:
      isLow || isHigh
        ? `the week from ${mondayOfWeek(last)} has ${quantity(now, noun)}; the same weeks a year ago, with the growth since, suggest ${expected}`
        : undefined,
  };
}

/** Finds answers that have most likely ended, judged by their share of all rows, because fewer rows are no silence. */
export function silent({ column, weeks }: ExpectationOf<"silent">, checked: Checked): Finding {
  const { terms } = checked.dataset;
  const { profile, noun } = countedBy(checked);
  const title = `No answer of ${quoted(column)} is silent for ${quantity(weeks, "week")}`;
  const finding = { title, limit: quantity(weeks, "week"), found: "" };
  const { first, last } = completeWeeks(profile);
  const answers = profile.columns.find(({ name }) => name === column)?.answers;
  if (!answers) return { ...finding, unknown: `${quoted(column)} has too many different answers` };
  const silentWeeks = Array.from({ length: weeks }, (_, index) => last - index);
  const lastYear = silentWeeks.map((week) => sameWeekLastYear(week, terms));
  if (lastYear.some((week) => week < first))
    return { ...finding, unknown: "the range has no full year before the last weeks" };
  const usualEnd = last - weeks;
  const sums = (counts: readonly number[]) => ({
    now: sumOf(counts, profile, usualEnd + 1, last),
    usual: sumOf(counts, profile, usualEnd - usualWeeks + 1, usualEnd),
    lastYear: lastYear.reduce((sum, week) => sum + sumOf(counts, profile, week), 0),
  });
  const all = sums(profile.weeks);
  const silentAnswers = answers.filter((answer) => {
    const own = sums(answer.weeks);
    if (own.now > 0) return false;
    const now = { k: 0, n: all.now };
    const isSeason = lastYear.filter((week) => sumOf(answer.weeks, profile, week) > 0).length > weeks / 2;
    return (
      isSeason &&
      shareSurprise(now, { k: own.usual, n: all.usual }) > improbable &&
      shareSurprise(now, { k: own.lastYear, n: all.lastYear }) > unusual
    );
  });
  const names = silentAnswers.map(({ answer }) => quoted(answer));
  return {
    ...finding,
    found: quantity(names.length, "silent answer"),
    unmet:
      names.length === 0
        ? undefined
        : `${quoted(column)} has no ${noun}s with ${listed(names)} since ${mondayOfWeek(usualEnd + 1)}`,
  };
}

/** Returns what to do if the entry's terms have ended. */
function missingTerm(to: string, terms: Dataset["terms"]): string | undefined {
  const end = terms.at(-1)?.to;
  if (end === undefined || daysBetween(end, to) <= maxDaysWithoutTerm) return undefined;
  return `the last term in shared/library.ts ended on ${end}; add the later ones`;
}
