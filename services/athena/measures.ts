// The view with the measures of a dataset by month, fiscal year and mode, over the analysts' view. Pure functions.
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import type { ViewDefinition } from "../../shared/ports.ts";
import { type Classes, classesOf } from "../../shared/statistics/classes.ts";
import { classExpression, trino } from "../../shared/statistics/expressions.ts";
import { measuresOf } from "../../shared/statistics/measures.ts";
import type { TableColumn } from "../../shared/table-columns.ts";

/** Returns the columns that are not measures, with their meaning. A column without a value is null. */
export const measureGroups = [
  { name: "month", meaning: "First day of the month" },
  { name: "fiscal_year", meaning: "Fiscal year, named after the year in which it ends" },
  { name: "mode", meaning: "in person or virtual; null without an answer" },
] as const;

/**
 * Returns the view. What the dataset's entry does not declare, or the file's header lacks, is null in it, so that the
 * view is valid for every file.
 */
export function measuresView(
  dataset: Dataset,
  columns: readonly TableColumn[],
  database: string,
): ViewDefinition {
  const { kind, mode, instruction } = classesOf(dataset);
  const named = columns.filter(({ personal }) => !personal);
  const columnOf = (header: string | undefined): string | undefined => {
    const column = named.find((column) => column.header === header);
    return column && `"${column.name}"`;
  };
  const classSql = (classes: Classes<string> | undefined): string => {
    const column = columnOf(classes?.header);
    return classes && column ? classExpression(classes, column, trino) : "CAST(NULL AS varchar)";
  };
  const date = named.find(({ type }) => type === "timestamp") ?? named.find(({ type }) => type === "date");
  const questionType = columnOf(kind?.header);
  const rows = {
    month: date ? `CAST(date_trunc('month', "${date.name}") AS date)` : "CAST(NULL AS date)",
    fiscal_year: date ? '"fiscal_year"' : "CAST(NULL AS bigint)",
    mode: classSql(mode),
    kind: classSql(kind),
    instruction: `${classSql(instruction)} IS NOT NULL`,
    minutes: columnOf(dataset.roles.minutes) ?? "CAST(NULL AS double)",
    quantity: columnOf(dataset.roles.quantity) ?? "CAST(NULL AS bigint)",
    answered: questionType ? `${questionType} <> ''` : "false",
  };
  const measures = measuresOf(dataset);
  const selected = [
    ...measureGroups.map(({ name }) => `"${name}"`),
    ...measures.map(({ name, sql }) => `${sql} AS "${name}"`),
  ];
  const prepared = Object.entries(rows).map(([name, sql]) => `${sql} AS "${name}"`);
  return {
    select: `SELECT\n  ${selected.join(",\n  ")}\nFROM (\n  SELECT\n    ${prepared.join(",\n    ")}\n  FROM "${database}"."${viewNames(dataset.publish.table).analysis}"\n) AS "row_of_file"\nGROUP BY 1, 2, 3`,
    comments: new Map([
      ...measureGroups.map(({ name, meaning }) => [name, meaning] as const),
      ...measures.map(({ name, definition, unit }) => [name, `${definition} (${unit})`] as const),
    ]),
  };
}
