// The top of the report: what happened to the run, what to do, and five key numbers.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addDays } from "../../shared/dates.ts";
import { nounsOf } from "../../shared/kinds/kinds.ts";
import type { Profile } from "../../shared/profile.ts";
import { count, quantity } from "../../shared/quantity.ts";
import {
  type ExpectationOutcome,
  type RunResult,
  rejectedCount,
  unreconciledText,
} from "../../shared/run.ts";
import type { Period } from "./answers.ts";
import { expectationsSummary } from "./expectations.ts";
import {
  capitalized,
  changeText,
  clock,
  day,
  dayOf,
  duration,
  longDay,
  moreOrFewer,
  percent,
  shortDay,
  shownText,
  shownWords,
  signed,
  weekdayOf,
  whenText,
} from "./format.ts";
import { type Child, type Html, html } from "./html.ts";
import { type IconName, icon } from "./icons.ts";
import { reconciles } from "./reconciliation.ts";
import type { Figures } from "./sections.ts";
import { alone, amountOf, roundedTens, withoutSmall } from "./small-counts.ts";
import { latestWeek, rowsBetween } from "./weeks.ts";

/** The published file that readers see if this run is not published. */
export type Live = { runId: string; rows: number; requestedAt: string };
export type HeaderInput = {
  dataset: Dataset;
  result: RunResult;
  expectations: readonly ExpectationOutcome[];
  live: Live | undefined;
  nextRunAt: Date | undefined;
  /** Whether the report has figures of the run. */
  hasFigures: boolean;
};

const states: Record<RunResult["state"], { icon: IconName; word: string }> = {
  published: { icon: "met", word: "Published" },
  held: { icon: "held", word: "Held" },
  failed: { icon: "failed", word: "Failed" },
  superseded: { icon: "unknown", word: "Superseded" },
};
/** A median of fewer records says little. */
const leastRecords = 20;
/** Further expectations are below only. */
const maxTexts = 2;
/** Larger changes are in percent. */
const wholeChange = 0.05;

/** "Reference transactions" */
export function titleOf({ name }: Pick<Dataset, "name">): string {
  return capitalized(name.replaceAll("-", " "));
}

export function reportDay({ requestedAt }: Pick<RunResult, "requestedAt">, dataset: Dataset): string {
  return dayOf(requestedAt, dataset);
}

export function headline(result: RunResult, dataset: Dataset): string {
  const { state, rows, violations } = result;
  const { row: noun } = nounsOf(dataset);
  if (state === "published") {
    if (rows === 0) return `The published file has no ${noun}s.`;
    const change = result.previous ? `, ${changeWords(result, dataset)}` : " for the first time";
    return `${quantity(rows, noun)} ${rows === 1 ? "is" : "are"} published${change}.`;
  }
  if (state === "superseded") return "Nothing new is published: a later run was faster.";
  if (state === "failed") return "Nothing new is published: this run failed.";
  const kinds = new Set(violations.map(({ kind }) => kind));
  if (kinds.has("empty")) return `Nothing new is published: this run found no ${noun}s.`;
  if (kinds.has("disagreement")) return "Nothing new is published: the counts disagree with LibInsight.";
  if (kinds.has("comparison") && result.previous && rows !== result.previous.rows)
    return `Nothing new is published: this run found ${quantity(rows, noun)}, ${changeWords(result, dataset)}.`;
  if (kinds.has("expectation")) return "Nothing new is published: this run does not meet an expectation.";
  return "Nothing new is published: this run is held for review.";
}

/** "31 more than a week ago", or "12.1% fewer than on Nov 25" */
function changeWords({ rows, previous, requestedAt }: RunResult, dataset: Dataset): string {
  if (!previous) return "";
  const [then, today] = [previous.requestedAt, requestedAt].map((time) => dayOf(time, dataset));
  const change = rows - previous.rows;
  const share = previous.rows === 0 ? 0 : Math.abs(change) / previous.rows;
  const size =
    share >= wholeChange ? `${percent(share)} ${change < 0 ? "fewer" : "more"}` : moreOrFewer(change);
  return `${size} ${change === 0 ? "as" : "than"} ${whenText(then ?? "", today ?? "")}`;
}

