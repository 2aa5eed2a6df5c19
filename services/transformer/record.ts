// One LibInsight record becomes one row, by the rules of its dataset, or is rejected with a reason. Pure functions.
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
  /** Missing where nothing was noticed, as of most records, and there are millions of them. */
  notes?: Notes;
};
/** What was noticed, by column or field. */
export type Notes = { furtherAnswers: [string, number][]; mistyped: string[]; undeclared: string[] };
export type Outcome = { row: Row } | { reject: string };

/** JSON.stringify recurses, so far deeper values would overflow the stack. No field of a form nests more than twice. */
const maxDepth = 100;
export const tooDeep = "nested too deeply";

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
    if (values.some((value) => isDeeper(value, maxDepth))) return { reject: tooDeep };

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
      const cell = typed(answer, kept);
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
    const headerOf = uniqueHeaders((name) => headers.has(name) || appended.has(name));
    for (const { field, place } of left) {
      const header = headerOf(field);
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

/**
 * Whether a value is of the type depends on its text alone, as the text is all that the typed view has.
 * @returns undefined where the value is not of the type
 */
function typed(value: unknown, { type, unit }: KeptColumn): Cell | undefined {
  if (type === "text") return textOf(value);
  const isNumeric = type === "integer" || type === "number";
  // Most numbers.
  if (isNumeric && typeof value === "number" && Number.isSafeInteger(value)) return value;
  const text = textOf(value)?.trim();
  if (!text) return null;
  const { cellOf } = columnTypes[type];
  return cellOf(text) ?? (unit === undefined ? undefined : cellOf(withoutUnit(text, unit)));
}

/** A value as text: several answers joined by "; ", nested values as JSON. Null where there is nothing. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) {
    const answers = value.filter((answer) => !isBlank(answer));
    return answers.length === 0 ? null : answers.map((answer) => textOf(answer) ?? "").join("; ");
  }
  return cleanText(rawNumberText(value) ?? (isObject(value) ? JSON.stringify(value) : String(value)));
}

/** An undeclared value: numbers stay numbers, but for those that JSON does not have. */
function ownType(value: unknown): Cell {
  return typeof value === "number" && Number.isFinite(value) ? value : textOf(value);
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

/** Returns a function from a field's label to a header that is not taken. */
function uniqueHeaders(taken: (header: string) => boolean): (field: string) => string {
  const used = new Map<string, number>();
  return (field) => {
    const label = cleanText(field) || "(no label)";
    let header = label;
    let n = used.get(label) ?? 1;
    // A record has finitely many fields, so some number is free.
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

/** Whether a value nests further than some levels. The recursion ends there too. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
