// Writes and reads the published CSV: UTF-8 without a byte order mark, lines end with "\n", strings are quoted, `"` is
// doubled, numbers are unquoted, null is an empty field. No field holds a line break, so each row is one line.
import { stringify } from "csv-stringify/sync";

const newline = 0x0a;
const quote = 0x22;
const comma = 0x2c;

export type Cell = string | number | null;

/** Returns rows as CSV, each with "\n" at its end. */
export function csvRows(rows: readonly Cell[][]): string {
  return stringify([...rows], { quoted_string: true, record_delimiter: "\n" });
}

/**
 * Returns a row's fields with their quotes. Only for rows that `csvRows` wrote.
 * @param line without "\n"
 */
export function splitCsvRow(line: string): string[] {
  const fields: string[] = [];
  for (let start = 0; start <= line.length; ) {
    const end = endOfField(line, start);
    fields.push(line.slice(start, end));
    start = end + 1;
  }
  return fields;
}

/**
 * Returns the index of the comma or line break after a field, or the text's length. Only for rows that `csvRows` wrote.
 * Without a regular expression, which overflows the stack on a field of several million quotes.
 */
export function endOfField(text: string, start: number): number {
  let at = start;
  // A doubled quote closes the quotes and opens them again.
  while (text.charCodeAt(at) === quote) {
    const closing = text.indexOf('"', at + 1);
    if (closing === -1) return text.length;
    at = closing + 1;
  }
  // A field without quotes is short.
  while (at < text.length && text.charCodeAt(at) !== comma && text.charCodeAt(at) !== newline) at += 1;
  return at;
}

/** Returns a field's text without quotes. Only for fields of `splitCsvRow`. */
export function csvFieldText(field: string): string {
  return field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field;
}

/** Yields the lines of a CSV that `csvRows` wrote, its header first, those of a chunk at once. Memory: some chunks. */
export async function* csvLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines;
  }
}

/** Returns the cells of a row. @param line as `csvLines` yields it */
export function cellsOf(line: string): Cell[] {
  return splitCsvRow(line).map(cellOf);
}

/** Returns the cell of a field: an empty field is null, and one without quotes a number. */
function cellOf(field: string): Cell {
  if (field === "") return null;
  return field.startsWith('"') ? csvFieldText(field) : Number(field);
}

/**
 * Yields the chunks of a CSV unchanged, then reports its number of rows without the header. Lines end with `\n`; a line
 * break inside quotes is text. Memory: one chunk.
 */
export async function* countedRows(
  chunks: AsyncIterable<Uint8Array>,
  onEnd: (rows: number) => void,
): AsyncGenerator<Uint8Array> {
  let lines = 0;
  let quoted = false;
  let inLine = false;
  for await (const chunk of chunks) {
    for (const byte of chunk) {
      // A doubled quote closes the quotes and opens them again.
      if (byte === quote) quoted = !quoted;
      const ends = byte === newline && !quoted;
      if (ends) lines += 1;
      inLine = !ends;
    }
    yield chunk;
  }
  if (inLine) lines += 1;
  onEnd(Math.max(lines - 1, 0));
}

/** Returns the number of rows of a CSV without its header. */
export async function countCsvRows(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let rows = 0;
  for await (const _ of countedRows(chunks, (count) => {
    rows = count;
  }));
  return rows;
}
