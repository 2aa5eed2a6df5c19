// Renders the report of a run: one HTML file without scripts and requests, which can be mailed. It depends on nothing but
// its input, so the same run has the same bytes on every machine.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addToDate, fiscalYearOf, startOfFiscalYear } from "../../shared/dates.ts";
import type { Profile } from "../../shared/profile.ts";
import type { RunResult } from "../../shared/run.ts";
import { dayIn } from "../../shared/time-zone.ts";
import {
  answersFinding,
  answersOf,
  answersTable,
  closedFields,
  compactTable,
  type Period,
} from "./answers.ts";
import { changes, changesFinding } from "./changes.ts";
import { coverageFinding, coverageOf, coverageTable } from "./coverage.ts";
import { type Expectation, expectationsFinding, expectationsTable } from "./expectations.ts";
import { day, list, shortDay } from "./format.ts";
import { header, headline, keyNumbers, type Live, titleOf } from "./header.ts";
import { hoursFinding, hoursOf, hoursTable } from "./hours.ts";
import { type Child, type Html, html, Html as Source } from "./html.ts";
import { questionTypesFinding, questionTypesOf, questionTypesTable } from "./question-types.ts";
import { reconciliation, reconciliationFinding } from "./reconciliation.ts";
import { styles } from "./styles.ts";
import { howToRead, knownGaps } from "./texts.ts";
import { mayStatePeriod, rowsBetween, weeksChart, weeksFinding, weeksOf, weeksTable } from "./weeks.ts";

export type ReportInput = {
  dataset: Dataset;
  result: RunResult & { expectations?: Expectation[] };
  /** Of this run. Undefined for a failed run, or if it has expired. */
  profile: Profile | undefined;
  /** Of the publication that this run replaced or would replace. */
  previous: Profile | undefined;
  live: Live | undefined;
  /** The next scheduled run, if the stage has a schedule. */
  nextRunAt: Date | undefined;
};

type Section = {
  id: string;
  /** What the section is about. */
  topic: string;
  /** Its text among the links at the top, if it is shorter. */
  link: string;
  /** What the data says. */
  finding?: Child;
  body: Child;
};

const tooFew = "There are too few records to hide the small counts among them.";

/** Returns the report as one HTML document. */
export function renderReport(input: ReportInput): string {
  const { dataset, result, profile, live, nextRunAt } = input;
  const rows = profile ? sectionsOf(input, profile) : failedSections(input);
  const sections = rows.flat();
  const { expectations = [] } = result;
  return html`<!doctype html>
<html lang="en-US"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${titleOf(dataset)}: ${headline(result, dataset)}</title>
<style>${new Source(styles)}</style></head>
<body><main>
${header({ dataset, result, expectations, live, nextRunAt, hasFigures: profile !== undefined })}
${sections.length > 1 && html`<nav aria-label="Sections">${sections.map(({ id, link }) => html`<a href="#${id}">${link}</a> `)}</nav>`}
${profile && keyNumbers(result, profile, dataset, periodOf(profile, dataset, true), hasWeeks(profile, result))}
${rows.map(rowHtml)}
</main>
<footer><p>Run <code>${result.runId}</code>. Written by the LibInsight pipeline from counts only: no names, no notes, no free text.</p></footer>
</body></html>
`.source;
}

function rowHtml(sections: Section[]): Html | false {
  if (sections.length === 0) return false;
  const all = sections.map(
    ({ id, topic, finding, body }) =>
      html`<section id="${id}" aria-labelledby="${id}-head"><h2 id="${id}-head">${finding === undefined ? topic : html`<small>${topic}<span class="hidden">: </span></small>${finding}`}</h2>
${body}</section>`,
  );
  return sections.length === 1
    ? html`${all}`
    : html`<div class="row ${sections[0]?.id ?? ""}-row">${all}</div>`;
}

/** Returns the sections of a run without figures: what LibInsight announced and which expectations are known. */
function failedSections({ result }: ReportInput): Section[][] {
  if (result.windows.length === 0 || result.records === 0) return [];
  return [[reconciliationSection(result, undefined)]];
}

