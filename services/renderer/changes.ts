// What changed since the last publication: rows by the date of the record, columns, and answers.
import { changedMonthText } from "../../shared/changed-months.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addDays, startOfFiscalYear } from "../../shared/dates.ts";
import { nounsOf } from "../../shared/kinds/kinds.ts";
import { dateColumn, type Profile } from "../../shared/profile.ts";
import type { RunResult } from "../../shared/run.ts";
import { answerChanges, closedFields } from "./answers.ts";
import { day, list, moreOrFewer, shortDay, shownText, signed } from "./format.ts";
import { type Html, html } from "./html.ts";
import { alone, isSmall } from "./small-counts.ts";
import { mayStatePeriod, rowsIn } from "./weeks.ts";

type Period = { from: string; to: string; change: number };

/** @param noun of a row */
export function changesFinding(
  profile: Profile,
  previous: Profile,
  publishedOn: string,
  noun: string,
): string {
  const change = profile.rows - previous.rows;
  if (change === 0) return `As many ${noun}s as on ${shortDay(publishedOn)}.`;
  return `${moreOrFewer(change)} ${noun}s than on ${shortDay(publishedOn)}.`;
}

export function changes(profile: Profile, previous: Profile, dataset: Dataset, result: RunResult): Html {
  const periods = dateColumn(dataset) === undefined ? [] : periodsOf(profile, previous, dataset);
  const { row: noun } = nounsOf(dataset);
  const row = (label: string, change: number) =>
    html`<tr><th scope="row">${label}</th><td>${signed(change)}</td></tr>`;
  return html`${
    periods.length > 1 &&
    html`<table><caption class="hidden">Change by date of the ${noun}</caption>
<thead><tr><th scope="col">Date of the ${noun}</th><th scope="col">Change</th></tr></thead>
<tbody>${periods.map((period, index) => row(periodText(period, index === periods.length - 1), period.change))}
<tr class="sum"><th scope="row">All</th><td>${signed(profile.rows - previous.rows)}</td></tr></tbody></table>`
  }
<p class="note">Added minus removed.${noun === "record" && " An edited record counts only if its date moved."}</p>
<ul class="plain">${rowChanges(result)}${columnChanges(profile, previous)}${answerChanges(closedFields(profile, dataset), previous)}</ul>`;
}

/**
 * Returns the newest period first. A period whose change is small is a part of the one before it, and so is a period
 * whose change could give the rows of a week away.
 */
function periodsOf(profile: Profile, previous: Profile, { fiscalYearStart }: Dataset): Period[] {
  const start = startOfFiscalYear(profile.to, fiscalYearStart);
  const first = previous.from < profile.from ? previous.from : profile.from;
  const bounds = [addDays(previous.to, 1), start, first].filter(
    (from) => from >= first && from <= profile.to,
  );
  const starts = [...new Set(bounds)].sort().reverse();
  const periods = starts.map((from, index): Period => {
    const next = starts[index - 1];
    const to = next === undefined ? profile.to : addDays(next, -1);
    return { from, to, change: rowsIn(profile, from, to) - rowsIn(previous, from, to) };
  });
  const oldest = periods.at(-1);
  // Records without a date are in no period.
  if (oldest) oldest.change += profile.undated - previous.undated;
  const mayState = ({ from, to, change }: Period) =>
    !isSmall(change) && mayStatePeriod(profile, from, to) && mayStatePeriod(previous, from, to);
  for (;;) {
    const index = periods.findIndex((period) => !mayState(period));
    if (index === -1 || periods.length === 1) return periods;
    const at = Math.min(index, periods.length - 2);
    const [newer, older] = periods.slice(at);
    if (!newer || !older) return periods;
    periods.splice(at, 2, { from: older.from, to: newer.to, change: newer.change + older.change });
  }
}

/**
 * Returns how many rows were added, edited, deleted and moved; nothing if that is unknown. Their difference is exact
 * elsewhere, so a small number of added or deleted rows would follow from the other one.
 */
export function rowChanges({ changes, finishedAt }: Pick<RunResult, "changes" | "finishedAt">): Html[] {
  if (!changes) return [];
  if (changes.snapshot !== undefined)
    return [html`<li>The rows were not compared, because ${changes.snapshot}.</li>`];
  const { added, edited, deleted, moved, columns } = changes;
  const shown = (count: number, what: string): string => `${shownText(alone(count))} ${what}`;
  const hasFew = isSmall(added) || isSmall(deleted);
  const counts = [
    ...(hasFew ? [] : [shown(added, "added"), shown(deleted, "deleted")]),
    ...[shown(edited, "edited"), shown(moved, "moved to another date")],
  ];
  const names = Object.keys(columns);
  return [
    html`<li>Rows: ${counts.join(", ")}${changedMonthText(changes, finishedAt)}.${hasFew && " There are too few added or deleted rows to count them apart."}</li>`,
    ...(names.length > 0 ? [html`<li>Columns with other values: ${list(names)}.</li>`] : []),
  ];
}

function periodText({ from, to }: Period, isOldest: boolean): string {
  return isOldest ? `Through ${day(to)}` : `${day(from)} – ${day(to)}`;
}

function columnChanges(profile: Profile, previous: Profile): Html[] {
  const names = (all: Profile, others: Profile) =>
    all.columns
      .map(({ name }) => name)
      .filter((name) => !others.columns.some((other) => other.name === name));
  const [added, gone] = [names(profile, previous), names(previous, profile)];
  return [
    ...(added.length > 0 ? [html`<li>New columns: ${list(added)}.</li>`] : []),
    ...(gone.length > 0 ? [html`<li>Columns that are gone: ${list(gone)}.</li>`] : []),
    ...(added.length + gone.length === 0 ? [html`<li>No column is new or gone.</li>`] : []),
  ];
}
