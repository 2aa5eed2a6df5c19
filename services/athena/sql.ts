// Generates a dataset's table and views, and labels its query, in Trino's SQL. Pure functions.
import type { ChildTable } from "../../shared/child-tables.ts";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { folderOf } from "../../shared/keys.ts";
import type { ParquetType } from "../../shared/parquet.ts";
import { parquetColumns, parquetKey } from "../../shared/parquet-file.ts";
import type { TableDefinition, ViewDefinition } from "../../shared/ports.ts";
import type { QueryOrigin } from "../../shared/run.ts";
import type { TableColumn } from "../../shared/table-columns.ts";
import { analysisColumns, childColumns, typedColumns, type ViewColumn } from "./columns.ts";

/** Returns the table over the folder of the dataset's published file. */
export function tableOf({ publish }: Dataset, columns: readonly TableColumn[]): TableDefinition {
  return {
    format: "csv",
    columns: typedColumns(columns).map(({ name, comment }) => ({ name, comment })),
    folder: folderOf(publish.csv),
  };
}

/** Returns the table over the folder of a run's Parquet file. */
export function parquetTable(
  dataset: Dataset,
  columns: readonly TableColumn[],
  runId: string,
): TableDefinition {
  const typed = parquetColumns(columns, dataset);
  return {
    format: "parquet",
    columns: typedColumns(columns).map(({ name, comment }, index) => ({
      ...{ name, comment },
      type: typed[index]?.type ?? "text",
    })),
    folder: folderOf(parquetKey(dataset.publish.csv, runId)),
  };
}

/** Returns the view over the Parquet table, with the same values as over the CSV's: no text is null there. */
export function typedParquetView(
  dataset: Dataset,
  columns: readonly TableColumn[],
  database: string,
): ViewDefinition {
  const types = parquetColumns(columns, dataset).map(({ type }) => type);
  const shown = typedColumns(columns).map((column, index) => ({
    ...column,
    select: parquetSql(`"${column.name}"`, types[index] ?? "text"),
  }));
  return viewOf(shown, database, viewNames(dataset.publish.table).parquet);
}

function parquetSql(column: string, type: ParquetType): string {
  if (type === "texts") return `coalesce(array_join(${column}, '; '), '')`;
  return type === "text" ? `coalesce(${column}, '')` : column;
}

/** Returns the view that casts the table's columns to their types. */
export function typedView(
  { publish }: Dataset,
  columns: readonly TableColumn[],
  database: string,
): ViewDefinition {
  return viewOf(typedColumns(columns), database, publish.table);
}

/** Returns the analysts' view, which selects from the typed view. */
export function analysisView(
  dataset: Dataset,
  columns: readonly TableColumn[],
  database: string,
): ViewDefinition {
  return viewOf(analysisColumns(columns, dataset), database, viewNames(dataset.publish.table).typed);
}

/** Returns the child table over the folder of a run. */
export function childTableOf(child: ChildTable, runId: string): TableDefinition {
  return {
    format: "csv",
    columns: typedColumns(childColumns(child)).map(({ name, comment }) => ({ name, comment })),
    folder: folderOf(child.keyOf(runId)),
  };
}

/** Returns the view that casts the child table's columns to their types. */
export function childView(child: ChildTable, database: string): ViewDefinition {
  return viewOf(typedColumns(childColumns(child)), database, child.table);
}

function viewOf(columns: readonly ViewColumn[], database: string, from: string): ViewDefinition {
  return {
    select: `SELECT\n  ${columns.map(selected).join(",\n  ")}\nFROM "${database}"."${from}"`,
    comments: new Map(columns.map(({ name, comment }) => [name, comment])),
  };
}

/** Returns a column of a SELECT. */
export function selected({ name, select }: Pick<ViewColumn, "name" | "select">): string {
  return select === `"${name}"` ? select : `${select} AS "${name}"`;
}

/** Returns the query with a first line that names the run in Athena's history. */
export function withRunComment(sql: string, { runId, dataset, attempt }: QueryOrigin): string {
  return `-- libinsight run ${runId} of ${dataset}, attempt ${attempt}\n${sql}`;
}
