// The DDL that creates database, table and views in Athena. Tables are Hive's DDL (backticks, escaped strings), views are
// Trino's SQL (double quotes). Pure functions.
import type { TableDefinition } from "../ports.ts";
import type { CatalogTable } from "./glue.ts";

export function createDatabase(database: string): string {
  return `CREATE DATABASE IF NOT EXISTS \`${database}\``;
}

/**
 * The table over a folder's CSV files. Its columns are strings, because the serde reads nothing else well.
 *
 * OpenCSVSerde's own escape character is the backslash, which would eat the backslashes of people's comments. U+0001
 * is a control character and so occurs in no field; a `"` inside a field is doubled, which the serde reads as one.
 * https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html
 */
export function hiveTable({ columns, folder }: TableDefinition, bucket: string): CatalogTable {
  return {
    columns: columns.map(({ name, comment }) => ({ name, type: "string", comment })),
    location: `s3://${bucket}/${folder}`,
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

export function createView(database: string, name: string, select: string): string {
  return `CREATE OR REPLACE VIEW "${database}"."${name}" AS\n${select}`;
}
