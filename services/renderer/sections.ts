// The sections of the report of a run that has counts, in order. Each opens with a sentence that is computed from the data.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addDays, addYears, fiscalYearOf, startOfFiscalYear } from "../../shared/dates.ts";
import { nounsOf } from "../../shared/kinds/kinds.ts";
import type { Profile } from "../../shared/profile.ts";
import type { ExpectationOutcome, RunResult } from "../../shared/run.ts";
import {
  answersFinding,
  answersOf,
  answersTable,
  closedFields,
  compactTable,
  fieldsFinding,
  type Period,
} from "./answers.ts";
import { changes, changesFinding, rowChanges } from "./changes.ts";
import type { Counted } from "./counted.ts";
import { coverageFinding, coverageOf, coverageTable } from "./coverage.ts";
import { expectationsSummary, expectationsTable } from "./expectations.ts";
import { capitalized, day, dayOf, shortDay } from "./format.ts";
import { hoursFinding, hoursOf, hoursTable } from "./hours.ts";
import { type Child, type Html, html } from "./html.ts";
import {
  type QuestionTypes,
  questionTypesFinding,
  questionTypesOf,
  questionTypesTable,
} from "./question-types.ts";
import { periodsOf, reconciliation, reconciliationFinding } from "./reconciliation.ts";
import { reusedWindows } from "./reused.ts";
import { statisticsFinding, statisticsOf, statisticsTables } from "./statistics.ts";
import { howToRead, knownGaps } from "./texts.ts";
import {
  emptyWeeksChart,
  mayStatePeriod,
  rowsBetween,
  rowsIn,
  weeksChart,
  weeksFinding,
  weeksOf,
  weeksTable,
} from "./weeks.ts";

export type Section = {
  id: string;
  /** What the section is about. */
  topic: string;
  /** Its text among the links at the top. */
  link: string;
  /** What the data says. */
  finding?: Child;
  body: Child;
};

/** What the sections are made of. */
export type Figures = {
  dataset: Dataset;
  result: RunResult;
  expectations: readonly ExpectationOutcome[];
  profile: Profile;
  /** The profile of the last publication. */
  previous: Profile | undefined;
  /** Undefined if the report counts nothing. */
  counted: Counted | undefined;
};

/** Returns the body of a section without figures. */
function nothingOf({ noun, profile }: Pick<Counted, "noun" | "profile">): Html {
  return profile.rows === 0
    ? html`<p>No ${noun}s.</p>`
    : html`<p>There are too few ${noun}s to hide the small counts among them.</p>`;
}

/** Returns the sections in order. Those in one list stand side by side. */
export function sectionsOf(figures: Figures): Section[][] {
  const { dataset, result, profile, expectations, counted } = figures;
  const period = fiscalYearToDate(profile, dataset);
  const countedPeriod = counted && fiscalYearToDate(counted.profile, dataset);
  const types = questionTypesOf(profile, dataset, period.fiscalYear);
  return [
    [reconciliationSection(result, dataset, counted?.isRows ? profile : undefined)],
    weeksSection(figures),
    [...hoursSection(counted), ...questionTypesSection(figures, types, period)],
    [...locationSection(figures, countedPeriod), ...coverageSection(figures)],
    fieldsSection(figures, types, countedPeriod),
    statisticsSection(figures, period),
    [...expectationsSection(expectations), changesSection(figures)],
    [
      { id: "gaps", topic: "Known gaps", link: "Known gaps", body: knownGaps(result, profile, dataset) },
      {
        id: "reading",
        topic: "How to read this",
        link: "How to read this",
        body: howToRead(dataset, counted),
      },
    ],
  ].filter((row) => row.length > 0);
}

/** @param profile undefined if the report shows no weeks of rows */
export function reconciliationSection(
  result: RunResult,
  dataset: Dataset,
  profile: Profile | undefined,
): Section {
  const { row } = nounsOf(dataset);
  return {
    id: "reconciliation",
    topic: "Reconciliation with LibInsight",
    link: "Reconciliation",
    finding: reconciliationFinding(result, row),
    body: [reconciliation(result, profile, row), ...reusedWindows(result, dataset)],
  };
}

