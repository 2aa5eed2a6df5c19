// The column types, for the transformer and for the typed view. The transformer writes each value of a type in one
// format and keeps any other text unchanged. The view and the Parquet file have null for a cell that does not have the
// format. To add a type, add its name and its rules here.
import * as z from "zod/mini";
import type { Cell } from "./csv.ts";

/**
 * - `text`: any text; multiple answers are joined
 * - `integer`: a whole number from -9007199254740991 to 9007199254740991 (2^53 - 1)
 * - `number`: the same range with decimals, at most 17 digits; digits beyond a double's precision stay in the file
 * - `timestamp`: `YYYY-MM-DD HH:MM[:SS]`, also with a T, local time without a zone; written with seconds
 * - `date`: `YYYY-MM-DD`
 * - `time`: `HH:MM[:SS]`, or `H:MM[:SS]` with AM or PM; written `HH:MM:SS`
 * - `boolean`: true or false, yes or no, 1 or 0; written `true` or `false`
 */
export const columnType = z.enum(["text", "integer", "number", "timestamp", "date", "time", "boolean"]);
export type ColumnType = z.infer<typeof columnType>;

type Rules = {
  /**
   * Returns the cell for a text of the type, or undefined for any other text.
   * @param text one trimmed line, not empty
   */
  cellOf: (text: string) => Cell | undefined;
  /** Returns Trino SQL for a cell's value: null if `cellOf` does not return such a cell. */
  sqlOf: (cell: string) => string;
  /** Returns the same value for a cell's text. Dates and times stay texts. */
  valueOf: (text: string) => string | number | boolean | null;
};

const largest = Number.MAX_SAFE_INTEGER;

/** Excludes the year 0, which DuckDB and Trino write differently. */
const day = "([1-9][0-9]{3}|0[1-9][0-9]{2})-[0-9]{2}-[0-9]{2}";
const clock = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";

/** Regular expressions for SQL and JavaScript. Not every SQL engine supports lookahead. */
const sources = {
  integer: "^-?[0-9]{1,16}$",
  // At most 17 digits, enough for any double: with a decimal point, after leading zeros, or with an exponent down to
  // -299, which is never 0.
  number: "^-?([0-9][0-9.]{0,16}[0-9]|[0-9]|0[.]0{0,5}[0-9]{1,17}|[1-9]([.][0-9]{1,16})?e-[12]?[0-9]{1,2})$",
  timestamp: `^${day} ${clock}$`,
  date: `^${day}$`,
  time: `^${clock}$`,
};

const patterns = {
  integer: new RegExp(sources.integer),
  number: new RegExp(sources.number),
  timestamp: new RegExp(sources.timestamp),
  date: new RegExp(sources.date),
  time: new RegExp(sources.time),
};

export const columnTypes: Record<ColumnType, Rules> = {
  text: { cellOf: (text) => text, sqlOf: (cell) => cell, valueOf: (text) => text },
  integer: {
    cellOf: (text) => numberOf(text, patterns.integer),
    sqlOf: (cell) => numberSql(cell, sources.integer, "bigint"),
    valueOf: (text) => numberIn(text, patterns.integer),
  },
  number: {
    cellOf: (text) => numberOf(text, patterns.number),
    sqlOf: (cell) => numberSql(cell, sources.number, "double"),
    valueOf: (text) => numberIn(text, patterns.number),
  },
  timestamp: {
    cellOf: timestampOf,
    sqlOf: (cell) => castWhere(`regexp_like(${cell}, '${sources.timestamp}')`, cell, "timestamp"),
    valueOf: (text) => (patterns.timestamp.test(text) && isDay(text) ? text : null),
  },
  date: {
    cellOf: (text) => (patterns.date.test(text) && isDay(text) ? text : undefined),
    sqlOf: (cell) => castWhere(`regexp_like(${cell}, '${sources.date}')`, cell, "date"),
    valueOf: (text) => (patterns.date.test(text) && isDay(text) ? text : null),
  },
  time: {
    cellOf: timeOf,
    // As text, because Athena's views have no types that Hive lacks. https://github.com/aws/aws-sdk-pandas/issues/86
    sqlOf: (cell) => `CASE WHEN regexp_like(${cell}, '${sources.time}') THEN ${cell} END`,
    valueOf: (text) => (patterns.time.test(text) ? text : null),
  },
  boolean: {
    cellOf: (text) => booleans.get(text.toLowerCase()),
    sqlOf: (cell) => `CASE ${cell} WHEN 'true' THEN true WHEN 'false' THEN false END`,
    valueOf: (text) => (text === "true" || text === "false" ? text === "true" : null),
  },
};

