// Expectations about the run's file as a whole, most of them against the last publication.
import { addDays, daysBetween, daysOfFiscalYear } from "../../../shared/dates.ts";
import type { ExpectationOf } from "../../../shared/expectations.ts";
import type { Profile, ProfiledColumn } from "../../../shared/profile.ts";
import { count, quantity } from "../../../shared/quantity.ts";
import { binomialSurprise, improbable, shareSurprise } from "./chance.ts";
import { type Checked, type Finding, listed, type Missing, percentText, quoted } from "./finding.ts";
import { completeWeeks, mondayOfWeek, sumOf } from "./weeks.ts";

/** The least number of rows by which a change counts. Corrections by staff are smaller. */
const minRows = 10;
/** Days from which a year is compared. In its first weeks it grows by the records that staff enter late. */
const minDaysOfYear = 56;
/** The weeks whose share of filled rows is the usual one. */
const usualWeeks = 26;
/** After a year few answers are still to come. */
const minDaysOfAnswers = 364;
/** Fewer repeated rows on a day happen by chance. */
const minRepeats = 4;

/** Returns the previous profile, or why it cannot be compared with the run's file. */
function comparable({ profile, previous }: Checked): Profile | Missing {
  if ("missing" in previous || (profile.from <= previous.from && profile.to >= previous.to)) return previous;
  return {
    missing: `the run's range, ${profile.from} to ${profile.to}, does not contain that of the last publication, ${previous.from} to ${previous.to}`,
  };
}

/** Compares the rows of the days that were published before, so that new days are no growth. */
export function rows(
  { maxShrinkPercent, maxGrowthPercent }: ExpectationOf<"rows">,
  checked: Checked,
): Finding {
  const title = `Rows of earlier days shrink by at most ${maxShrinkPercent}% and grow by at most ${maxGrowthPercent}%, in all and in each year`;
  const limit = `-${maxShrinkPercent}% to +${maxGrowthPercent}%`;
  const previous = comparable(checked);
  if ("missing" in previous) return { title, limit, found: "", unknown: previous.missing };
  const periods = rowsByPeriod(checked.profile, previous, checked.dataset.fiscalYearStart);
  const changes = periods.map((period) => ({
    ...period,
    percent: period.before === 0 ? 0 : ((period.now - period.before) / period.before) * 100,
  }));
  const unmet = changes.filter(
    ({ before, now, percent }) =>
      Math.abs(now - before) >= minRows &&
      (percent < -maxShrinkPercent || percent > maxGrowthPercent || before === 0),
  );
  const texts = unmet.map(({ name, before, now }) => `${name} from ${count(before)} to ${count(now)} rows`);
  const widest = changes.reduce((a, b) => (Math.abs(b.percent) > Math.abs(a.percent) ? b : a), {
    percent: 0,
    name: "all years",
  });
  return {
    title,
    limit,
    found: `${widest.percent > 0 ? "+" : ""}${Math.round(widest.percent * 10) / 10}% in ${widest.name}`,
    unmet: texts.length === 0 ? undefined : `rows changed since the last publication: ${listed(texts)}`,
  };
}

type Period = { name: string; days: number; before: number; now: number };

