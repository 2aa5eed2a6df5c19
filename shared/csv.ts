// The published CSV dialect: UTF-8 without BOM, "\n", strings quoted, numbers bare, `"` doubled, null an empty
// field. No field holds a line break, so a row is a line.
import { stringify } from "csv-stringify/sync";

export type Cell = string | number | null;

/** Rows as CSV text, each ended by "\n"; no rows give the empty text. */
export function csvRows(rows: readonly Cell[][]): string {
  return stringify([...rows], { quoted_string: true, record_delimiter: "\n" });
}

/**
 * A row's fields as they are written, quotes and all. Only for rows that `csvRows` made.
 * @param line without its "\n"
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

/** By hand: a regular expression overflows the stack on a field of some million quotes. */
function endOfField(line: string, start: number): number {
  let at = start;
  // A doubled quote ends the quotes and begins them again.
  while (line[at] === '"') {
    const closing = line.indexOf('"', at + 1);
    if (closing === -1) return line.length;
    at = closing + 1;
  }
  const comma = line.indexOf(",", at);
  return comma === -1 ? line.length : comma;
}

/** A field as it is written, as its value: an unquoted empty field is null. Only for fields of `csvRows`. */
export function csvFieldText(field: string): string {
  return field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field;
}

const newline = 0x0a;
const quote = 0x22;

/**
 * Passes on a CSV with a header, and reports its number of rows at the end. Lines end with `\n`; a line break inside
 * quotes is text. Memory: one chunk.
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
      // A doubled quote ends the quotes and begins them again.
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

/** Returns the rows of a CSV with a header, as `countedRows`. */
export async function countCsvRows(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let rows = 0;
  for await (const _ of countedRows(chunks, (count) => {
    rows = count;
  }));
  return rows;
}
