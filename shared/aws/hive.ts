// Tables as Glue keeps them for Athena, and the DDL of views in Trino's SQL. Pure functions.
import type { TableDefinition } from "../ports.ts";

export type HiveTable = {
  columns: { Name: string; Type: string; Comment: string }[];
  /** The Java class that reads its files. */
  serde: string;
  serdeProperties: Record<string, string>;
  /** TBLPROPERTIES. */
  properties: Record<string, string>;
};

/**
 * The table over a folder's CSV files. Its columns are strings, because the serde reads nothing else well.
 *
 * OpenCSVSerde's own escape character is the backslash, which would eat the backslashes of people's comments. U+0001
 * is a control character and so occurs in no field; a `"` inside a field is doubled, which the serde reads as one.
 * https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html
 */
export function hiveTable({ columns }: Pick<TableDefinition, "columns">): HiveTable {
  return {
    columns: columns.map(({ name, comment }) => ({ Name: name, Type: "string", Comment: comment })),
    serde: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
    serdeProperties: { separatorChar: ",", quoteChar: '"', escapeChar: "\u0001" },
    properties: { "skip.header.line.count": "1" },
  };
}

export function createView(database: string, name: string, select: string): string {
  return `CREATE OR REPLACE VIEW "${database}"."${name}" AS\n${select}`;
}