export function header(input: HeaderInput): Html {
  const { dataset, result, nextRunAt } = input;
  const today = reportDay(result, dataset);
  const { icon: name, word } = states[result.state];
  const ms = Date.parse(result.finishedAt) - Date.parse(result.requestedAt);
  return html`<header>
<p class="over"><b>${titleOf(dataset)}</b> <span>${weekdayOf(today)} report, ${longDay(today)}</span></p>
<p class="state ${result.state}">${icon(name)}${word}</p>
<h1>${headline(result, dataset)}</h1>
<p class="lead">${leadOf(input)}</p>
<p class="facts"><span>${capitalized(nounsOf(dataset).row)}s from ${day(result.from)} through ${day(result.to)}</span> <span>Run ended ${clock(result.finishedAt, dataset)}, after ${duration(ms)}</span>${nextRunAt && html` <span>Next report ${shortDay(dayOf(nextRunAt, dataset))}</span>`}</p>
</header>`;
}

function leadOf(input: HeaderInput): Child {
  const { result } = input;
  const { state, force, violations } = result;
  const why = violations.map(({ text }) => text).join("; ");
  if (state === "published")
    return [
      force !== undefined && why !== "" && `Published despite guard violations: ${why}. `,
      windowsText(result, nounsOf(input.dataset).row),
      expectationsText(input.expectations),
    ];
  if (state === "superseded") return [`${result.reason ?? ""} `, liveText(input)];
  if (state === "failed") return [`${result.reason ?? ""} `, liveText(input)];
  return [
    why !== "" && `${capitalized(why)}. `,
    liveText(input),
    " A data engineer decides whether to publish or discard the held file.",
    input.hasFigures && " The figures below describe the held run.",
  ];
}

function windowsText(result: RunResult, noun: string): string {
  const all = result.windows.length;
  if (!reconciles(result)) return "The counts do not reconcile with LibInsight. ";
  const unreconciled = unreconciledText(result);
  if (unreconciled !== "") return `${unreconciled} `;
  return all === 1
    ? `The ${noun}s reconcile with LibInsight. `
    : `All ${all} windows reconcile with LibInsight. `;
}

function expectationsText(expectations: readonly ExpectationOutcome[]): Child {
  if (expectations.length === 0) return false;
  const summary = expectationsSummary(expectations);
  const unmet = expectations.filter(({ state }) => state === "unmet");
  if (unmet.length === 0) return `${summary}.`;
  const look = unmet.length === 1 ? "one needs a look" : `${unmet.length} need a look`;
  const texts = unmet.slice(0, maxTexts).map(({ text }) => withoutSmall(uncapitalized(text)));
  const more = unmet.length > maxTexts ? "; and more" : "";
  return [`${summary}; `, html`<a href="#expectations">${look}</a>`, `: ${texts.join("; ")}${more}.`];
}

function uncapitalized(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? `${text.charAt(0).toLowerCase()}${text.slice(1)}` : text;
}

function liveText({ dataset, live }: HeaderInput): string {
  if (!live) return "No file is published yet.";
  const readers = dataset.tableau ? "Tableau and Athena still show" : "Athena still shows";
  return `${readers} the ${quantity(live.rows, nounsOf(dataset).row)} of ${day(dayOf(live.requestedAt, dataset))}.`;
}

/**
 * @param period undefined if nothing is counted by date
 * @param hasWeeks whether single weeks may be shown
 */
export function keyNumbers(figures: Figures, period: Period | undefined, hasWeeks: boolean): Html {
  const { result, profile, dataset, counted } = figures;
  const { previous } = result;
  const since = previous && dayOf(previous.requestedAt, dataset);
  const rejected = rejectedCount(result);
  // Rounded, because the next report has one more week of the same year: the difference would be that week's rows.
  const before = period?.before === undefined ? undefined : roundedTens(period.before);
  const tiles = [
    totalTile(figures, since),
    counted && hasWeeks && weekTile(counted.profile),
    period &&
      tile(
        `Fiscal year ${period.fiscalYear}${period.isComplete ? "" : " to date"}`,
        shownText(alone(period.rows)),
        before && amountOf(before) > 0 ? changeText(alone(period.rows), before).replace("~", "") : undefined,
        before && `on ${shownWords(before)} a year earlier`,
      ),
    durationTile(profile, dataset),
    tile(
      "Rejected",
      count(rejected),
      undefined,
      `${percent(result.records === 0 ? 0 : rejected / result.records, 2)} of ${count(result.records)} received`,
    ),
  ];
  return html`<dl class="key">${tiles}</dl>`;
}

