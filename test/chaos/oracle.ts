// Implements the rules of a dataset entry (shared/dataset-schema.ts) a second time, as plainly as possible. The verdict
// takes its expectations from here, so this file imports nothing from the services.
import { parse } from "csv-parse/sync";
import * as z from "zod/mini";
import type { Column, Dataset, KeptColumn } from "../../shared/dataset-schema.ts";

const cell = z.union([z.string(), z.number(), z.null()]);
export type Cell = z.infer<typeof cell>;
/** The header and the rows of a file. */
export type Table = { header: string[]; rows: Cell[][] };
export type Counts = Map<string, number>;

/** The expected rows, rejects and counts of a page. */
export type ExpectedPage = {
  /** `undeclared` by header, `answers` by column with a child table. */
  rows: { id: number; declared: Cell[]; undeclared: Map<string, Cell>; answers: Map<string, Cell[]> }[];
  rejects: { reason: string; record: unknown }[];
  furtherAnswers: Counts;
  mistyped: Counts;
  undeclared: Counts;
};

/** Expected pages by their records, which are needed for their part, for each attempt and for each file. */
const cache = new WeakMap<readonly unknown[], Map<Dataset, ExpectedPage>>();

export function expectedPage(records: readonly unknown[], entry: Dataset): ExpectedPage {
  const known = cache.get(records) ?? new Map<Dataset, ExpectedPage>();
  cache.set(records, known);
  const page = known.get(entry) ?? applyEntry(records, entry);
  known.set(entry, page);
  return page;
}

function applyEntry(records: readonly unknown[], entry: Dataset): ExpectedPage {
  const page: ExpectedPage = {
    rows: [],
    rejects: [],
    furtherAnswers: new Map(),
    mistyped: new Map(),
    undeclared: new Map(),
  };
  for (const record of records) {
    const reason = rejection(record, entry, page);
    if (reason !== undefined) page.rejects.push({ reason, record });
  }
  return page;
}

/** Returns the headers of the published file, without undeclared fields. */
export function declaredHeaders({ columns }: Dataset): string[] {
  return columns.filter((column) => !("drop" in column)).map(({ name }) => name);
}

/** Returns the file of all pages in their order, with each `_id` once and the undeclared columns sorted at the end. */
export function fileOf(
  pages: readonly ExpectedPage[],
  entry: Dataset,
): Table & { duplicates: number; children: Map<string, Table> } {
  const all = pages.flatMap(({ rows }) => rows);
  const appended = [...new Set(all.flatMap(({ undeclared }) => [...undeclared.keys()]))].sort();
  const seen = new Set<number>();
  const rows: Cell[][] = [];
  const children = new Map<string, Table>();
  for (const column of entry.columns)
    if ("type" in column && column.answers === "rows")
      children.set(column.name, { header: ["_id", "position", "answer"], rows: [] });
  for (const { id, declared, undeclared, answers } of all) {
    if (seen.has(id)) continue;
    seen.add(id);
    rows.push([...declared, ...appended.map((header) => undeclared.get(header) ?? null)]);
    for (const [column, child] of children)
      for (const [n, answer] of (answers.get(column) ?? []).entries()) child.rows.push([id, n + 1, answer]);
  }
  const header = [...declaredHeaders(entry), ...appended];
  return { header, rows, duplicates: all.length - rows.length, children };
}

