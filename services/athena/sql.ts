// The SQL that keeps Athena in step with a published file. DDL is Hive's (backticks, escaped strings), everything
// else Trino's (double quotes, doubled quotes). Pure functions.
import { type ColumnType, type Dataset, folder } from "../../shared/dataset.ts";
import type { Run } from "../../shared/run.ts";
import { columnNames } from "./names.ts";

export type TableColumn = { name: string; header: string; type: ColumnType };

/** The table's columns for a file's header: CSV maps by position. Undeclared columns are text. */
export function tableColumns(headers: readonly string[], dataset: Dataset): TableColumn[] {
  const types = new Map(
    dataset.columns.flatMap((column) => ("type" in column ? [[column.name, column.type]] : [])),
  );
  const names = columnNames(headers);
  return headers.map((header, index) => ({
    header,
    name: names[index] ?? `column_${index + 1}`,
    type: types.get(header) ?? "text",
  }));
}

export function createDatabase(database: string): string {
  return `CREATE DATABASE IF NOT EXISTS \`${database}\``;
}

/**
 * OpenCSVSerde's own escape character is the backslash, which would eat the backslashes of people's comments. U+0001
 * is a control character and so occurs in no field; a `"` inside a field is doubled, which the serde reads as one.
 * https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html
 */
export function createTable(
  database: string,
  dataset: Dataset,
  columns: TableColumn[],
  bucket: string,
): string {
  return `CREATE EXTERNAL TABLE IF NOT EXISTS \`${database}\`.\`${dataset.publish.table}\` (
  ${columnList(columns)}
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '"', 'escapeChar' = '\\u0001')
STORED AS TEXTFILE
LOCATION 's3://${bucket}/${folder(dataset.publish.csv)}'
TBLPROPERTIES ('skip.header.line.count' = '1')`;
}

export function replaceColumns(database: string, dataset: Dataset, columns: TableColumn[]): string {
  return `ALTER TABLE \`${database}\`.\`${dataset.publish.table}\` REPLACE COLUMNS (
  ${columnList(columns)}
)`;
}

/** The serde gives every column as a string. */
function columnList(columns: TableColumn[]): string {
  return columns.map(({ name }) => `\`${name}\` string`).join(",\n  ");
}

const casts: Record<ColumnType, string | undefined> = {
  text: undefined,
  integer: "bigint",
  number: "double",
  timestamp: "timestamp",
};

/** The table with its columns' types; a value that is not of its column's type is null. */
export function createTypedView(database: string, dataset: Dataset, columns: TableColumn[]): string {
  const { table } = dataset.publish;
  const selected = columns.map(({ name, type }) => {
    const cast = casts[type];
    return cast ? `TRY_CAST("${name}" AS ${cast}) AS "${name}"` : `"${name}"`;
  });
  return `CREATE OR REPLACE VIEW "${database}"."${table}_typed" AS
SELECT
  ${selected.join(",\n  ")}
FROM "${database}"."${table}"`;
}

export type QueryOrigin = Pick<Run, "runId" | "dataset" | "requestedAt">;

/** The dataset's query. Its first line tells whoever finds it in Athena's history which run it belongs to. */
export function datasetQuery(database: string, dataset: Dataset, run: QueryOrigin): string {
  return `-- libinsight run ${run.runId} of ${run.dataset} requested at ${run.requestedAt}
SELECT * FROM "${database}"."${dataset.publish.table}"`;
}

/** The run that a query belongs to, or undefined where the query is not a dataset's. */
export function originOf(query: string): QueryOrigin | undefined {
  const match = /^-- libinsight run (\S+) of (\S+) requested at (\S+)\n/.exec(query);
  const [, runId, dataset, requestedAt] = match ?? [];
  return runId && dataset && requestedAt ? { runId, dataset, requestedAt } : undefined;
}