/** @param since the day of the last publication */
function totalTile({ result, dataset, counted }: Figures, since: string | undefined): Html {
  const context = since && `since ${shortDay(since)}`;
  if (!counted || counted.isRows) {
    const { previous, rows } = result;
    const change = previous && signedOr(rows - previous.rows);
    return tile(`${capitalized(nounsOf(dataset).row)}s in all`, count(rows), change, context);
  }
  const { noun, profile, previous } = counted;
  // Few more may be all of the latest week.
  const change = previous && alone(profile.rows - previous.rows);
  const isShown = change?.kind === "exact";
  return tile(
    `${capitalized(noun)}s in all`,
    shownText(alone(profile.rows)),
    isShown ? signedOr(change.n) : undefined,
    isShown ? context : undefined,
  );
}

function tile(label: string, value: Child, change: string | undefined, context: string | undefined): Html {
  return html`<div><dt>${label}</dt><dd class="value">${value}</dd>${change !== undefined && html`<dd><b>${change}</b></dd>`}${context !== undefined && html`<dd>${context}</dd>`}</div>`;
}

function signedOr(change: number): string {
  return change === 0 ? "No change" : signed(change);
}

function weekTile(profile: Profile): Html | undefined {
  const monday = latestWeek(profile);
  // 52 weeks, so that both begin on a Monday.
  const [now, before] = [monday, addDays(monday, -364)].map((from) =>
    rowsBetween(profile, from, addDays(from, 6)),
  );
  if (now === undefined) return undefined;
  const [shown, then] = [alone(now), before === undefined ? undefined : alone(before)];
  const change = shown.kind === "exact" && then?.kind === "exact" ? signedOr(shown.n - then.n) : undefined;
  return tile(
    `Week of ${shortDay(monday)}`,
    shownText(shown),
    change,
    then && `on ${shownText(then)} a year earlier`,
  );
}

/** The median of the last 52 weeks and the 52 before, if the durations are a closed set of numbers. */
function durationTile(profile: Profile, { roles }: Dataset): Html | undefined {
  const answers = profile.columns.find(({ name }) => name === roles.minutes)?.answers;
  if (!answers) return undefined;
  const median = (from: number, to?: number) =>
    medianOf(
      answers.map(({ answer, weeks }) => ({
        value: Number(answer),
        rows: weeks.slice(from, to).reduce((sum, rows) => sum + rows, 0),
      })),
    );
  const [now, before] = [median(-52), median(-104, -52)];
  if (now === undefined) return undefined;
  const minutes = (n: number) => n.toLocaleString("en-US", { maximumFractionDigits: 1 });
  return tile(
    "Median duration",
    html`${minutes(now)} <small>min</small>`,
    before === undefined
      ? undefined
      : now === before
        ? "No change"
        : `${signed(now - before, (now - before) % 1 === 0 ? 0 : 1)} min`,
    before === undefined ? "in the last 52 weeks" : "on the 52 weeks before",
  );
}

function medianOf(values: readonly { value: number; rows: number }[]): number | undefined {
  const sorted = values.filter(({ value }) => !Number.isNaN(value)).sort((a, b) => a.value - b.value);
  const all = sorted.reduce((sum, { rows }) => sum + rows, 0);
  if (all < leastRecords) return undefined;
  const nth = (n: number) => {
    let seen = 0;
    for (const { value, rows } of sorted) {
      seen += rows;
      if (seen > n) return value;
    }
    return 0;
  };
  return (nth(Math.floor((all - 1) / 2)) + nth(Math.floor(all / 2))) / 2;
}
