// Records by weekday and hour, as a table whose cells are colored.
import { capitalized, cellText, hour, weekday } from "./format.ts";
import { type Html, html } from "./html.ts";
import { amountOf, mayStateTotal, rounded, type Shown, smallest } from "./small-counts.ts";

/** By weekday, Monday first, and hour. */
type Hours = Shown[][];
const steps = 5;
const roundSizes = [1, 1.5, 2, 2.5, 3, 4, 5, 7.5];

/** Returns undefined if there are too few records to hide the small counts among them. */
export function hoursOf(hours: readonly (readonly number[])[]): Hours | undefined {
  const shown = hours.map((day) => day.map(rounded));
  return shown.flat().some((cell) => amountOf(cell) > 0) && mayStateTotal(shown.flat()) ? shown : undefined;
}

function busiest(hours: Hours): { at: [number, number]; rows: Shown } {
  let found: { at: [number, number]; rows: Shown } = { at: [0, 0], rows: { kind: "exact", n: 0 } };
  for (const [day, cells] of hours.entries())
    for (const [index, rows] of cells.entries())
      if (rows.kind !== "hidden" && amountOf(rows) > amountOf(found.rows)) found = { at: [day, index], rows };
  return found;
}

/** @param noun of what is counted */
export function hoursFinding(hours: Hours, noun: string): Html | string {
  const { at, rows } = busiest(hours);
  const [day, index] = at;
  if (amountOf(rows) === 0) return `No hour has five ${noun}s.`;
  return html`Busiest: ${weekday(day)}s from ${hour(index)} to ${hour(index + 1)}, about ${cellText(amountOf(rows))} ${noun}s.`;
}

export function hoursTable(hours: Hours, noun: string): Html {
  const found = busiest(hours);
  const size = stepSize(amountOf(found.rows));
  const used = Array.from({ length: 24 }, (_, index) => index).filter((index) =>
    hours.some((day) => amountOf(day[index] ?? { kind: "exact", n: 0 }) > 0),
  );
  const [first = 0, last = -1] = [used.at(0), used.at(-1)];
  const rows = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const cell = (day: number, index: number) => {
    const rows = hours[day]?.[index] ?? { kind: "exact", n: 0 };
    if (rows.kind === "hidden") return html`<td>&lt;${smallest}</td>`;
    const step = rows.n === 0 ? 0 : Math.min(Math.floor(rows.n / size) + 1, steps);
    const isBusiest = day === found.at[0] && index === found.at[1];
    return html`<td class="s${step}${isBusiest && " top"}">${cellText(rows.n)}</td>`;
  };
  const days = Array.from({ length: 7 }, (_, index) => index);
  const legend = Array.from({ length: steps }, (_, index) => {
    const [from, to] = [Math.max(index * size, smallest), (index + 1) * size - 1];
    return html`<span class="s${index + 1}">${index + 1 < steps ? `${cellText(from)}–${cellText(to)}` : `${cellText(from)}+`}</span>`;
  });
  return html`<table class="heat"><caption class="hidden">${capitalized(noun)}s by hour and weekday</caption>
<thead><tr><td></td>${days.map((day) => html`<th scope="col"><abbr title="${weekday(day)}">${weekday(day).slice(0, 3)}</abbr></th>`)}</tr></thead>
<tbody>${rows.map((index) => html`<tr><th scope="row">${hour(index)}</th>${days.map((day) => cell(day, index))}</tr>`)}</tbody></table>
<p class="legend" aria-hidden="true"><span>&lt;${smallest}</span>${legend}</p>`;
}

/** Returns the smallest round size with which five steps reach the highest count, at least a multiple of five. */
function stepSize(highest: number): number {
  for (let unit = 1; ; unit *= 10)
    for (const size of roundSizes) {
      const step = size * unit;
      if (step % 5 === 0 && step * steps > highest) return step;
    }
}
