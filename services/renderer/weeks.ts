// Records per week of an academic year against the year before: an SVG, and the same numbers as a table.
import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";
import { addDays, daysBetween, mondayOf } from "../../shared/dates.ts";
import type { Profile } from "../../shared/profile.ts";
import { count } from "../../shared/quantity.ts";
import { capitalized, day, monthOf, percent, shortDay, shownText, shownWords } from "./format.ts";
import { type Html, html } from "./html.ts";
import { alone, amountOf, changeOf, mayStateTotal, rounded, type Shown, totalOf } from "./small-counts.ts";

/** A week's rows, and those of the same week a year earlier. Undefined outside the run's range. */
type WeekPair = { monday: string; now: Shown | undefined; before: Shown | undefined };
export type Weeks = {
  /** "2024–25" */
  label: string;
  labelBefore: string;
  pairs: WeekPair[];
  /** Index of the latest complete week. */
  latest: number;
  /** What people call what is counted. */
  noun: string;
};
type Point = { x: number; y: number };

const [height, top, bottom] = [300, 24, 26];
const base = height - bottom;
/** For the numbers of the scale left of the chart, in px. */
export const scaleWidth = 36;
/** Percent of the width that a year's label takes on a phone. */
const labelWidth = 15;
/** In px. */
const labelHeight = 16;

/** Returns the rows from one day to another; undefined if the range of the run does not include both. */
export function rowsBetween(profile: Profile, from: string, to: string): number | undefined {
  if (from < profile.from || to > profile.to) return undefined;
  const start = daysBetween(profile.from, from);
  return profile.days.slice(start, daysBetween(profile.from, to) + 1).reduce((sum, rows) => sum + rows, 0);
}

/** Returns the rows of the part of a period that the run's range includes. */
export function rowsIn(profile: Profile, from: string, to: string): number {
  const [first, last] = [from < profile.from ? profile.from : from, to > profile.to ? profile.to : to];
  return first > last ? 0 : (rowsBetween(profile, first, last) ?? 0);
}

/** Returns the Monday of the latest week that ends by `to`. */
export function latestWeek({ to }: Pick<Profile, "to">): string {
  return mondayOf(addDays(to, -6));
}

/** Returns the weeks of the academic year of the latest complete week. @param noun of what is counted */
export function weeksOf(profile: Profile, noun: string): Weeks {
  const monday = latestWeek(profile);
  const first = firstWeek(Number(monday.slice(0, 4)));
  const start = first <= monday ? first : firstWeek(Number(monday.slice(0, 4)) - 1);
  const year = Number(start.slice(0, 4));
  const startBefore = firstWeek(year - 1);
  const latest = daysBetween(start, monday) / 7;
  const length = Math.max(weeksBetween(start, firstWeek(year + 1)), weeksBetween(startBefore, start));
  const shown = (from: string, index: number, last: number) => {
    const at = addDays(from, 7 * index);
    const rows = index > last ? undefined : rowsBetween(profile, at, addDays(at, 6));
    if (rows === undefined) return undefined;
    // The latest week is a key number.
    return index === latest ? alone(rows) : rounded(rows);
  };
  const pairs = Array.from({ length }, (_, index) => ({
    monday: addDays(start, 7 * index),
    now: shown(start, index, latest),
    before: shown(startBefore, index, weeksBetween(startBefore, start) - 1),
  }));
  return { label: academicYear(year), labelBefore: academicYear(year - 1), pairs, latest, noun };
}

/** Returns whether the exact rows of a period may stand beside the weeks. */
export function mayStatePeriod({ days, from: first }: Profile, from: string, to: string): boolean {
  const [start, end] = [daysBetween(first, from), daysBetween(first, to)];
  const parts: Shown[] = [];
  for (let monday = daysBetween(first, mondayOf(from)); monday <= end; monday += 7) {
    if (monday < 0 || monday + 7 > days.length) continue;
    const week = rounded(days.slice(monday, monday + 7).reduce((sum, rows) => sum + rows, 0));
    // A week that is only partly in the period may have its rows outside.
    if (week.kind === "hidden" || (monday >= start && monday + 6 <= end)) parts.push(week);
  }
  return mayStateTotal(parts);
}

function firstWeek(year: number): string {
  return mondayOf(`${year}-08-26`);
}

