// Formats what `npm start` shows of the published data: the first rows of the views, and the meaning of the columns.
import type { Dictionary, DictionaryColumn } from "../commands/dictionary/columns-of-dataset.ts";
import { cut, padded, widthOf } from "../commands/text-table.ts";
import type { FirstRows } from "./views.ts";

/** Further columns are in the files only. */
const maxShown = 40;
const maxNameWidth = 24;
/** In a narrower terminal the labels would leave too little room for the meanings. */
const minWidthWithLabels = 100;
const gap = "  ";

export type PreviewOptions = {
  /** Path of the complete dictionary. */
  file: string;
  /** Width of the terminal, in columns. */
  width: number;
  /** Whether the people in the records are invented. If so, undeclared columns are shown too. */
  simulated: boolean;
};

export function preview(
  views: readonly FirstRows[],
  dictionary: Dictionary,
  options: PreviewOptions,
): string {
  const texts = views.map((view) => viewText(view, dictionary, options));
  return [...texts, dictionaryText(dictionary, options)].join("\n\n");
}

/** Shows each row of the view as a column, because a view has many columns and a terminal is narrow. */
export function viewText(
  view: FirstRows,
  dictionary: Dictionary,
  { width, simulated }: Pick<PreviewOptions, "width" | "simulated">,
): string {
  const title = `${view.view}, ${view.view === dictionary.typed ? "every column with its type" : "what Tableau reads"}`;
  if ("failed" in view) return `${title}: its first rows cannot be shown (${view.failed})`;
  const { columns, rows } = view;
  if (rows.length === 0) return `${title}: no rows`;
  const names = columns.slice(0, maxShown);
  const nameWidth = widest(names);
  const fitting = Math.floor((width - gap.length - nameWidth) / rows.length) - gap.length;
  const cells = names.map((name, index) =>
    rows.map((row) => hidden(name, dictionary, simulated) ?? row[index] ?? ""),
  );
  const cellWidth = Math.min(Math.max(...cells.flat().map(widthOf)), fitting);
  const lines = names.map((name, index) => [
    padded(name, nameWidth),
    ...(cells[index] ?? []).map((cell) => padded(cell, cellWidth)),
  ]);
  return [
    `${title}: the first ${rows.length === 1 ? "row" : `${rows.length} rows`}`,
    "",
    ...indented(lines),
    ...more(columns.length),
  ].join("\n");
}

/** Returns the text that replaces a value of a personal or undeclared column; undefined if the value may be shown. */
function hidden(name: string, { columns, dateColumns }: Dictionary, simulated: boolean): string | undefined {
  if (dateColumns.some((column) => column.name === name)) return undefined;
  const column = columns.find((candidate) => candidate.name === name);
  if (column?.personal) return "(personal)";
  return column?.declared || (column && simulated) ? undefined : "(not declared)";
}

function dictionaryText({ columns }: Dictionary, { file, width }: PreviewOptions): string {
  const shown = columns.slice(0, maxShown);
  const hasLabels = width >= minWidthWithLabels;
  const rows = [
    ["column", "label in LibInsight", "type"],
    ...shown.map(({ name, labels, type }) => [name, labels.join(", "), type]),
  ].map(([name = "", label = "", type = ""]) => (hasLabels ? [name, label, type] : [name, type]));
  const widths = (rows[0] ?? []).map((_, index) => widest(rows.map((row) => row[index] ?? "")));
  const left = width - widths.reduce((sum, one) => sum + one + gap.length, gap.length);
  const meanings = ["meaning", ...shown.map(meaningOf)];
  const lines = rows.map((row, index) => [
    ...row.map((cell, column) => padded(cell, widths[column] ?? 0)),
    cut(meanings[index] ?? "", left),
  ]);
  return [`Columns, described in full in ${file}`, "", ...indented(lines), ...more(columns.length)].join(
    "\n",
  );
}

function meaningOf({ meaning, declared, personal }: DictionaryColumn): string {
  if (!declared) return "(not declared in shared/library.ts)";
  return `${personal ? "(personal) " : ""}${meaning ?? "(no description yet)"}`;
}

function widest(texts: readonly string[]): number {
  return Math.min(Math.max(...texts.map(widthOf)), maxNameWidth);
}

function indented(lines: readonly (readonly string[])[]): string[] {
  return lines.map((cells) => `${gap}${cells.join(gap)}`.trimEnd());
}

function more(columns: number): string[] {
  return columns > maxShown ? [`${gap}... and ${columns - maxShown} more columns`] : [];
}
