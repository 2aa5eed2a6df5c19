// Decides from LibInsight's field list and some records what each field of a form holds. No text of a record is part of the
// result, except the answers of a drop-down that the list does not describe.
import { cleanText } from "../../../services/transformer/clean-text.ts";
import { isObject } from "../../../services/transformer/record.ts";
import { type ColumnType, columnTypes } from "../../../shared/column-types.ts";
import { rawNumberText } from "../../../shared/json.ts";
import type { FormField } from "../../../shared/kinds/records/fields.ts";

export type Field = {
  /** Undefined for a field that only records have. */
  id: string | number | undefined;
  /** As it is in a record. */
  label: string;
  type: ColumnType;
  /** Whether it names a person or holds free text, or may do so. */
  personal: boolean;
  /** The answers of a closed field that is not personal, as the published file has them; empty for other fields. */
  answers: string[];
  isMultiple: boolean;
  /** Whether no record that was read has a value. */
  isEmpty: boolean;
  /** What was guessed. */
  guess?: string;
};

/** Fields that LibInsight defines. */
export const builtIn = ["_id", "_start_date", "_entered_by"];

/** Fewer values do not show that a text field holds numbers only, or that a number field holds whole numbers only. */
const minValues = 20;
/** People type units into some numbers. */
const minNumbers = 0.5;
/** A drop-down with more answers in the records, or with few records for each, may hold names. */
const maxSeenAnswers = 40;
const minRecordsOfAnswer = 3;

/** Words in the names of types, of which the first match decides. LibInsight's own names are not public. */
const families = {
  open: /text|note|comment|memo|string|area|paragraph|mail|phone|url|name|html|user|person/,
  closed: /select|drop|radio|choice|check|list|multi|rating|scale/,
  number: /num|int|decimal|float|count|currency|amount/,
  date: /date|time/,
  boolean: /bool|yes|toggle|switch/,
};
type Family = keyof typeof families;
const familyNames: readonly Family[] = ["open", "closed", "number", "date", "boolean"];
const typesOf: Record<Family | "unknown", readonly ColumnType[]> = {
  number: ["integer", "number"],
  date: ["timestamp", "date", "time"],
  boolean: ["boolean"],
  closed: ["boolean"],
  open: ["integer", "number", "timestamp", "date", "time"],
  unknown: ["integer", "number", "timestamp", "date", "time"],
};

/** Words in the labels of drop-downs with names, and of drop-downs without. */
const people = /\b(names?|by|staff|employees?|librarians?|persons?|people|consultants?|e ?mails?|who)\b/;
const groups = /\b(types?|status|groups?|category|categories|kinds?|roles?|levels?|departments?|colleges?)\b/;
/** Words in the labels of numbers and dates that identify a person. */
const identities =
  /\b(ids?|pid|netid|phones?|telephone|mobile|cards?|barcodes?|birth|birthday|born|ip|address|names?|who)\b/;

/** Returns the form's fields without those that LibInsight defines, in the order of the list and then of the records. */
export function formOf(listed: readonly FormField[], records: readonly unknown[]): Field[] {
  const values = new Map<string, unknown[]>();
  for (const [label, value] of records.filter(isObject).flatMap((record) => Object.entries(record))) {
    const found = values.get(label);
    if (found) found.push(value);
    else values.set(label, [value]);
  }
  const inList = withDistinctLabels(listed);
  const labels = new Set(inList.map(({ label }) => label));
  const unlisted: Listed[] = [...values.keys()]
    .filter((label) => !labels.has(label))
    .map((label) => ({ id: undefined, label, type: "", options: [] }));
  return [...inList, ...unlisted]
    .filter(({ label }) => !builtIn.includes(label))
    .map((field) => fieldOf(field, values.get(field.label) ?? []));
}

/** A field of the list and its label in a record. */
type Listed = FormField & { isRepeated?: boolean };

