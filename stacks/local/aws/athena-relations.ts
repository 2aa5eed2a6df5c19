// What Athena writes into the Glue Data Catalog for a table or a view, and how it reads what stands there, whoever
// wrote it.
import { z } from "zod";
import type { Definition, Relation } from "./athena-catalog.ts";
import { type Column, parseS3Uri, QueryError, type TableClauses } from "./athena-ddl.ts";

/** One character each. https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html */
export type CsvDialect = { separator: string; quote: string; escape: string };

/** A table as the engine reads it. */
export type Table = {
  kind: "table";
  database: string;
  name: string;
  columns: Column[];
  dialect: CsvDialect;
  /** Lines at the head of each object that are not rows. */
  skipLines: number;
  bucket: string;
  /** Empty or with a slash at its end. */
  prefix: string;
};

/** A view as the engine reads it. */
export type View = {
  kind: "view";
  database: string;
  name: string;
  /** With Trino's types. */
  columns: Column[];
  sql: string;
  /** Where names without a database belonged when it was created. */
  context: string | undefined;
};

type Defined = Pick<Relation, "database" | "name" | "definition">;

const openCsvSerde = "org.apache.hadoop.hive.serde2.OpenCSVSerde";

export function tableDefinition(name: string, table: TableClauses): Definition {
  return {
    Name: name,
    TableType: "EXTERNAL_TABLE",
    PartitionKeys: [],
    Parameters: {
      EXTERNAL: "TRUE",
      ...(table.comment !== undefined && { comment: table.comment }),
      ...table.properties,
    },
    StorageDescriptor: {
      Columns: catalogColumns(table.columns),
      Location: table.location,
      InputFormat: "org.apache.hadoop.mapred.TextInputFormat",
      OutputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
      Compressed: false,
      NumberOfBuckets: -1,
      SerdeInfo: {
        SerializationLibrary: table.serde,
        Parameters: { ...table.serdeProperties, "serialization.format": "1" },
      },
      BucketColumns: [],
      SortColumns: [],
      StoredAsSubDirectories: false,
    },
  };
}

/** What Trino keeps of a view, and Athena with it, in ViewOriginalText. */
const prestoView = z.object({
  originalSql: z.string(),
  catalog: z.string().optional(),
  schema: z.string().optional(),
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
});
const prestoViewText = /^\/\* Presto View: (?<data>[A-Za-z0-9+/=]+) \*\/$/;

/**
 * As Trino writes a view into a Hive metastore, with the columns where Glue shows them:
 * https://github.com/trinodb/trino/blob/master/plugin/trino-hive/src/main/java/io/trino/plugin/hive/ViewReaderUtil.java
 */
export function viewDefinition({ name, columns, sql, context }: Omit<View, "kind" | "database">): Definition {
  const data: z.infer<typeof prestoView> = {
    originalSql: sql,
    catalog: "awsdatacatalog",
    schema: context,
    columns: columns.map(({ name, type }) => ({ name, type })),
  };
  return {
    Name: name,
    TableType: "VIRTUAL_VIEW",
    PartitionKeys: [],
    Parameters: { presto_view: "true", comment: "Presto View" },
    ViewOriginalText: `/* Presto View: ${Buffer.from(JSON.stringify(data)).toString("base64")} */`,
    ViewExpandedText: "/* Presto View */",
    StorageDescriptor: {
      Columns: catalogColumns(columns.map(({ name, type }) => ({ name, type: hiveType(type) }))),
      Location: "",
      Compressed: false,
      NumberOfBuckets: 0,
      SerdeInfo: {},
      SortColumns: [],
      StoredAsSubDirectories: false,
    },
  };
}

/** @throws QueryError when Athena could not read what the catalog says */
export function readRelation(relation: Defined): Table | View {
  const { TableType: type } = relation.definition;
  if (type === "VIRTUAL_VIEW") return readView(relation);
  if (type === "EXTERNAL_TABLE") return readTable(relation);
  throw invalid(relation, `its TableType is ${type === undefined ? "missing" : `"${type}"`}`);
}

