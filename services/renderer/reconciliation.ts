// Whether every record that LibInsight announced is published, rejected or a duplicate: for the run and for each window.
import type { Profile } from "../../shared/profile.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type RunResult, rejectedCount } from "../../shared/run.ts";
import { day } from "./format.ts";
import { type Html, html } from "./html.ts";
import { icon } from "./icons.ts";
import { mayStatePeriod } from "./weeks.ts";

type Window = RunResult["windows"][number];

export function announcedOf({ windows }: Pick<RunResult, "windows">): number {
  return windows.reduce((sum, { totalRecords }) => sum + totalRecords, 0);
}

export function reconciles(result: RunResult): boolean {
  const { records, rows, duplicates } = result;
  return announcedOf(result) === records && records === rows + duplicates + rejectedCount(result);
}

export function reconciliationFinding(result: RunResult): string {
  const [announced, { records }] = [announcedOf(result), result];
  if (reconciles(result)) return "Every record that LibInsight reports is accounted for.";
  if (announced === records) return "The counts of the run do not add up.";
  return `LibInsight reports ${quantity(announced, "record")} and sent ${count(records)}.`;
}

/** @param profile undefined if the report shows no weeks */
export function reconciliation(result: RunResult, profile: Profile | undefined): Html {
  const rows = result.state === "published" ? "Published" : "Kept";
  const line = (label: Html | string, sign: string, n: number) =>
    html`<tr><th scope="row">${label}</th><td><small>${sign}</small> <b>${count(n)}</b></td></tr>`;
  const state = reconciles(result) ? icon("met", true) : icon("failed", true);
  return html`<div class="ledger-pair"><table class="ledger"><caption class="hidden">Records of the run</caption><tbody>
${line(rows, "", result.rows)}${line("Rejected", "+", rejectedCount(result))}${line("Duplicates", "+", result.duplicates)}
${line(html`Reported by LibInsight ${state}`, reconciles(result) ? "=" : "≠", announcedOf(result))}</tbody></table>
<table class="windows"><caption class="hidden">Records of each window</caption>
<thead><tr><th scope="col">Window</th><th scope="col" class="wide">Pages</th><th scope="col">Reported</th><th scope="col">${rows}</th><th scope="col">Rejected</th><th scope="col" class="wide">Duplicates</th><th scope="col"><span class="wide">Reconciles</span><span class="narrow">OK</span></th></tr></thead>
<tbody>${shownWindows(result.windows, profile).map(windowRow)}</tbody></table></div>`;
}

function windowRow({ from, to, pages, totalRecords, rows, rejected, duplicates }: Window): Html {
  const cell = (n: number | undefined) => (n === undefined ? "–" : count(n));
  const isKnown = rows !== undefined && rejected !== undefined && duplicates !== undefined;
  const isRight = isKnown && rows + rejected + duplicates === totalRecords;
  return html`<tr><th scope="row">${day(from)} – ${day(to)}</th><td class="wide">${count(pages)}</td><td>${count(totalRecords)}</td><td>${cell(rows)}</td><td>${cell(rejected)}</td><td class="wide">${cell(duplicates)}</td><td>${icon(isKnown ? (isRight ? "met" : "failed") : "unknown", true)}</td></tr>`;
}

/** Adds the newest window to the one before it while its exact rows could give the rows of a week away. */
function shownWindows(windows: readonly Window[], profile: Profile | undefined): Window[] {
  const last = windows.at(-1);
  const before = windows.at(-2);
  if (!profile || !last || !before || mayStatePeriod(profile, last.from, last.to)) return [...windows];
  const sum = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a + b;
  const both: Window = {
    ...before,
    to: last.to,
    pages: before.pages + last.pages,
    totalRecords: before.totalRecords + last.totalRecords,
    rows: sum(before.rows, last.rows),
    rejected: sum(before.rejected, last.rejected),
    duplicates: sum(before.duplicates, last.duplicates),
  };
  return shownWindows([...windows.slice(0, -2), both], profile);
}
