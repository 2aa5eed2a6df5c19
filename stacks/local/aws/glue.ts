// The Glue Data Catalog for one machine: the operations on databases and tables that the pipeline needs, over the
// catalog of the local Athena.
import { z } from "zod";
import { type Catalog, definition, findRelation, putRelation, type Relation } from "./athena-catalog.ts";
import { AwsJsonError, type Operation, operation } from "./aws-json.ts";
import type { JsonFile } from "./json-file.ts";

const catalogId = z.string().optional();
const name = z.string().min(1).max(255).toLowerCase();

// https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html
const updateInput = z.strictObject({
  CatalogId: catalogId,
  DatabaseName: name,
  Name: name.optional(),
  TableInput: definition,
  VersionId: z.string().min(1).max(255).optional(),
  /** Old versions are not kept here, whether it is set or not. */
  SkipArchive: z.boolean().optional(),
});

/**
 * By name. They answer as Glue does with `EntityNotFoundException`, `ConcurrentModificationException`,
 * `InvalidInputException`, and with `ValidationException` where a member is not of the shape that Glue documents.
 */
export function glueOperations(kept: JsonFile<Catalog>): Record<string, Operation> {
  function find(database: string, table: string): Relation {
    if (!kept.value.databases.includes(database)) throw notFound(`Database ${database} not found.`);
    const found = findRelation(kept.value, { database, name: table });
    if (found) return found;
    throw notFound(`Table ${table} not found.`);
  }

  return {
    GetDatabase: operation(z.strictObject({ CatalogId: catalogId, Name: name }), ({ Name: database }) => {
      if (!kept.value.databases.includes(database)) throw notFound(`Database ${database} not found.`);
      return { Database: { Name: database } };
    }),

    GetTable: operation(
      z.strictObject({ CatalogId: catalogId, DatabaseName: name, Name: name }),
      ({ DatabaseName: database, Name: table }) => ({ Table: describe(find(database, table)) }),
    ),

    // The new definition takes the old one's place as a whole: what it does not say is gone.
    UpdateTable: operation(updateInput, async (input) => {
      const { DatabaseName: database, TableInput: updated, VersionId: expected } = input;
      const { version } = find(database, input.Name ?? updated.Name);
      if (input.Name !== undefined && input.Name !== updated.Name) {
        throw new AwsJsonError("InvalidInputException", "UpdateTable can't rename a table.");
      }
      if (expected !== undefined && expected !== String(version)) {
        throw new AwsJsonError(
          "ConcurrentModificationException",
          "Update table failed due to concurrent modifications.",
        );
      }
      await kept.replace(putRelation(kept.value, database, updated, Date.now() / 1_000));
      return {};
    }),
  };
}

function notFound(message: string): AwsJsonError {
  return new AwsJsonError("EntityNotFoundException", message);
}

function describe({ database, definition, version, createdAt, updatedAt }: Relation): object {
  return {
    ...definition,
    DatabaseName: database,
    VersionId: String(version),
    CreateTime: createdAt,
    UpdateTime: updatedAt,
    IsRegisteredWithLakeFormation: false,
  };
}
