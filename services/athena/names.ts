// Names that are safe in Athena, where a column's name is lower case and has letters, digits and _ only, and in SQL that
// a person writes without quotes.
// https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
import * as z from "zod/mini";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";

/** Athena allows 255 bytes; this leaves room for a suffix and stays readable. */
const maxLength = 120;
/** A dataset has some dozens of headers; hundreds of new ones in each run are refused before this is reached. */
const maxNames = 10_000;
/** Two calls that follow one file assign the same names at once. */
const writeAttempts = 5;

/** The analysis view's parts of the date. No header gets one of these names. */
export const datePartNames = ["year", "fiscal_year", "month", "weekday", "weekday_name", "hour"] as const;

/** Names by header. A name stays with its header for good, also while no published file has that header. */
export type ColumnNames = ReadonlyMap<string, string>;

/**
 * Returns the known names and one for each new header: `Question Type` becomes `question_type`. Of new headers with the
 * same name the declared ones go first, and the others are numbered in their order.
 */
export function assignNames(
  headers: readonly string[],
  isDeclared: (header: string) => boolean,
  known: ColumnNames = new Map(),
): ColumnNames {
  const names = new Map(known);
  const taken = new Set<string>([...datePartNames, ...known.values()]);
  const assign = (header: string): void => {
    if (names.has(header)) return;
    const base = safeName(header.split("\n")[0] ?? "");
    let name = base;
    // Names are finitely many, so some number is free.
    for (let n = 2; taken.has(name); n++) name = `${base}_${n}`;
    taken.add(name);
    names.set(header, name);
  };
  const each = occurrences(headers);
  for (const header of each.filter(isDeclared)) assign(header);
  for (const header of each) assign(header);
  return names;
}

/** Returns headers that distinguish columns: no run publishes a header twice, but a file may have it. */
export function occurrences(headers: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return headers.map((header) => {
    const n = (seen.get(header) ?? 0) + 1;
    seen.set(header, n);
    return n === 1 ? header : `${header}\n${n}`;
  });
}

const stored = z.strictObject({ names: z.array(z.strictObject({ header: z.string(), name: z.string() })) });

/** Returns the names that a dataset's headers have got so far. */
export async function knownNames({ name }: Dataset, results: ObjectStore): Promise<ColumnNames> {
  const { names = [] } = (await results.getJson(keys.columnNames(name), stored)) ?? {};
  return new Map(names.map(({ header, name }) => [header, name]));
}

/**
 * Returns the names of a dataset's headers, and stores those that are new.
 * @throws PipelineError `NamesContended`, `TooManyColumnNames`
 */
export async function rememberNames(
  headers: readonly string[],
  dataset: Dataset,
  results: ObjectStore,
): Promise<ColumnNames> {
  const key = keys.columnNames(dataset.name);
  const declared = new Set(dataset.columns.map(({ name }) => name));
  for (let attempt = 1; attempt <= writeAttempts; attempt++) {
    // In this order, so that the ETag is not newer than what was read.
    const there = await results.head(key);
    const known = await knownNames(dataset, results);
    const names = assignNames(headers, (header) => declared.has(header), known);
    if (names.size === known.size) return names;
    if (names.size > maxNames) throw tooMany(dataset);
    const value = { names: Array.from(names, ([header, name]) => ({ header, name })) };
    const isStored = there
      ? await results.replaceJson(key, value, there.etag)
      : await results.putOnce(key, value);
    if (isStored) return names;
  }
  throw new PipelineError("NamesContended", {
    message: `Other writers changed ${key} at every one of ${writeAttempts} attempts.`,
    advice: "Retried automatically. If this persists, check for another writer to this key.",
    kind: "transient",
    ids: { dataset: dataset.name },
  });
}

function tooMany({ name }: Dataset): PipelineError {
  return new PipelineError("TooManyColumnNames", {
    message: `More than ${maxNames} different headers were published; each keeps its column name for good.`,
    advice: `Set undeclared: "ignore" in shared/datasets.ts, or delete ${keys.columnNames(name)} in the results bucket: then names may move.`,
    ids: { dataset: name },
  });
}

function safeName(header: string): string {
  const name = header
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .slice(0, maxLength)
    .replace(/_+$/, "");
  if (name === "") return "column";
  if (reserved.has(name)) return `${name}_`;
  return /^\d/.test(name) ? `c_${name}` : name;
}

/** Words that a query has to quote. https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html */
const reserved = new Set(
  `alter and as between by case cast constraint create cross cube current_catalog current_date current_path
  current_schema current_time current_timestamp current_user deallocate delete describe distinct drop else end escape
  except execute exists extract false first for from full group grouping having in inner insert intersect into is
  join json_array json_exists json_object json_query json_table json_value last left like listagg localtime
  localtimestamp natural normalize not null on or order outer prepare recursive right rollup select skip table then
  trim true uescape union unnest using values when where with`.split(/\s+/),
);