/** Adds the row of a record. @returns the reason for its rejection; undefined if it has a row */
function rejection(record: unknown, entry: Dataset, into: ExpectedPage): string | undefined {
  if (typeof record !== "object" || record === null || Array.isArray(record)) return "not a record";
  const fields = new Map<string, unknown>(Object.entries(record));
  const taken = new Set<string>();
  const declared: Cell[] = [];
  const answers = new Map<string, Cell[]>();
  const notes: [Counts, string, number][] = [];
  for (const column of entry.columns) {
    const labels = labelsOf(column);
    if ("drop" in column || "join" in column) {
      for (const label of labels) taken.add(label);
      if ("join" in column)
        declared.push(
          join(
            labels.map((label) => fields.get(label)),
            column.with,
          ),
        );
      continue;
    }
    const label = labels.find((each) => fields.has(each));
    if (label !== undefined) taken.add(label);
    const value = label === undefined ? undefined : fields.get(label);
    if (column.answers === "rows")
      answers.set(
        column.name,
        answersIn(value).map((answer) => text(answer) ?? ""),
      );
    const further = answersIn(value).length - 1;
    if (column.answers === "first" && further > 0) notes.push([into.furtherAnswers, column.name, further]);
    const found = cellOf(value, column);
    if (found.isMistyped && column.required) return `invalid ${column.name}`;
    if (column.required && (found.cell === null || found.cell === "")) return `missing ${column.name}`;
    if (found.isMistyped) notes.push([into.mistyped, column.name, 1]);
    declared.push(found.cell);
  }
  const [id] = declared;
  if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return "invalid _id";
  const others = [...fields].filter(([label]) => !taken.has(label));
  if (others.length > 0 && entry.undeclared === "reject") return "undeclared field";
  const undeclared = new Map<string, Cell>();
  const headers = new Set(declaredHeaders(entry));
  for (const [label, value] of others) {
    const base = clean(label) || "(no label)";
    let header = base;
    for (let n = 2; headers.has(header); n++) header = `${base} (${n})`;
    headers.add(header);
    notes.push([into.undeclared, header, 1]);
    if (entry.undeclared === "append") undeclared.set(header, untypedCell(value));
  }
  for (const [counts, name, n] of notes) counts.set(name, (counts.get(name) ?? 0) + n);
  into.rows.push({ id, declared, undeclared, answers });
  return undefined;
}

function labelsOf(column: Column): string[] {
  if ("join" in column) return column.join;
  return "drop" in column ? [column.name] : [column.name, ...column.labels];
}

/** Returns the answers of a field that are not blank. */
function answersIn(value: unknown): unknown[] {
  return (Array.isArray(value) ? value : [value]).filter((answer) => !isBlank(answer));
}

function cellOf(value: unknown, column: KeptColumn): { cell: Cell; isMistyped: boolean } {
  const answers = answersIn(value);
  // A blank text outside a list is kept.
  const whole = !Array.isArray(value)
    ? value
    : column.answers !== "first" && answers.length > 1
      ? value
      : answers[0];
  const right = (cell: Cell) => ({ cell, isMistyped: false });
  if (column.type === "text") return right(text(whole));
  const own = text(whole)?.trim() ?? "";
  if (own === "") return right(null);
  const typed =
    column.type === "timestamp" ? timestamp(own) : column.type === "date" ? date(own) : number(own, column);
  return typed === undefined ? { cell: untypedCell(whole), isMistyped: true } : right(typed);
}

/** Parses numbers whose digits fit into a double; plans have no others. */
function number(own: string, { name, type }: KeptColumn): number | undefined {
  if (type !== "integer" && type !== "number")
    throw new Error(`The oracle has no rule for ${name}, a ${type}.`);
  const found = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(own) ? Number(own) : Number.NaN;
  const isWhole = type === "number" || Number.isInteger(found);
  return isWhole && Math.abs(found) <= Number.MAX_SAFE_INTEGER ? found : undefined;
}

function timestamp(own: string): string | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?$/.exec(own);
  if (!parts) return undefined;
  const [, day, minutes, seconds = ":00"] = parts;
  // Date turns a day that is not in the calendar into another one, or into an invalid date.
  const at = new Date(`${day}T${minutes}${seconds}Z`);
  const exists = !Number.isNaN(at.getTime()) && at.toISOString().startsWith(`${day}T${minutes}${seconds}`);
  return exists ? `${day} ${minutes}${seconds}` : undefined;
}