function weeksBetween(from: string, to: string): number {
  return daysBetween(from, to) / 7;
}

function academicYear(year: number): string {
  // A word joiner keeps both years on one line.
  return `${year}–\u2060${String((year + 1) % 100).padStart(2, "0")}`;
}

export function weeksFinding({ label, labelBefore, pairs, latest, noun }: Weeks): string {
  const same = pairs.slice(0, latest + 1);
  const now = totalOf(same.flatMap((pair) => pair.now ?? []));
  const before = same.every((pair) => pair.before)
    ? totalOf(same.flatMap((pair) => pair.before ?? []))
    : undefined;
  const [first, second] =
    latest === 0 ? ["the first week", "the first week"] : [`the first ${latest + 1} weeks`, "the same weeks"];
  const sentence = `${shownWords(now)} ${noun}s in ${first} of ${label}`;
  const found = before && changeOf(now, before);
  const text = capitalized(sentence);
  if (!found) return `${text}.`;
  const size = percent(Math.abs(found.change), Math.abs(found.change) < 0.095 ? 1 : 0);
  if (found.change === 0) return `${text}, as many as in ${second} of ${labelBefore}.`;
  return `${text}, ${size} ${found.change < 0 ? "fewer" : "more"} than in ${second} of ${labelBefore}.`;
}

export function weeksChart(weeks: Weeks): Html {
  const { pairs, label, labelBefore, latest, noun } = weeks;
  const amounts = pairs.flatMap(({ now, before }) =>
    [now, before].map((week) => (week ? amountOf(week) : 0)),
  );
  const y = scaleLinear([0, Math.max(...amounts, 10)], [base, top]).nice(4);
  const ticks = y.ticks(4).filter((tick) => tick > 0);
  const pointsOf = (key: "now" | "before"): Point[] =>
    pairs.flatMap((pair, index) => {
      const week = pair[key];
      return week ? [{ x: ((index + 0.5) / pairs.length) * 100, y: y(amountOf(week)) }] : [];
    });
  const [now, before] = [pointsOf("now"), pointsOf("before")];
  const stroke = line<Point>(
    ({ x }) => x,
    ({ y }) => y,
  ).digits(2);
  const filled = area<Point>(
    ({ x }) => x,
    base,
    ({ y }) => y,
  ).digits(2);
  const [end, shown] = [now.at(-1), pairs[latest]?.now];
  const labels = labelsOf(now, before, end);
  return html`<svg class="weeks" height="${height}" role="img" aria-labelledby="weeks-title weeks-desc">
<title id="weeks-title">${capitalized(noun)}s per week, ${label} and ${labelBefore}</title>
<desc id="weeks-desc">${weeksFinding(weeks)} The table below has all weeks.</desc>
<line class="axis" x1="${-scaleWidth}" x2="100%" y1="${base}" y2="${base}"/>
${ticks.map((tick) => html`<line class="grid" x1="${-scaleWidth}" x2="100%" y1="${y(tick)}" y2="${y(tick)}"/>`)}
${ticks.map((tick, index) => html`<text x="${-scaleWidth}" y="${y(tick) - 5}">${count(tick)}${index === ticks.length - 1 && ` ${noun}s a week`}</text>`)}
<svg width="100%" height="${height}" viewBox="0 0 100 ${height}" preserveAspectRatio="none">
<path class="area" d="${filled(before) ?? ""}"/><path class="before" d="${stroke(before) ?? ""}"/><path class="now" d="${stroke(now) ?? ""}"/></svg>
${monthLabels(weeks, base)}
${labels.before && peakLabel("last", labels.before, labelBefore)}
${labels.now && peakLabel("this", labels.now, label)}
${end && shown && endLabel(end, now.at(-2), shownText(shown))}
${pairs.map((pair, index) => html`<rect class="hit" x="${((index / pairs.length) * 100).toFixed(2)}%" y="0" width="${(100 / pairs.length).toFixed(2)}%" height="${base}"><title>${tooltip(pair, index, weeks)}</title></rect>`)}
</svg>`;
}

