// The catalog of the local Athena: databases, tables, views and workgroups, as plain values, and what each DDL
// statement makes of them.
import { z } from "zod";
import { QueryError, type RelationName, type Statement } from "./athena-ddl.ts";

const column = z.strictObject({ name: z.string(), type: z.string(), comment: z.string().optional() });

const ofRelation = {
  database: z.string(),
  name: z.string(),
  columns: z.array(column),
  /** Seconds since 1970. */
  createdAt: z.number(),
};

const table = z.strictObject({
  ...ofRelation,
  kind: z.literal("table"),
  comment: z.string().optional(),
  dialect: z.strictObject({
    separator: z.string().length(1),
    quote: z.string().length(1),
    escape: z.string().length(1),
  }),
  skipLines: z.int().nonnegative(),
  bucket: z.string(),
  prefix: z.string(),
  properties: z.record(z.string(), z.string()),
});
export type Table = z.infer<typeof table>;

const view = z.strictObject({
  ...ofRelation,
  kind: z.literal("view"),
  sql: z.string(),
  /** Where names without a database belonged when it was created. */
  context: z.string().optional(),
});
export type View = z.infer<typeof view>;
export type Relation = Table | View;

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
  relations: z.array(z.discriminatedUnion("kind", [table, view])),
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
 * The catalog after a statement other than SELECT.
 * @param viewColumns the columns of the view that is created, as the engine found them
 * @throws QueryError when the statement does not fit what there is
 */
export function applyDdl(
  catalog: Catalog,
  statement: Exclude<Statement, { kind: "select" }>,
  by: { createdAt: number; context: string | undefined; viewColumns: Relation["columns"] },
): Catalog {
  if (statement.kind === "create database") {
    if (!catalog.databases.includes(statement.database)) {
      return { ...catalog, databases: [...catalog.databases, statement.database] };
    }
    if (statement.ifNotExists) return catalog;
    throw new QueryError(`Database ${statement.database} already exists.`);
  }
  const { relation } = statement;
  const existing = findRelation(catalog, relation);
  const told = `${relation.database}.${relation.name}`;
  const { createdAt, context } = by;
  switch (statement.kind) {
    case "create table":
      if (existing && statement.ifNotExists) return catalog;
      if (existing) throw new QueryError(`Table ${told} already exists.`);
      return put(catalog, { kind: "table", ...relation, ...statement.table, createdAt });
    case "replace columns":
      if (existing?.kind !== "table") throw new QueryError(`Table not found: ${told}.`);
      return put(catalog, { ...existing, columns: statement.columns });
    case "create view":
      if (existing && !(existing.kind === "view" && statement.orReplace)) {
        throw new QueryError(`View ${told} already exists, or a table has its name.`);
      }
      return put(catalog, {
        kind: "view",
        ...relation,
        columns: by.viewColumns,
        sql: statement.sql,
        context,
        createdAt,
      });
    case "drop":
      if (existing?.kind === statement.of) return without(catalog, relation);
      if (!existing && statement.ifExists) return catalog;
      throw new QueryError(`There is no ${statement.of} ${told}.`);
  }
}

function put(catalog: Catalog, relation: Relation): Catalog {
  if (!catalog.databases.includes(relation.database)) {
    throw new QueryError(`Database ${relation.database} does not exist; create it first.`);
  }
  return { ...catalog, relations: [...without(catalog, relation).relations, relation] };
}

function without(catalog: Catalog, { database, name }: RelationName): Catalog {
  const relations = catalog.relations.filter((it) => it.database !== database || it.name !== name);
  return { ...catalog, relations };
}
