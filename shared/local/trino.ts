// Runs Trino SQL on DuckDB: macros for functions and casts that differ, and the format of values in Athena's results.
// TRY_CAST is not a function, so no macro can replace it; `withTrinoCasts` rewrites the text of the query.

/** Matches the characters of Java's Character.isWhitespace, which Trino trims. */
const blanks =
  "[\\t-\\r\\x1c-\\x20\\x{1680}\\x{2000}-\\x{2006}\\x{2008}-\\x{200a}\\x{2028}\\x{2029}\\x{205f}\\x{3000}]*";

/** Matches the zones of Java's ZoneId, except names (America/New_York): these give null here and a time in Trino. */
const offset =
  "[+-](?:[0-9]|(?:0[0-9]|1[0-7])(?::[0-5][0-9](?::[0-5][0-9])?|[0-5][0-9](?:[0-5][0-9])?)?|18(?::?00(?::?00)?)?)";
const zone = `Z|(?:UTC|GMT|UT)(?:${offset})?|${offset}`;

const date = "([+-]?[0-9]{4,})-([0-9]{1,2})-([0-9]{1,2})";
const time = "([01]?[0-9]|2[0-3]):([0-9]{1,2})(?::([0-9]{1,2})(?:\\.([0-9]{1,18}))?)?";
const timestamp = `^${blanks}${date}(?: (?:${time})?(?:[\\t-\\r ]*(?:${zone}))?)?${blanks}$`;

// parseDouble trims less than Trino. Its hexadecimal numbers are not supported and give null.
const double =
  "^[\\x00-\\x20]*([+-]?(?:NaN|Infinity)|[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)[\\x00-\\x20]*$";

const castTypes = ["bigint", "double", "timestamp"];

/**
 * The macros extract the empty text from a text that does not match, and DuckDB casts it to null.
 * - bigint: Java's Long.parseLong, which trims nothing. It accepts digits of other scripts, which give null here.
 * - double: Java's Double.parseDouble
 * https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/type/VarcharOperators.java
 * - timestamp: trimmed, then matched; a zone is checked and dropped, and milliseconds are rounded
 * https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/type/DateTimes.java
 * https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/operator/scalar/timestamp/VarcharToTimestampCast.java
 * - regexp_like: both find the pattern anywhere in the text. https://trino.io/docs/current/functions/regexp.html
 * - day_of_week: 1 is Monday. https://trino.io/docs/current/functions/datetime.html
 * - array_join: https://trino.io/docs/current/functions/array.html
 * - double_to_text: 1.0, 0.25, 1.5E10, 1.0E-5.
 * https://docs.oracle.com/javase/8/docs/api/java/lang/Double.html#toString-double-
 */
export const trinoMacros: string = [
  "CREATE TEMP MACRO day_of_week(x) AS isodow(x)",
  "CREATE TEMP MACRO regexp_like(x, pattern) AS regexp_matches(x, pattern)",
  "CREATE TEMP MACRO array_join(x, delimiter) AS array_to_string(x, delimiter)",
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
  // DuckDB writes 0.25, 12345678.0, 1e+16 and 1.25e-05: the same digits, but another position of the decimal point.
  `CREATE TEMP MACRO digits_to_exponent(p, digits) AS
     p.minus || left(digits, 1) || '.' || coalesce(nullif(rtrim(substr(digits, 2), '0'), ''), '0') || 'E' ||
       (coalesce(TRY_CAST(p.e AS INTEGER), 0) + length(digits) - length(p.fraction) - 1)`,
  `CREATE TEMP MACRO parts_to_exponent(p) AS digits_to_exponent(p, ltrim(p.whole || p.fraction, '0'))`,
  `CREATE TEMP MACRO double_to_text(x) AS CASE
     WHEN isnan(x) THEN 'NaN'
     WHEN isinf(x) THEN if(x > 0, 'Infinity', '-Infinity')
     WHEN x = 0 OR abs(x) >= 1e-3 AND abs(x) < 1e7 THEN CAST(x AS VARCHAR)
     ELSE parts_to_exponent(regexp_extract(
       CAST(x AS VARCHAR),
       '^(-?)([0-9]+)\\.?([0-9]*)e?(.*)$',
       ['minus', 'whole', 'fraction', 'e']
     )) END`,
].join(";\n");

/** Returns SQL for a value in the format of Athena's results. @param type DuckDB's name of its type */
export function athenaText(value: string, type: string): string {
  if (type === "VARCHAR") return value;
  if (type === "DOUBLE" || type === "FLOAT") return `double_to_text(${value})`;
  // Trino's timestamp(3) always has three digits.
  if (type === "TIMESTAMP") return `strftime(${value}, '%Y-%m-%d %H:%M:%S.%g')`;
  return `CAST(${value} AS VARCHAR)`;
}

// Trino's tokens, as far as they matter here: https://github.com/trinodb/trino/blob/master/core/trino-grammar/src/main/antlr4/io/trino/grammar/sql/SqlBase.g4
const tokens =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*.*?\*\/|(?<word>[\p{L}_][\p{L}\p{N}_]*)|\s+|(?<mark>.)/gsu;

/** An open parenthesis. `from` is the position of its TRY_CAST. */
type Open = { from?: number; body: number; as?: { from: number; type: string } };

/**
 * Replaces `TRY_CAST(x AS bigint)` with `try_cast_bigint(x)`, also for double and timestamp. Does not change quoted
 * texts and comments, nor a TRY_CAST without an end, which DuckDB's parser refuses.
 */
export function withTrinoCasts(sql: string): string {
  const cuts: { from: number; to: number; by: string }[] = [];
  const opened: Open[] = [];
  let previous: { text: string; at: number } | undefined;
  for (const { 0: text, index: at, groups } of sql.matchAll(tokens)) {
    const token = groups?.word?.toLowerCase() ?? groups?.mark;
    // Skips white space and comments.
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
