// The Parquet file of a run: the rows of its CSV with their types. Each run writes a file of its own, before the CSV, so a
// reader who knows the run of the published file finds the same rows in both.
import { createHash } from "node:crypto";
import { parse } from "node:path/posix";
import { childTables } from "./child-tables.ts";
import type { Dataset } from "./dataset-schema.ts";
import { folderOf } from "./keys.ts";
import type { ParquetColumn } from "./parquet.ts";
import type { TableColumn } from "./table-columns.ts";

/** The folder in the data bucket, with a folder for each run. @param csv key of the published file */
export function parquetFolder(csv: string): string {
  return `${folderOf(csv).slice(0, -1)}-parquet/`;
}

/** Returns the folders whose files are of one run each, and expire after `keptDays`. */
export function runFolders(
  dataset: Pick<Dataset, "columns" | "publish">,
): { name: string; folder: string }[] {
  return [{ name: "parquet", folder: parquetFolder(dataset.publish.csv) }, ...childTables(dataset)];
}

/** Returns the key in the data bucket of a run's file. @param csv key of the published file */
export function parquetKey(csv: string, runId: string): string {
  return `${parquetFolder(csv)}${runId}/${parse(csv).name}.parquet`;
}

/** Returns the file's columns. One with a child table is a list of its answers. */
export function parquetColumns(columns: readonly TableColumn[], dataset: Dataset): ParquetColumn[] {
  const lists = childTables(dataset).map(({ column }) => column);
  return columns.map(({ name, header, type }) => ({ name, type: lists.includes(header) ? "texts" : type }));
}

/**
 * Returns the metadata of the object that identifies its columns. Athena reads a file only by the columns that it was
 * written with: the dataset's entry may have changed since, for example before a rollback.
 */
export function parquetMetadata(columns: readonly ParquetColumn[]): { columns: string } {
  const text = JSON.stringify(columns.map(({ name, type }) => [name, type]));
  return { columns: createHash("sha256").update(text).digest("hex").slice(0, 16) };
}