/** Returns the rows of the previous range, in all and by year, in the last publication and in this file. */
function rowsByPeriod(now: Profile, previous: Profile, fiscalYearStart: number): Period[] {
  const offset = daysBetween(now.from, previous.from);
  const sum = (days: readonly number[]) => days.reduce((total, rows) => total + rows, 0);
  /** @param until exclusive */
  const period = (name: string, since: string, until: string): Period => {
    const first = Math.max(daysBetween(previous.from, since), 0);
    const last = Math.min(daysBetween(previous.from, until), previous.days.length);
    const before = sum(previous.days.slice(first, last));
    return { name, days: last - first, before, now: sum(now.days.slice(first + offset, last + offset)) };
  };
  const added = sum(now.days.slice(0, offset)) + sum(now.days.slice(offset + previous.days.length));
  const days = previous.days.length;
  const found = [{ name: "all years", days, before: previous.rows, now: now.rows - added }];
  for (let year = Number(previous.from.slice(0, 4)); year <= Number(previous.to.slice(0, 4)) + 1; year++) {
    found.push(period(`${year}`, `${year}-01-01`, `${year + 1}-01-01`));
    if (fiscalYearStart === 1) continue;
    const { from, to } = daysOfFiscalYear(year, fiscalYearStart);
    found.push(period(`fiscal year ${year}`, from, addDays(to, 1)));
  }
  return found.filter(({ days }) => days >= minDaysOfYear);
}

/** Compares each column with the last publication, and its last week with its usual share. */
export function filled({ columns, maxFallPoints }: ExpectationOf<"filled">, checked: Checked): Finding {
  const { profile } = checked;
  const previous = comparable(checked);
  const names = columns?.map(quoted).join(", ");
  const judged = profile.columns.filter(({ name }) => columns?.includes(name) ?? true);
  const falls = judged.flatMap((column) => [
    ...fallInFile(column, profile, previous),
    fallInWeek(column, profile),
  ]);
  const unmet = falls.filter(({ points, isChance }) => points > maxFallPoints && !isChance);
  const [widest] = falls.filter(({ points }) => points > 0).sort((a, b) => b.points - a.points);
  const finding = {
    title: `The share of rows with a value in ${names ?? "each column"} falls by at most ${maxFallPoints} points`,
    limit: `${maxFallPoints} points`,
    found: widest ? `${Math.round(widest.points * 10) / 10} points in ${quoted(widest.name)}` : "no fall",
  };
  if (unmet.length > 0) return { ...finding, unmet: listed(unmet.map(({ text }) => text)) };
  return { ...finding, unknown: "missing" in previous ? previous.missing : undefined };
}

type Fall = { name: string; points: number; isChance: boolean; text: string };
/** `k` of `n` rows have a value. */
type Share = { k: number; n: number };

function fallInFile({ name, filled }: ProfiledColumn, now: Profile, previous: Profile | Missing): Fall[] {
  if ("missing" in previous) return [];
  const earlier = previous.columns.find((column) => column.name === name);
  if (!earlier) return [];
  const [before, after] = [
    { k: earlier.filled, n: previous.rows },
    { k: filled, n: now.rows },
  ];
  return [
    fallOf(name, before, after, (from, to) => `in ${to} of the rows, in the last publication in ${from}`),
  ];
}

function fallInWeek({ name, weeks }: ProfiledColumn, profile: Profile): Fall {
  const { last } = completeWeeks(profile);
  const shareOf = (first: number, until: number): Share => ({
    k: sumOf(weeks, profile, first, until),
    n: sumOf(profile.weeks, profile, first, until),
  });
  return fallOf(
    name,
    shareOf(last - usualWeeks, last - 1),
    shareOf(last, last),
    (before, after) => `in ${after} of the rows of the week from ${mondayOfWeek(last)}, usually in ${before}`,
  );
}

/** Returns the fall from one share to another. Without rows it is NaN, which exceeds no limit. */
function fallOf(
  name: string,
  before: Share,
  after: Share,
  where: (before: string, after: string) => string,
): Fall {
  const [earlier, now] = [before.k / before.n, after.k / after.n];
  const text = `${quoted(name)} has a value ${where(percentText(earlier), percentText(now))}`;
  const isChance = shareSurprise(after, before) <= improbable;
  return { name, points: (earlier - now) * 100, isChance, text };
}

