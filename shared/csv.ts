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
  return Array.from(line.matchAll(/(?<=^|,)(?:"[^"]*(?:""[^"]*)*"|[^,]*)/g), ([field]) => field);
}

/** A field as it is written, as its value: an unquoted empty field is null. Only for fields of `csvRows`. */
export function csvFieldText(field: string): string {
  return field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field;
}
