// The table catalog on Glue, where Athena stores tables and views. Tables are not defined with Athena's DDL, because
// only Glue changes columns and location in one step and checks that the table has not changed. Athena's ALTER TABLE
// REPLACE COLUMNS is documented only for LazySimpleSerDe, and its CREATE VIEW does not accept comments.
// https://docs.aws.amazon.com/athena/latest/ug/alter-table-replace-columns.html
import { isDeepStrictEqual } from "node:util";
import {
  AlreadyExistsException,
  ConcurrentModificationException,
  CreateDatabaseCommand,
  CreateTableCommand,
  EntityNotFoundException,
  GetTableCommand,
  type GlueClient,
  type Table,
  type TableInput,
  UpdateTableCommand,
} from "@aws-sdk/client-glue";
import {
  type FoundTable,
  type TableCatalog,
  type TableDefinition,
  type TableLocation,
  tableChanged,
} from "../ports.ts";
import { hiveTable } from "./hive.ts";

/** Two invocations for one file may create the same view at the same time. */
const commentAttempts = 3;
/** The table property for the mark. */
const markProperty = "libinsight.mark";

export class GlueCatalog implements TableCatalog {
  readonly #glue: GlueClient;
  readonly #database: string;
  /** URL of the data bucket. */
  readonly #bucket: string;

  constructor(glue: GlueClient, { database, dataBucket }: { database: string; dataBucket: string }) {
    this.#glue = glue;
    this.#database = database;
    this.#bucket = `s3://${dataBucket}/`;
  }

  async #find(name: string): Promise<Table | undefined> {
    try {
      const { Table } = await this.#glue.send(
        new GetTableCommand({ DatabaseName: this.#database, Name: name }),
      );
      return Table;
    } catch (error) {
      if (error instanceof EntityNotFoundException) return undefined;
      throw error;
    }
  }

  async table(name: string): Promise<FoundTable | undefined> {
    const table = await this.#find(name);
    if (!table) return undefined;
    const location = table.StorageDescriptor?.Location ?? "";
    return {
      folder: location.startsWith(this.#bucket) ? location.slice(this.#bucket.length) : location,
      mark: table.Parameters?.[markProperty],
      version: versionOf(table),
    };
  }

  async defineTable(name: string, table: TableDefinition, ifVersion: string | undefined): Promise<void> {
    const { columns, inputFormat, outputFormat, serde, serdeProperties, properties } = hiveTable(table);
    const define = (input: TableInput): TableInput => ({
      ...input,
      // Other tools may have added properties, such as a table's statistics.
      Parameters: { ...input.Parameters, ...properties },
      StorageDescriptor: {
        ...input.StorageDescriptor,
        Columns: columns,
        InputFormat: inputFormat,
        OutputFormat: outputFormat,
        SerdeInfo: {
          ...input.StorageDescriptor?.SerdeInfo,
          SerializationLibrary: serde,
          Parameters: { ...input.StorageDescriptor?.SerdeInfo?.Parameters, ...serdeProperties },
        },
      },
    });
    if (ifVersion === undefined)
      return this.#create(this.#locate(define({ Name: name, ...emptyTable }), table));
    return this.#change(name, ifVersion, (input) => this.#locate(define(input), table));
  }

  moveTable(name: string, location: TableLocation, ifVersion: string): Promise<void> {
    return this.#change(name, ifVersion, (input) => this.#locate(input, location));
  }

  #locate(input: TableInput, { folder, mark }: TableLocation): TableInput {
    const { [markProperty]: _, ...properties } = input.Parameters ?? {};
    // Another tool's table may have any URL.
    const location = folder.includes("://") ? folder : `${this.#bucket}${folder}`;
    return {
      ...input,
      Parameters: { ...properties, ...(mark !== undefined && { [markProperty]: mark }) },
      StorageDescriptor: { ...input.StorageDescriptor, Location: location },
    };
  }

  async #create(input: TableInput): Promise<void> {
    const create = () =>
      this.#glue.send(new CreateTableCommand({ DatabaseName: this.#database, TableInput: input }));
    try {
      await create().catch(async (error: unknown) => {
        if (!(error instanceof EntityNotFoundException)) throw error;
        await this.#createDatabase();
        await create();
      });
    } catch (error) {
      if (error instanceof AlreadyExistsException) throw tableChanged(input.Name ?? "");
      throw error;
    }
  }

  async #createDatabase(): Promise<void> {
    try {
      await this.#glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: this.#database } }));
    } catch (error) {
      if (!(error instanceof AlreadyExistsException)) throw error;
    }
  }

  async #change(name: string, ifVersion: string, change: (input: TableInput) => TableInput): Promise<void> {
    const table = await this.#find(name);
    if (!table || versionOf(table) !== ifVersion) throw tableChanged(name);
    const input = inputOf(name, table);
    try {
      await this.#update(table, input, change(input));
    } catch (error) {
      if (error instanceof ConcurrentModificationException) throw tableChanged(name);
      throw error;
    }
  }

  /**
   * Sets the comments of a view's columns. If another call changes the view meanwhile, retries with the changed view.
   * @param comments by column
   * @throws Glue's ConcurrentModificationException after three attempts
   */
  async comment(name: string, comments: ReadonlyMap<string, string>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const table = await this.#find(name);
      if (!table) return;
      const input = inputOf(name, table);
      const Columns = input.StorageDescriptor?.Columns?.map((column) => ({
        ...column,
        Comment: comments.get(column.Name ?? "") ?? column.Comment,
      }));
      const changed = {
        ...input,
        StorageDescriptor: { ...input.StorageDescriptor, ...(Columns && { Columns }) },
      };
      try {
        await this.#update(table, input, changed);
        return;
      } catch (error) {
        if (!(error instanceof ConcurrentModificationException) || attempt >= commentAttempts) throw error;
      }
    }
  }

  async #update(table: Table, current: TableInput, changed: TableInput): Promise<void> {
    if (isDeepStrictEqual(current, changed)) return;
    await this.#glue.send(
      new UpdateTableCommand({
        DatabaseName: this.#database,
        TableInput: changed,
        // Glue refuses the change if the table now has another version. Iceberg tables in Glue rely on this too.
        VersionId: versionOf(table),
        // Tables and views are written every week, and their earlier versions are not needed.
        SkipArchive: true,
      }),
    );
  }
}

/** The values that Athena's CREATE EXTERNAL TABLE writes to Glue, without those of the files' format. */
const emptyTable: Omit<TableInput, "Name"> = {
  TableType: "EXTERNAL_TABLE",
  PartitionKeys: [],
  Parameters: { EXTERNAL: "TRUE" },
  StorageDescriptor: {
    SerdeInfo: { Parameters: { "serialization.format": "1" } },
  },
};

/** The version prevents two calls from overwriting each other's changes. */
function versionOf({ VersionId }: Table): string {
  if (VersionId === undefined) throw new Error("Glue returned a table without a version.");
  return VersionId;
}

/** Returns the part of a GetTable response that UpdateTable accepts. */
function inputOf(name: string, table: Table): TableInput {
  const { Description, Owner, Retention, StorageDescriptor, PartitionKeys, TableType, Parameters } = table;
  const { ViewOriginalText, ViewExpandedText, LastAccessTime, LastAnalyzedTime } = table;
  return {
    Name: name,
    Description,
    Owner,
    Retention,
    StorageDescriptor,
    PartitionKeys: PartitionKeys ?? [],
    TableType,
    Parameters,
    ViewOriginalText,
    ViewExpandedText,
    LastAccessTime,
    LastAnalyzedTime,
  };
}
