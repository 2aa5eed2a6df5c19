// A dataset's data dictionary: the columns of its table and views, for analysts. Pure functions.
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
  /** The columns of the table and the typed view, in their order. */
  columns: DictionaryColumn[];
  /** The further columns of the analysis view. */
  dateColumns: { name: string; type: ColumnType; meaning: string }[];
  /** Labels of declared fields that are not published. */
  dropped: string[];
};

export type DictionaryColumn = Pick<TableColumn, "name" | "type" | "meaning" | "personal" | "declared"> & {
  /** The unit that may follow a number in LibInsight; the published number is without it. */
  unit: string | undefined;
  /** Labels in LibInsight of the fields that the column is made of. */
  labels: string[];
  /** Whether the analysis view has it. */
  inAnalysis: boolean;
};

/**
 * @param headers of the published file; by default those of the declared columns
 * @param known the column names that the headers already have on the stage
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
