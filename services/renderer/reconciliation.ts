// Whether every record that LibInsight announced is published, rejected or a duplicate: for the run and for each window.
import type { Profile } from "../../shared/profile.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type RunResult, rejectedCount, unreconciledText } from "../../shared/run.ts";
import { capitalized, day } from "./format.ts";
import { type Html, html } from "./html.ts";
import { icon } from "./icons.ts";
import { mayStatePeriod } from "./weeks.ts";

type Window = RunResult["windows"][number];

export function announcedOf({ windows }: Pick<RunResult, "windows">): number {
  return windows.reduce((sum, { totalRecords }) => sum + totalRecords, 0);
}

export function reconciles(result: RunResult): boolean {
  const { records, rows, duplicates, forgotten = 0 } = result;
  const kept = rows + duplicates + rejectedCount(result) + forgotten;
  return announcedOf(result) === records && records === kept;
}

/** @param noun of a row */
export function reconciliationFinding(result: RunResult, noun: string): string {
  const [announced, { records }] = [announcedOf(result), result];
  if (reconciles(result)) {
    const unreconciled = unreconciledText(result);
    return unreconciled === "" ? `Every ${noun} that LibInsight reports is accounted for.` : unreconciled;
  }
  if (announced === records) return "The counts of the run do not add up.";
  return `LibInsight reports ${quantity(announced, noun)} and sent ${count(records)}.`;
}

/**
 * @param profile undefined if the report shows no weeks of rows
 * @param noun of a row
 */
export function reconciliation(result: RunResult, profile: Profile | undefined, noun: string): Html {
  const rows = result.state === "published" ? "Published" : "Kept";
  const line = (label: Html | string, sign: string, n: number) =>
    html`<tr><th scope="row">${label}</th><td><small>${sign}</small> <b>${count(n)}</b></td></tr>`;
  const state = reconciles(result) ? icon("met", true) : icon("failed", true);
  return html`<div class="ledger-pair"><table class="ledger"><caption class="hidden">${capitalized(noun)}s of the run</caption><tbody>
${line(rows, "", result.rows)}${line("Rejected", "+", rejectedCount(result))}${line("Duplicates", "+", result.duplicates)}${result.forgotten === undefined ? "" : line("Forgotten", "+", result.forgotten)}
${line(html`Reported by LibInsight ${state}`, reconciles(result) ? "=" : "≠", announcedOf(result))}</tbody></table>
<table class="windows"><caption class="hidden">${capitalized(noun)}s of each period</caption>
<thead><tr><th scope="col">Dates</th><th scope="col" class="wide">Pages</th><th scope="col">Reported</th><th scope="col">${rows}</th><th scope="col">Rejected</th><th scope="col" class="wide">Duplicates</th><th scope="col"><span class="wide">Reconciles</span><span class="narrow">OK</span></th></tr></thead>
<tbody>${shownPeriods(periodsOf(result), profile).map(windowRow)}</tbody></table></div>`;
}

/** A report shows more periods by the calendar year in which they begin. */
const maxPeriods = 24;

/** Returns the windows of each period as one, or those of each year if the periods are many. */
export function periodsOf({ windows }: Pick<RunResult, "windows">): Window[] {
  // In older results, each window is a period.
  const periods = Map.groupBy(windows, ({ period, from }) => period ?? from);
  const joinedPeriods = [...periods.values()].map((period) => period.reduce(joined));
  if (joinedPeriods.length <= maxPeriods) return joinedPeriods;
  const years = Map.groupBy(joinedPeriods, ({ from }) => from.slice(0, 4));
  return [...years.values()].map((year) => year.reduce(joined));
}

function windowRow(window: Window): Html {
  const { from, to, pages, totalRecords, rows, rejected, duplicates, forgotten = 0, unreconciled } = window;
  const cell = (n: number | undefined) => (n === undefined ? "–" : count(n));
  const isKnown = rows !== undefined && rejected !== undefined && duplicates !== undefined;
  const isRight = isKnown && rows + rejected + duplicates + forgotten === totalRecords;
  return html`<tr><th scope="row">${day(from)} – ${day(to)}</th><td class="wide">${count(pages)}</td><td>${count(totalRecords)}</td><td>${cell(rows)}</td><td>${cell(rejected)}</td><td class="wide">${cell(duplicates)}</td><td>${icon(!isKnown || (isRight && unreconciled) ? "unknown" : isRight ? "met" : "failed", true)}</td></tr>`;
}

/** Adds the newest period to the one before it while its exact rows could give the rows of a week away. */
function shownPeriods(windows: readonly Window[], profile: Profile | undefined): Window[] {
  const last = windows.at(-1);
  const before = windows.at(-2);
  if (!profile || !last || !before || mayStatePeriod(profile, last.from, last.to)) return [...windows];
  return shownPeriods([...windows.slice(0, -2), joined(before, last)], profile);
}

function joined(one: Window, next: Window): Window {
  const sum = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a + b;
  return {
    ...one,
    to: next.to,
    pages: one.pages + next.pages,
    totalRecords: one.totalRecords + next.totalRecords,
    rows: sum(one.rows, next.rows),
    rejected: sum(one.rejected, next.rejected),
    duplicates: sum(one.duplicates, next.duplicates),
    forgotten: (one.forgotten ?? 0) + (next.forgotten ?? 0),
    unreconciled: one.unreconciled || next.unreconciled,
  };
}
