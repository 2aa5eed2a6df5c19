// Fills the worksheet of a survey from counts by fiscal year, question type and mode: those of a profile, or those of a
// query. Every record of the year is in exactly one line, in `excluded` or in `unanswered`. Pure functions.
import type { Dataset } from "../dataset-schema.ts";
import { daysOfFiscalYear } from "../dates.ts";
import { PipelineError } from "../errors.ts";
import type { ProfiledPair } from "../profile.ts";
import { quantity } from "../quantity.ts";
import { classesOf, classifier } from "./classes.ts";
import type { Mode } from "./rules.ts";
import type { Survey, SurveyLine } from "./survey.ts";

/** The records of a fiscal year with the same question type and mode, which are null without an answer. */
export type Count = Pick<ProfiledPair, "fiscalYear" | "questionType" | "mode" | "rows">;

/** Records by the group of their mode. `rows` is the sum of the others. */
export type Tally = { rows: number; inPerson: number; virtual: number; noMode: number };

export type FilledLine = SurveyLine & {
  name: string;
  tally: Tally;
  /** The question types that it counts, as they are in the file. */
  questionTypes: string[];
};

export type Worksheet = {
  survey: Survey;
  dataset: string;
  /** The dataset's own fiscal year, named after the year in which it ends. */
  fiscalYear: number;
  from: string;
  to: string;
  /** The survey's year that asks for these months, if the survey names it otherwise. */
  surveyYear: number | undefined;
  lines: FilledLine[];
  /** Question types that the survey does not count, each with the reason. */
  excluded: { tally: Tally; questionTypes: { name: string; rows: number; reason: string }[] };
  /** Records without a question type. Nothing says what was asked, so no line counts them. */
  unanswered: Tally;
  all: Tally;
  /** Records without a date. They are in no year. */
  undated: number;
  /** What makes the year incomplete, in sentences. */
  notes: string[];
};

export type WorksheetInput = {
  survey: Survey;
  dataset: Dataset;
  /** May be of any years. */
  counts: readonly Count[];
  fiscalYear: number;
  /** The first and the last day with a record, of all years. */
  recorded: { from: string; to: string };
};

/** @throws PipelineError `StatisticsNotDeclared`, `NoRecordsInYear`, `UnknownAnswers` */
export function worksheetOf({ survey, dataset, counts, fiscalYear, recorded }: WorksheetInput): Worksheet {
  const { kind, mode } = classesOf(dataset);
  if (!kind || !mode) throw notDeclared(dataset);
  const [kindOf, modeOf] = [classifier(kind), classifier(mode)];
  const { from, to } = daysOfFiscalYear(fiscalYear, dataset.fiscalYearStart);
  const ofYear = counts.filter((count) => count.fiscalYear === fiscalYear);
  if (sumOf(ofYear) === 0) throw noRecords(dataset, fiscalYear, counts);
  const unknown = [
    ...unknownAnswers(ofYear, kind.header, ({ questionType }) => kindOf(questionType).unknown),
    ...unknownAnswers(ofYear, mode.header, (count) => modeOf(count.mode).unknown),
  ];
  if (unknown.length > 0) throw unknownError(dataset, fiscalYear, unknown);
  const tally = (some: readonly Count[]) => tallyOf(some, (count) => modeOf(count.mode).found);
  const placed = ofYear.map((count) => {
    const { found } = kindOf(count.questionType);
    return { ...count, place: found && survey.kinds[found] };
  });
  const excluded = placed.flatMap((count) =>
    typeof count.place === "object" && count.place ? [{ ...count, reason: count.place.excluded }] : [],
  );
  return {
    survey,
    dataset: dataset.name,
    fiscalYear,
    from,
    to,
    surveyYear: surveyYearOf(survey, to, fiscalYear),
    lines: Object.entries(survey.lines).map(([name, line]) => {
      const counted = placed.filter(({ place }) => place === name);
      return { ...line, name, tally: tally(counted), questionTypes: questionTypesOf(counted) };
    }),
    excluded: {
      tally: tally(excluded),
      questionTypes: questionTypesOf(excluded).map((name) => {
        const some = excluded.filter(({ questionType }) => questionType === name);
        return { name, rows: sumOf(some), reason: some[0]?.reason ?? "" };
      }),
    },
    unanswered: tally(placed.filter(({ place }) => place === null)),
    all: tally(placed),
    undated: sumOf(counts.filter((count) => count.fiscalYear === null)),
    notes: [
      ...(recorded.from > from ? [`The records begin on ${recorded.from}, after the year does`] : []),
      ...(recorded.to < to ? [`The records end on ${recorded.to}, before the year does`] : []),
    ],
  };
}

