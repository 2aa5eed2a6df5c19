// Makes the entry of a dataset for shared/library.ts, with comments about what was guessed.
import { cleanText } from "../../../services/transformer/clean-text.ts";
import { childTables } from "../../../shared/child-tables.ts";
import { type Dataset, type DatasetEntry, viewNames } from "../../../shared/dataset-schema.ts";
import { folderOf, previousKey } from "../../../shared/keys.ts";
import { parquetFolder } from "../../../shared/parquet-file.ts";
import { maxAnswers } from "../../../shared/profile.ts";
import { answerSeparator } from "../../../shared/statistics/rules.ts";
import { builtIn, type Field, wordsOf } from "./form.ts";

/** The settings that come from the command line, from a person or from a guess. */
export type Settings = Pick<
  Dataset,
  "name" | "kind" | "shared" | "libinsightId" | "requestId" | "firstDate" | "timeZone" | "fiscalYearStart"
>;

/** What was guessed, by setting. */
export type Guesses = { [Setting in keyof Settings]?: string };

export type Draft = {
  entry: DatasetEntry;
  /** Comments by the path of what they are about, such as `columns.3`. */
  comments: ReadonlyMap<string, string>;
};

type Columns = NonNullable<DatasetEntry["columns"]>;
type Roles = NonNullable<DatasetEntry["roles"]>;

/**
 * @param form undefined for a kind that has its own columns
 * @param others the library's entries
 * @param note the comment above the entry's settings
 */
export function draftOf(
  { name, kind, libinsightId, shared, requestId, firstDate, ...settings }: Settings,
  form: readonly Field[] | undefined,
  others: readonly Dataset[],
  guesses: Guesses,
  note: string,
): Draft {
  const fields = form && withHeaders(form);
  const roles = fields ? rolesOf(fields) : {};
  const expectations = fields ? expectationsOf(fields) : [];
  const entry: DatasetEntry = {
    name,
    ...(kind !== "records" && { kind }),
    libinsightId,
    ...(shared && { shared }),
    ...(requestId !== undefined && { requestId }),
    firstDate,
    ...settings,
    ...(fields && { columns: columnsOf(fields) }),
    undeclared: "append",
    ...(Object.keys(roles).length > 0 && { roles }),
    ...(expectations.length > 0 && { expectations }),
    publish: publishOf(name, others),
  };
  const guessed: [path: string, why: string | undefined][] = [
    ...Object.entries(guesses),
    ...(fields ?? []).map(({ guess }, index): [string, string | undefined] => [
      `columns.${builtInColumns.length + index}`,
      guess,
    ]),
    ["roles", "by the labels"],
  ];
  const comments = new Map([["name", note]]);
  for (const [path, why] of guessed) if (why !== undefined) comments.set(path, `Guessed: ${why}.`);
  return { entry, comments };
}

type HeadedField = Field & { header: string };

/** Adds headers, which are one line each and differ from each other and from every label. */
function withHeaders(form: readonly Field[]): HeadedField[] {
  const taken = new Set(["", ...builtIn, ...form.map(({ label }) => label)]);
  return form.map((field) => {
    const cleaned = cleanText(field.label);
    if (cleaned === field.label && cleaned !== "") return { ...field, header: cleaned };
    let header = cleaned || "(no label)";
    for (let n = 2; taken.has(header); n++) header = `${cleaned || "(no label)"} (${n})`;
    taken.add(header);
    return { ...field, header };
  });
}

const builtInColumns: Columns = [
  { name: "_id", type: "integer", required: true },
  { name: "_start_date", type: "timestamp", required: true },
  { name: "_entered_by", drop: true },
];

function columnsOf(fields: readonly HeadedField[]): Columns {
  return [
    ...builtInColumns,
    ...fields.map((field) => ({
      name: field.header,
      ...(field.header !== field.label && { labels: [field.label] }),
      ...(field.id !== undefined && { fieldId: field.id }),
      type: field.type,
      ...(field.personal ? { personal: true } : field.type === "text" && { privacy: "keep" as const }),
      ...(field.isEmpty && { mayBeEmpty: true }),
      ...(hasSeparator(field) && !field.isMultiple && { answers: "first" as const }),
    })),
  ];
}

/** Returns whether an answer would read as several. */
function hasSeparator({ answers }: Field): boolean {
  return answers.some((answer) => answer.includes(answerSeparator));
}

function expectationsOf(fields: readonly HeadedField[]): NonNullable<DatasetEntry["expectations"]> {
  return fields
    .filter((field) => field.answers.length > 0 && field.answers.length <= maxAnswers)
    .filter((field) => !(field.isMultiple && hasSeparator(field)))
    .map(({ header, answers }) => ({ kind: "answers", column: header, accepted: answers }));
}

/** No label shows that a row stands for an amount. */
const roleWords: Record<Exclude<keyof Roles, "quantity">, RegExp> = {
  questionType:
    /\b(question|transaction|inquiry|interaction) types?\b|\btypes? of (question|transaction|inquiry)\b/,
  mode: /\bmodes?\b|\bhow\b|\b(contact|communication) (method|type)s?\b/,
  location: /\b(locations?|desks?|branch|service points?)\b/,
  minutes: /\bmin(ute)?s?\b/,
};

/** Returns the roles for which exactly one column's label has the words. */
function rolesOf(fields: readonly HeadedField[]): Roles {
  const roles = Object.entries(roleWords).flatMap(([role, words]) => {
    const fitting = fields.filter((field) => {
      const isNumber = field.type === "number" || field.type === "integer";
      const isOfRole = role === "minutes" ? isNumber : field.answers.length > 0;
      return isOfRole && !field.personal && words.test(wordsOf(field.label));
    });
    const [only] = fitting;
    return only && fitting.length === 1 ? [[role, only.header]] : [];
  });
  return Object.fromEntries(roles);
}

/** Returns keys and a table that no other entry uses. */
function publishOf(name: string, others: readonly Dataset[]): DatasetEntry["publish"] {
  const taken = new Set(
    others.flatMap((other) => [
      ...placesOf(other.publish),
      ...childTables(other).flatMap(({ table, typed, folder }) => [table, typed, folder]),
    ]),
  );
  // Each entry takes a few names, so some number is free.
  for (let n = 1; ; n++) {
    const base = n === 1 ? name : `${name}-${n}`;
    const file = base.replace(/(?:^|-)(\w?)/g, (_, letter: string) => letter.toUpperCase());
    const publish = {
      csv: `${base}-athena/${file}.csv`,
      jsonl: `${base}-json/${file}.jsonl`,
      results: `published/${file}Results.csv`,
      queryResults: `${base}-results`,
      table: base.replaceAll("-", "_"),
    };
    if (placesOf(publish).every((place) => !taken.has(place))) return publish;
  }
}

/** Returns everything that only one entry may use, in lower case, because some file systems do not see the case. */
function placesOf({ csv, jsonl, results, queryResults, table }: DatasetEntry["publish"]): string[] {
  const ofCsv = [folderOf(csv), folderOf(previousKey(csv)), parquetFolder(csv)];
  const folders = [...ofCsv, folderOf(jsonl), `${queryResults}/`];
  const files = [results, csv, jsonl].map((key) => key.slice(key.lastIndexOf("/") + 1));
  return [...folders, ...files, table, ...Object.values(viewNames(table))].map((place) =>
    place.toLowerCase(),
  );
}
