// The catalog on Glue. The tests give its responses in the SDK's middleware: another call changes a table meanwhile.
import {
  ConcurrentModificationException,
  EntityNotFoundException,
  GlueClient,
  type ServiceOutputTypes,
  type Table,
  type UpdateTableCommandInput,
} from "@aws-sdk/client-glue";
import { expect, test } from "vitest";
import { GlueCatalog } from "../../../shared/aws/glue.ts";
import { hiveTable } from "../../../shared/aws/hive.ts";
import { intercept, offline } from "../../contracts/inject.ts";

const definition = hiveTable({ columns: [{ name: "id", comment: "The id" }], folder: "gates/csv/" }, "data");

/**
 * A Glue with one table.
 * @param changes how often another call changes the table between a read and the update
 */
function start(table: Table | undefined, changes = 0) {
  const client = new GlueClient({ ...offline, maxAttempts: 1 });
  const updates: UpdateTableCommandInput[] = [];
  let reads = 0;
  let left = changes;
  intercept(client, async ({ command, input }): Promise<ServiceOutputTypes> => {
    if (command === "GetTable") {
      if (!table) throw new EntityNotFoundException({ message: "", $metadata: {} });
      reads += 1;
      return { $metadata: {}, Table: { ...table, Description: `read ${reads}`, VersionId: String(reads) } };
    }
    if (!("TableInput" in input) || !("SkipArchive" in input)) throw new Error(`${command} is not expected.`);
    if (left > 0) {
      left -= 1;
      throw new ConcurrentModificationException({ message: "", $metadata: {} });
    }
    updates.push(input);
    return { $metadata: {} };
  });
  return { updates, catalog: new GlueCatalog(client, "library") };
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

test("a table is changed in one step, and keeps what others have set", async () => {
  const { catalog, updates } = start(existing);
  expect(await catalog.define("gates", definition)).toBe(true);
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
      Parameters: { "serialization.format": "1", ...definition.serdeProperties },
    },
  });
});

test("a table that is as defined is not written, and one that does not exist is not either", async () => {
  const first = start(existing);
  await first.catalog.define("gates", definition);
  const { TableInput: input } = first.updates[0] ?? {};
  const again = start({ ...input, Name: "gates" });
  // Its description differs with each read and is none of the definition's.
  expect(await again.catalog.define("gates", definition)).toBe(true);
  expect(again.updates).toEqual([]);
  const missing = start(undefined);
  expect(await missing.catalog.define("gates", definition)).toBe(false);
  await missing.catalog.comment("gates", new Map([["id", "The id"]]));
  expect(missing.updates).toEqual([]);
});

test("a table that another call changed meanwhile is not written over: the definition is retried later", async () => {
  const { catalog, updates } = start(existing, 1);
  await expect(catalog.define("gates", definition)).rejects.toBeInstanceOf(ConcurrentModificationException);
  expect(updates).toEqual([]);
});

test("a view that another call changed meanwhile is read again and then gets its comments", async () => {
  const { catalog, updates } = start(existing, 2);
  await catalog.comment("gates", new Map([["old", "Its comment"]]));
  const StorageDescriptor = { Columns: [{ Name: "old", Type: "string", Comment: "Its comment" }] };
  expect(updates).toMatchObject([
    { VersionId: "3", TableInput: { Description: "read 3", StorageDescriptor } },
  ]);
  const contended = start(existing, 3);
  await expect(contended.catalog.comment("gates", new Map([["old", "x"]]))).rejects.toBeInstanceOf(
    ConcurrentModificationException,
  );
  expect(contended.updates).toEqual([]);
});
