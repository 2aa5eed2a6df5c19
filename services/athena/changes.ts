// Defines the table over a dataset's files of changes, and the views of its rows as they were known before.
import { besideChanges, changesColumns } from "../../shared/changes-columns.ts";
import type { ColumnNames } from "../../shared/column-names.ts";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { keys } from "../../shared/keys.ts";
import type { QueryEngine, TableDefinition, ViewDefinition } from "../../shared/ports.ts";
import type { TableColumn } from "../../shared/table-columns.ts";
import { analysisColumns, typedColumns, type ViewColumn } from "./columns.ts";
import { selected } from "./sql.ts";

/** Headers that came and went in decades. Further ones are in the files, but not in the table. */
const maxColumns = 1_000;

/** Defines the table and both views. @throws PipelineError `TableChanged`, `StatementFailed`, `StatementTooSlow` */
export async function defineHistory(
  dataset: Dataset,
  columns: readonly TableColumn[],
  names: ColumnNames,
  engine: QueryEngine,
): Promise<void> {
  const { changes, history, asKnown } = viewNames(dataset.publish.table);
  const found = await engine.table(changes);
  await engine.defineTable(changes, changesTableOf(dataset, columns, names), found?.version);
  await engine.defineView(history, historyView(dataset, columns, engine.database));
  await engine.defineView(asKnown, asKnownView(dataset, columns, engine.database));
}

/** Returns the table over every file of changes. Columns of earlier publications are text, as all others are. */
export function changesTableOf(
  { name: dataset }: Dataset,
  columns: readonly TableColumn[],
  names: ColumnNames,
): TableDefinition {
  const comments = new Map(typedColumns(columns).map(({ name, comment }) => [name, comment]));
  const all = [...new Set([...comments.keys(), ...names.values()])].slice(0, maxColumns);
  return {
    format: "parquet",
    folder: keys.changesFolder(dataset),
    columns: [
      ...changesColumns.map(({ name, type, meaning }) => ({ name, type, comment: meaning })),
      ...all.map((name) => ({
        ...{ name: besideChanges(name), type: "text" as const },
        comment: comments.get(name) ?? "Column of earlier publications",
      })),
    ],
  };
}

const validity: readonly Pick<ViewColumn, "name" | "comment">[] = [
  { name: "valid_from", comment: "Publication from which the row is so, in UTC" },
  {
    name: "valid_to",
    comment: "Publication from which it is not so any more, in UTC; null if it is current",
  },
  { name: "is_current", comment: "Whether the published file has it" },
  {
    name: "change",
    comment: "What the first publication did: added, edited, moved (another date) or restated",
  },
];

/**
 * Returns the view with a row for each version of a record, with the columns of the analysts' view. A version ends with the
 * next change of the record, or with the next snapshot, which has every row of its publication.
 */
export function historyView(
  dataset: Dataset,
  columns: readonly TableColumn[],
  database: string,
): ViewDefinition {
  const table = `"${database}"."${viewNames(dataset.publish.table).changes}"`;
  const { id, shown, typed } = columnsBeside(dataset, columns);
  const select = `SELECT
  "known_at" AS "valid_from",
  least(coalesce("next_at", "ends_at"), coalesce("ends_at", "next_at")) AS "valid_to",
  "next_at" IS NULL AND "ends_at" IS NULL AS "is_current",
  "change",
  ${shown.map(selected).join(",\n  ")}
FROM (
  SELECT
    "known_at",
    "change",
    lead("known_at") OVER (PARTITION BY "${id}" ORDER BY "known_at") AS "next_at",
    "ends_at",
    ${typed.map(selected).join(",\n    ")}
  FROM ${table}
  JOIN (
    SELECT "known_at" AS "begins_at", lead("known_at") OVER (ORDER BY "known_at") AS "ends_at"
    FROM ${table}
    WHERE "snapshot"
  ) AS "epoch" ON "known_at" >= "begins_at" AND ("ends_at" IS NULL OR "known_at" < "ends_at")
  WHERE "change" NOT IN ('published', 'reordered')
) AS "version"
WHERE "change" <> 'deleted'`;
  return { select, comments: commentsOf([...validity, ...shown]) };
}

/** The days that the view by day can show: 27 years. Trino and DuckDB write a sequence of days differently. */
const digits = ["ones", "tens", "hundreds", "thousands"];
const digitValues = "VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)";

/**
 * Returns the view with the rows of the published file as known at the end of each day, in UTC, since the first publication
 * with changes.
 */
export function asKnownView(
  dataset: Dataset,
  columns: readonly TableColumn[],
  database: string,
): ViewDefinition {
  const { changes, history } = viewNames(dataset.publish.table);
  const { shown } = columnsBeside(dataset, columns);
  const knownOn = { name: "known_on", comment: "Day on which the published file had the row, in UTC" };
  const nth = digits.map((digit, power) => `${10 ** power} * "${digit}"`).join(" + ");
  const select = `SELECT
  "known_on",
  ${shown.map(({ name }) => `"${name}"`).join(",\n  ")}
FROM "${database}"."${history}"
JOIN (
  SELECT CAST("first_day" + (${nth}) * INTERVAL '1' DAY AS date) AS "known_on"
  FROM (
    SELECT CAST(min("known_at") AS date) AS "first_day" FROM "${database}"."${changes}"
  ) AS "begin"
  ${digits.map((digit) => `CROSS JOIN (${digitValues}) AS "${digit}_values" ("${digit}")`).join("\n  ")}
  WHERE ${nth} <= date_diff('day', "first_day", current_date)
) AS "days" ON CAST("valid_from" AS date) <= "known_on"
  AND ("valid_to" IS NULL OR CAST("valid_to" AS date) > "known_on")`;
  return { select, comments: commentsOf([knownOn, ...shown]) };
}

/** Returns the columns of the analysts' view, and the ones that they are computed from, beside those of the changes. */
function columnsBeside(dataset: Dataset, columns: readonly TableColumn[]) {
  const renamed = columns.map((column) => ({ ...column, name: besideChanges(column.name) }));
  return {
    id: renamed.find(({ header }) => header === "_id")?.name ?? "_id",
    shown: analysisColumns(renamed, dataset),
    typed: typedColumns(renamed.filter(({ declared, personal }) => declared && !personal)),
  };
}

function commentsOf(columns: readonly Pick<ViewColumn, "name" | "comment">[]): ViewDefinition["comments"] {
  return new Map(columns.map(({ name, comment }) => [name, comment]));
}
