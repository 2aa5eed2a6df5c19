// Parses JSON without the two losses of JSON.parse, which rounds numbers that a JavaScript number cannot represent and
// keeps only the last of several members with one name. No function here recurses, so no nesting overflows the stack.

declare global {
  // Node has these since version 21. TypeScript 7.0 does not declare them.
  // https://github.com/tc39/proposal-json-parse-with-source
  interface JSON {
    rawJSON(text: string): RawNumber;
    isRawJSON(value: unknown): value is RawNumber;
  }
}
type RawNumber = { readonly rawJSON: string };

/**
 * Parses JSON like JSON.parse, with two exceptions: a number that a JavaScript number cannot represent keeps its text
 * (see `rawNumberText`), and repeated names in an object become `Name (2)`, `Name (3)` and so on.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const { members, hasLongNumber } = scan(text);
  return hasLongNumber || members !== countMembers(value) ? parseInFull(text) : value;
}

/** Returns the text of a number that `parseJson` kept, which JSON.stringify writes unchanged; else undefined. */
export function rawNumberText(value: unknown): string | undefined {
  return JSON.isRawJSON(value) ? value.rawJSON : undefined;
}

/** A JavaScript number represents any 15 significant digits, but not any 16. */
const safeDigits = 15;
const backslash = 0x5c;

/** Returns the index of a string's closing quote, or -1. @param from index after the opening quote */
export function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (at - escapes > from && text.charCodeAt(at - escapes - 1) === backslash) escapes += 1;
    if (escapes % 2 === 0) return at;
  }
  return -1;
}

/** Counts the members of all objects in valid JSON, and looks for a number with 16 or more digits or an exponent. */
function scan(text: string): { members: number; hasLongNumber: boolean } {
  let members = 0;
  let hasLongNumber = false;
  let digits = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = endOfString(text, at + 1);
    else if (code === 0x3a) members += 1;
    else if (code >= 0x30 && code <= 0x39) {
      digits += 1;
      if (digits > safeDigits) hasLongNumber = true;
      continue;
    } else if (code === 0x2e) continue;
    // The e of an exponent, not of true or false.
    else if (digits > 0 && (code === 0x65 || code === 0x45)) hasLongNumber = true;
    digits = 0;
  }
  return { members, hasLongNumber };
}

function countMembers(value: unknown): number {
  let members = 0;
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null) continue;
    const values: unknown[] = Array.isArray(next) ? next : Object.values(next);
    if (!Array.isArray(next)) members += values.length;
    for (const inner of values) if (typeof inner === "object" && inner !== null) left.push(inner);
  }
  return members;
}

/** An array or object that is not closed yet. */
type Open = { values: unknown[]; labels?: string[] };

/** @param text that JSON.parse accepted */
function parseInFull(text: string): unknown {
  const all: Open = { values: [] };
  const open = [all];
  const scalar = /[^\s,\]}]+/y;
  for (let at = 0; at < text.length; at++) {
    const into = open.at(-1) ?? all;
    const { values, labels } = into;
    switch (text[at]) {
      case "[":
        open.push({ values: [] });
        break;
      case "{":
        open.push({ values: [], labels: [] });
        break;
      case "]":
      case "}":
        open.pop();
        open.at(-1)?.values.push(labels ? objectOf(labels, values) : values);
        break;
      case '"': {
        const end = endOfString(text, at + 1);
        const string: string = JSON.parse(text.slice(at, end + 1));
        const isLabel = labels !== undefined && labels.length === values.length;
        (isLabel ? labels : values).push(string);
        at = end;
        break;
      }
      case ",":
      case ":":
      case " ":
      case "\n":
      case "\r":
      case "\t":
        break;
      default: {
        scalar.lastIndex = at;
        const [word = ""] = scalar.exec(text) ?? [];
        values.push(scalarOf(word));
        at += word.length - 1;
      }
    }
  }
  return all.values[0];
}

/** Renames repeated labels to names that no other label has. */
function objectOf(labels: readonly string[], values: readonly unknown[]): object {
  const taken = new Set(labels);
  const uses = new Map<string, number>();
  const object = {};
  for (const [index, label] of labels.entries()) {
    let use = (uses.get(label) ?? 0) + 1;
    // Ends, because fewer names are taken than there are numbers.
    while (use > 1 && taken.has(numbered(label, use))) use += 1;
    uses.set(label, use);
    const name = numbered(label, use);
    taken.add(name);
    // Assigning to `__proto__` would set the prototype.
    Object.defineProperty(object, name, {
      value: values[index],
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return object;
}

function numbered(label: string, use: number): string {
  return use === 1 ? label : `${label} (${use})`;
}

/** @param word a number, `true`, `false` or `null` */
function scalarOf(word: string): unknown {
  const value: unknown = JSON.parse(word);
  if (typeof value !== "number" || decimalOf(word) === decimalOf(String(value))) return value;
  return JSON.rawJSON(word);
}

/** Returns a number's digits and power of ten, which are equal exactly for texts of the same decimal value. */
function decimalOf(text: string): string {
  const [mantissa = "", power = "0"] = text.toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.replace("-", "").split(".");
  const digits = whole + fraction;
  // Without /0+$/, which takes quadratic time on a number with many zeros.
  let start = 0;
  while (digits[start] === "0") start += 1;
  let end = digits.length;
  while (end > start && digits[end - 1] === "0") end -= 1;
  if (start === end) return "0";
  return `${digits.slice(start, end)}e${Number(power) + digits.length - end - fraction.length}`;
}
