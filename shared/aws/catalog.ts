// The Glue Data Catalog, where Athena keeps what it knows of tables and views. Columns and comments are changed here,
// because Athena's own ALTER TABLE REPLACE COLUMNS is documented for LazySimpleSerDe only and its CREATE VIEW takes no
// comments. https://docs.aws.amazon.com/athena/latest/ug/alter-table-replace-columns.html
import { isDeepStrictEqual } from "node:util";
import {
  ConcurrentModificationException,
  EntityNotFoundException,
  GetTableCommand,
  type GlueClient,
  type Table,
  type TableInput,
  UpdateTableCommand,
} from "@aws-sdk/client-glue";

/** A table as this system defines one. */
export type CatalogTable = {
  columns: CatalogColumn[];
  location: string;
  /** The Java class that reads its files. */
  serde: string;
  serdeProperties: Record<string, string>;
  /** TBLPROPERTIES. */
  properties: Record<string, string>;
};
export type CatalogColumn = { name: string; type: string; comment: string };

/** Of setting comments, where others change the same view at once. */
const commentAttempts = 3;

export class Catalog {
  readonly #glue: GlueClient;
  readonly #database: string;

  constructor(glue: GlueClient, database: string) {
    this.#glue = glue;
    this.#database = database;
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

  /** A table or view's columns, in their order; undefined where there is none of that name. */
  async columnsOf(name: string): Promise<CatalogColumn[] | undefined> {
    const table = await this.#find(name);
    return table && columnsIn(table);
  }

  /**
   * Makes a table be as defined, in one step and without dropping it: who reads it meanwhile sees the old or the new.
   * @returns whether there is such a table
   * @throws ConcurrentModificationException of Glue's where somebody else changed it meanwhile
   */
  async define(name: string, { columns, location, serde, ...rest }: CatalogTable): Promise<boolean> {
    const table = await this.#find(name);
    if (!table) return false;
    const input = inputOf(name, table);
    const wanted: TableInput = {
      ...input,
      // Others may have added properties of their own, such as a table's statistics.
      Parameters: { ...input.Parameters, ...rest.properties },
      StorageDescriptor: {
        ...input.StorageDescriptor,
        Columns: columns.map(({ name, type, comment }) => ({ Name: name, Type: type, Comment: comment })),
        Location: location,
        SerdeInfo: {
          ...input.StorageDescriptor?.SerdeInfo,
          SerializationLibrary: serde,
          Parameters: { ...input.StorageDescriptor?.SerdeInfo?.Parameters, ...rest.serdeProperties },
        },
      },
    };
    await this.#update(table, input, wanted);
    return true;
  }

  /**
   * Sets the comments of a table or view's columns. Where somebody else changed it meanwhile (two who hear of one file
   * create the same view), what is there then gets them.
   * @param comments by column
   * @throws ConcurrentModificationException of Glue's where that happens three times
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
      const wanted = {
        ...input,
        StorageDescriptor: { ...input.StorageDescriptor, ...(Columns && { Columns }) },
      };
      try {
        await this.#update(table, input, wanted);
        return;
      } catch (error) {
        if (!(error instanceof ConcurrentModificationException) || attempt >= commentAttempts) throw error;
      }
    }
  }

  async #update({ VersionId }: Table, there: TableInput, wanted: TableInput): Promise<void> {
    if (isDeepStrictEqual(there, wanted)) return;
    await this.#glue.send(
      new UpdateTableCommand({
        DatabaseName: this.#database,
        TableInput: wanted,
        // Glue refuses the change if the table is not the one that was looked at any more.
        ...(VersionId && { VersionId }),
        // Views are written anew every week; nobody needs each of their versions.
        SkipArchive: true,
      }),
    );
  }
}

function columnsIn({ StorageDescriptor }: Table): CatalogColumn[] {
  return (StorageDescriptor?.Columns ?? []).map(({ Name = "", Type = "", Comment = "" }) => ({
    name: Name,
    type: Type,
    comment: Comment,
  }));
}

/** What UpdateTable takes of what GetTable gives. */
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
