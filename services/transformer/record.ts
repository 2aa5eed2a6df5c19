// Transforms one LibInsight record into a row by the rules of its dataset, or rejects it with a reason. Pure functions.
import { columnTypes, withoutUnit } from "../../shared/column-types.ts";
import type { Cell } from "../../shared/csv.ts";
import { type Dataset, type KeptColumn, outputColumns } from "../../shared/dataset-schema.ts";
import { rawNumberText } from "../../shared/json.ts";
import { cleanText } from "./clean-text.ts";
import { layouts } from "./layout.ts";

export type Row = {
  id: number;
  /** In the order of the dataset's output columns. */
  cells: Cell[];
  /** Undeclared fields, by header. */
  appended: ReadonlyMap<string, Cell>;
  /** The answers of each column with a child table, in order. Missing if no column has one. */
  answers?: string[][];
  /** Missing if there are none, which saves an object for most records. */
  notes?: Notes;
};
/** Details to count, by column or field. */
type Notes = { furtherAnswers: [string, number][]; mistyped: string[]; undeclared: string[] };
export type Outcome = { row: Row } | { reject: string };

const noneAppended: Row["appended"] = new Map();
const emptyNotes = (): Notes => ({ furtherAnswers: [], mistyped: [], undeclared: [] });

/** Returns a function from a record, which may be any JSON value, to its row or the reason for its rejection. */
export function recordTransform(dataset: Dataset): (record: unknown) => Outcome {
  const headers = new Set(outputColumns(dataset.columns));
  const layoutOf = layouts(dataset.columns);

  return (record) => {
    if (!isObject(record)) return { reject: "not a record" };
    const { steps, undeclared } = layoutOf(Object.keys(record));
    const values = Object.values(record);
    let notes: Notes | undefined;
    let answers: string[][] | undefined;
    const cells: Cell[] = [];
    for (const step of steps) {
      if (step.joined) {
        cells.push(joinedText(step.indexes, values, step.joined.with));
        continue;
      }
      const { kept, index } = step;
      const value = index === undefined ? undefined : values[index];
      const further = furtherAnswers(value, kept);
      if (further > 0) {
        notes ??= emptyNotes();
        notes.furtherAnswers.push([kept.name, further]);
      }
      if (kept.answers === "rows") {
        answers ??= [];
        answers.push(answersOf(value));
      }
      const answer = keptAnswer(value, kept);
      const cell = typedCell(answer, kept);
      if (cell === undefined) {
        if (kept.required) return { reject: `invalid ${kept.name}` };
        notes ??= emptyNotes();
        notes.mistyped.push(kept.name);
        // The value is kept, so that nothing is lost. The typed view shows null, and the run's report counts it.
        cells.push(untypedCell(answer));
        continue;
      }
      if (kept.required && (cell === null || cell === "")) return { reject: `missing ${kept.name}` };
      cells.push(cell);
    }
    const [id] = cells;
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return { reject: "invalid _id" };

    if (undeclared.length === 0) {
      const row: Row = { id, cells, appended: noneAppended };
      if (answers) row.answers = answers;
      if (notes) row.notes = notes;
      return { row };
    }
    if (dataset.undeclared === "reject") return { reject: "undeclared field" };
    const appended = new Map<string, Cell>();
    notes ??= emptyNotes();
    const headerOf = uniqueHeaders((name) => headers.has(name) || appended.has(name));
    for (const { field, index } of undeclared) {
      const header = headerOf(field);
      notes.undeclared.push(header);
      if (dataset.undeclared === "append") appended.set(header, untypedCell(values[index]));
    }
    return { row: { id, cells, appended, notes, ...(answers && { answers }) } };
  };
}

/** Returns the value that a column keeps. Of several answers it keeps the first one, or all. */
function keptAnswer(value: unknown, { answers }: KeptColumn): unknown {
  if (!Array.isArray(value)) return value;
  let first: unknown;
  let given = 0;
  for (const answer of value) {
    if (isBlank(answer)) continue;
    if (given === 0) first = answer;
    given += 1;
  }
  return given > 1 && answers !== "first" ? value : first;
}

/** Returns the number of answers that a column does not keep. */
function furtherAnswers(value: unknown, { answers }: KeptColumn): number {
  if (!Array.isArray(value) || value.length < 2 || answers !== "first") return 0;
  return Math.max(value.filter((answer) => !isBlank(answer)).length - 1, 0);
}

/**
 * Returns the cell for a value of the column's type, or undefined if the value is not of the type. Only the value's text
 * decides, because the typed view has nothing else.
 */
function typedCell(value: unknown, { type, unit }: KeptColumn): Cell | undefined {
  if (type === "text") return textOf(value);
  const isNumeric = type === "integer" || type === "number";
  // A shortcut for most numbers.
  if (isNumeric && typeof value === "number" && Number.isSafeInteger(value)) return value;
  const text = textOf(value)?.trim();
  if (!text) return null;
  const { cellOf } = columnTypes[type];
  return cellOf(text) ?? (unit === undefined ? undefined : cellOf(withoutUnit(text, unit)));
}

/** Returns a value as text, with several answers joined by "; " and nested values as JSON. Null if there is no value. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) {
    const answers = answersOf(value);
    return answers.length === 0 ? null : answers.join("; ");
  }
  return cleanText(rawNumberText(value) ?? (isObject(value) ? JSON.stringify(value) : String(value)));
}

/** Returns the answers of a value, of which a blank one is none. Joined by "; ", they are the value's text. */
function answersOf(value: unknown): string[] {
  const given = Array.isArray(value) ? value : [value];
  return given.filter((answer) => !isBlank(answer)).map((answer) => textOf(answer) ?? "");
}

/** Returns the cell for a value without a type. Numbers stay numbers, except those that JSON cannot represent. */
function untypedCell(value: unknown): Cell {
  return typeof value === "number" && Number.isFinite(value) ? value : textOf(value);
}

/** Returns the texts of several fields as one, or null if no field has a text. */
function joinedText(
  indexes: readonly (number | undefined)[],
  values: readonly unknown[],
  separator: string,
): string | null {
  let all = "";
  let texts = 0;
  for (const [n, index] of indexes.entries()) {
    const text = index === undefined ? null : textOf(values[index]);
    if (text !== null) texts += 1;
    all += (n === 0 ? "" : separator) + (text ?? "");
  }
  return texts === 0 ? null : all;
}

/** Returns a function from a field's label to a header that is not taken yet. */
function uniqueHeaders(taken: (header: string) => boolean): (field: string) => string {
  const used = new Map<string, number>();
  return (field) => {
    const label = cleanText(field) || "(no label)";
    let header = label;
    let n = used.get(label) ?? 1;
    // The loop ends, because a record has finitely many fields.
    while (taken(header)) header = `${label} (${++n})`;
    used.set(label, n);
    return header;
  };
}

function isBlank(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === "string" && !/\S/.test(value));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}
