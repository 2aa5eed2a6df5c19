// Assigns each header of a dataset a column name that works without quotes in Athena's SQL, permanently.
import * as z from "zod/mini";
import type { Dataset } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";
import { keys } from "./keys.ts";
import type { ObjectStore } from "./ports.ts";
import { sqlName } from "./sql-name.ts";

/** A dataset has some dozens of headers, and a run that adds hundreds fails before its file is published. */
const maxNames = 10_000;
/** Concurrent calls that follow one file write the same names, so conflicts are few. */
const writeAttempts = 5;

/** The analysis view's columns for the parts of the date. No header is assigned one of these names. */
export const datePartNames = ["year", "fiscal_year", "month", "weekday", "weekday_name", "hour"] as const;

/** Names by header. A header keeps its name permanently, even while no published file has that header. */
export type ColumnNames = ReadonlyMap<string, string>;

/**
 * Returns the known names and one for each new header: `Question Type` becomes `question_type`. If new headers have the
 * same name, declared headers are assigned first and later ones get a number.
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
    const base = sqlName(header.split("\n")[0] ?? "");
    let name = base;
    // `taken` is finite, so some number is free.
    for (let n = 2; taken.has(name); n++) name = `${base}_${n}`;
    taken.add(name);
    names.set(header, name);
  };
  const distinct = distinctHeaders(headers);
  for (const header of distinct.filter(isDeclared)) assign(header);
  for (const header of distinct) assign(header);
  return names;
}

/** Returns the headers with repeated ones numbered. No run publishes a header twice, but a file from elsewhere may. */
export function distinctHeaders(headers: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return headers.map((header) => {
    const n = (seen.get(header) ?? 0) + 1;
    seen.set(header, n);
    return n === 1 ? header : `${header}\n${n}`;
  });
}

const storedNames = z.strictObject({
  names: z.array(z.strictObject({ header: z.string(), name: z.string() })),
});

/** Returns the names that have been assigned to a dataset's headers. */
export async function knownNames({ name }: Dataset, results: ObjectStore): Promise<ColumnNames> {
  const { names = [] } = (await results.getJson(keys.columnNames(name), storedNames)) ?? {};
  return new Map(names.map(({ header, name }) => [header, name]));
}

/**
 * Returns the names of a dataset's headers and stores the new ones.
 * @throws PipelineError `NamesContended`, `TooManyColumnNames`
 */
export async function storeNames(
  headers: readonly string[],
  dataset: Dataset,
  results: ObjectStore,
): Promise<ColumnNames> {
  const key = keys.columnNames(dataset.name);
  const declared = new Set(dataset.columns.map(({ name }) => name));
  for (let attempt = 1; attempt <= writeAttempts; attempt++) {
    // The ETag is read before the names: a write in between then fails the condition.
    const current = await results.head(key);
    const known = await knownNames(dataset, results);
    const names = assignNames(headers, (header) => declared.has(header), known);
    if (names.size === known.size) return names;
    if (names.size > maxNames) throw tooMany(dataset);
    const value = { names: Array.from(names, ([header, name]) => ({ header, name })) };
    const isStored = current
      ? await results.replaceJson(key, value, current.etag)
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
    message: `More than ${maxNames} different headers were published, and each keeps its column name.`,
    advice: `Set undeclared: "ignore" in shared/library.ts, or delete ${keys.columnNames(name)} from the results bucket, after which headers may get other names.`,
    ids: { dataset: name },
  });
}
