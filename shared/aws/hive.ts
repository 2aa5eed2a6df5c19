// The definitions of tables in Glue, and the DDL of views in Trino SQL. Pure functions.
import type { ParquetType } from "../parquet.ts";
import type { TableDefinition } from "../ports.ts";

export type HiveTable = {
  columns: { Name: string; Type: string; Comment: string }[];
  /** Java classes of the files' format. */
  inputFormat: string;
  outputFormat: string;
  /** Java class that reads the files. */
  serde: string;
  serdeProperties: Record<string, string>;
  /** Table properties (TBLPROPERTIES). */
  properties: Record<string, string>;
};

/** `time` is a text, because Hive has no such type. */
const types: Record<ParquetType, string> = {
  text: "string",
  time: "string",
  texts: "array<string>",
  integer: "bigint",
  number: "double",
  boolean: "boolean",
  date: "date",
  timestamp: "timestamp",
};

/**
 * Returns the definition of a table over CSV or Parquet files. All columns of a CSV are strings, because OpenCSVSerde does not read other
 * types well. Its default escape character, the backslash, would remove backslashes from text. U+0001 is a control
 * character, so no field contains it. The serde reads the doubled `"` in a field as one.
 * https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html
 * Athena finds the columns of Parquet by name. https://docs.aws.amazon.com/athena/latest/ug/handling-schema-updates-chapter.html
 */
export function hiveTable(table: TableDefinition): HiveTable {
  if (table.format === "parquet") {
    return {
      columns: table.columns.map(({ name, type, comment }) => ({
        Name: name,
        Type: types[type],
        Comment: comment,
      })),
      inputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
      outputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
      serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
      serdeProperties: {},
      properties: {},
    };
  }
  return {
    columns: table.columns.map(({ name, comment }) => ({ Name: name, Type: "string", Comment: comment })),
    inputFormat: "org.apache.hadoop.mapred.TextInputFormat",
    outputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    serde: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
    serdeProperties: { separatorChar: ",", quoteChar: '"', escapeChar: "\u0001" },
    properties: { "skip.header.line.count": "1" },
  };
}

export function createView(database: string, name: string, select: string): string {
  return `CREATE OR REPLACE VIEW "${database}"."${name}" AS\n${select}`;
}
