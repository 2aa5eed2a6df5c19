// The table catalog on Glue, also while another call changes a table. The tests respond in the SDK's middleware.
import {
  AlreadyExistsException,
  ConcurrentModificationException,
  EntityNotFoundException,
  GlueClient,
  type ServiceOutputTypes,
  type Table,
  type UpdateTableCommandInput,
} from "@aws-sdk/client-glue";
import { expect, test } from "vitest";
import { GlueCatalog } from "../../../shared/aws/glue.ts";
import { intercept, offline } from "../../contracts/inject.ts";

const definition = {
  format: "csv" as const,
  columns: [{ name: "id", comment: "The id" }],
  folder: "gates/csv/",
};

type Glue = {
  table?: Table;
  /** The number of updates that fail because another call changed the table. */
  changes?: number;
  /** Whether the database exists. */
  hasDatabase?: boolean;
};

/** Starts a Glue with at most one table, whose description changes with each read. */
function start({ table, changes = 0, hasDatabase = true }: Glue) {
  const client = new GlueClient({ ...offline, maxAttempts: 1 });
  const updates: UpdateTableCommandInput[] = [];
  const created: object[] = [];
  let reads = 0;
  let left = changes;
  let isThere = hasDatabase;
  intercept(client, async ({ command, input }): Promise<ServiceOutputTypes> => {
    const $metadata = {};
    if (command === "GetTable") {
      if (!table) throw new EntityNotFoundException({ message: "", $metadata });
      reads += 1;
      return { $metadata, Table: { ...table, Description: `read ${reads}`, VersionId: String(reads) } };
    }
    if (command === "CreateDatabase") {
      isThere = true;
      return { $metadata };
    }
    if (command === "CreateTable") {
      if (!isThere) throw new EntityNotFoundException({ message: "", $metadata });
      if (table) throw new AlreadyExistsException({ message: "", $metadata });
      created.push(input);
      return { $metadata };
    }
    if (!("TableInput" in input) || !("SkipArchive" in input)) throw new Error(`${command} is not expected.`);
    if (left > 0) {
      left -= 1;
      throw new ConcurrentModificationException({ message: "", $metadata });
    }
    updates.push(input);
    return { $metadata };
  });
  return { updates, created, catalog: new GlueCatalog(client, { database: "library", dataBucket: "data" }) };
}

const existing: Table = {
  Name: "gates",
  TableType: "EXTERNAL_TABLE",
  Parameters: { numRows: "3", "skip.header.line.count": "0" },
  StorageDescriptor: {
    Columns: [{ Name: "old", Type: "string" }],
    InputFormat: "text",
    SerdeInfo: { Name: "gates", Parameters: { "serialization.format": "1" } },
  },
};

const isChanged = { name: "TableChanged", kind: "transient", ids: { table: "gates" } };

test("changes a table in one step, and keeps settings of other tools", async () => {
  const { catalog, updates } = start({ table: existing });
  await catalog.defineTable("gates", definition, "1");
  const { StorageDescriptor, ...input } = updates[0]?.TableInput ?? {};
  expect(updates).toMatchObject([{ DatabaseName: "library", VersionId: "1" }]);
  expect(input).toMatchObject({
    TableType: "EXTERNAL_TABLE",
    Description: "read 1",
    Parameters: { numRows: "3", "skip.header.line.count": "1" },
  });
  expect(StorageDescriptor).toEqual({
    Columns: [{ Name: "id", Type: "string", Comment: "The id" }],
    Location: "s3://data/gates/csv/",
    InputFormat: "org.apache.hadoop.mapred.TextInputFormat",
    OutputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    SerdeInfo: {
      Name: "gates",
      SerializationLibrary: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
      Parameters: {
        "serialization.format": "1",
        separatorChar: ",",
        quoteChar: '"',
        escapeChar: "\u0001",
      },
    },
  });
});

test("creates a table over Parquet with Hive's types", async () => {
  const { catalog, created } = start({});
  const types = ["text", "time", "texts", "integer", "number", "boolean", "date", "timestamp"] as const;
  const columns = types.map((type) => ({ name: `${type}_column`, type, comment: "" }));
  await catalog.defineTable("gates", { format: "parquet", columns, folder: "gates/" }, undefined);
  const hive = ["string", "string", "array<string>", "bigint", "double", "boolean", "date", "timestamp"];
  expect(created).toMatchObject([
    {
      TableInput: {
        Parameters: { EXTERNAL: "TRUE" },
        StorageDescriptor: {
          Columns: types.map((type, index) => ({ Name: `${type}_column`, Type: hive[index] })),
          InputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
          OutputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
          SerdeInfo: {
            SerializationLibrary: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            Parameters: { "serialization.format": "1" },
          },
        },
      },
    },
  ]);
});

