// The data dictionary as Markdown, for an analyst. Labels come from a form, so nothing in them may
// be taken for Markdown or HTML. Pure functions.
import type { Dictionary, DictionaryColumn } from "./columns-of-dataset.ts";

export function markdownOf(dictionaries: readonly Dictionary[]): string {
  return `# Data dictionary

What each column holds, as \`shared/datasets.ts\` has it: change it there, then run \`npm run dictionary\`.
${dictionaries.map((dictionary) => `\n${sectionOf(dictionary)}`).join("")}`;
}

function sectionOf(dictionary: Dictionary): string {
  const { dataset, libinsightId, table, typed, analysis, columns, dateColumns, dropped } = dictionary;
  const parts = [
    `## ${escaped(dataset)}

Dataset ${libinsightId} of LibInsight. In Athena:

${tableOf(
  ["Name", "What it is"],
  [
    [
      code(analysis),
      "the view for analysts and for Tableau: without what is personal, with the parts of the date",
    ],
    [code(typed), "the view with every column in its type; a value that is not of its type is null there"],
    [code(table), "the table below both: the published file as it is, all of it text"],
  ],
)}
### Columns

${tableOf(
  ["Column", "Label in LibInsight", "Type", "Meaning"],
  columns.map((column) => [
    code(column.name),
    column.labels.map(escaped).join(", "),
    typeOf(column),
    meaningOf(column),
  ]),
)}`,
    dateColumns.length > 0 &&
      `### Only in the analysis view

${tableOf(
  ["Column", "Type", "Meaning"],
  dateColumns.map(({ name, type, meaning }) => [code(name), type, escaped(meaning)]),
)}`,
    dropped.length > 0 &&
      `### Not published

These fields are known and left out: ${dropped.map(escaped).join(", ")}.
`,
  ];
  return parts.filter(Boolean).join("\n");
}

function typeOf({ type, unit }: DictionaryColumn): string {
  if (type === "time") return "time, as text: HH:MM:SS";
  return unit === undefined ? type : `${type}, in ${escaped(unit)}`;
}

function meaningOf({ meaning, personal, inAnalysis }: DictionaryColumn): string {
  const written = meaning === undefined ? "_no description yet_" : escaped(meaning);
  const why = personal ? "personal" : "not declared in shared/datasets.ts";
  return inAnalysis ? written : `${written} (${why}: not in the analysis view)`;
}

function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("");
}

/** Names in Athena are letters, digits and _. */
function code(name: string): string {
  return `\`${name}\``;
}

/**
 * Text that shows as it is, inside a line: https://spec.commonmark.org/0.31.2/#backslash-escapes. References stand for
 * what HTML would take, and for the pipe, which ends a cell whatever is around it.
 * https://github.github.com/gfm/#tables-extension-
 */
function escaped(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .replace(/[\\`*_[\]~$]/g, "\\$&")
    .replace(/[&<>|]/g, (character) => `&#${character.charCodeAt(0)};`);
}