/** Returns whether single weeks may stand beside the exact count of the run and, of rows, of its periods. */
export function mayShowWeeks({ counted, result }: Figures): boolean {
  if (!counted?.has.weeks) return false;
  const { profile, isRows } = counted;
  const windows = periodsOf(result)
    .slice(0, -1)
    .filter(({ to }) => to >= profile.firstWeek);
  return [profile, ...(isRows ? windows : [])].every(({ from, to }) => mayStatePeriod(profile, from, to));
}

function weeksSection(figures: Figures): Section[] {
  const { counted } = figures;
  if (!counted?.has.weeks) return [];
  const { noun, profile } = counted;
  const section = { id: "weeks", topic: `${capitalized(noun)}s per week`, link: "Weeks" };
  const weeks = weeksOf(profile, noun);
  const cells = weeks.pairs.flatMap(({ now, before }) => [now, before]);
  if (cells.every((cell) => !cell || (cell.kind === "exact" && cell.n === 0)))
    return [{ ...section, body: [html`<p>No ${noun}s.</p>`, emptyWeeksChart(weeks)] }];
  if (!mayShowWeeks(figures)) return [{ ...section, body: nothingOf(counted) }];
  const note = html`<p class="note">Weeks run Monday through Sunday. Week 1 starts on the first Monday on or after August&nbsp;20. <span class="screen">Point at the chart for the numbers of a week, which are rounded to fives.</span></p>`;
  return [{ ...section, finding: weeksFinding(weeks), body: [weeksChart(weeks), note, weeksTable(weeks)] }];
}

function hoursSection(counted: Counted | undefined): Section[] {
  if (!counted?.has.hours) return [];
  const { noun, profile } = counted;
  const section = { id: "hours", topic: "Weekday and hour", link: "Hours" };
  const hours = hoursOf(profile.hours);
  if (!hours) return [{ ...section, body: nothingOf(counted) }];
  const note = html`<p class="note">${capitalized(noun)}s of the last 52 weeks by the hour in which they began, rounded to fives. Outlined: the busiest hour.</p>`;
  return [{ ...section, finding: hoursFinding(hours, noun), body: [note, hoursTable(hours, noun)] }];
}

function questionTypesSection(
  { dataset, profile }: Figures,
  types: QuestionTypes | undefined,
  { fiscalYear }: Period,
): Section[] {
  if (dataset.roles.questionType === undefined || dataset.roles.mode === undefined) return [];
  const section = { id: "types", topic: "Question type by mode", link: "Question types" };
  if (!types) return [{ ...section, body: nothingOf({ noun: nounsOf(dataset).row, profile }) }];
  return [{ ...section, finding: questionTypesFinding(types), body: questionTypesTable(types, fiscalYear) }];
}

function locationSection({ dataset, counted }: Figures, period: Period | undefined): Section[] {
  if (!counted?.has.dates || !period) return [];
  const { profile, noun } = counted;
  const column = profile.columns.find(({ name }) => name === dataset.roles.location);
  if (!column?.answers) return [];
  const section = { id: "locations", topic: "Top locations this fiscal year", link: "Locations" };
  const answers = answersOf(column, period);
  if (!answers || answers.rows.length === 0) return [{ ...section, body: nothingOf(counted) }];
  const note = html`<p class="note">${capitalized(noun)}s from ${shortDay(period.from)} through ${shortDay(profile.to)}. Bar: this year. Tick: the same days of last year. Bold: changes of at least 10% and 10 ${noun}s.</p>`;
  const body = [note, answersTable(answers, period, { head: "Location", counted: noun })];
  return [{ ...section, finding: answersFinding(answers, "location", noun), body }];
}

