// The catalog on Glue. The tests give its responses in the SDK's middleware: another call changes a table meanwhile.
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

const definition = { columns: [{ name: "id", comment: "The id" }], folder: "gates/csv/" };

type Glue = {
  table?: Table;
  /** How often another call changes the table between a read and the update. */
  changes?: number;
  /** Without it a table cannot be created. */
  hasDatabase?: boolean;
};

/** A Glue with one table or none. Its description differs with each read and is none of a definition's. */
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

test("a table is changed in one step, and keeps what others have set", async () => {
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
    InputFormat: "text",
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

test("a table is created as Athena creates one, and its database with the first", async () => {
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

test("a table that others made is moved with its columns, its serde and its types", async () => {
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

test("a table that is as defined is not written", async () => {
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

test("a table that another call changed, removed or created meanwhile is not written over", async () => {
  const changed = start({ table: existing, changes: 1 });
  await expect(changed.catalog.defineTable("gates", definition, "1")).rejects.toMatchObject(isChanged);
  await expect(changed.catalog.moveTable("gates", { folder: "x/" }, "1")).rejects.toMatchObject(isChanged);
  await expect(start({}).catalog.defineTable("gates", definition, "1")).rejects.toMatchObject(isChanged);
  const created = start({ table: existing });
  await expect(created.catalog.defineTable("gates", definition, undefined)).rejects.toMatchObject(isChanged);
  expect([...changed.updates, ...created.updates, ...created.created]).toEqual([]);
});

test("a view that another call changed meanwhile is read again and then gets its comments", async () => {
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