function reconciliationSection(result: RunResult, profile: Profile | undefined): Section {
  return {
    id: "reconciliation",
    topic: "Reconciliation with LibInsight",
    link: "Reconciliation",
    finding: reconciliationFinding(result),
    body: reconciliation(result, profile),
  };
}

/** Returns the sections in order. Those in one list stand side by side. */
function sectionsOf(input: ReportInput, profile: Profile): Section[][] {
  const { result } = input;
  return [
    [reconciliationSection(result, profile)],
    [weeksSection(profile, result)],
    [hoursSection(profile), ...questionTypesSection(input, profile)],
    [...locationSection(input, profile), coverageSection(input, profile)],
    fieldsSection(input, profile),
    // The annual statistics follow here.
    [...expectationsSection(result.expectations ?? []), changesSection(input, profile)],
    [
      {
        id: "gaps",
        topic: "Known gaps",
        link: "Known gaps",
        body: knownGaps(result, profile, input.dataset),
      },
      { id: "reading", topic: "How to read this", link: "How to read this", body: howToRead(input.dataset) },
    ],
  ];
}

/** Returns whether single weeks may stand beside the exact rows of the run and its windows. */
function hasWeeks(profile: Profile, { windows }: RunResult): boolean {
  const old = windows.slice(0, -1).filter(({ to }) => to >= profile.firstWeek);
  return (
    mayStatePeriod(profile, profile.from, profile.to) &&
    old.every(({ from, to }) => mayStatePeriod(profile, from, to))
  );
}

function weeksSection(profile: Profile, result: RunResult): Section {
  const section = { id: "weeks", topic: "Records per week", link: "Weeks" };
  const weeks = weeksOf(profile);
  const isEmpty = weeks.pairs.every(({ now, before }) =>
    [now, before].every((week) => !week || (week.kind === "exact" && week.n === 0)),
  );
  if (isEmpty) return { ...section, body: "No record is in these two years." };
  if (!hasWeeks(profile, result)) return { ...section, body: tooFew };
  const body = html`${weeksChart(weeks)}
<p class="note">Weeks run Monday through Sunday. Week 1 starts on the first Monday on or after August&nbsp;20. <span class="screen">Point at the chart for the numbers of a week, which are rounded to fives.</span></p>${weeksTable(weeks)}`;
  return { ...section, finding: weeksFinding(weeks), body };
}

function hoursSection(profile: Profile): Section {
  const section = { id: "hours", topic: "Weekday and hour", link: "Hours" };
  const hours = hoursOf(profile.hours);
  if (!hours)
    return {
      ...section,
      body: html`<p>${profile.rows === 0 ? "No records in the last 52 weeks." : tooFew}</p>`,
    };
  const note = html`<p class="note">Records of the last 52 weeks by the hour in which they began, rounded to fives. Outlined: the busiest hour.</p>`;
  return { ...section, finding: hoursFinding(hours), body: [note, hoursTable(hours)] };
}

function questionTypesSection({ dataset }: ReportInput, profile: Profile): Section[] {
  const { fiscalYear } = periodOf(profile, dataset);
  const { questionType, mode } = dataset.roles;
  if (questionType === undefined || mode === undefined) return [];
  const section = { id: "types", topic: "Question type by mode", link: "Question types" };
  const types = questionTypesOf(profile, dataset, fiscalYear);
  if (!types)
    return [
      {
        ...section,
        body: html`<p>Fiscal year ${fiscalYear}: ${profile.rows === 0 ? "no records." : tooFew}</p>`,
      },
    ];
  return [{ ...section, finding: questionTypesFinding(types), body: questionTypesTable(types, fiscalYear) }];
}

