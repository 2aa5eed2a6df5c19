// A dataset's data dictionary: what its table and views hold, as an analyst needs to know it. Pure functions.
import {
  analysisColumns,
  type TableColumn,
  tableColumns,
  type ViewColumn,
} from "../../../services/athena/columns.ts";
import type { ColumnNames } from "../../../services/athena/names.ts";
import type { ColumnType } from "../../../shared/column-types.ts";
import {
  type Column,
  type Dataset,
  outputColumns,
  sourceNames,
  viewNames,
} from "../../../shared/dataset-schema.ts";

export type Dictionary = {
  dataset: string;
  /** The dataset's number in LibInsight. */
  libinsightId: number;
  table: string;
  typed: string;
  analysis: string;
  /** Of the table and the typed view, in their order. */
  columns: DictionaryColumn[];
  /** What the analysis view has beside them. */
  dateColumns: { name: string; type: ColumnType; meaning: string }[];
  /** Labels of fields that are known and left out. */
  dropped: string[];
};

export type DictionaryColumn = Pick<TableColumn, "name" | "type" | "meaning" | "personal" | "declared"> & {
  /** What a number may be followed by in LibInsight, and is published without. */
  unit: string | undefined;
  /** Of the fields that it is made of, in LibInsight. */
  labels: string[];
  /** Whether the analysis view has it. */
  inAnalysis: boolean;
};

/**
 * @param headers of the published file; without any, the columns that are declared
 * @param known names that headers have got where the file is published
 */
export function dictionaryOf(
  dataset: Dataset,
  headers: readonly string[] = outputColumns(dataset.columns),
  known?: ColumnNames,
): Dictionary {
  const { columns, publish } = dataset;
  const published = tableColumns(headers, dataset, known);
  const analysis = analysisColumns(published, dataset);
  const shows = (view: ViewColumn, { name }: TableColumn): boolean => view.select === `"${name}"`;
  return {
    dataset: dataset.name,
    libinsightId: dataset.libinsightId,
    table: publish.table,
    ...viewNames(publish.table),
    columns: published.map((column) => ({
      name: column.name,
      ...originOf(column, columns),
      type: column.type,
      meaning: column.meaning,
      personal: column.personal,
      declared: column.declared,
      inAnalysis: analysis.some((view) => shows(view, column)),
    })),
    dateColumns: analysis
      .filter((view) => !published.some((column) => shows(view, column)))
      .map(({ name, type, comment }) => ({ name, type, meaning: comment })),
    dropped: columns.flatMap((column) => ("drop" in column ? [column.name] : [])),
  };
}

function originOf({ header, declared }: TableColumn, columns: readonly Column[]) {
  const column = columns.find(({ name }) => declared && name === header);
  return {
    labels: column ? sourceNames(column) : [header],
    unit: column && "type" in column ? column.unit : undefined,
  };
}
