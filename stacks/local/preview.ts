// What `npm start` shows of what it published: the views' first rows, and what the columns mean. Pure functions.
import type { Dictionary, DictionaryColumn } from "../commands/dictionary/columns-of-dataset.ts";
import { cut, padded, widthOf } from "../commands/text-table.ts";
import type { FirstRows } from "./views.ts";

/** A view or a dictionary of more columns is shown so far; the files have all of it. */
const maxShown = 40;
const maxNameWidth = 24;
const gap = "  ";

export type Shown = {
  /** Where the whole dictionary is. */
  file: string;
  /** Of the terminal, in columns. */
  width: number;
  /** Whether the people in the records are invented: then undeclared columns are shown too. */
  simulated: boolean;
};

export function preview(views: readonly FirstRows[], dictionary: Dictionary, shown: Shown): string {
  return [...views.map((view) => viewText(view, dictionary, shown)), dictionaryText(dictionary, shown)].join(
    "\n\n",
  );
}

/** A row of the view is a column here, because a view has many columns and a terminal few. */
function viewText(view: FirstRows, dictionary: Dictionary, { width, simulated }: Shown): string {
  const title = `${view.view}, ${view.view === dictionary.typed ? "every column with its type" : "what Tableau reads"}`;
  if ("failed" in view) return `${title}: its first rows can't be shown (${view.failed})`;
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

/**
 * Returns what replaces a value: personal and undeclared columns are hidden, because a terminal is no place for what people
 * wrote.
 */
function hidden(name: string, { columns, dateColumns }: Dictionary, simulated: boolean): string | undefined {
  if (dateColumns.some((column) => column.name === name)) return undefined;
  const column = columns.find((candidate) => candidate.name === name);
  if (column?.personal) return "(personal)";
  return column?.declared || (column && simulated) ? undefined : "(not declared)";
}

function dictionaryText({ columns }: Dictionary, { file, width }: Shown): string {
  const shown = columns.slice(0, maxShown);
  const rows = [
    ["column", "label in LibInsight", "type"],
    ...shown.map(({ name, labels, type }) => [name, labels.join(", "), type]),
  ];
  const widths = [0, 1, 2].map((index) => widest(rows.map((row) => row[index] ?? "")));
  const left = width - widths.reduce((sum, one) => sum + one + gap.length, gap.length);
  const meanings = ["meaning", ...shown.map(meaningOf)];
  const lines = rows.map((row, index) => [
    ...row.map((cell, column) => padded(cell, widths[column] ?? 0)),
    cut(meanings[index] ?? "", left),
  ]);
  return [
    `What the columns mean; all of it is in ${file}`,
    "",
    ...indented(lines),
    ...more(columns.length),
  ].join("\n");
}

function meaningOf({ meaning, declared, personal }: DictionaryColumn): string {
  if (!declared) return "(not declared in shared/datasets.ts)";
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
