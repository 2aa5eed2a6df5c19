// The columns of a dataset's published files: their headers, and their names and types in Athena.
import { assignNames, type ColumnNames, distinctHeaders } from "./column-names.ts";
import type { ColumnType } from "./column-types.ts";
import { type Dataset, outputColumns } from "./dataset-schema.ts";

export type TableColumn = {
  name: string;
  /** The header in the file, which is the field's label in LibInsight. */
  header: string;
  type: ColumnType;
  meaning?: string | undefined;
  personal: boolean;
  /** Whether shared/library.ts declares it. */
  declared: boolean;
};

/**
 * Returns the table's columns in the order of a file's header, because a CSV table maps columns by position. Undeclared
 * columns are text.
 * @param known names that were assigned to headers before
 */
export function tableColumns(
  headers: readonly string[],
  dataset: Dataset,
  known?: ColumnNames,
): TableColumn[] {
  const declared = new Map(
    dataset.columns.flatMap((column) => ("drop" in column ? [] : [[column.name, column] as const])),
  );
  const names = assignNames(headers, (header) => declared.has(header), known);
  const distinct = distinctHeaders(headers);
  return headers.map((header, index) => {
    const column = declared.get(header);
    return {
      header,
      name: names.get(distinct[index] ?? header) ?? "",
      type: column && "type" in column ? column.type : "text",
      meaning: column?.meaning,
      personal: column?.personal ?? false,
      declared: column !== undefined,
    };
  });
}

/** Returns the table's columns for a file without undeclared columns. */
export function declaredColumns(dataset: Dataset, known?: ColumnNames): TableColumn[] {
  return tableColumns(outputColumns(dataset.columns), dataset, known);
}
