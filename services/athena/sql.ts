// The SQL that keeps Athena in step with a published file. DDL is Hive's (backticks, escaped strings), everything
// else Trino's (double quotes, doubled quotes). Pure functions.
import type { CatalogTable } from "../../shared/aws/catalog.ts";
import { type Dataset, folder, viewNames } from "../../shared/dataset.ts";
import type { Run } from "../../shared/run.ts";
import { type TableColumn, typedColumns, type ViewColumn } from "./columns.ts";

export function createDatabase(database: string): string {
  return `CREATE DATABASE IF NOT EXISTS \`${database}\``;
}

/**
 * The table over a dataset's file. Its columns are strings, because the serde reads nothing else well.
 *
 * OpenCSVSerde's own escape character is the backslash, which would eat the backslashes of people's comments. U+0001
 * is a control character and so occurs in no field; a `"` inside a field is doubled, which the serde reads as one.
 * https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html
 */
export function tableOf(dataset: Dataset, columns: readonly TableColumn[], bucket: string): CatalogTable {
  return {
    columns: typedColumns(columns).map(({ name, comment }) => ({ name, type: "string", comment })),
    location: `s3://${bucket}/${folder(dataset.publish.csv)}`,
    serde: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
    serdeProperties: { separatorChar: ",", quoteChar: '"', escapeChar: "\u0001" },
    properties: { "skip.header.line.count": "1" },
  };
}

export function createTable(database: string, name: string, table: CatalogTable): string {
  const columns = table.columns.map(
    (column) => `\`${column.name}\` ${column.type} COMMENT ${hiveString(column.comment)}`,
  );
  return `CREATE EXTERNAL TABLE IF NOT EXISTS \`${database}\`.\`${name}\` (
  ${columns.join(",\n  ")}
)
ROW FORMAT SERDE ${hiveString(table.serde)}
WITH SERDEPROPERTIES (${hiveProperties(table.serdeProperties)})
STORED AS TEXTFILE
LOCATION ${hiveString(table.location)}
TBLPROPERTIES (${hiveProperties(table.properties)})`;
}

function hiveProperties(properties: Record<string, string>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${hiveString(name)} = ${hiveString(value)}`)
    .join(", ");
}

/**
 * Each version of Hive takes a character by its three octal digits; the old ones do not know `\uXXXX` (HIVE-4618).
 * https://github.com/apache/hive/blob/master/ql/src/java/org/apache/hadoop/hive/ql/parse/BaseSemanticAnalyzer.java
 */
function hiveString(text: string): string {
  const escaped = text
    .replace(/[\\']/g, (character) => `\\${character}`)
    // A semicolon is written so too: nothing can take it for the statement's end.
    .replace(/[\p{Cc};]/gu, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return `'${escaped}'`;
}

/** The table with its columns' types. */
export function createTypedView(database: string, dataset: Dataset, columns: readonly ViewColumn[]): string {
  const { table } = dataset.publish;
  return createView(database, viewNames(table).typed, columns, table);
}

/** The typed view as analysts need it. */
export function createAnalysisView(
  database: string,
  dataset: Dataset,
  columns: readonly ViewColumn[],
): string {
  const { typed, analysis } = viewNames(dataset.publish.table);
  return createView(database, analysis, columns, typed);
}

function createView(database: string, name: string, columns: readonly ViewColumn[], from: string): string {
  const selected = columns.map((column) =>
    column.select === `"${column.name}"` ? column.select : `${column.select} AS "${column.name}"`,
  );
  return `CREATE OR REPLACE VIEW "${database}"."${name}" AS
SELECT
  ${selected.join(",\n  ")}
FROM "${database}"."${from}"`;
}

/** What a dataset's query was asked for. */
export type QueryOrigin = Pick<Run, "runId" | "dataset" | "requestedAt"> & {
  /** Of the published file. */
  rows: number;
  /** From 1; a further one is made where Athena failed for a reason of its own. */
  attempt: number;
};

/** The dataset's query. Its first line tells whoever finds it in Athena's history which run it belongs to. */
export function datasetQuery(sql: string, origin: QueryOrigin): string {
  const { runId, dataset, requestedAt, rows, attempt } = origin;
  return `-- libinsight run ${runId} of ${dataset} requested at ${requestedAt} with ${rows} rows, attempt ${attempt}\n${sql}`;
}

const firstLine = /^-- libinsight run (\S+) of (\S+) requested at (\S+) with (\d+) rows, attempt (\d+)\n/;

/** A dataset's query as its origin and its SQL, or undefined where it is somebody else's. */
export function originOf(query: string): { origin: QueryOrigin; sql: string } | undefined {
  const match = firstLine.exec(query);
  const [line, runId, dataset, requestedAt, rows, attempt] = match ?? [];
  if (line === undefined || !runId || !dataset || !requestedAt) return undefined;
  const origin = { runId, dataset, requestedAt, rows: Number(rows), attempt: Number(attempt) };
  return { origin, sql: query.slice(line.length) };
}
