// A dataset's data dictionary: the columns of its table and views, for analysts. Pure functions.
import { analysisColumns, type ViewColumn } from "../../../services/athena/columns.ts";
import { measureGroups } from "../../../services/athena/measures.ts";
import { cleanText } from "../../../services/transformer/clean-text.ts";
import { childTables } from "../../../shared/child-tables.ts";
import type { ColumnNames } from "../../../shared/column-names.ts";
import type { ColumnType } from "../../../shared/column-types.ts";
import {
  type Column,
  type Dataset,
  outputColumns,
  sourceNames,
  viewNames,
} from "../../../shared/dataset-schema.ts";
import { deidentified } from "../../../shared/privacy/deidentified.ts";
import { type Classes, classesOf } from "../../../shared/statistics/classes.ts";
import { measuresOf } from "../../../shared/statistics/measures.ts";
import { declaredColumns, type TableColumn, tableColumns } from "../../../shared/table-columns.ts";
import { ruleText } from "./privacy-rules.ts";

export type Dictionary = {
  dataset: string;
  /** The dataset's number in LibInsight. */
  libinsightId: number;
  table: string;
  /** The table over the Parquet file. */
  parquet: string;
  typed: string;
  analysis: string;
  /** The view with the measures. */
  measures: string;
  /** The views of the rows' earlier versions. */
  history: string;
  asKnown: string;
  /** The child tables, which have a row for each answer of a column, with their views. `personal` of the answers. */
  children: { name: string; table: string; typed: string; personal: boolean }[];
  /** The columns of the table and the typed view, in their order. */
  columns: DictionaryColumn[];
  /** The further columns of the analysis view. */
  dateColumns: { name: string; type: ColumnType; meaning: string }[];
  /** Labels of declared fields that are not published. */
  dropped: string[];
  /** The columns of the view with the measures. The first ones have no unit. */
  measureColumns: { name: string; unit: string; meaning: string }[];
  /** The de-identified file, with what it has of each column (`rule`), and the labels that it leaves out. */
  deidentified: {
    table: string;
    analysis: string;
    columns: (Pick<TableColumn, "name" | "type"> & { rule: string })[];
    dropped: string[];
  };
  /** What the measures count the answers as. */
  classes: { column: string; name: string; answers: readonly string[] }[];
};

export type DictionaryColumn = Pick<TableColumn, "name" | "type" | "meaning" | "personal" | "declared"> & {
  /** The unit that may follow a number in LibInsight; the published number is without it. */
  unit: string | undefined;
  /** Labels in LibInsight of the fields that the column is made of, on one line each. */
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
    children: childTables(dataset).map(({ column, table, typed, personal }) => ({
      ...{ table, typed, personal },
      name: published.find(({ header }) => header === column)?.name ?? column,
    })),
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
    measureColumns: [
      ...measureGroups.map(({ name, meaning }) => ({ name, unit: "", meaning })),
      ...measuresOf(dataset).map(({ name, unit, definition }) => ({ name, unit, meaning: definition })),
    ],
    deidentified: deidentifiedOf(dataset, known),
    classes: Object.values(classesOf(dataset)).flatMap((classes) =>
      classes ? answersByClass(classes, published) : [],
    ),
  };
}

function deidentifiedOf(dataset: Dataset, known?: ColumnNames): Dictionary["deidentified"] {
  const entry = deidentified(dataset);
  const columns = declaredColumns(entry, known).flatMap(({ name, type, header }) =>
    dataset.columns.flatMap((column) =>
      "drop" in column || column.name !== header ? [] : [{ name, type, rule: ruleText(column) }],
    ),
  );
  const kept = outputColumns(entry.columns);
  return {
    table: entry.publish.table,
    analysis: viewNames(entry.publish.table).analysis,
    columns,
    dropped: outputColumns(dataset.columns).filter((name) => !kept.includes(name)),
  };
}

function answersByClass(
  { header, order, answers }: Classes<string>,
  published: readonly TableColumn[],
): Dictionary["classes"] {
  const column = published.find((found) => found.header === header)?.name ?? header;
  return order
    .map((name) => ({ column, name, answers: answers[name] ?? [] }))
    .filter((found) => found.answers.length > 0);
}

function originOf({ header, declared }: TableColumn, columns: readonly Column[]) {
  const column = columns.find(({ name }) => declared && name === header);
  return {
    labels: column ? sourceNames(column).map(cleanText) : [header],
    unit: column && "type" in column ? column.unit : undefined,
  };
}
