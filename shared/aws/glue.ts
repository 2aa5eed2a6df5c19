// The Glue Data Catalog, in which Athena keeps tables and views. Tables are written here and not by Athena's DDL: only Glue
// changes columns and location in one step, and only if the table is still the one that was read. Athena's own ALTER
// TABLE REPLACE COLUMNS is documented for LazySimpleSerDe only, and its CREATE VIEW takes no comments.
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
  type TablePlace,
  tableChanged,
} from "../ports.ts";
import { hiveTable } from "./hive.ts";

/** Two calls that follow one file create the same view at once. */
const commentAttempts = 3;
/** The property that holds a table's mark. */
const markProperty = "libinsight.mark";

export class GlueCatalog implements TableCatalog {
  readonly #glue: GlueClient;
  readonly #database: string;
  /** `s3://` and the data bucket, in which the tables' folders are. */
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
    const { columns, serde, serdeProperties, properties } = hiveTable(table);
    const define = (input: TableInput): TableInput => ({
      ...input,
      // Others may have added properties of their own, such as a table's statistics.
      Parameters: { ...input.Parameters, ...properties },
      StorageDescriptor: {
        ...input.StorageDescriptor,
        Columns: columns,
        SerdeInfo: {
          ...input.StorageDescriptor?.SerdeInfo,
          SerializationLibrary: serde,
          Parameters: { ...input.StorageDescriptor?.SerdeInfo?.Parameters, ...serdeProperties },
        },
      },
    });
    if (ifVersion === undefined)
      return this.#create(this.#placed(define({ Name: name, ...textFile }), table));
    return this.#change(name, ifVersion, (input) => this.#placed(define(input), table));
  }

  moveTable(name: string, place: TablePlace, ifVersion: string): Promise<void> {
    return this.#change(name, ifVersion, (input) => this.#placed(input, place));
  }

  #placed(input: TableInput, { folder, mark }: TablePlace): TableInput {
    const { [markProperty]: _, ...properties } = input.Parameters ?? {};
    // A table of others may be anywhere.
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
   * Sets the comments of a view's columns. Where another call changed the view meanwhile, the changed view gets them.
   * @param comments by column
   * @throws Glue's ConcurrentModificationException where that happens three times
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
        // Glue refuses the change if the table has another version by now, as Iceberg's tables in Glue rely on it.
        VersionId: versionOf(table),
        // Tables and views are written every week; their versions are not needed.
        SkipArchive: true,
      }),
    );
  }
}

/** What Athena's own CREATE EXTERNAL TABLE ... STORED AS TEXTFILE writes into Glue. */
const textFile: Omit<TableInput, "Name"> = {
  TableType: "EXTERNAL_TABLE",
  PartitionKeys: [],
  Parameters: { EXTERNAL: "TRUE" },
  StorageDescriptor: {
    InputFormat: "org.apache.hadoop.mapred.TextInputFormat",
    OutputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    SerdeInfo: { Parameters: { "serialization.format": "1" } },
  },
};

/** Without a version nothing would keep two calls from overwriting each other's change. */
function versionOf({ VersionId }: Table): string {
  if (VersionId === undefined) throw new Error("Glue returned a table without a version.");
  return VersionId;
}

/** Returns what UpdateTable accepts of a GetTable response. */
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
