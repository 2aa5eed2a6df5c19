// What a column of each type holds, for the transformer and for the typed view. The transformer writes a value of the type
// in one form and keeps any other text as it is; the view has a value where a cell has that form, and null elsewhere. A
// new type is a name and an entry here.
import * as z from "zod/mini";
import type { Cell } from "./csv.ts";

/**
 * - `text`: any text; several answers are joined
 * - `integer`: a whole number, at most 9007199254740991 (2^53 - 1) from zero
 * - `number`: the same with decimals, at most 17 digits; further digits than a double has stay in the file
 * - `timestamp`: `YYYY-MM-DD HH:MM[:SS]`, also with a T, local time without a zone; written with seconds
 * - `date`: `YYYY-MM-DD`
 * - `time`: `HH:MM[:SS]`, or `H:MM[:SS]` with AM or PM; written `HH:MM:SS`
 * - `boolean`: true or false, yes or no, 1 or 0; written `true` or `false`
 */
export const columnType = z.enum(["text", "integer", "number", "timestamp", "date", "time", "boolean"]);
export type ColumnType = z.infer<typeof columnType>;

type Rules = {
  /**
   * Returns the cell for a text of the type, and undefined for any other text.
   * @param text one line without blanks around it, not empty
   */
  cellOf: (text: string) => Cell | undefined;
  /** Returns the SQL of a cell's value, in Trino's dialect: null where the cell is not what `cellOf` returns. */
  sqlOf: (cell: string) => string;
};

const largest = Number.MAX_SAFE_INTEGER;

/** DuckDB and Trino spell the year 0 differently, and nothing happened then. */
const day = "([1-9][0-9]{3}|0[1-9][0-9]{2})-[0-9]{2}-[0-9]{2}";
const clock = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";

const forms = {
  integer: "^-?[0-9]{1,16}$",
  // 17 digits at most, which are enough for any double: with a point among them, behind zeros, or with an exponent that
  // does not lead to 0. Spelled out, because not every engine has a lookahead.
  number: "^-?([0-9][0-9.]{0,16}[0-9]|[0-9]|0[.]0{0,5}[0-9]{1,17}|[1-9]([.][0-9]{1,16})?e-[12]?[0-9]{1,2})$",
  timestamp: `^${day} ${clock}$`,
  date: `^${day}$`,
  time: `^${clock}$`,
};

const patterns = {
  integer: new RegExp(forms.integer),
  number: new RegExp(forms.number),
  timestamp: new RegExp(forms.timestamp),
  date: new RegExp(forms.date),
  time: new RegExp(forms.time),
};

export const columnTypes: Record<ColumnType, Rules> = {
  text: { cellOf: (text) => text, sqlOf: (cell) => cell },
  integer: {
    cellOf: (text) => numberOf(text, patterns.integer),
    sqlOf: (cell) => numberSql(cell, forms.integer, "bigint"),
  },
  number: {
    cellOf: (text) => numberOf(text, patterns.number),
    sqlOf: (cell) => numberSql(cell, forms.number, "double"),
  },
  timestamp: {
    cellOf: timestampOf,
    sqlOf: (cell) => castWhere(`regexp_like(${cell}, '${forms.timestamp}')`, cell, "timestamp"),
  },
  date: {
    cellOf: (text) => (patterns.date.test(text) && isDay(text) ? text : undefined),
    sqlOf: (cell) => castWhere(`regexp_like(${cell}, '${forms.date}')`, cell, "date"),
  },
  time: {
    cellOf: timeOf,
    // As text, because Athena's views have no types that Hive lacks. https://github.com/aws/aws-sdk-pandas/issues/86
    sqlOf: (cell) => `CASE WHEN regexp_like(${cell}, '${forms.time}') THEN ${cell} END`,
  },
  boolean: {
    cellOf: (text) => booleans.get(text.toLowerCase()),
    sqlOf: (cell) => `CASE ${cell} WHEN 'true' THEN true WHEN 'false' THEN false END`,
  },
};

/** Returns the text without its unit (`45 min`, `45min`), in whatever case it is written. */
export function withoutUnit(text: string, unit: string): string {
  const end = text.length - unit.length;
  return text.slice(end).toLowerCase() === unit.toLowerCase() ? text.slice(0, end).trimEnd() : text;
}

/** A longer text has no form of a number, and nothing below takes long on a short one. */
const maxNumberText = 100;
const numeric = /^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;

/**
 * A number is written as JavaScript writes it. Where that would change a digit, the text stays as it is, if it has the
 * form: then the view has the nearest double.
 */
function numberOf(text: string, form: RegExp): Cell | undefined {
  if (text.length > maxNumberText || !numeric.test(text)) return undefined;
  const number = Number(text);
  if (Math.abs(number) > largest) return undefined;
  if (digitsOf(text) !== digitsOf(String(number))) return form.test(text) ? text : undefined;
  return form.test(String(number)) ? number : undefined;
}

/** Returns a number's digits from the first to the last that is not zero. */
function digitsOf(text: string): string {
  return text
    .replace(/[eE].*/, "")
    .replace(/[^0-9]/g, "")
    .replace(/^0+|0+$/g, "");
}

function numberSql(cell: string, form: string, type: string): string {
  const cast = `TRY_CAST(${cell} AS ${type})`;
  return castWhere(`regexp_like(${cell}, '${form}') AND abs(${cast}) <= ${largest}`, cell, type);
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

/** @param text that begins with a date, which may be in no calendar */
function isDay(text: string): boolean {
  const day = Number(text.slice(8, 10));
  return day >= 1 && day <= daysIn(Number(text.slice(0, 4)), Number(text.slice(5, 7)));
}

/** No days where there is no such month. By hand: a Date for each record takes longer than all else of it. */
function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  if (month === 4 || month === 6 || month === 9 || month === 11) return 30;
  return month >= 1 && month <= 12 ? 31 : 0;
}

/** Without AM or PM an hour has two digits: 2:30 may be meant as either. */
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