/** Numbers repeated labels as the parser of records does (`parseJson`). */
function withDistinctLabels(listed: readonly FormField[]): Listed[] {
  const taken = new Set(listed.map(({ label }) => label));
  const seen = new Set<string>();
  return listed.map((field) => {
    let { label } = field;
    for (let n = 2; seen.has(label); n++) {
      const numbered = `${field.label} (${n})`;
      if (!taken.has(numbered)) label = numbered;
    }
    seen.add(label);
    taken.add(label);
    return {
      ...field,
      label,
      isRepeated: listed.some((other) => other !== field && other.label === field.label),
    };
  });
}

function fieldOf(
  { id, label, type: typeName, options, isRepeated }: Listed,
  values: readonly unknown[],
): Field {
  const lists = values.filter(Array.isArray);
  const chosen = lists.flatMap(textsOf);
  const isMultiple = /multi|check/.test(typeName) || lists.some((list) => textsOf(list).length > 1);
  const texts = values.flatMap(textsOf);
  const isEmpty = texts.length === 0;
  const base: Field = { id, label, type: "text", personal: false, answers: [], isMultiple, isEmpty };
  const personal = (type: ColumnType, why?: string): Field => {
    const field = { ...base, type, personal: true };
    return why === undefined
      ? field
      : { ...field, guess: `personal, because ${why}; not in the de-identified file` };
  };
  const words = wordsOf(label);
  const family = familyOf(typeName, options.length + chosen.length > 0);

  // A record may have the values of either field under the label.
  if (isRepeated) return personal("text", "the form has the label several times");
  if (family === "closed" && options.length + chosen.length > 0) {
    const seen = new Set((options.length > 0 ? options : chosen).map(cleanText).filter(isFilled));
    if (texts.filter((text) => !seen.has(cleanText(text))).length * 2 > texts.length)
      return personal("text", "most of its values are not among the answers");
    if ((people.test(words) && !groups.test(words)) || [...seen].some((answer) => answer.includes("@")))
      return personal("text", "its answers may be names");
    if (options.length > 0) return { ...base, answers: [...seen] };
    if (seen.size > maxSeenAnswers || seen.size * minRecordsOfAnswer > chosen.length)
      return personal("text", "LibInsight lists no answers and those of the records may be free text");
    return { ...base, answers: [...seen], guess: "the answers are those of the records" };
  }
  if (family === "open" || family === "unknown") {
    const type = texts.length < minValues ? "text" : typeOf(texts, family);
    return personal(type, family === "open" ? undefined : "LibInsight does not say what it holds");
  }
  if (isEmpty && family !== "closed") {
    const type = family === "date" ? dateType(typeName) : family;
    if (identities.test(words)) return personal(type, "it may identify a person");
    return { ...base, type, guess: "no record that was read has a value" };
  }
  const type = typeOf(texts, family);
  if (type === "text") return personal(type, `its values are not those of a ${family} field`);
  return identities.test(words) ? personal(type, "it may identify a person") : { ...base, type };
}

/** Returns a label's words in lower case: `answered by` for `answeredBy`. */
export function wordsOf(label: string): string {
  return label
    .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
    .replace(/[_-]/g, " ")
    .toLowerCase();
}

function familyOf(typeName: string, hasAnswers: boolean): Family | "unknown" {
  const found = familyNames.find((name) => families[name].test(typeName)) ?? "unknown";
  return hasAnswers && found !== "open" ? "closed" : found;
}

/** Returns the type of all values, or text. */
function typeOf(texts: readonly string[], family: Family | "unknown"): ColumnType {
  if (texts.length === 0) return "text";
  const found = typesOf[family].find((type) => {
    const fitting = texts.filter((text) => columnTypes[type].cellOf(text.trim()) !== undefined).length;
    if (type === "integer" && texts.length < minValues) return false;
    return fitting >= texts.length * (type === "number" && family === "number" ? minNumbers : 1);
  });
  return found ?? "text";
}

/** @param name of a type, such as `datetime` */
function dateType(name: string): ColumnType {
  if (!name.includes("time")) return "date";
  return /date|stamp/.test(name) ? "timestamp" : "time";
}

/** Returns the texts of a value's answers that are not blank. */
function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (value === null || value === undefined) return [];
  const text = rawNumberText(value) ?? (typeof value === "object" ? JSON.stringify(value) : String(value));
  return isFilled(text) ? [text] : [];
}

function isFilled(text: string): boolean {
  return /\S/.test(text);
}
