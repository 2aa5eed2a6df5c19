// The columns of the files of changes, which the assembler writes (services/assembler/changes) and the table of changes
// reads. The columns of the published file follow them, as text, with their names in Athena.
import type { ParquetColumn } from "./parquet.ts";

export const changesColumns = [
  { name: "run_id", type: "text", meaning: "Run that published the file" },
  { name: "known_at", type: "timestamp", meaning: "When that run was requested, in UTC" },
  {
    name: "change",
    type: "text",
    meaning:
      "added, edited, moved (another date), deleted, restated, reordered, or published: one for each run",
  },
  { name: "snapshot", type: "boolean", meaning: "Whether the run stored every row; only of published" },
  { name: "columns", type: "texts", meaning: "Columns with another value" },
  { name: "row", type: "integer", meaning: "Place in the published file, from 1; null for a deleted row" },
  { name: "csv", type: "text", meaning: "The row in the published file; of published the header" },
] as const satisfies readonly (ParquetColumn & { meaning: string })[];

/** The columns that only the views of the changes have, and those that their SQL needs. */
const historyNames = ["valid_from", "valid_to", "is_current", "known_on", "begins_at", "ends_at", "next_at"];

const taken = new Set<string>([...changesColumns.map(({ name }) => name), ...historyNames]);

/**
 * Returns the name of a column of the published file beside these columns.
 * @param name in Athena. None ends with _, except reserved words, and these are not reserved (shared/sql-name.ts).
 */
export function besideChanges(name: string): string {
  return taken.has(name) ? `${name}_` : name;
}
