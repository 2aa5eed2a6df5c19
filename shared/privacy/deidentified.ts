// The entry of a dataset's de-identified file. Everything that takes an entry (tables, views, policies, Tableau's data
// source, the data dictionary) works for this file too.
import { parse } from "node:path/posix";
import * as z from "zod/mini";
import type { Column, Dataset, KeptColumn } from "../dataset-schema.ts";
import { folderOf } from "../keys.ts";
import { isKept, privacyOf } from "./settings.ts";

/** The readers of a dataset: of the full file, or of the de-identified one. */
export const audienceSetting = z.enum(["full", "deidentified"]);
export type Audience = z.infer<typeof audienceSetting>;

const suffix = "deidentified";

/** Returns the entry of the de-identified file. Its names and keys are those of the full file with a suffix. */
export function deidentified(dataset: Dataset): Dataset {
  const { name, publish, roles: given, statistics } = dataset;
  const columns = dataset.columns.flatMap(deidentifiedColumn);
  const keeps = (header: string | undefined) =>
    dataset.columns.some((column) => column.name === header && !("drop" in column) && isKept(column));
  const roles = Object.fromEntries(Object.entries(given).filter(([, header]) => keeps(header)));
  const countsAlike = keeps(given.questionType) && keeps(given.mode) && keeps(given.location);
  return {
    ...dataset,
    name: `${name}-${suffix}`,
    columns,
    undeclared: "ignore",
    roles,
    expectations: [],
    statistics: countsAlike ? statistics : undefined,
    publish: {
      ...publish,
      csv: suffixed(publish.csv),
      jsonl: suffixed(publish.jsonl),
      results: suffixed(publish.results),
      table: `${publish.table}_${suffix}`,
    },
  };
}

/** Returns the entry whose files the audience reads. */
export function entryFor(audience: Audience, dataset: Dataset): Dataset {
  return audience === "full" ? dataset : deidentified(dataset);
}

/** Returns the entries of all files: of each dataset the full one and the de-identified one. */
export function allEntries(datasets: readonly Dataset[]): Dataset[] {
  return datasets.flatMap((dataset) => [dataset, deidentified(dataset)]);
}

/** Returns whether an entry of this name is that of a de-identified file. No dataset in library.ts has such a name. */
export function isDeidentified(name: string): boolean {
  return name.endsWith(`-${suffix}`);
}

/** Returns whether a column of the de-identified file has pseudonyms. */
export function hasPseudonyms({ columns }: Dataset): boolean {
  return columns.some((column) => !("drop" in column) && privacyOf(column) === "hash");
}

/** Returns `folder-deidentified/name-deidentified.csv`. */
function suffixed(key: string): string {
  const { name, ext } = parse(key);
  return `${folderOf(key).slice(0, -1)}-${suffix}/${name}-${suffix}${ext}`;
}

const meanings = { hash: "pseudonym", redact: "redacted", generalise: "generalized" } as const;

function deidentifiedColumn(column: Column): KeptColumn[] {
  if ("drop" in column) return [];
  const privacy = privacyOf(column);
  if (privacy === "drop") return [];
  const { name, meaning, after, generalise, mayBeEmpty } = column;
  const what = privacy === "keep" ? undefined : meanings[privacy];
  return [
    {
      ...{ name, labels: [], privacy, after, generalise, mayBeEmpty },
      type: typeOf(column),
      meaning: what === undefined ? meaning : [meaning, `(${what})`].filter(Boolean).join(" "),
      personal: false,
      required: name === "_id",
      // The answers of one cell, because the de-identified file has no child tables.
      answers: "type" in column && column.answers === "first" ? "first" : "all",
    },
  ];
}

function typeOf(column: Exclude<Column, { drop: true }>): KeptColumn["type"] {
  const { privacy, generalise } = column;
  if (!("type" in column) || privacy === "hash") return "text";
  // The first day of a week or month has no time.
  return privacy === "generalise" && typeof generalise === "string" ? "date" : column.type;
}
