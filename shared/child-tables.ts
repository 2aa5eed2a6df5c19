// The child tables of a dataset: one for each column with `answers: "rows"`, in which each answer of a record is a row.
// Each run writes files of its own, so a reader who knows the run of the published file finds the answers of that run.
import type { Dataset } from "./dataset-schema.ts";
import { folderOf } from "./keys.ts";
import { sqlName } from "./sql-name.ts";

/** The headers of a child file. */
export const childHeaders = ["_id", "position", "answer"];

/**
 * Child files and Parquet files expire after this many days, because each run writes files of its own. A published file can be rolled back
 * for 90 days. The files of the live run would expire only if a dataset was not published for more than a year, during
 * which its alarm fires.
 */
export const keptDays = 400;

export type ChildTable = {
  /** The column's header. */
  column: string;
  personal: boolean;
  /** The column's name in the names and keys of this child. */
  name: string;
  table: string;
  /** The view with types. */
  typed: string;
  /** Folder in the data bucket, with a folder for each run. */
  folder: string;
  /** Returns the key in the data bucket of a run's file. */
  keyOf: (runId: string) => string;
};

/** Returns the child tables in the order of their columns. */
export function childTables({
  columns,
  publish: { csv, table },
}: {
  columns: Dataset["columns"];
  publish: Pick<Dataset["publish"], "csv" | "table">;
}): ChildTable[] {
  return columns.flatMap((column) => {
    if (!("type" in column) || column.answers !== "rows") return [];
    const name = sqlName(column.name);
    const folder = `${folderOf(csv).slice(0, -1)}-${name}/`;
    return [
      {
        column: column.name,
        personal: column.personal,
        name,
        table: `${table}_${name}`,
        typed: `${table}_${name}_typed`,
        folder,
        keyOf: (runId) => `${folder}${runId}/${csv.slice(folderOf(csv).length)}`,
      },
    ];
  });
}