function locationSection({ dataset }: ReportInput, profile: Profile): Section[] {
  const period = periodOf(profile, dataset);
  const column = profile.columns.find(({ name }) => name === dataset.roles.location);
  if (!column?.answers) return [];
  const section = { id: "locations", topic: "Top locations this fiscal year", link: "Locations" };
  const answers = answersOf(column, period);
  if (!answers || answers.rows.length === 0)
    return [{ ...section, body: html`<p>${profile.rows === 0 ? "No records." : tooFew}</p>` }];
  const note = html`<p class="note">Records from ${shortDay(period.from)} through ${shortDay(profile.to)}. Bar: this year. Tick: the same days of last year. Bold: changes of at least 10% and 10 records.</p>`;
  return [
    {
      ...section,
      finding: answersFinding(answers, "location"),
      body: [note, answersTable(answers, period, "Location")],
    },
  ];
}

/** The other closed fields, in small tables. */
function fieldsSection({ dataset }: ReportInput, profile: Profile): Section[] {
  const period = periodOf(profile, dataset);
  const types = questionTypesOf(profile, dataset, period.fiscalYear);
  const { questionType, mode, location } = dataset.roles;
  const tables = closedFields(profile, dataset).flatMap((column) => {
    if (column.name === location) return [];
    // Two tables with the same records must not give each other's small counts away.
    const known =
      column.name === questionType ? types?.byType : column.name === mode ? types?.byMode : undefined;
    const answers = answersOf(column, period, known);
    return answers && answers.rows.length > 0
      ? [{ name: column.name, table: compactTable(answers, period) }]
      : [];
  });
  if (tables.length === 0) return [];
  const finding = `The largest answers of ${list(tables.map(({ name }) => name))}.`;
  return [
    {
      id: "fields",
      topic: "Other fields this fiscal year",
      link: "Fields",
      finding,
      body: html`<div class="fields">${tables.map(({ table }) => table)}</div>`,
    },
  ];
}

function coverageSection({ dataset, result, previous }: ReportInput, profile: Profile): Section {
  const columns = coverageOf(profile, previous, dataset);
  const since = previous && result.previous && dayIn(dataset.timeZone, new Date(result.previous.requestedAt));
  return {
    id: "coverage",
    topic: "Coverage of every column",
    link: "Coverage",
    finding: coverageFinding(columns),
    body: coverageTable(columns, since),
  };
}

function expectationsSection(expectations: readonly Expectation[]): Section[] {
  if (expectations.length === 0) return [];
  return [
    {
      id: "expectations",
      topic: "Expectations",
      link: "Expectations",
      finding: expectationsFinding(expectations),
      body: expectationsTable(expectations),
    },
  ];
}

function changesSection({ dataset, result, previous }: ReportInput, profile: Profile): Section {
  const section = { id: "changes", topic: "What changed since the last publication", link: "Changes" };
  if (!result.previous)
    return { ...section, body: html`<p>This is the first publication of the pipeline.</p>` };
  const since = dayIn(dataset.timeZone, new Date(result.previous.requestedAt));
  if (!previous)
    return {
      ...section,
      body: html`<p>The counts of ${day(since)} are no longer kept, so nothing can be compared.</p>`,
    };
  return {
    ...section,
    finding: changesFinding(profile, previous, since),
    body: changes(profile, previous, dataset),
  };
}

/**
 * Returns the fiscal year of the run's last day.
 * @param isExact whether its exact rows are shown: while they could give the rows of a week away, it is the year before
 */
function periodOf(profile: Profile, { fiscalYearStart }: Dataset, isExact = false): Period {
  const from = startOfFiscalYear(profile.to, fiscalYearStart);
  const isComplete = isExact && !mayStatePeriod(profile, from, profile.to);
  const [first, last] = isComplete
    ? [addToDate(from, { years: -1 }), addToDate(from, { days: -1 })]
    : [from, profile.to];
  const before = [first, last].map((date) => addToDate(date, { years: -1 }));
  return {
    from: first,
    isComplete,
    fiscalYear: fiscalYearOf(last, fiscalYearStart),
    rows: rowsBetween(profile, first < profile.from ? profile.from : first, last) ?? 0,
    before: rowsBetween(profile, before[0] ?? "", before[1] ?? ""),
  };
}