/** Returns the text without its unit (`45 min`, `45MIN`). The unit's case does not matter. */
export function withoutUnit(text: string, unit: string): string {
  const end = text.length - unit.length;
  return text.slice(end).toLowerCase() === unit.toLowerCase() ? text.slice(0, end).trimEnd() : text;
}

/** Longer texts are not numbers. The limit bounds the time of the functions below. */
const maxNumberText = 100;
const numeric = /^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;

/**
 * Returns a number, which is written as JavaScript writes it. If that would change a digit, returns the text itself,
 * and the view shows the nearest double.
 */
function numberOf(text: string, pattern: RegExp): Cell | undefined {
  if (text.length > maxNumberText || !numeric.test(text)) return undefined;
  const number = Number(text);
  if (Math.abs(number) > largest) return undefined;
  if (digitsOf(text) !== digitsOf(String(number))) return pattern.test(text) ? text : undefined;
  return pattern.test(String(number)) ? number : undefined;
}

/** Returns a number's digits without leading and trailing zeros. */
function digitsOf(text: string): string {
  return text
    .replace(/[eE].*/, "")
    .replace(/[^0-9]/g, "")
    .replace(/^0+|0+$/g, "");
}

function numberSql(cell: string, source: string, type: string): string {
  const cast = `TRY_CAST(${cell} AS ${type})`;
  return castWhere(`regexp_like(${cell}, '${source}') AND abs(${cast}) <= ${largest}`, cell, type);
}

function numberIn(text: string, pattern: RegExp): number | null {
  if (!pattern.test(text)) return null;
  const number = Number(text);
  return Math.abs(number) <= largest ? number : null;
}

function castWhere(condition: string, cell: string, type: string): string {
  return `CASE WHEN ${condition} THEN TRY_CAST(${cell} AS ${type}) END`;
}

function timestampOf(text: string): string | undefined {
  if (patterns.timestamp.test(text)) return isDay(text) ? text : undefined;
  const withSpace = text.replace(/^([0-9]{4}-[0-9]{2}-[0-9]{2})T/, "$1 ");
  const whole = /^.{10} [0-9]{2}:[0-9]{2}$/.test(withSpace) ? `${withSpace}:00` : withSpace;
  return patterns.timestamp.test(whole) && isDay(whole) ? whole : undefined;
}

/** Returns whether a date exists in the calendar. @param text begins with `YYYY-MM-DD` */
function isDay(text: string): boolean {
  const day = Number(text.slice(8, 10));
  return day >= 1 && day <= daysIn(Number(text.slice(0, 4)), Number(text.slice(5, 7)));
}

/** Returns 0 for an invalid month. Without Date, which would take longer than the rest of a record's work. */
function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  if (month === 4 || month === 6 || month === 9 || month === 11) return 30;
  return month >= 1 && month <= 12 ? 31 : 0;
}

/** Requires two digits for an hour without AM or PM, because 2:30 is ambiguous. */
function timeOf(text: string): string | undefined {
  const found = /^([0-9]{1,2})(:[0-9]{2})(:[0-9]{2})? ?([AaPp][Mm])?$/.exec(text);
  if (!found) return undefined;
  const [, hour = "", minute = "", second = ":00", half] = found;
  const isTwelveHour = half !== undefined;
  if (isTwelveHour && (Number(hour) < 1 || Number(hour) > 12)) return undefined;
  const afternoon = half?.toLowerCase() === "pm" ? 12 : 0;
  const hours = isTwelveHour ? String((Number(hour) % 12) + afternoon).padStart(2, "0") : hour;
  const time = `${hours}${minute}${second}`;
  return patterns.time.test(time) ? time : undefined;
}

const booleans = new Map(
  Object.entries({ true: "true", yes: "true", 1: "true", false: "false", no: "false", 0: "false" }),
);
