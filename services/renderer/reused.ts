// Which dates of a run have the rows of earlier runs, and how old these are.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { quantity } from "../../shared/quantity.ts";
import { refreshTexts } from "../../shared/refresh-text.ts";
import type { RunResult } from "../../shared/run.ts";
import { day, dayOf, shownWords } from "./format.ts";
import { type Html, html } from "./html.ts";
import { alone } from "./small-counts.ts";

/** Returns nothing for a dataset that is always collected in full, and for a full run that found no change. */
export function reusedWindows(result: RunResult, dataset: Pick<Dataset, "timeZone">): Html[] {
  const texts = refreshTexts(result, dataset.timeZone, (changes) => `${shownWords(alone(changes))} changes`);
  const notes = texts.map((text) => html`<p class="note">${text}</p>`);
  const byDay = Map.groupBy(
    result.windows.filter(({ reused }) => reused),
    ({ reused }) => dayOf(reused?.at ?? result.requestedAt, dataset),
  );
  if (byDay.size === 0) return notes;
  const rows = [...byDay].sort(([one], [other]) => (one < other ? -1 : 1));
  const row = ([fetched, windows]: (typeof rows)[number]) => {
    const [first, last] = [windows[0], windows.at(-1)];
    const dates = first && last && `${day(first.from)} – ${day(last.to)}`;
    return html`<tr><th scope="row">${day(fetched)}</th><td>${dates}</td><td>${quantity(windows.length, "window")}</td></tr>`;
  };
  return [
    ...notes,
    html`<table><caption class="hidden">Rows of earlier runs</caption>
<thead><tr><th scope="col">Fetched on</th><th scope="col">Dates between</th><th scope="col">Reused</th></tr></thead>
<tbody>${rows.map(row)}</tbody></table>`,
  ];
}