/** The other closed fields, in small tables. */
function fieldsSection(
  { dataset, counted }: Figures,
  types: QuestionTypes | undefined,
  period: Period | undefined,
): Section[] {
  if (!counted?.has.dates || !period) return [];
  const { profile, noun, isRows } = counted;
  const { questionType, mode, location } = dataset.roles;
  const columns = closedFields(profile, dataset).flatMap((column) => {
    if (column.name === location) return [];
    // Two tables with the same records must not give each other's small counts away.
    const byRows =
      column.name === questionType ? types?.byType : column.name === mode ? types?.byMode : undefined;
    const known = isRows ? byRows : undefined;
    const answers = answersOf(column, period, known);
    return answers && answers.rows.length > 0 ? [answers] : [];
  });
  if (columns.length === 0) return [];
  const body = html`<div class="fields">${columns.map((column) => compactTable(column, period, noun))}</div>`;
  const topic = "Largest answers of the other fields this fiscal year";
  return [{ id: "fields", topic, link: "Other fields", finding: fieldsFinding(columns, noun), body }];
}

function statisticsSection({ dataset, profile }: Figures, period: Period): Section[] {
  if (!dataset.statistics || !profile.pairs) return [];
  const section = { id: "statistics", topic: "Annual statistics", link: "Statistics" };
  const statistics = statisticsOf(profile, dataset, period);
  if (!statistics) return [{ ...section, body: nothingOf({ noun: nounsOf(dataset).row, profile }) }];
  return [{ ...section, finding: statisticsFinding(statistics), body: statisticsTables(statistics) }];
}

function coverageSection(figures: Figures): Section[] {
  if (figures.profile.rows === 0) return [];
  const columns = coverageOf(figures.profile, figures.previous, figures.dataset);
  const { row } = nounsOf(figures.dataset);
  const body = coverageTable(columns, figures.previous && publishedOn(figures), row);
  const section = { id: "coverage", topic: "Coverage of every column", link: "Coverage" };
  return [{ ...section, finding: coverageFinding(columns, row), body }];
}

function expectationsSection(expectations: readonly ExpectationOutcome[]): Section[] {
  if (expectations.length === 0) return [];
  const section = { id: "expectations", topic: "Expectations", link: "Expectations" };
  return [
    { ...section, finding: `${expectationsSummary(expectations)}.`, body: expectationsTable(expectations) },
  ];
}

function changesSection(figures: Figures): Section {
  const { dataset, profile, previous, result } = figures;
  const section = { id: "changes", topic: "What changed since the last publication", link: "Changes" };
  const since = publishedOn(figures);
  if (since === undefined) return { ...section, body: html`<p>This is the first publication.</p>` };
  if (!previous) {
    const text = `The counts of ${day(since)} have expired, so they cannot be compared.`;
    const rows = rowChanges(result);
    return {
      ...section,
      body: [html`<p>${text}</p>`, rows.length > 0 && html`<ul class="plain">${rows}</ul>`],
    };
  }
  const finding = changesFinding(profile, previous, since, nounsOf(dataset).row);
  return { ...section, finding, body: changes(profile, previous, dataset, result) };
}

function publishedOn({ dataset, result: { previous } }: Figures): string | undefined {
  return previous && dayOf(previous.requestedAt, dataset);
}

/** Returns the fiscal year of the run's last day. */
function fiscalYearToDate(profile: Profile, { fiscalYearStart }: Dataset): Period {
  return periodOf(profile, fiscalYearStart, startOfFiscalYear(profile.to, fiscalYearStart), profile.to);
}

/**
 * Returns the fiscal year to date or, while its exact count could give that of a week away, the one before. Returns undefined
 * if nothing is counted by date.
 */
export function exactFiscalYear({ counted }: Figures, { fiscalYearStart }: Dataset): Period | undefined {
  if (!counted?.has.dates) return undefined;
  const { profile } = counted;
  const from = startOfFiscalYear(profile.to, fiscalYearStart);
  return mayStatePeriod(profile, from, profile.to)
    ? periodOf(profile, fiscalYearStart, from, profile.to)
    : periodOf(profile, fiscalYearStart, addYears(from, -1), addDays(from, -1));
}

function periodOf(profile: Profile, fiscalYearStart: number, from: string, to: string): Period {
  const yearBefore = (date: string) => addYears(date, -1);
  return {
    from,
    isComplete: to < profile.to,
    fiscalYear: fiscalYearOf(to, fiscalYearStart),
    rows: rowsIn(profile, from, to),
    before: rowsBetween(profile, yearBefore(from), yearBefore(to)),
  };
}
