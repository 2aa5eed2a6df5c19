// The definitions of tables in Glue, and the DDL of views in Trino SQL. Pure functions.
import type { TableDefinition } from "../ports.ts";

export type HiveTable = {
  columns: { Name: string; Type: string; Comment: string }[];
  /** Java class that reads the files. */
  serde: string;
  serdeProperties: Record<string, string>;
  /** Table properties (TBLPROPERTIES). */
  properties: Record<string, string>;
};

/**
 * Returns the definition of a table over CSV files. All columns are strings, because OpenCSVSerde does not read other
 * types well. Its default escape character, the backslash, would remove backslashes from text. U+0001 is a control
 * character, so no field contains it. The serde reads the doubled `"` in a field as one.
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
