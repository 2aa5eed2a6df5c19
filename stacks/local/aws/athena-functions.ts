// Where Trino's functions and casts give something else than DuckDB's: macros that give Trino's answer. TRY_CAST is no
// function and can't be a macro; `withTrinoCasts` puts a macro in its place.

/** What Java's Character.isWhitespace takes, by which Trino trims. */
const blanks =
  "[\\t-\\r\\x1c-\\x20\\x{1680}\\x{2000}-\\x{2006}\\x{2008}-\\x{200a}\\x{2028}\\x{2029}\\x{205f}\\x{3000}]*";

/** Zones as Java's ZoneId takes them, but for names (America/New_York), which give null here and a time in Trino. */
const offset =
  "[+-](?:[0-9]|(?:0[0-9]|1[0-7])(?::[0-5][0-9](?::[0-5][0-9])?|[0-5][0-9](?:[0-5][0-9])?)?|18(?::?00(?::?00)?)?)";
const zone = `Z|(?:UTC|GMT|UT)(?:${offset})?|${offset}`;

const date = "([+-]?[0-9]{4,})-([0-9]{1,2})-([0-9]{1,2})";
const time = "([01]?[0-9]|2[0-3]):([0-9]{1,2})(?::([0-9]{1,2})(?:\\.([0-9]{1,18}))?)?";
const timestamp = `^${blanks}${date}(?: (?:${time})?(?:[\\t-\\r ]*(?:${zone}))?)?${blanks}$`;

// parseDouble trims less than Trino does. Its hexadecimal numbers are left out, and give null.
const double =
  "^[\\x00-\\x20]*([+-]?(?:NaN|Infinity)|[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)[\\x00-\\x20]*$";

const castTypes = ["bigint", "double", "timestamp"];

/**
 * A text that does not match is extracted as the empty text, which DuckDB casts to null.
 * - bigint: Java's Long.parseLong, which trims nothing (digits of other scripts, which it takes, give null here)
 * - double: Java's Double.parseDouble
 * https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/type/VarcharOperators.java
 * - timestamp: trimmed, then by this pattern, where a zone is checked and left out, and milliseconds are rounded
 * https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/type/DateTimes.java
 * https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/operator/scalar/timestamp/VarcharToTimestampCast.java
 * - day_of_week: 1 is Monday. https://trino.io/docs/current/functions/datetime.html
 */
export const trinoMacros: string = [
  "CREATE TEMP MACRO day_of_week(x) AS isodow(x)",
  `CREATE TEMP MACRO text_to_bigint(x) AS TRY_CAST(regexp_extract(x, '^[+-]?[0-9]+$') AS BIGINT)`,
  `CREATE TEMP MACRO text_to_double(x) AS
     TRY_CAST(rtrim(regexp_extract(x, '${double}', 1), 'fFdD') AS DOUBLE)`,
  `CREATE TEMP MACRO parts_to_timestamp(p) AS
     TRY_CAST(
       ltrim(p.y, '+') || '-' || p.mo || '-' || p.d || ' ' ||
         if(p.h = '', '0:0', p.h || ':' || p.mi) || ':' || if(p.s = '', '0', p.s)
       AS TIMESTAMP
     ) + to_milliseconds((CAST(left(p.f || '0000', 4) AS INTEGER) + 5) // 10)`,
  `CREATE TEMP MACRO text_to_timestamp(x) AS
     parts_to_timestamp(regexp_extract(x, '${timestamp}', ['y', 'mo', 'd', 'h', 'mi', 's', 'f']))`,
  ...castTypes.map(
    (type) => `CREATE TEMP MACRO try_cast_${type}(x) AS
     CASE WHEN typeof(x) = 'VARCHAR' THEN text_to_${type}(CAST(x AS VARCHAR)) ELSE TRY_CAST(x AS ${type}) END`,
  ),
].join(";\n");

// Trino's tokens, as far as they matter here: https://github.com/trinodb/trino/blob/master/core/trino-grammar/src/main/antlr4/io/trino/grammar/sql/SqlBase.g4
const tokens =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*.*?\*\/|(?<word>[\p{L}_][\p{L}\p{N}_]*)|\s+|(?<mark>.)/gsu;

/** An open parenthesis; of a TRY_CAST, with where that begins. */
type Open = { from?: number; body: number; as?: { from: number; type: string } };

/**
 * The query with `TRY_CAST(x AS bigint)` as `try_cast_bigint(x)`; so for double and timestamp. What is in quotes or
 * comments is no TRY_CAST, and one that does not end is left to the engine's parser.
 */
export function withTrinoCasts(sql: string): string {
  const cuts: { from: number; to: number; by: string }[] = [];
  const opened: Open[] = [];
  let previous: { text: string; at: number } | undefined;
  for (const { 0: text, index: at, groups } of sql.matchAll(tokens)) {
    const token = groups?.word?.toLowerCase() ?? groups?.mark;
    // Blanks and comments.
    if (token === undefined && !/^['"]/.test(text)) continue;
    const inner = opened.at(-1);
    if (token === "(") {
      if (inner?.as) inner.as.type += token;
      opened.push({ body: at + 1, ...(previous?.text === "try_cast" && { from: previous.at }) });
    } else if (token === ")") {
      opened.pop();
      if (inner?.from !== undefined && inner.as && castTypes.includes(inner.as.type)) {
        cuts.push({ from: inner.from, to: inner.body, by: `try_cast_${inner.as.type}(` });
        cuts.push({ from: inner.as.from, to: at, by: "" });
      }
    } else if (inner && token === "as") {
      inner.as = { from: at, type: "" };
    } else if (inner?.as) {
      inner.as.type += token ?? text;
    }
    previous = { text: token ?? text, at };
  }
  return cuts
    .sort((a, b) => b.from - a.from)
    .reduce((rest, { from, to, by }) => rest.slice(0, from) + by + rest.slice(to), sql);
}
