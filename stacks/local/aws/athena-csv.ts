// How Athena reads the objects of an OpenCSVSerde table, and how it writes the CSV of a result.
// Its rules are those of opencsv, in Trino's form, which is meant to be alike down to the oddities:
// https://github.com/trinodb/trino/blob/master/lib/trino-hive-formats/src/main/java/io/trino/hive/formats/line/csv/CsvDeserializer.java
// No CSV library reads so: they take a line break inside quotes for text, and here it ends the row.
import { stringify } from "csv-stringify/sync";
import { QueryError } from "./athena-ddl.ts";
import type { CsvDialect } from "./athena-relations.ts";

/** A field; null where the row ends before it. */
export type Field = string | null;

/** Characters. A longer line is rather a file of another kind than a row. */
const maxLineLength = 16 * 1024 * 1024;

/**
 * Lines of UTF-8 text, ended by \n, \r or \r\n. A byte order mark is left out.
 * @throws QueryError when a line has more than 16 Mi characters
 */
export async function* readLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of bytes) {
    pending += decoder.decode(chunk, { stream: true });
    // A \r at the end may be the first half of a \r\n.
    const cut = pending.endsWith("\r") ? pending.length - 1 : pending.length;
    const lines = pending.slice(0, cut).split(/\r\n|[\r\n]/);
    pending = (lines.pop() ?? "") + pending.slice(cut);
    yield* lines;
    if (pending.length > maxLineLength) {
      throw new QueryError(`A line of the table's data is longer than ${maxLineLength} characters.`);
    }
  }
  pending += decoder.decode();
  const last = pending.endsWith("\r") ? pending.slice(0, -1) : pending;
  if (pending !== "") yield last;
}

/** A function that splits a line into `count` fields. Further ones are left out, missing ones are null. */
export function rowSplitter(
  { separator, quote, escape: escapeMark }: CsvDialect,
  count: number,
): (line: string) => Field[] {
  const plain = new RegExp(`[^${[separator, quote, escapeMark].map(codePoint).join("")}]+`, "uy");

  return (line) => {
    const fields: Field[] = [];
    let field = "";
    let quoted = false;
    // opencsv: something of the field was read. It decides whether a doubled quote is one quote.
    let begun = false;
    let at = 0;
    while (at < line.length && fields.length < count) {
      const character = line.charAt(at);
      const next = line.charAt(at + 1);
      const inside = quoted || begun;
      if (character === escapeMark) {
        // It keeps the meaning of the next quote or escape away. Before anything else it just vanishes.
        const escaping = inside && (next === quote || next === escapeMark);
        if (escaping) field += next;
        at += escaping ? 2 : 1;
      } else if (character === quote && inside && next === quote) {
        field += quote;
        begun = !begun;
        at += 2;
      } else if (character === quote) {
        // One that is not next to a separator stands in the middle of a field and is part of it,
        // unless only blanks went before.
        if (at > 2 && line.charAt(at - 1) !== separator && next !== "" && next !== separator) {
          field = field !== "" && field.trim() === "" ? "" : field + quote;
        }
        quoted = !quoted;
        begun = !begun;
        at += 1;
      } else if (character === separator && !quoted) {
        fields.push(field);
        field = "";
        begun = false;
        at += 1;
      } else {
        plain.lastIndex = at;
        const text = plain.exec(line)?.[0] ?? character;
        field += text;
        begun = true;
        at += text.length;
      }
    }
    // A quote that is never closed makes the last field null, and an empty line has none at all.
    if (fields.length < count && !quoted && line !== "") fields.push(field);
    while (fields.length < count) fields.push(null);
    return fields;
  };
}

function codePoint(character: string): string {
  return `\\u{${character.charCodeAt(0).toString(16)}}`;
}

/** Rows as Athena writes them: every field in quotes, null as nothing at all. */
export function formatRows(rows: readonly (readonly Field[])[]): string {
  return stringify([...rows], { quoted: true, quoted_string: true, record_delimiter: "\n" });
}
