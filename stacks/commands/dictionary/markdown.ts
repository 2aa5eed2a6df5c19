// Formats the data dictionary as Markdown for analysts. Labels come from LibInsight forms, so they are escaped: they are
// text, not Markdown or HTML. Pure functions.
import type { Dictionary, DictionaryColumn } from "./columns-of-dataset.ts";

/** A setting and its value, as Markdown. */
type Row = readonly [setting: string, value: string];

/** @param connections how analysts connect to each dataset; by default the page does not say it */
export function markdownOf(
  dictionaries: readonly Dictionary[],
  connections: ReadonlyMap<string, readonly Row[]> = new Map(),
): string {
  return `# Data dictionary

What each column means. To change a meaning, edit \`shared/library.ts\` and run \`npm run dictionary\`.
${dictionaries.map((dictionary) => `\n${sectionOf(dictionary, connections.get(dictionary.dataset))}`).join("")}`;
}

function sectionOf(dictionary: Dictionary, connection: readonly Row[] | undefined): string {
  const { dataset, libinsightId, table, parquet, typed, analysis, measures, columns, dateColumns, dropped } =
    dictionary;
  const { history, asKnown, measureColumns, classes, children } = dictionary;
  const parts = [
    `## ${escaped(dataset)}

LibInsight dataset ${libinsightId}. In Athena:

${tableOf(
  ["Name", "Contents"],
  [
    [
      code(analysis),
      "The view for analysts and Tableau: no personal columns; year, month and other parts of the date are added",
    ],
    [code(measures), "A view with the measures by month, fiscal year and mode"],
    [
      code(asKnown),
      "The rows of the analysts' view on each day (`known_on`), as the published file had them",
    ],
    [code(history), "Each version of each record, with `valid_from`, `valid_to` and `is_current`"],
    [code(typed), "A view in which every column has its type. A value of another type is null"],
    [
      code(parquet),
      "The table behind the views: the Parquet file, with types, and a list where a column's answers have rows",
    ],
    [code(table), "The published CSV, with every column as text"],
  ],
)}
${connection ? `### Connect\n\n${tableOf(["Setting", "Value"], connection)}\n` : ""}### Columns

${tableOf(
  ["Column", "Label in LibInsight", "Type", "Meaning"],
  columns.map((column) => [
    code(column.name),
    column.labels.map(escaped).join(", "),
    typeOf(column),
    meaningOf(column),
  ]),
)}`,
    children.length > 0 &&
      `### Answers in rows

These tables have a row for each answer of a column, with the columns \`_id\` (of the row in ${code(table)}), \`position\` (from 1) and
\`answer\`. Use the view. A query fails while the table changes to another run.

${tableOf(
  ["Column", "View", "Table", "Contents"],
  children.map((child) => [
    ...[code(child.name), code(child.typed), code(child.table)],
    child.personal ? "Personal: not for analysts" : "For analysts",
  ]),
)}`,
    dateColumns.length > 0 &&
      `### Only in the analysis view

${tableOf(
  ["Column", "Type", "Meaning"],
  dateColumns.map(({ name, type, meaning }) => [code(name), type, escaped(meaning)]),
)}`,
    deidentifiedSection(dictionary),
    `### Measures

The columns of ${code(measures)}, which has one row for each month, fiscal year and mode:

${tableOf(
  ["Column", "Unit", "Meaning"],
  measureColumns.map(({ name, unit, meaning }) => [code(name), unit, escaped(meaning)]),
)}`,
    classes.length > 0 &&
      `What the measures count an answer as (\`statistics\` in \`shared/library.ts\`):

${tableOf(
  ["Column", "Counts as", "Answers"],
  classes.map(({ column, name, answers }) => [code(column), name, answers.map(escaped).join("; ")]),
)}`,
    dropped.length > 0 &&
      `### Not published

These declared fields are left out: ${dropped.map(escaped).join(", ")}.
`,
  ];
  return parts.filter(Boolean).join("\n");
}

function deidentifiedSection({ deidentified, table }: Dictionary): string {
  const { columns, dropped } = deidentified;
  const left = dropped.length > 0 ? ` Left out: ${dropped.map(escaped).join(", ")}.` : "";
  return `### De-identified file

The table ${code(deidentified.table)} and the view ${code(deidentified.analysis)} have the rows of
${code(table)} without undeclared columns.${left}

${tableOf(
  ["Column", "Type", "What it has"],
  columns.map(({ name, type, rule }) => [code(name), type, escaped(rule)]),
)}`;
}

function typeOf({ type, unit }: DictionaryColumn): string {
  if (type === "time") return "time, as text: HH:MM:SS";
  return unit === undefined ? type : `${type}, in ${escaped(unit)}`;
}

function meaningOf({ meaning, personal, inAnalysis }: DictionaryColumn): string {
  const written = meaning === undefined ? "_no description yet_" : escaped(meaning);
  const why = personal ? "personal" : "not declared in shared/library.ts";
  return inAnalysis ? written : `${written} (${why}: not in the analysis view)`;
}

function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("");
}

/** Needs no escape, because names in Athena are letters, digits and _. */
function code(name: string): string {
  return `\`${name}\``;
}

/**
 * Escapes text for use inside a line: https://spec.commonmark.org/0.31.2/#backslash-escapes. Characters of HTML become
 * character references, and so does the pipe, which would end a cell even after a backslash.
 * https://github.github.com/gfm/#tables-extension-
 */
function escaped(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .replace(/[\\`*_[\]~$]/g, "\\$&")
    .replace(/[&<>|]/g, (character) => `&#${character.charCodeAt(0)};`);
}
