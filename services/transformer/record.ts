// One LibInsight record becomes one row, by the rules of its dataset, or is rejected with a reason. Pure functions.
import type { Cell } from "../../shared/csv.ts";
import { type ColumnType, type Dataset, type KeptColumn, outputColumns } from "../../shared/dataset.ts";
import { cleanText } from "./text.ts";

export type Row = {
  id: number;
  /** In the order of the dataset's output columns. */
  cells: Cell[];
  /** Undeclared fields, by header. */
  appended: Map<string, Cell>;
  notes: Notes;
};
/** What was noticed, by column or field. */
export type Notes = { furtherAnswers: [string, number][]; mistyped: string[]; undeclared: string[] };
export type Outcome = { row: Row } | { reject: string };

/** @returns a function from a record, which may be any JSON value, to its row or the reason why there is none */
export function recordTransform(dataset: Dataset): (record: unknown) => Outcome {
  const headers = new Set(outputColumns(dataset.columns));

  return (record) => {
    if (!isObject(record)) return { reject: "not a record" };
    const fields = new Map(Object.entries(record));
    const notes: Notes = { furtherAnswers: [], mistyped: [], undeclared: [] };
    const cells: Cell[] = [];
    for (const column of dataset.columns) {
      if ("drop" in column) {
        fields.delete(column.name);
        continue;
      }
      if ("join" in column) {
        const texts = column.join.map((label) => textOf(take(fields, [label])));
        cells.push(joined(texts, column.with));
        continue;
      }
      const read = readColumn(take(fields, [column.name, ...column.labels]), column);
      if (column.required && (read.cell === null || read.cell === "" || read.mistyped)) {
        return { reject: read.mistyped ? `unusable ${column.name}` : `no ${column.name}` };
      }
      if (read.mistyped) notes.mistyped.push(column.name);
      if (read.furtherAnswers > 0) notes.furtherAnswers.push([column.name, read.furtherAnswers]);
      cells.push(read.cell);
    }
    const [id] = cells;
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return { reject: "unusable _id" };

    const appended = new Map<string, Cell>();
    // What no column took.
    for (const [field, value] of fields) {
      if (dataset.undeclared === "reject") return { reject: "undeclared field" };
      const header = headerOf(field, (name) => headers.has(name) || appended.has(name));
      notes.undeclared.push(header);
      if (dataset.undeclared === "append") appended.set(header, ownType(value));
    }
    return { row: { id, cells, appended, notes } };
  };
}

/** Takes a field out of the record, under the first of these labels that it has. */
function take(fields: Map<string, unknown>, labels: readonly string[]): unknown {
  const label = labels.find((candidate) => fields.has(candidate));
  if (label === undefined) return undefined;
  const value = fields.get(label);
  fields.delete(label);
  return value;
}

type Read = { cell: Cell; mistyped: boolean; furtherAnswers: number };

function readColumn(value: unknown, { type, answers }: KeptColumn): Read {
  if (Array.isArray(value)) {
    const [first, ...further] = value.filter((answer) => !isBlank(answer));
    if (answers === "first" || further.length === 0) {
      return { ...typed(first, type), furtherAnswers: further.length };
    }
  }
  return { ...typed(value, type), furtherAnswers: 0 };
}

function typed(value: unknown, type: ColumnType): { cell: Cell; mistyped: boolean } {
  if (type === "text") return { cell: textOf(value), mistyped: false };
  if (isBlank(value)) return { cell: null, mistyped: false };
  const cell = type === "timestamp" ? timestampOf(value) : numberOf(value);
  if (cell === undefined || (type === "integer" && !Number.isInteger(cell))) {
    // Kept as it is, so that nothing is lost; the typed view shows null and the run's report counts it.
    return { cell: typeof value === "number" ? value : textOf(value), mistyped: true };
  }
  return { cell, mistyped: false };
}

/** A numeric string counts only where a number holds all of its digits; beyond that it would be rounded. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !/^\s*[+-]?\d+(\.\d+)?\s*$/.test(value)) return undefined;
  const number = Number(value);
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined;
}

/** `YYYY-MM-DD HH:MM:SS`; a T between date and time and missing seconds are mended. */
function timestampOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const match = /^\s*(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2})(:\d{2})?\s*$/.exec(value);
  if (!match) return undefined;
  const text = `${match[1]} ${match[2]}${match[3] ?? ":00"}`;
  // Date rolls impossible dates over (30 February) or gives NaN; either way the text does not come back.
  const date = new Date(`${text.replace(" ", "T")}Z`);
  return Number.isNaN(date.getTime()) || date.toISOString().slice(0, 19) !== text.replace(" ", "T")
    ? undefined
    : text;
}

/** A value as text: several answers joined by "; ", nested values as JSON. Null where there is nothing. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) {
    const answers = value.filter((answer) => !isBlank(answer));
    return answers.length === 0 ? null : answers.map((answer) => textOf(answer) ?? "").join("; ");
  }
  return cleanText(isObject(value) ? JSON.stringify(value) : String(value));
}

/** An undeclared value: numbers stay numbers. */
function ownType(value: unknown): Cell {
  return typeof value === "number" ? value : textOf(value);
}

function joined(texts: (string | null)[], separator: string): string | null {
  return texts.every((text) => text === null) ? null : texts.map((text) => text ?? "").join(separator);
}

/** A field's label as a header that is not taken. */
function headerOf(field: string, taken: (header: string) => boolean): string {
  const label = cleanText(field) || "(no label)";
  let header = label;
  // A record has finitely many fields, so some number is free.
  for (let n = 2; taken(header); n++) header = `${label} (${n})`;
  return header;
}

function isBlank(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === "string" && value.trim() === "");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
