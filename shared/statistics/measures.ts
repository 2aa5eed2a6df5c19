// The measures of a dataset: name, unit, definition, SQL, and Tableau formula in one place. The Athena view, the report,
// the data dictionary and Tableau's data source are made from them. Pure functions.
import type { Dataset } from "../dataset-schema.ts";
import { nounsOf } from "../kinds/kinds.ts";
import type { ProfiledPair } from "../profile.ts";
import { classesOf, classifier } from "./classes.ts";
import { type Kind, kinds } from "./rules.ts";
import { acrl2022 } from "./surveys/acrl-2022.ts";

export type Measure = {
  /** Names the column of the view. */
  name:
    | "records"
    | "transactions"
    | "consultations"
    | "directional"
    | "instruction"
    | "minutes"
    | "quantity"
    | "coverage";
  title: string;
  unit: "records" | "minutes" | "percent" | "units";
  definition: string;
  /** Trino SQL that aggregates rows with the columns `kind`, `instruction`, `minutes`, `quantity` and `answered`. */
  sql: string;
  /** Tableau's formula. @param fields the formula of each of these columns */
  formula(fields: RowFields): string;
  /** Returns the measure of a profile's pairs. */
  of(pairs: readonly ProfiledPair[], kindOf: (pair: ProfiledPair) => Kind | null): number;
};

/** Tableau's names of the record's ID and of the columns that the measures aggregate; of some, the formula. */
export type RowFields = Record<"id" | "kind" | "instruction" | "minutes" | "quantity" | "answered", string>;

const sum = (pairs: readonly ProfiledPair[], of: (pair: ProfiledPair) => number) =>
  pairs.reduce((total, pair) => total + of(pair), 0);
const rowsOf = (pairs: readonly ProfiledPair[]) => sum(pairs, ({ rows }) => rows);

/** Returns a measure that counts the records of some kinds. */
function kindMeasure(
  counted: readonly Kind[],
  { name, title, definition }: Pick<Measure, "name" | "title" | "definition">,
): Measure {
  const literals = counted.map((kind) => `'${kind}'`);
  return {
    name,
    title,
    unit: "records",
    definition: `${definition} Kinds: ${counted.join(", ")}`,
    sql: `count(CASE WHEN "kind" IN (${literals.join(", ")}) THEN 1 END)`,
    formula: ({ kind }) =>
      `COUNT(IF ${literals.map((literal) => `${kind} = ${literal}`).join(" OR ")} THEN 1 END)`,
    of: (pairs, kindOf) => rowsOf(pairs.filter((pair) => counted.some((kind) => kind === kindOf(pair)))),
  };
}

const kindsOfLine = (line: keyof typeof acrl2022.lines) =>
  kinds.filter((kind) => acrl2022.kinds[kind] === line);

const records: Measure = {
  name: "records",
  title: "Records",
  unit: "records",
  definition: "All records",
  sql: "count(*)",
  formula: ({ id }) => `COUNT(${id})`,
  of: rowsOf,
};

/** The kinds are those of ACRL's lines of 2022, so that a measure equals its line in the worksheet. */
const byKind: readonly Measure[] = [
  kindMeasure(kindsOfLine("transactions"), {
    name: "transactions",
    title: "Transactions",
    definition: "Contacts with information sources, as ACRL's definitions of 2022 count them.",
  }),
  kindMeasure(kindsOfLine("consultations"), {
    name: "consultations",
    title: "Consultations",
    definition: "Consultations, as ACRL's definitions of 2022 count them.",
  }),
  kindMeasure(["directional"], {
    name: "directional",
    title: "Directional",
    definition: "Locations, hours, policies, and help with machines that teaches nothing.",
  }),
];

const coverage: Measure = {
  name: "coverage",
  title: "Coverage",
  unit: "percent",
  definition: "Share of the records that have a question type, without which no statistic counts them",
  sql: 'round(1e2 * count(CASE WHEN "answered" THEN 1 END) / count(*), 1)',
  formula: ({ id, answered }) => `ROUND(100 * COUNT(IF ${answered} THEN 1 END) / COUNT(${id}), 1)`,
  of: (pairs) => {
    const answered = rowsOf(pairs.filter(({ questionType }) => questionType !== null));
    return pairs.length === 0 ? 0 : Math.round((1_000 * answered) / rowsOf(pairs)) / 10;
  },
};

const instruction: Measure = {
  name: "instruction",
  title: "Instruction",
  unit: "records",
  definition:
    "Records of class sessions, by their location. Other measures count them too, and a survey's presentations are another number: a session may have several records",
  sql: 'count(CASE WHEN "instruction" THEN 1 END)',
  formula: (fields) => `COUNT(IF ${fields.instruction} THEN 1 END)`,
  of: (pairs) => sum(pairs, (pair) => pair.instruction),
};

const minutes: Measure = {
  name: "minutes",
  title: "Minutes",
  unit: "minutes",
  definition: "Sum of the durations that were entered. No survey's line depends on it",
  sql: 'coalesce(sum("minutes"), 0)',
  formula: (fields) => `SUM(${fields.minutes})`,
  of: (pairs) => sum(pairs, (pair) => pair.minutes),
};

/** Returns the measure that sums up the dataset's quantity. */
function quantityMeasure(column: string, noun: string): Measure {
  return {
    name: "quantity",
    title: `${noun.charAt(0).toUpperCase()}${noun.slice(1)}s`,
    unit: "units",
    definition: `Sum of the column ${column}`,
    sql: 'coalesce(sum("quantity"), 0)',
    formula: ({ quantity }) => `SUM(${quantity})`,
    // Pairs have no quantity.
    of: () => 0,
  };
}

/** Returns the measures that a dataset's entry declares columns for. */
export function measuresOf(dataset: Pick<Dataset, "kind" | "columns" | "roles" | "statistics">): Measure[] {
  const { kind, instruction: sessions } = classesOf(dataset);
  const { row, amount = "unit" } = nounsOf(dataset);
  const { quantity } = dataset.roles;
  return [
    row === "record" ? records : { ...records, title: "Rows", definition: `All ${row}s` },
    ...(quantity === undefined ? [] : [quantityMeasure(quantity, amount)]),
    ...(kind ? byKind : []),
    ...(sessions ? [instruction] : []),
    ...(dataset.roles.minutes === undefined ? [] : [minutes]),
    ...(kind ? [coverage] : []),
  ];
}

/** Returns the values of the measures that pairs have, in the order of `measuresOf`. */
export function measureValues(
  dataset: Dataset,
  pairs: readonly ProfiledPair[],
): (Measure & { value: number })[] {
  const { kind } = classesOf(dataset);
  const classify = kind && classifier(kind);
  const kindOf = (pair: ProfiledPair) => classify?.(pair.questionType).found ?? null;
  const ofPairs = measuresOf(dataset).filter(({ name }) => name !== "quantity");
  return ofPairs.map((measure) => ({ ...measure, value: measure.of(pairs, kindOf) }));
}
