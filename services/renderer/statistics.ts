// The annual statistics in the report: ACRL's worksheet of the last fiscal year, and the measures of this one. They are
// computed from counts that may be shown, so they give no hidden count away; `npm run stats` prints the exact ones.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile } from "../../shared/profile.ts";
import { type AnnualStatistics, annualStatistics } from "../../shared/statistics/annual.ts";
import type { Tally, Worksheet } from "../../shared/statistics/worksheet.ts";
import { answersOf, type Period } from "./answers.ts";
import { percent, shownText, shownWords } from "./format.ts";
import { type Html, html } from "./html.ts";
import { gridOf } from "./question-types.ts";
import { alone, amountOf, roundedTens, type Shown, totalOf } from "./small-counts.ts";

/** Every answer has a place in the worksheet, so none is combined with others. A profile has no more. */
const everyAnswer = { types: Number.POSITIVE_INFINITY, modes: Number.POSITIVE_INFINITY };

type Year = { pairs: NonNullable<Profile["pairs"]>; isExact: boolean };
export type Statistics = AnnualStatistics & {
  isExact: { thisYear: boolean; lastYear: boolean };
  /** This year's class sessions, from the table of the locations. */
  instruction: Shown | undefined;
  /** This year's minutes. */
  minutes: Shown;
};

/** Returns undefined if there are too few records to hide the small counts. */
export function statisticsOf(profile: Profile, dataset: Dataset, period: Period): Statistics | undefined {
  const { fiscalYear } = period;
  const [now, before] = [fiscalYear, fiscalYear - 1].map((year) => shownYear(profile, dataset, year));
  if (!now && !before) return undefined;
  const pairs = [...(now?.pairs ?? []), ...(before?.pairs ?? [])];
  const found = annualStatistics(dataset, { ...profile, pairs });
  const minutes = (profile.pairs ?? []).reduce(
    (sum, pair) => sum + (pair.fiscalYear === fiscalYear ? pair.minutes : 0),
    0,
  );
  return (
    found && {
      ...found,
      isExact: { thisYear: now?.isExact ?? false, lastYear: before?.isExact ?? false },
      instruction: instructionOf(profile, dataset, period),
      minutes: roundedTens(minutes),
    }
  );
}

function instructionOf({ columns }: Profile, dataset: Dataset, period: Period): Shown | undefined {
  const column = columns.find(({ name }) => name === dataset.roles.location);
  const locations = column && answersOf(column, period);
  const sessions = locations?.rows.filter(({ answer }) => dataset.statistics?.instruction.includes(answer));
  return sessions && totalOf(sessions.map(({ now }) => now));
}

/** Returns a fiscal year's pairs with the counts that may be shown. */
function shownYear(profile: Profile, dataset: Dataset, fiscalYear: number): Year | undefined {
  const grid = gridOf(profile, dataset, fiscalYear, everyAnswer);
  if (!grid) return undefined;
  const pairs = grid.cells.flatMap((cells, type) =>
    cells.map((cell, mode) => ({
      fiscalYear,
      questionType: grid.types[type] ?? null,
      mode: grid.modes[mode] ?? null,
      rows: amountOf(cell),
      // `instructionOf` and `minutes` have this year's.
      instruction: 0,
      minutes: 0,
    })),
  );
  const isExact = grid.cells.flat().every(({ kind }) => kind === "exact");
  return { pairs: pairs.filter(({ rows }) => rows > 0), isExact };
}

function shownOf(rows: number, isExact: boolean): Shown {
  return isExact ? alone(rows) : roundedTens(rows);
}

/** "About 600 transactions and 340 consultations in fiscal year 2026, as ACRL counts them." */
export function statisticsFinding({ worksheet, isExact, lastYear }: Statistics): string {
  if ("problem" in worksheet) return `ACRL's worksheet of fiscal year ${lastYear.fiscalYear} is not filled.`;
  const lines = worksheet.lines.map(
    ({ title, tally }) => `${shownWords(shownOf(tally.rows, isExact.lastYear))} ${title.toLowerCase()}`,
  );
  const text = `${lines.join(" and ")} in fiscal year ${worksheet.fiscalYear}, as ACRL counts them.`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function statisticsTables(statistics: Statistics): Html {
  const { worksheet } = statistics;
  return html`<div class="statistics"><div>${"problem" in worksheet ? html`<p>${worksheet.problem}</p>` : worksheetTable(worksheet, statistics.isExact.lastYear)}</div>
<div>${measuresTable(statistics)}</div></div>`;
}

function worksheetTable(worksheet: Worksheet, isExact: boolean): Html {
  const { survey, fiscalYear, lines, excluded, unanswered, all, notes } = worksheet;
  const row = (title: Html | string, tally: Tally) =>
    html`<tr><th scope="row">${title}</th>${[tally.inPerson, tally.virtual].map((rows) => html`<td>${shownText(shownOf(rows, isExact))}</td>`)}<td class="wide">${shownText(shownOf(tally.noMode, isExact))}</td><td><b>${shownText(shownOf(tally.rows, isExact))}</b></td></tr>`;
  return html`<table><caption>${survey.title}, ${survey.edition}: fiscal year ${fiscalYear}</caption>
<thead><tr><th scope="col">Line</th><th scope="col">In person</th><th scope="col">Virtual</th><th scope="col" class="wide">No mode</th><th scope="col">All</th></tr></thead>
<tbody>${lines.map(({ title, questionTypes, tally }) => row(html`${title}<small>${questionTypes.join(", ")}</small>`, tally))}
${row(html`Not counted<small>${excluded.questionTypes.map(({ name }) => name).join(", ")}</small>`, excluded.tally)}
${row("No question type", unanswered)}
${row("All records", all)}</tbody></table>
<p class="note">${notes.map((note) => `${note}. `)}A full count, not a sample. Exact values, definitions and footnotes: <code>npm run stats -- --survey ${survey.name} --fiscal-year ${fiscalYear}</code></p>`;
}

function measuresTable(statistics: Statistics): Html {
  const { thisYear } = statistics;
  // The key numbers have the records.
  const measures = statistics.measures.filter(({ name }) => name !== "records");
  return html`<table><caption>Measures: fiscal year ${thisYear.fiscalYear} to date</caption>
<thead><tr><th scope="col">Measure</th><th scope="col">Value</th></tr></thead>
<tbody>${measures.map(
    (measure) =>
      html`<tr><th scope="row">${measure.title}<small>${measure.definition}</small></th><td><b>${measureText(measure, statistics)}</b></td></tr>`,
  )}</tbody></table>`;
}

function measureText(
  { name, unit, thisYear }: Statistics["measures"][number],
  { isExact, instruction, minutes }: Statistics,
): string {
  if (unit === "percent") return percent(thisYear / 100, 0);
  if (name === "minutes") return shownText(minutes);
  if (name === "instruction") return instruction ? shownText(instruction) : "–";
  return shownText(shownOf(thisYear, isExact.thisYear));
}
