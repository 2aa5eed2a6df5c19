// How Athena reads the objects of an OpenCSVSerde table, and how it writes the CSV of a result.
//
// Athena names Hive's OpenCSVSerde (https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html), which hands each line
// to opencsv 2.3. Its engine is Trino's, whose CsvDeserializer is opencsv's parser rewritten to be "bug for bug
// compatible". Each rule below has its number where it is kept:
// 1. A row is a line, ended by \n, \r or \r\n, in quotes too; no other character ends one. A byte order mark is skipped.
// 2. Separator, quote and escape are the first character of their properties; " as the escape means a backslash.
// 3. The escape takes the meaning of a quote or escape after it, inside a field that has begun, and always vanishes.
// 4. Inside a field that has begun, two quotes are one.
// 5. A quote after the third character, with no separator beside it, is text as well, unless only blanks went before.
// 6. A field with an open quote at the line's end is null, and so is what a line has too few of; too many are left out.
// 7. An empty line is a row of nulls; an empty field is empty text: the format has no null of its own.
//
// 1: https://github.com/trinodb/trino/blob/master/lib/trino-hive-formats/src/main/java/io/trino/hive/formats/line/text/TextLineReader.java
// and Hadoop's LineReader for Hive. 2: CsvDeserializerFactory and CsvConstants beside the next; newReader and getProperty in
// https://github.com/apache/hive/blob/master/serde/src/java/org/apache/hadoop/hive/serde2/OpenCSVSerde.java
// 3 to 7: https://github.com/trinodb/trino/blob/master/lib/trino-hive-formats/src/main/java/io/trino/hive/formats/line/csv/CsvDeserializer.java
// and CSVParser.parseLineMulti of opencsv 2.3, the version in Hive's pom.xml.
//
// The two differ in how, not in what: opencsv reads a line to its end and keeps a field with an open quote for a next
// line, which the serde, with a parser a line, never gives it; Trino stops at the last column and drops that field.
// What both make of our files is the text that was written: every text is in quotes, its own quotes are doubled, and it
// has no line break and no U+0001, which is the escape (services/athena/sql.ts). So 3, 5 and 6 never come to pass.
// No CSV library reads so: they take a line break inside quotes for text.
import { stringify } from "csv-stringify/sync";
import { QueryError } from "./athena-ddl.ts";
import type { CsvDialect } from "./athena-relations.ts";

/** A field; null where the row ends before it. */
export type Field = string | null;

/** Characters. A longer line is rather a file of another kind than a row. */
const maxLineLength = 16 * 1024 * 1024;

/**
 * Lines of UTF-8 text (rule 1).
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

/** Java's Character.isWhitespace, which knows no no-break spaces (and four control characters that are not here). */
const blank = /^[^\S\u00a0\u2007\u202f\ufeff]+$/;

/** A function that splits a line into the table's `count` fields. */
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
        // Rule 3.
        const escaping = inside && (next === quote || next === escapeMark);
        if (escaping) field += next;
        at += escaping ? 2 : 1;
      } else if (character === quote && inside && next === quote) {
        // Rule 4.
        field += quote;
        begun = !begun;
        at += 2;
      } else if (character === quote) {
        // Rule 5.
        if (at > 2 && line.charAt(at - 1) !== separator && next !== "" && next !== separator) {
          field = blank.test(field) ? "" : field + quote;
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
    // Rules 6 and 7.
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