function sumOf(counts: readonly Pick<Count, "rows">[]): number {
  return counts.reduce((sum, { rows }) => sum + rows, 0);
}

function questionTypesOf(counts: readonly Count[]): string[] {
  return [...new Set(counts.flatMap(({ questionType }) => questionType ?? []))].toSorted();
}

function tallyOf(counts: readonly Count[], modeOf: (count: Count) => Mode | null): Tally {
  const rowsOf = (mode: Mode | null) => sumOf(counts.filter((count) => modeOf(count) === mode));
  return {
    rows: sumOf(counts),
    inPerson: rowsOf("in person"),
    virtual: rowsOf("virtual"),
    noMode: rowsOf(null),
  };
}

/** Returns the survey's year if it is another one than the dataset's, and undefined if the survey names no rule. */
function surveyYearOf({ period }: Survey, to: string, fiscalYear: number): number | undefined {
  if (period.endsBefore === undefined) return undefined;
  return to < `${fiscalYear}-${period.endsBefore}` ? fiscalYear : fiscalYear + 1;
}

type Unknown = { column: string; answer: string; rows: number };

function unknownAnswers(
  counts: readonly Count[],
  column: string,
  unknownOf: (count: Count) => string[],
): Unknown[] {
  const found = new Map<string, number>();
  for (const count of counts) {
    for (const answer of new Set(unknownOf(count))) found.set(answer, (found.get(answer) ?? 0) + count.rows);
  }
  return Array.from(found, ([answer, rows]) => ({ column, answer, rows }));
}

const namedAnswers = 10;
const namedLength = 60;

function unknownError({ name }: Dataset, fiscalYear: number, unknown: readonly Unknown[]): PipelineError {
  const named = unknown
    .slice(0, namedAnswers)
    .map(
      ({ column, answer, rows }) =>
        `"${answer.slice(0, namedLength)}" of ${column} (${quantity(rows, "record")})`,
    );
  const more = unknown.length > namedAnswers ? ` and ${unknown.length - namedAnswers} more` : "";
  return new PipelineError("UnknownAnswers", {
    message: `Answers of fiscal year ${fiscalYear} have no place in the statistics: ${named.join(", ")}${more}.`,
    advice: "Add each to kinds or modes under statistics in shared/library.ts, then repeat the command.",
    ids: { dataset: name },
  });
}

function noRecords({ name }: Dataset, fiscalYear: number, counts: readonly Count[]): PipelineError {
  const years = [...new Set(counts.flatMap((count) => count.fiscalYear ?? []))].toSorted((a, b) => a - b);
  const found = years.length > 0 ? `It has records of ${years.join(", ")}.` : "It has no record with a date.";
  return new PipelineError("NoRecordsInYear", {
    message: `The published file has no record of fiscal year ${fiscalYear}. ${found}`,
    advice: "Choose one of its years with --fiscal-year, or request a run that covers the year.",
    ids: { dataset: name },
  });
}

function notDeclared({ name }: Dataset): PipelineError {
  return new PipelineError("StatisticsNotDeclared", {
    message: "The dataset's entry does not say what its answers mean for statistics.",
    advice: "Add roles and statistics to the entry in shared/library.ts (docs/datasets.md).",
    ids: { dataset: name },
  });
}
