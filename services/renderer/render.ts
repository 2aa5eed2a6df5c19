// Renders the report of a run: one HTML file without scripts and requests, which can be mailed. It depends on nothing but
// its input, so the same run has the same bytes on every machine.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile } from "../../shared/profile.ts";
import type { RunResult } from "../../shared/run.ts";
import { countedOf } from "./counted.ts";
import { header, headline, keyNumbers, type Live, titleOf } from "./header.ts";
import { Html, html } from "./html.ts";
import {
  exactFiscalYear,
  mayShowWeeks,
  reconciliationSection,
  type Section,
  sectionsOf,
} from "./sections.ts";
import { styles } from "./styles.ts";

export type ReportInput = {
  dataset: Dataset;
  result: RunResult;
  /** The profile of this run. Undefined for a failed run, or if it has expired. */
  profile: Profile | undefined;
  /** The profile of the publication that this run replaced or would replace. */
  previous: Profile | undefined;
  live: Live | undefined;
  /** The next scheduled run, if the stage has a schedule. */
  nextRunAt: Date | undefined;
};

/** Returns the report as an HTML document. */
export function renderReport(input: ReportInput): string {
  const { dataset, result, profile, previous, live, nextRunAt } = input;
  const { expectations = [] } = result;
  const figures = profile && {
    ...{ dataset, result, expectations, profile, previous },
    counted: countedOf(profile, previous, dataset),
  };
  const rows = figures ? sectionsOf(figures) : sectionsWithoutFigures(input);
  const links = rows.flat().map(({ id, link }) => html`<a href="#${id}">${link}</a> `);
  return html`<!doctype html>
<html lang="en-US"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${titleOf(dataset)}: ${headline(result, dataset)}</title>
<style>${new Html(styles)}</style></head>
<body><main>
${header({ dataset, result, expectations, live, nextRunAt, hasFigures: profile !== undefined })}
${links.length > 1 && html`<nav aria-label="Sections">${links}</nav>`}
${figures && keyNumbers(figures, exactFiscalYear(figures, dataset), mayShowWeeks(figures))}
${rows.map(rowHtml)}
</main>
<footer><p>Run <code>${result.runId}</code>. Written by the LibInsight pipeline from counts only: no names, no notes, no free text.</p></footer>
</body></html>
`.source;
}

function rowHtml(sections: Section[]): Html | false {
  const all = sections.map(({ id, topic, finding, body }) => {
    // Screen readers read a colon between the topic and the finding.
    const head = finding ? html`<small>${topic}<span class="hidden">: </span></small>${finding}` : topic;
    return html`<section id="${id}" aria-labelledby="${id}-head"><h2 id="${id}-head">${head}</h2>
${body}</section>`;
  });
  if (all.length < 2) return html`${all}`;
  return html`<div class="row ${sections[0]?.id}-row">${all}</div>`;
}

function sectionsWithoutFigures({ result, dataset }: ReportInput): Section[][] {
  // A failed run may have counted only some of its records.
  return result.state === "failed" ? [] : [[reconciliationSection(result, dataset, undefined)]];
}