/** Returns the peaks to label, away from each other and from the latest week. */
function labelsOf(now: Point[], before: Point[], end: Point | undefined) {
  const isFar = (one: Point | undefined) => (other: Point) =>
    !one || Math.abs(other.x - one.x) > labelWidth || Math.abs(other.y - one.y) > 2 * labelHeight;
  const free = now.filter(({ x }) => x > labelWidth / 2).filter(isFar(end));
  const peak = peakOf(free) ?? (end && { x: Math.max(end.x, labelWidth / 2), y: end.y - 24 });
  return { now: peak, before: peakOf(before.filter(isFar(peak)).filter(isFar(end))) ?? peakOf(before) };
}

function peakOf(points: readonly Point[]): Point | undefined {
  return points.reduce<Point | undefined>(
    (peak, point) => (peak && peak.y <= point.y ? peak : point),
    undefined,
  );
}

function peakLabel(className: string, { x, y }: Point, label: string): Html {
  const anchor = x > 100 - labelWidth / 2 ? "end" : "middle";
  return html`<text class="halo label ${className}" x="${x.toFixed(2)}%" y="${Math.max(y - 9, 12).toFixed(1)}" text-anchor="${anchor}">${label}</text>`;
}

/** Puts the latest week's number left of its dot or, if the line comes from there, right of it. */
function endLabel({ x, y }: Point, before: Point | undefined, label: string): Html {
  const isFree = x > labelWidth / 2 && before !== undefined && Math.abs(before.y - y) > labelHeight;
  const [anchor, dx] = isFree ? ["end", -9] : ["start", 9];
  return html`<circle class="dot" cx="${x.toFixed(2)}%" cy="${y.toFixed(1)}" r="4"/><text class="halo label this" x="${x.toFixed(2)}%" dx="${dx}" y="${(y + 5).toFixed(1)}" text-anchor="${anchor}">${label}</text>`;
}

/** Returns the empty chart: its base line and months. */
export function emptyWeeksChart(weeks: Weeks): Html {
  const height = 56;
  return html`<svg class="weeks" height="${height}" aria-hidden="true"><line class="axis" x1="${-scaleWidth}" x2="100%" y1="${height - bottom}" y2="${height - bottom}"/>${monthLabels(weeks, height - bottom)}</svg>`;
}

/** Labels the first of each month. On narrow screens every second one is left out. */
function monthLabels({ pairs }: Weeks, base: number): Html[] {
  const [start = "", days] = [pairs[0]?.monday, pairs.length * 7];
  const labels: Html[] = [];
  let [year, month] = [Number(start.slice(0, 4)), Number(start.slice(5, 7))];
  for (let n = 0; n < 12; n++) {
    [year, month] = month === 12 ? [year + 1, 1] : [year, month + 1];
    const first = `${year}-${String(month).padStart(2, "0")}-01`;
    const x = ((daysBetween(start, first) / days) * 100).toFixed(2);
    if (Number(x) > 97) break;
    labels.push(
      html`<g class="${n % 2 === 1 && "even"}"><line class="axis" x1="${x}%" x2="${x}%" y1="${base}" y2="${base + 5}"/><text x="${x}%" dx="5" y="${base + 18}">${monthOf(first)}</text></g>`,
    );
  }
  return labels;
}

function tooltip({ monday, now, before }: WeekPair, index: number, { labelBefore }: Weeks): string {
  const texts = [
    now && shownWords(now),
    before && `${shownWords(before)} in week ${index + 1} of ${labelBefore}`,
  ];
  return `Week of ${shortDay(monday)}: ${texts.filter((one) => one).join("; ") || "no numbers"}`;
}

export function weeksTable({ pairs, label, labelBefore, noun }: Weeks): Html {
  const cell = (shown: Shown | undefined) => html`<td>${shown ? shownText(shown) : "–"}</td>`;
  return html`<details><summary>All weeks as a table</summary><table class="weeks-table"><caption class="hidden">${capitalized(noun)}s per week, rounded to fives</caption>
<thead><tr><th scope="col" class="n">Week</th><th scope="col">Monday</th><th scope="col">${label}</th><th scope="col">${labelBefore}</th></tr></thead>
<tbody>${pairs.map(({ monday, now, before }, index) => html`<tr><th scope="row" class="n">${index + 1}</th><td class="t">${day(monday)}</td>${cell(now)}${cell(before)}</tr>`)}</tbody></table></details>`;
}
