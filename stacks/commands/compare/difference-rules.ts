// Why two cells of the same record and column may differ although both files are right. Each rule compares two texts;
// the first that holds explains the difference. Pure functions.

/** A cell of a CSV file: null if it is empty and unquoted. */
export type CsvCell = string | null;

type Rule = { name: string; explains: (old: string, newer: string) => boolean };

/** What a cell differs by if no rule explains it. */
export const anotherValue = "another value";

const rules: readonly Rule[] = [
  // The predecessor wrote a null as one space.
  { name: "empty, null or blanks", explains: (old, newer) => old.trim() === "" && newer.trim() === "" },
  // This pipeline writes them as one space, or removes them.
  { name: "line breaks and control characters", explains: same(withoutControls) },
  { name: "number format", explains: same(numberOf) },
  { name: "unit after a number", explains: same(numberWithUnit) },
  { name: "date format", explains: same(momentOf) },
  { name: "first of several answers", explains: same(firstAnswer) },
  { name: "character encoding", explains: same(repairedText) },
];

/** Returns the rule that explains why the cells differ, or `another value`. @param old differs from `newer` */
export function ruleOf(old: CsvCell, newer: CsvCell): string {
  return rules.find(({ explains }) => explains(old ?? "", newer ?? ""))?.name ?? anotherValue;
}

/** Returns a rule that holds if both texts have the same form. A text without the form is undefined. */
function same<T>(formOf: (text: string) => T | undefined): Rule["explains"] {
  return (old, newer) => {
    const form = formOf(old);
    return form !== undefined && form === formOf(newer);
  };
}

function withoutControls(text: string): string {
  return text
    .replace(/\p{Cs}/gu, "")
    .replace(/[\s\u0085]+/g, " ")
    .replace(/\p{Cc}/gu, "")
    .trim();
}

const number = /^[+-]?\d+(\.\d*)?(e[+-]?\d+)?$/i;

function numberOf(text: string): number | undefined {
  const trimmed = text.trim();
  return number.test(trimmed) ? Number(trimmed) : undefined;
}

/** `45 min` and `45min` are 45. */
function numberWithUnit(text: string): number | undefined {
  return numberOf(text.trim().replace(/\s*[a-z]+\.?$/i, ""));
}

/** The formats in which the predecessor's files have dates: ISO 8601, and month/day/year. */
const isoMoment = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?(?:\.0+)?Z?$/;
const usMoment = /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?: (\d{1,2}):(\d\d)(?::(\d\d))?(?: ?([AP])M)?)?$/i;

/** Returns `YYYY-MM-DD HH:MM:SS`. */
export function momentOf(text: string): string | undefined {
  const trimmed = text.trim();
  const iso = isoMoment.exec(trimmed);
  if (iso) {
    const [, year, month, day, hour = "00", minute = "00", second = "00"] = iso;
    return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
  }
  const [, month, day, year, hour = "0", minute = "00", second = "00", half] = usMoment.exec(trimmed) ?? [];
  if (!month || !day || !year) return undefined;
  const hours = half ? (Number(hour) % 12) + (half.toUpperCase() === "P" ? 12 : 0) : Number(hour);
  return `${year}-${two(month)}-${two(day)} ${two(hours)}:${minute}:${second}`;
}

const two = (part: string | number) => String(part).padStart(2, "0");

/** Answers are a list as JSON or Python writes it, or texts joined by `; `. */
function firstAnswer(text: string): string {
  const [, inside] = /^\[(.*)\]$/s.exec(text.trim()) ?? [];
  if (inside === undefined) return (text.split("; ")[0] ?? "").trim();
  const [, double, single] = /^\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')/s.exec(inside) ?? [];
  return (double ?? single ?? inside.split(",")[0] ?? "").trim();
}

/** Bytes by their character in Windows-1252. */
const windows1252 = new Map(
  Array.from({ length: 256 }, (_, byte) => [
    new TextDecoder("windows-1252").decode(Uint8Array.of(byte)),
    byte,
  ]),
);

/** Returns UTF-8 that was once decoded as Windows-1252 as what it was; any other text as it is. */
function repairedText(text: string): string {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = windows1252.get(character);
    if (byte === undefined) return text;
    bytes.push(byte);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
  } catch {
    return text;
  }
}