function date(own: string): string | undefined {
  return timestamp(`${own} 00:00`) && own;
}

/** Returns the cell of an untyped value. Numbers stay numbers. */
function untypedCell(value: unknown): Cell {
  return typeof value === "number" ? value : text(value);
}

function text(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) {
    const answers = answersIn(value).map((answer) => text(answer) ?? "");
    return answers.length === 0 ? null : answers.join("; ");
  }
  return clean(typeof value === "object" ? JSON.stringify(value) : String(value));
}

function join(values: unknown[], separator: string): string | null {
  const texts = values.map(text);
  return texts.every((each) => each === null) ? null : texts.map((each) => each ?? "").join(separator);
}

function isBlank(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === "string" && value.trim() === "");
}

/** Replaces consecutive line breaks by one space and a tab by one; removes other control characters and lone surrogates. */
function clean(dirty: string): string {
  let cleaned = "";
  let before = "";
  for (const character of dirty) {
    const code = character.codePointAt(0) ?? 0;
    const isBreak = isLineBreak(character);
    if (character === "\t" || (isBreak && !isLineBreak(before))) cleaned += " ";
    else if (!isBreak && code >= 0x20 && !(code >= 0x7f && code < 0xa0) && !(code >= 0xd800 && code < 0xe000))
      cleaned += character;
    before = character;
  }
  return cleaned;
}

function isLineBreak(character: string): boolean {
  return ["\n", "\v", "\f", "\r", "\u0085", "\u2028", "\u2029"].includes(character);
}

/** Reads a published CSV. @throws Error if it is malformed */
export function readCsv(csv: string): Table {
  const [header = [], ...rows] = readRows(csv);
  return { header: z.array(z.string()).parse(header), rows };
}

/** Reads the rows of a CSV. Quoted cells are text; others are numbers or empty. @throws Error if it is malformed */
export function readRows(csv: string): Cell[][] {
  if (csv === "") return [];
  if (csv.includes("\r") || !csv.endsWith("\n")) throw new Error("a line has no end, or another one");
  const bare = (value: string) => (value === "" ? null : Number(value));
  const rows = parse(csv, {
    recordDelimiter: "\n",
    cast: (value, { quoting }) => (quoting ? value : bare(value)),
  });
  return z.array(z.array(cell)).parse(rows);
}

/** Reads published JSON lines. Without a row there is no header. @throws Error if their names differ */
export function readJsonLines(text: string): Table {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no end");
  const lines = text.split("\n").slice(0, -1);
  const objects = lines.map((line) => Object.entries(z.record(z.string(), cell).parse(JSON.parse(line))));
  const headers = objects.map((members) => members.map(([name]) => name));
  const [header = []] = headers;
  const other = headers.findIndex((each) => each.join("\n") !== header.join("\n"));
  if (other >= 0) throw new Error(`line ${other + 1} has other names than line 1`);
  return { header, rows: objects.map((members) => members.map(([, value]) => value)) };
}

/** Returns the first difference as a sentence; undefined if there is none. */
export function difference(found: Table, expected: Table): string | undefined {
  if (found.rows.length !== expected.rows.length)
    return `has ${found.rows.length} rows, expected ${expected.rows.length}`;
  if (
    found.header.join("\n") !== expected.header.join("\n") &&
    (found.header.length > 0 || found.rows.length > 0)
  )
    return `has the header ${found.header.join()}, expected ${expected.header.join()}`;
  for (const [n, row] of found.rows.entries()) {
    const right = expected.rows[n] ?? [];
    const column = right.findIndex((value, index) => row[index] !== value);
    if (column >= 0 || row.length !== right.length) {
      const name = expected.header[column] ?? "its length";
      return `row ${n + 1} (_id ${right[0]}) has ${name} ${format(row[column])}, expected ${format(right[column])}`;
    }
  }
  return undefined;
}

function format(value: Cell | undefined): string {
  return String(JSON.stringify(value)).slice(0, 80);
}
