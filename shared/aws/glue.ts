// The Glue Data Catalog, in which Athena keeps tables and views. Columns and comments are changed here, because Athena's
// own ALTER TABLE REPLACE COLUMNS is documented for LazySimpleSerDe only and its CREATE VIEW takes no comments.
// https://docs.aws.amazon.com/athena/latest/ug/alter-table-replace-columns.html
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

/** A table as the pipeline defines one. */
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

/** Two calls that follow one file create the same view at once. */
const commentAttempts = 3;

export class GlueCatalog {
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

  /**
   * Changes a table to a definition, in one step and without dropping it: a reader sees the old or the new one.
   * @returns whether there is such a table
   * @throws Glue's ConcurrentModificationException where another call changed it meanwhile
   */
  async define(name: string, { columns, location, serde, ...rest }: CatalogTable): Promise<boolean> {
    const table = await this.#find(name);
    if (!table) return false;
    const input = inputOf(name, table);
    const changed: TableInput = {
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
    await this.#update(table, input, changed);
    return true;
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

  async #update({ VersionId }: Table, current: TableInput, changed: TableInput): Promise<void> {
    if (isDeepStrictEqual(current, changed)) return;
    await this.#glue.send(
      new UpdateTableCommand({
        DatabaseName: this.#database,
        TableInput: changed,
        // Glue refuses the change if the table has another version by now.
        ...(VersionId && { VersionId }),
        // Views are written every week; their versions are not needed.
        SkipArchive: true,
      }),
    );
  }
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
