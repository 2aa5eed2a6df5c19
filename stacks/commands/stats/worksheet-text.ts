// A filled worksheet as text for a terminal and as CSV. Pure functions.
import { type Cell, csvRows } from "../../../shared/csv.ts";
import { quantity } from "../../../shared/quantity.ts";
import type { FilledLine, Tally, Worksheet } from "../../../shared/statistics/worksheet.ts";
import { fitted, plain, table } from "../text-table.ts";

const width = 80;
const counted = "counted: all published records of the year, none scaled from a sample";
const unansweredFootnote = "No question type: nothing says what was asked, so no line counts these records";

/** Returns the worksheet in lines of at most 80 characters, except words that are longer. */
export function worksheetText(worksheet: Worksheet): string {
  const { survey, dataset, fiscalYear, from, to, lines, excluded, unanswered, all, undated } = worksheet;
  const rows: [string, string, Tally][] = [
    ...lines.map(({ name, number, tally }): [string, string, Tally] => [name, number ?? "", tally]),
    ["excluded", "", excluded.tally],
    ["unanswered", "", unanswered],
    ["all", "", all],
  ];
  const text = [
    `${survey.title}, ${survey.edition}`,
    `${dataset}, fiscal year ${fiscalYear}: ${from} to ${to}`,
    ...surveyYearLines(worksheet),
    `Period: ${survey.period.text}.`,
    ...worksheet.notes.map((note) => `${note}.`),
    `${counted[0]?.toUpperCase()}${counted.slice(1)}.`,
    "The counts are exact, for the survey. Do not publish small ones.",
    "",
    table(
      ["line", "number", "records", "in person", "virtual", "no mode"],
      rows.map(([name, number, { rows, inPerson, virtual, noMode }]) => [
        name,
        number,
        rows,
        inPerson,
        virtual,
        noMode,
      ]),
    ),
    ...lines.flatMap((line) => [
      `${line.name}: ${line.title}${line.number === undefined ? "" : ` (${line.number})`}`,
      `  ${line.definition}.`,
      `  Counts: ${line.questionTypes.length > 0 ? line.questionTypes.join(" | ") : "no answer of this year"}`,
      `  ${textSeen(line)}.`,
      `  ${line.footnote}.`,
      ...line.sources.map((source) => `  ${source}`),
      "",
    ]),
    "excluded",
    ...excluded.questionTypes.map(
      ({ name, rows, reason }) => `  ${name}: ${quantity(rows, "record")}; ${reason}`,
    ),
    "",
    "unanswered",
    `  ${unansweredFootnote}.`,
    ...(undated > 0 ? ["", `${quantity(undated, "record")} without a date are in no year.`] : []),
  ];
  return `${fitted(text.map((part) => part.split("\n").map(plain).join("\n")).join("\n"), width)}\n`;
}

function surveyYearLines({ surveyYear, fiscalYear }: Worksheet): string[] {
  if (surveyYear === undefined) return [];
  return [`For the survey of ${surveyYear}${surveyYear === fiscalYear ? "" : `, not of ${fiscalYear}`}.`];
}

function textSeen({ text }: FilledLine): string {
  return text.official
    ? `Official text seen: ${text.readIn}`
    : `Official text not seen; read in ${text.readIn}`;
}

const header = [
  "survey",
  "edition",
  "dataset",
  "fiscal_year",
  "survey_year",
  "from",
  "to",
  "line",
  "number",
  "title",
  "records",
  "in_person",
  "virtual",
  "no_mode",
  "method",
  "definition",
  "question_types",
  "official_text",
  "footnote",
  "sources",
  "notes",
];

/** Returns a row for each line, for `excluded`, `unanswered` and `all`. */
export function worksheetCsv(worksheet: Worksheet): string {
  const { survey, dataset, fiscalYear, surveyYear, from, to, lines, excluded, unanswered, all, notes } =
    worksheet;
  const row = (
    name: string,
    { rows, inPerson, virtual, noMode }: Tally,
    line?: Partial<FilledLine>,
  ): Cell[] => [
    survey.name,
    survey.edition,
    dataset,
    fiscalYear,
    surveyYear ?? null,
    from,
    to,
    name,
    line?.number ?? null,
    line?.title ?? null,
    rows,
    inPerson,
    virtual,
    noMode,
    counted,
    line?.definition ?? null,
    line?.questionTypes?.join(" | ") ?? null,
    line?.text
      ? line.text.official
        ? `seen: ${line.text.readIn}`
        : `not seen; read in ${line.text.readIn}`
      : null,
    line?.footnote ?? null,
    line?.sources?.join(" ") ?? null,
    notes.join(". ") || null,
  ];
  return csvRows([
    header,
    ...lines.map((line) => row(line.name, line.tally, line)),
    row("excluded", excluded.tally, {
      questionTypes: excluded.questionTypes.map(({ name }) => name),
      footnote: excluded.questionTypes.map(({ name, reason }) => `${name}: ${reason}`).join("; "),
    }),
    row("unanswered", unanswered, { footnote: unansweredFootnote }),
    row("all", all, { footnote: `${quantity(worksheet.undated, "record")} without a date are in no year` }),
  ]);
}