test("creates a table like Athena, with the database if it does not exist", async () => {
  const { catalog, created } = start({ hasDatabase: false });
  await catalog.defineTable("gates", { ...definition, mark: "held" }, undefined);
  expect(created).toEqual([
    {
      DatabaseName: "library",
      TableInput: {
        Name: "gates",
        TableType: "EXTERNAL_TABLE",
        PartitionKeys: [],
        Parameters: { EXTERNAL: "TRUE", "skip.header.line.count": "1", "libinsight.mark": "held" },
        StorageDescriptor: {
          Columns: [{ Name: "id", Type: "string", Comment: "The id" }],
          Location: "s3://data/gates/csv/",
          InputFormat: "org.apache.hadoop.mapred.TextInputFormat",
          OutputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
          SerdeInfo: {
            SerializationLibrary: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
            Parameters: {
              "serialization.format": "1",
              separatorChar: ",",
              quoteChar: '"',
              escapeChar: "\u0001",
            },
          },
        },
      },
    },
  ]);
});

test("moves another tool's table with its columns, serde and types", async () => {
  const table = {
    ...existing,
    StorageDescriptor: { ...existing.StorageDescriptor, Location: "s3://data/gates" },
  };
  const { catalog, updates } = start({ table });
  expect(await catalog.table("gates")).toEqual({ folder: "gates", mark: undefined, version: "1" });
  await catalog.moveTable("gates", { folder: "gates-previous/", mark: "held" }, "2");
  expect(updates[0]?.TableInput).toMatchObject({
    Parameters: { numRows: "3", "skip.header.line.count": "0", "libinsight.mark": "held" },
    StorageDescriptor: { ...existing.StorageDescriptor, Location: "s3://data/gates-previous/" },
  });
  const elsewhere = start({ table: { ...table, StorageDescriptor: { Location: "s3://other/gates/" } } });
  const { folder = "" } = (await elsewhere.catalog.table("gates")) ?? {};
  await elsewhere.catalog.moveTable("gates", { folder, mark: "held" }, "2");
  expect(elsewhere.updates[0]?.TableInput?.StorageDescriptor?.Location).toBe("s3://other/gates/");
});

test("does not write a table that already has the definition", async () => {
  const first = start({ table: existing });
  await first.catalog.defineTable("gates", definition, "1");
  const { TableInput: input } = first.updates[0] ?? {};
  const again = start({ table: { ...input, Name: "gates" } });
  await again.catalog.defineTable("gates", definition, "1");
  expect(again.updates).toEqual([]);
  const missing = start({});
  expect(await missing.catalog.table("gates")).toBeUndefined();
  await missing.catalog.comment("gates", new Map([["id", "The id"]]));
  expect(missing.updates).toEqual([]);
});

test("does not overwrite a table that another call changed, deleted or created meanwhile", async () => {
  const changed = start({ table: existing, changes: 1 });
  await expect(changed.catalog.defineTable("gates", definition, "1")).rejects.toMatchObject(isChanged);
  await expect(changed.catalog.moveTable("gates", { folder: "x/" }, "1")).rejects.toMatchObject(isChanged);
  await expect(start({}).catalog.defineTable("gates", definition, "1")).rejects.toMatchObject(isChanged);
  const created = start({ table: existing });
  await expect(created.catalog.defineTable("gates", definition, undefined)).rejects.toMatchObject(isChanged);
  expect([...changed.updates, ...created.updates, ...created.created]).toEqual([]);
});

test("reads a view that another call changed meanwhile again before it sets the comments", async () => {
  const { catalog, updates } = start({ table: existing, changes: 2 });
  await catalog.comment("gates", new Map([["old", "Its comment"]]));
  const StorageDescriptor = { Columns: [{ Name: "old", Type: "string", Comment: "Its comment" }] };
  expect(updates).toMatchObject([
    { VersionId: "3", TableInput: { Description: "read 3", StorageDescriptor } },
  ]);
  const contended = start({ table: existing, changes: 3 });
  await expect(contended.catalog.comment("gates", new Map([["old", "x"]]))).rejects.toBeInstanceOf(
    ConcurrentModificationException,
  );
  expect(contended.updates).toEqual([]);
});
