// The share of records that have a value in each column, now and at the last publication.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile } from "../../shared/profile.ts";
import { bar } from "./bars.ts";
import { capitalized, percent, shortDay, shownText, signed } from "./format.ts";
import { type Html, html } from "./html.ts";
import { isSmall, type Shown } from "./small-counts.ts";

const wellFilled = 0.95;

type Filled = { rows: Shown; share: number | undefined };
type Column = { name: string; isPersonal: boolean; now: Filled; before: Filled | undefined };

/** Returns the columns, the fullest first. */
export function coverageOf(profile: Profile, previous: Profile | undefined, { columns }: Dataset): Column[] {
  const found = profile.columns.map(({ name, filled }) => {
    const before = previous?.columns.find((column) => column.name === name);
    return {
      name,
      isPersonal: columns.some(
        (column) => column.name === name && !("drop" in column) && column.personal === true,
      ),
      now: filledOf(filled, profile.rows),
      before: before && previous && filledOf(before.filled, previous.rows),
    };
  });
  const order = ({ now }: Column) => now.share ?? 0;
  // Stable, so columns with the same share are in the order of the file.
  return found.sort((a, b) => order(b) - order(a));
}

/** Hides the number of records with a value, or without one, if it is small. */
function filledOf(filled: number, rows: number): Filled {
  if (isSmall(filled)) return { rows: { kind: "hidden" }, share: undefined };
  if (isSmall(rows - filled))
    return { rows: { kind: "about", n: Math.round(rows / 10) * 10 }, share: 0.9999 };
  return { rows: { kind: "exact", n: filled }, share: rows === 0 ? 0 : filled / rows };
}

/** @param noun of a row */
export function coverageFinding(columns: readonly Column[], noun: string): string {
  const full = columns.filter(({ now }) => now.share !== undefined && now.share >= wellFilled).length;
  return `${full} of ${columns.length} columns are filled in for at least ${wellFilled * 100}% of ${noun}s.`;
}

export function coverageTable(
  columns: readonly Column[],
  publishedOn: string | undefined,
  noun: string,
): Html {
  const note = publishedOn && html` Tick and change: against ${shortDay(publishedOn)}, in percentage points.`;
  return html`<p class="note">Bar: ${noun}s with a value.${note}</p>
<table class="coverage"><caption class="hidden">${capitalized(noun)}s with a value, by column</caption>
<thead><tr><th scope="col">Column</th><td></td><th scope="col" class="wide">${capitalized(noun)}s</th><th scope="col">Filled in</th>${publishedOn && html`<th scope="col">Change</th>`}</tr></thead>
<tbody>${columns.map(
    ({ name, isPersonal, now, before }) =>
      html`<tr><th scope="row">${name}${isPersonal && html` <small>personal</small>`}</th><td>${bar(now.share ?? "hidden", before?.share)}</td><td class="wide">${shownText(now.rows)}</td><td><b>${now.share === undefined ? shownText(now.rows) : percent(now.share)}</b></td>${publishedOn && html`<td>${changeIn(now, before)}</td>`}</tr>`,
  )}</tbody></table>`;
}

function changeIn(now: Filled, before: Filled | undefined): Html | string {
  if (now.share === undefined || before?.share === undefined) return "–";
  // Subtracts the rounded shares, as a reader would.
  const points = signed(Math.round(now.share * 1_000) / 10 - Math.round(before.share * 1_000) / 10, 1);
  return points === "0" ? html`<span class="quiet">0</span>` : `${points}\u00a0pt`;
}