/** Finds days with repeated rows that the last publication did not have. */
export function unique({ columns, maxPercent }: ExpectationOf<"unique">, checked: Checked): Finding {
  const { profile, previous } = checked;
  const isSame = (repeats: { columns?: string[] | undefined }) =>
    JSON.stringify(repeats.columns) === JSON.stringify(columns);
  const { days = [], different = [] } = profile.repeats?.find(isSame) ?? {};
  const before = "missing" in previous ? undefined : previous.repeats?.find(isSame);
  const offset = "missing" in previous ? 0 : daysBetween(profile.from, previous.from);
  const rowsOf = (index: number) => (profile.days[index] ?? 0) - (days[index] ?? 0);
  const usual = days.reduce(
    (sum, _, index) => ({ k: sum.k + (different[index] ?? 0), n: sum.n + rowsOf(index) }),
    { k: 1, n: 100 },
  );
  let widest = 0;
  const texts: string[] = [];
  different.forEach((repeated, index) => {
    if (repeated <= (before?.different[index - offset] ?? 0)) return;
    const share = repeated / rowsOf(index);
    widest = Math.max(widest, share);
    const isChance = binomialSurprise(repeated, rowsOf(index), usual.k / usual.n) <= improbable;
    if (repeated < minRepeats || share * 100 <= maxPercent || isChance) return;
    texts.push(`${addDays(profile.from, index)} (${count(repeated)} of ${quantity(rowsOf(index), "row")})`);
  });
  return {
    title: `At most ${maxPercent}% of a day's rows are repeated under another _id`,
    limit: `${maxPercent}%`,
    found: `${percentText(widest)} on a new day`,
    unmet: texts.length === 0 ? undefined : `rows are repeated under another _id on ${listed(texts)}`,
  };
}

/** Reports answers by name that are neither declared nor in the last publication. */
export function answers({ column, accepted }: ExpectationOf<"answers">, checked: Checked): Finding {
  const title = `Answers of ${quoted(column)} are known`;
  const { previous } = checked;
  const earlier = "missing" in previous ? previous : earlierAnswers(column, previous);
  const known = accepted ?? earlier;
  const now = answersOf(column, checked.profile);
  const limit = Array.isArray(known) ? quantity(known.length, "known answer") : "known answers";
  if ("missing" in now) return { title, limit, found: "", unknown: now.missing };
  if ("missing" in known) return { title, limit, found: "", unknown: known.missing };
  const unknown = now.filter((answer) => !known.includes(answer));
  return {
    title,
    limit,
    found: quantity(unknown.length, "new answer"),
    unmet:
      unknown.length === 0
        ? undefined
        : `${quoted(column)} has ${unknown.length === 1 ? "a new answer" : "new answers"}: ${listed(unknown.map(quoted))}`,
  };
}

function earlierAnswers(name: string, previous: Profile): string[] | Missing {
  if (previous.days.length < minDaysOfAnswers)
    return { missing: "the last publication has less than a year" };
  return answersOf(name, previous);
}

function answersOf(name: string, { columns }: Profile): string[] | Missing {
  const found = columns.find((column) => column.name === name)?.answers;
  if (!found) return { missing: `${quoted(name)} has too many different answers for a closed field` };
  return found.map(({ answer }) => answer);
}

export function range({ column, min, max }: ExpectationOf<"range">, { profile }: Checked): Finding {
  const bounds = [
    ...(min === undefined ? [] : [`at least ${count(min)}`]),
    ...(max === undefined ? [] : [`at most ${count(max)}`]),
  ];
  const limit = bounds.join(" and ");
  const title = `Numbers of ${quoted(column)} are ${limit}`;
  const numbers = profile.columns.find(({ name }) => name === column)?.numbers;
  if (!numbers) return { title, limit, found: "no numbers" };
  const found = `${count(numbers.least)} to ${count(numbers.greatest)}`;
  const isOutside = numbers.least < (min ?? numbers.least) || numbers.greatest > (max ?? numbers.greatest);
  return { title, limit, found, unmet: isOutside ? `numbers of ${quoted(column)} are ${found}` : undefined };
}
