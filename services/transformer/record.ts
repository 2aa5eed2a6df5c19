// One LibInsight record becomes one row, by the rules of its dataset, or is rejected with a reason. Pure functions.
import type { Cell } from "../../shared/csv.ts";
import { type ColumnType, type Dataset, type KeptColumn, outputColumns } from "../../shared/dataset.ts";
import { layouts } from "./layout.ts";
import { cleanText } from "./text.ts";

export type Row = {
  id: number;
  /** In the order of the dataset's output columns. */
  cells: Cell[];
  /** Undeclared fields, by header. */
  appended: ReadonlyMap<string, Cell>;
  /** Missing where nothing was noticed, as of most records, and there are millions of them. */
  notes?: Notes;
};
/** What was noticed, by column or field. */
export type Notes = { furtherAnswers: [string, number][]; mistyped: string[]; undeclared: string[] };
export type Outcome = { row: Row } | { reject: string };

const nothing: Row["appended"] = new Map();
const emptyNotes = (): Notes => ({ furtherAnswers: [], mistyped: [], undeclared: [] });

/** @returns a function from a record, which may be any JSON value, to its row or the reason why there is none */
export function recordTransform(dataset: Dataset): (record: unknown) => Outcome {
  const headers = new Set(outputColumns(dataset.columns));
  const layoutOf = layouts(dataset.columns);

  return (record) => {
    if (!isObject(record)) return { reject: "not a record" };
    const { steps, left } = layoutOf(Object.keys(record));
    const values = Object.values(record);

    let notes: Notes | undefined;
    const cells: Cell[] = [];
    for (const step of steps) {
      if (step.joined) {
        cells.push(joined(step.places, values, step.joined.with));
        continue;
      }
      const { kept, place } = step;
      const value = place === undefined ? undefined : values[place];
      const further = furtherAnswers(value, kept);
      if (further > 0) {
        notes ??= emptyNotes();
        notes.furtherAnswers.push([kept.name, further]);
      }
      const answer = answerOf(value, kept);
      const cell = typed(answer, kept.type);
      if (cell === undefined) {
        if (kept.required) return { reject: `unusable ${kept.name}` };
        notes ??= emptyNotes();
        notes.mistyped.push(kept.name);
        // Kept as it is, so that nothing is lost; the typed view shows null and the run's report counts it.
        cells.push(ownType(answer));
        continue;
      }
      if (kept.required && (cell === null || cell === "")) return { reject: `no ${kept.name}` };
      cells.push(cell);
    }
    const [id] = cells;
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return { reject: "unusable _id" };

    if (left.length === 0) {
      return { row: notes ? { id, cells, appended: nothing, notes } : { id, cells, appended: nothing } };
    }
    if (dataset.undeclared === "reject") return { reject: "undeclared field" };
    const appended = new Map<string, Cell>();
    notes ??= emptyNotes();
    for (const { field, place } of left) {
      const header = headerOf(field, (name) => headers.has(name) || appended.has(name));
      notes.undeclared.push(header);
      if (dataset.undeclared === "append") appended.set(header, ownType(values[place]));
    }
    return { row: { id, cells, appended, notes } };
  };
}

/** The value that a column keeps: of several answers the first, or all. */
function answerOf(value: unknown, { answers }: KeptColumn): unknown {
  if (!Array.isArray(value)) return value;
  let first: unknown;
  let given = 0;
  for (const answer of value) {
    if (isBlank(answer)) continue;
    if (given === 0) first = answer;
    given += 1;
  }
  return given > 1 && answers === "all" ? value : first;
}

/** How many answers a column does not keep. */
function furtherAnswers(value: unknown, { answers }: KeptColumn): number {
  if (!Array.isArray(value) || value.length < 2 || answers === "all") return 0;
  return Math.max(value.filter((answer) => !isBlank(answer)).length - 1, 0);
}

/** @returns undefined where the value is not of the type */
function typed(value: unknown, type: ColumnType): Cell | undefined {
  if (type === "text") return textOf(value);
  if (isBlank(value)) return null;
  if (type === "timestamp") return timestampOf(value);
  const number = numberOf(value);
  return type === "integer" && !Number.isInteger(number) ? undefined : number;
}

/** A numeric string counts only where a number holds all of its digits; beyond that it would be rounded. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !/^\s*[+-]?\d+(\.\d+)?\s*$/.test(value)) return undefined;
  const number = Number(value);
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined;
}

const timestamp = /^\d{4}-\d{2}-\d{2} (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d$/;

/** Returns `YYYY-MM-DD HH:MM:SS`; a T between date and time, missing seconds and blanks around it are corrected. */
function timestampOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const text = timestamp.test(value) ? value : corrected(value);
  if (text === undefined) return undefined;
  const day = Number(text.slice(8, 10));
  return day >= 1 && day <= daysIn(Number(text.slice(0, 4)), Number(text.slice(5, 7))) ? text : undefined;
}

function corrected(value: string): string | undefined {
  const withSpace = value.trim().replace(/^(\d{4}-\d{2}-\d{2})T/, "$1 ");
  const text = /^.{10} \d{2}:\d{2}$/.test(withSpace) ? `${withSpace}:00` : withSpace;
  return timestamp.test(text) ? text : undefined;
}

/** No days where there is no such month. By hand: a Date for each record takes longer than all else of it. */
function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  if (month === 4 || month === 6 || month === 9 || month === 11) return 30;
  return month >= 1 && month <= 12 ? 31 : 0;
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

/** Null where none of the fields has a text. */
function joined(
  places: readonly (number | undefined)[],
  values: readonly unknown[],
  separator: string,
): string | null {
  let all = "";
  let texts = 0;
  for (const [index, place] of places.entries()) {
    const text = place === undefined ? null : textOf(values[place]);
    if (text !== null) texts += 1;
    all += (index === 0 ? "" : separator) + (text ?? "");
  }
  return texts === 0 ? null : all;
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
  return value === null || value === undefined || (typeof value === "string" && !/\S/.test(value));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