/** Columns by their position in the file, whatever they are called. */
function readTable(relation: Defined): Table {
  const { database, name, definition } = relation;
  const storage = definition.StorageDescriptor ?? {};
  const serde = storage.SerdeInfo?.SerializationLibrary;
  if (serde !== openCsvSerde) {
    throw invalid(
      relation,
      `this local Athena reads ${openCsvSerde} only, not ${serde ?? "a table without a SerDe"}`,
    );
  }
  // https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html: Athena needs it, be it empty.
  if (definition.PartitionKeys === undefined) throw invalid(relation, "its PartitionKeys are missing");
  if (definition.PartitionKeys.length > 0) {
    throw invalid(relation, "this local Athena reads no partitions");
  }
  const { bucket, key: prefix } = parseS3Uri(storage.Location ?? "");
  return {
    kind: "table",
    database,
    name,
    columns: readColumns(relation),
    dialect: csvDialect(storage.SerdeInfo?.Parameters ?? {}),
    skipLines: skipLines(definition.Parameters ?? {}),
    bucket,
    prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`,
  };
}

function readColumns(relation: Defined): Column[] {
  const columns = columnsOf(relation.definition);
  const names = new Set<string>();
  for (const { name, type } of columns) {
    if (names.has(name)) throw invalid(relation, `FAILED: SemanticException Duplicate column name: ${name}`);
    names.add(name);
    if (type === "string") continue;
    throw invalid(
      relation,
      `the column "${name}" is of type ${type}, and this local Athena knows columns of type string, cast in a view`,
    );
  }
  if (columns.length === 0) throw invalid(relation, "it has no columns");
  return columns;
}

function readView(relation: Defined): View {
  const { database, name, definition } = relation;
  const data = prestoViewText.exec(definition.ViewOriginalText ?? "")?.groups?.data;
  if (definition.Parameters?.presto_view !== "true" || data === undefined) {
    throw invalid(relation, "it is not a view that Athena wrote (presto_view, ViewOriginalText)");
  }
  const { originalSql: sql, schema: context, columns } = readViewData(relation, data);
  const shown = columnsOf(definition).map(({ name, type }) => ({ name, type }));
  const own = columns.map(({ name, type }) => ({
    name: name.toLowerCase(),
    type: hiveType(type).toLowerCase(),
  }));
  // Nobody tells what Athena does where the two disagree; whoever wrote that has to hear of it here.
  if (JSON.stringify(shown) !== JSON.stringify(own)) {
    throw staleView(relation, "the columns that the catalog shows are not those of the view's own text");
  }
  return { kind: "view", database, name, columns, sql, context };
}

function readViewData(relation: Defined, data: string): z.infer<typeof prestoView> {
  try {
    return prestoView.parse(JSON.parse(Buffer.from(data, "base64").toString("utf8")));
  } catch (cause) {
    throw invalid(relation, "its ViewOriginalText is damaged", cause);
  }
}

/** https://github.com/trinodb/trino/blob/master/core/trino-main/src/main/java/io/trino/sql/analyzer/StatementAnalyzer.java */
export function staleView(
  { database, name }: Pick<View, "database" | "name">,
  why: string,
  cause?: unknown,
): QueryError {
  return new QueryError(
    `View 'awsdatacatalog.${database}.${name}' is stale or in invalid state: ${why}. Create it again with ` +
      "CREATE OR REPLACE VIEW.",
    { cause },
  );
}

function invalid({ database, name }: Defined, why: string, cause?: unknown): QueryError {
  return new QueryError(`${database}.${name} can't be read as the catalog has it: ${why}.`, { cause });
}

/** The columns that the catalog shows, with Hive's types. */
function columnsOf(definition: Definition): Column[] {
  return (definition.StorageDescriptor?.Columns ?? []).map((column) => ({
    // Glue keeps what it is given, and Athena takes it in lower case.
    name: column.Name.toLowerCase(),
    type: (column.Type ?? "").toLowerCase(),
    comment: column.Comment,
  }));
}

function catalogColumns(columns: Column[]): NonNullable<Definition["StorageDescriptor"]>["Columns"] {
  return columns.map(({ name, type, comment }) => ({
    Name: name,
    Type: type,
    ...(comment !== undefined && { Comment: comment }),
  }));
}

const hiveTypes: Record<string, string> = { varchar: "string", integer: "int", real: "float" };

function hiveType(trinoType: string): string {
  return hiveTypes[trinoType] ?? trinoType;
}

function csvDialect(properties: Record<string, string>): CsvDialect {
  const character = (name: string, byDefault: string): string => {
    const value = properties[name] ?? byDefault;
    // Hive and Trino would take the first of several, as of a backslash that was escaped twice: a mistake, and told.
    if (value.length === 1) return value;
    throw new QueryError(`${name} is one character, not ${value.length}.`);
  };
  const separator = character("separatorChar", ",");
  const quote = character("quoteChar", '"');
  const told = character("escapeChar", "\\");
  // Hive takes a double quote for "not given" here, and then escapes with a backslash after all (athena-csv.ts, rule 2).
  const dialect = { separator, quote, escape: told === '"' ? "\\" : told };
  if (new Set(Object.values(dialect)).size < 3) {
    throw new QueryError("separatorChar, quoteChar and escapeChar have to be three different characters.");
  }
  return dialect;
}

function skipLines(properties: Record<string, string>): number {
  const text = properties["skip.header.line.count"] ?? "0";
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new QueryError(`skip.header.line.count is a whole number, not "${text}".`);
}
