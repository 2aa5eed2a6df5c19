// The catalog that the local Athena and the local Glue share: databases, tables, views and workgroups, as plain values,
// and what each DDL statement makes of them. Tables and views stand in it as Glue keeps them.
import { z } from "zod";
import { type Column, QueryError, type RelationName, type Statement } from "./athena-ddl.ts";
import { readRelation, tableDefinition, viewDefinition } from "./athena-relations.ts";

/** Glue's pattern for one line of text: no control characters but the tab, whole characters only. */
const line = /^[\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}\t]*$/u;
const lineOf = (maxBytes: number) =>
  z
    .string()
    .regex(line, "has a line break or a control character")
    // The API's reference counts characters, the developer guide bytes; here both have to fit.
    .refine((text) => Buffer.byteLength(text) <= maxBytes, `has more than ${maxBytes} bytes`);
const nameLine = lineOf(255).min(1);
const parameters = z.record(nameLine, z.string().max(512_000));

// https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html
const column = z.strictObject({
  Name: nameLine,
  Type: lineOf(131_072).optional(),
  Comment: lineOf(255).optional(),
  Parameters: parameters.optional(),
});

/** What a caller says of a table or a view. https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html */
export const definition = z.strictObject({
  Name: nameLine.toLowerCase(),
  Description: z.string().max(2_048).optional(),
  Owner: nameLine.optional(),
  Retention: z.int().nonnegative().optional(),
  TableType: lineOf(255).optional(),
  Parameters: parameters.optional(),
  PartitionKeys: z.array(column).optional(),
  ViewOriginalText: z.string().max(409_600).optional(),
  ViewExpandedText: z.string().max(409_600).optional(),
  StorageDescriptor: z
    .strictObject({
      Columns: z.array(column).optional(),
      Location: z.string().max(2_056).optional(),
      InputFormat: lineOf(128).optional(),
      OutputFormat: lineOf(128).optional(),
      Compressed: z.boolean().optional(),
      NumberOfBuckets: z.int().optional(),
      SerdeInfo: z
        .strictObject({
          Name: nameLine.optional(),
          SerializationLibrary: nameLine.optional(),
          Parameters: parameters.optional(),
        })
        .optional(),
      BucketColumns: z.array(nameLine).optional(),
      SortColumns: z.array(z.strictObject({ Column: nameLine, SortOrder: z.int().min(0).max(1) })).optional(),
      Parameters: parameters.optional(),
      StoredAsSubDirectories: z.boolean().optional(),
    })
    .optional(),
});
export type Definition = z.infer<typeof definition>;

const relation = z.strictObject({
  database: z.string(),
  name: z.string(),
  definition,
  /** 0 when it is created, one more with each change. */
  version: z.int().nonnegative(),
  /** Both are seconds since 1970. */
  createdAt: z.number(),
  updatedAt: z.number(),
});
export type Relation = z.infer<typeof relation>;

const workGroup = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  outputLocation: z.string().optional(),
  /** The workgroup's output location goes before the request's. */
  enforced: z.boolean(),
  createdAt: z.number(),
});
export type WorkGroup = z.infer<typeof workGroup>;

export const catalog = z.strictObject({
  databases: z.array(z.string()),
  relations: z.array(relation),
  workGroups: z.array(workGroup),
});
export type Catalog = z.infer<typeof catalog>;

/** What every account has from the start. */
export const emptyCatalog: Catalog = {
  databases: ["default"],
  relations: [],
  workGroups: [{ name: "primary", enforced: false, createdAt: 0 }],
};

export function findRelation(catalog: Catalog, { database, name }: RelationName): Relation | undefined {
  return catalog.relations.find((relation) => relation.database === database && relation.name === name);
}

/**
 * The catalog with the table or view as it is now defined, in place of what it was.
 * @param at seconds since 1970
 */
export function putRelation(catalog: Catalog, database: string, definition: Definition, at: number): Catalog {
  const { Name: name } = definition;
  const existing = findRelation(catalog, { database, name });
  const relation: Relation = {
    database,
    name,
    definition,
    version: existing ? existing.version + 1 : 0,
    createdAt: existing?.createdAt ?? at,
    updatedAt: at,
  };
  return { ...catalog, relations: [...without(catalog, relation).relations, relation] };
}

/**
 * The catalog after a statement other than SELECT.
 * @param by.at seconds since 1970
 * @param by.viewColumns the columns of the view that is created, as the engine found them
 * @throws QueryError when the statement does not fit what there is
 */
export function applyDdl(
  catalog: Catalog,
  statement: Exclude<Statement, { kind: "select" }>,
  by: { at: number; context: string | undefined; viewColumns: Column[] },
): Catalog {
  if (statement.kind === "create database") {
    if (!catalog.databases.includes(statement.database)) {
      return { ...catalog, databases: [...catalog.databases, statement.database] };
    }
    if (statement.ifNotExists) return catalog;
    throw new QueryError(`Database ${statement.database} already exists.`);
  }
  const { database, name } = statement.relation;
  const existing = findRelation(catalog, statement.relation);
  const isView = existing?.definition.TableType === "VIRTUAL_VIEW";
  const told = `${database}.${name}`;
  const put = (definition: Definition) => putDefinition(catalog, database, definition, by.at);
  switch (statement.kind) {
    case "create table":
      if (existing && statement.ifNotExists) return catalog;
      if (existing) throw new QueryError(`Table ${told} already exists.`);
      return put(tableDefinition(name, statement.table));
    case "create view":
      if (existing && !(isView && statement.orReplace)) {
        throw new QueryError(`View ${told} already exists, or a table has its name.`);
      }
      return put(viewDefinition({ name, columns: by.viewColumns, sql: statement.sql, context: by.context }));
    case "drop":
      if (existing && isView === (statement.of === "view")) return without(catalog, statement.relation);
      if (!existing && statement.ifExists) return catalog;
      throw new QueryError(`There is no ${statement.of} ${told}.`);
  }
}

/** As `putRelation`, refusing what Glue would refuse or Athena could not read. */
function putDefinition(catalog: Catalog, database: string, written: Definition, at: number): Catalog {
  if (!catalog.databases.includes(database)) {
    throw new QueryError(`Database ${database} does not exist; create it first.`);
  }
  const checked = definition.safeParse(written);
  if (!checked.success) {
    throw new QueryError(`ValidationException of Glue: ${z.prettifyError(checked.error)}`);
  }
  readRelation({ database, name: checked.data.Name, definition: checked.data });
  return putRelation(catalog, database, checked.data, at);
}

function without(catalog: Catalog, { database, name }: RelationName): Catalog {
  const relations = catalog.relations.filter((it) => it.database !== database || it.name !== name);
  return { ...catalog, relations };
}
