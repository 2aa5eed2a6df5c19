// EventBridge's event patterns: which events a rule takes. Every operator is either matched as documented or
// refused when the rule is put; none is passed over.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html

/** Tells whether an event, as its parsed envelope, is taken. */
export type EventMatcher = (event: unknown) => boolean;

/** Why a pattern is not valid. */
export class EventPatternError extends Error {
  override readonly name = "EventPatternError";
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Scalar = Exclude<Json, object> | null;
/** Looks at all values of one field: none when it is missing, several when it is an array. */
type FieldTest = (values: readonly Scalar[]) => boolean;

const maxPatternLength = 4_096;
const maxDepth = 32;

/** @throws EventPatternError when the pattern is not valid, or has an operator that is not known here */
export function parseEventPattern(pattern: string): EventMatcher {
  if (pattern.length > maxPatternLength) {
    throw new EventPatternError(`A pattern has at most ${maxPatternLength} characters.`);
  }
  let parsed: Json;
  try {
    parsed = JSON.parse(pattern);
  } catch {
    throw new EventPatternError("The pattern is not JSON.");
  }
  if (!isObject(parsed)) throw new EventPatternError("The pattern is not a JSON object.");
  return parseFields(parsed, "", 1);
}

/** All of an object's fields have to match. */
function parseFields(pattern: { [name: string]: Json }, path: string, depth: number): EventMatcher {
  const fields = Object.entries(pattern);
  if (fields.length === 0) throw new EventPatternError(`Empty objects are not allowed${at(path)}.`);
  if (depth > maxDepth) throw new EventPatternError(`Patterns nest at most ${maxDepth} levels deep.`);
  const tests = fields.map(([name, expected]): EventMatcher => {
    const here = path === "" ? name : `${path}.${name}`;
    if (name.startsWith("$")) throw new EventPatternError(`Unrecognized match type ${here}.`);
    if (isObject(expected)) {
      const matches = parseFields(expected, here, depth + 1);
      return (event) => objectsOf(field(event, name)).some(matches);
    }
    if (!Array.isArray(expected) || expected.length === 0) {
      throw new EventPatternError(`"${name}" must be an object or a non-empty array${at(path)}.`);
    }
    const alternatives = expected.map((alternative) => parseAlternative(alternative, here));
    return (event) => {
      const values = scalarsOf(field(event, name));
      return alternatives.some((test) => test(values));
    };
  });
  return (event) => tests.every((test) => test(event));
}

function parseAlternative(alternative: Json, path: string): FieldTest {
  if (isScalar(alternative)) return some((value) => value === alternative);
  const [[operator, operand] = [], ...more] = isObject(alternative) ? Object.entries(alternative) : [];
  if (operator === undefined || operand === undefined || more.length > 0) {
    throw new EventPatternError(`An alternative is a value or an object with one match type${at(path)}.`);
  }
  switch (operator) {
    case "exists":
      if (typeof operand !== "boolean") break;
      return (values) => values.length > 0 === operand;
    case "prefix":
      if (typeof operand !== "string") break;
      return some((value) => typeof value === "string" && value.startsWith(operand));
    case "suffix":
      if (typeof operand !== "string") break;
      return some((value) => typeof value === "string" && value.endsWith(operand));
    case "numeric":
      return some(parseNumeric(operand, path));
    case "anything-but": {
      const excluded = parseExcluded(operand, path);
      return some((value) => !excluded(value));
    }
    default:
      throw new EventPatternError(`Unrecognized match type ${operator}${at(path)}.`);
  }
  throw new EventPatternError(`"${operator}" does not take ${JSON.stringify(operand)}${at(path)}.`);
}

/** A value, values of one type, or `prefix` or `suffix` with a string or strings. */
function parseExcluded(operand: Json, path: string): (value: Scalar) => boolean {
  const excluded = Array.isArray(operand) ? operand : [operand];
  if (isStrings(excluded) || isNumbers(excluded)) {
    const values = new Set<Scalar>(excluded);
    return (value) => values.has(value);
  }
  if (isObject(operand)) {
    const [[operator, affixes] = [], ...more] = Object.entries(operand);
    const strings = Array.isArray(affixes) ? affixes : [affixes];
    if (more.length === 0 && isStrings(strings)) {
      const any = (test: (text: string, affix: string) => boolean) => (value: Scalar) =>
        typeof value === "string" && strings.some((affix) => test(value, affix));
      if (operator === "prefix") return any((text, affix) => text.startsWith(affix));
      if (operator === "suffix") return any((text, affix) => text.endsWith(affix));
    }
  }
  throw new EventPatternError(`"anything-but" does not take ${JSON.stringify(operand)}${at(path)}.`);
}

const comparisons = new Map<Json, (value: number, bound: number) => boolean>([
  ["=", (value, bound) => value === bound],
  ["<", (value, bound) => value < bound],
  ["<=", (value, bound) => value <= bound],
  [">", (value, bound) => value > bound],
  [">=", (value, bound) => value >= bound],
]);
/** EventBridge compares numbers up to here. */
const maxNumber = 5e9;

/** `[operator, bound]`, or a range as `[">" or ">=", bottom, "<" or "<=", top]`. */
function parseNumeric(operand: Json, path: string): (value: Scalar) => boolean {
  const [first, bottom, second, top, ...more] = Array.isArray(operand) ? operand : [];
  const bounded = (bound: Json | undefined) => typeof bound === "number" && Math.abs(bound) <= maxNumber;
  const compare = comparisons.get(first ?? null);
  if (compare && typeof bottom === "number" && bounded(bottom) && more.length === 0) {
    if (second === undefined) return (value) => typeof value === "number" && compare(value, bottom);
    const compareTop = comparisons.get(second);
    const isRange = /^>=?$/.test(String(first)) && /^<=?$/.test(String(second));
    if (compareTop && isRange && typeof top === "number" && bounded(top) && bottom < top) {
      return (value) => typeof value === "number" && compare(value, bottom) && compareTop(value, top);
    }
  }
  throw new EventPatternError(`"numeric" does not take ${JSON.stringify(operand)}${at(path)}.`);
}

function some(test: (value: Scalar) => boolean): FieldTest {
  return (values) => values.some(test);
}

function at(path: string): string {
  return path === "" ? "" : ` at ${path}`;
}

function field(event: unknown, name: string): unknown {
  return isObject(event) && Object.hasOwn(event, name) ? event[name] : undefined;
}

/** What a nested pattern looks into: the object, or each of an array's; a missing one has no fields. */
function objectsOf(value: unknown): unknown[] {
  const objects = Array.isArray(value) ? value.flat(maxDepth).filter(isObject) : [value];
  return objects.length === 0 ? [undefined] : objects;
}

/** Only leaves have values: an object has none, an array has those of its elements. */
function scalarsOf(value: unknown): Scalar[] {
  return (Array.isArray(value) ? value.flat(maxDepth) : [value]).filter(isScalar);
}

function isObject(value: unknown): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

function isStrings(values: readonly unknown[]): values is string[] {
  return values.length > 0 && values.every((value) => typeof value === "string");
}

function isNumbers(values: readonly unknown[]): values is number[] {
  return values.length > 0 && values.every((value) => typeof value === "number");
}
