// The columns of a dataset's view with types and of the one for analysts, with their comments. The data dictionary and
// Tableau's data source are generated from the same columns.
import type { ChildTable } from "../../shared/child-tables.ts";
import type { datePartNames } from "../../shared/column-names.ts";
import { type ColumnType, columnTypes } from "../../shared/column-types.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { isDeidentified } from "../../shared/privacy/deidentified.ts";
import type { TableColumn } from "../../shared/table-columns.ts";

/** A column of a view, with the SQL expression that it selects. */
export type ViewColumn = { name: string; type: ColumnType; select: string; comment: string };

/** Returns the columns of a child table, in the order of its file (`childHeaders`). */
export function childColumns({ column, personal }: ChildTable): TableColumn[] {
  const columnOf = (name: string, type: ColumnType, meaning: string): TableColumn => ({
    ...{ name, header: name, type, meaning, declared: true },
    personal: name === "answer" && personal,
  });
  return [
    columnOf("_id", "integer", "The _id of the row in the published file"),
    columnOf("position", "integer", "The answer's position among those of the row, from 1"),
    columnOf("answer", "text", `An answer of ${column}`),
  ];
}

/** Returns the required columns that a file's header lacks. */
export function missingColumns(headers: readonly string[], dataset: Dataset): string[] {
  return dataset.columns
    .filter((column) => "required" in column && column.required && !headers.includes(column.name))
    .map(({ name }) => name);
}

/** Returns every column cast to its type. A value that does not match the type becomes null. */
export function typedColumns(columns: readonly TableColumn[]): ViewColumn[] {
  return columns.map((column) => {
    const { name, type } = column;
    return { name, type, select: columnTypes[type].sqlOf(`"${name}"`), comment: commentOf(column) };
  });
}

/**
 * Returns the columns for analysts: the typed view's declared columns that are not personal, and the parts of the date.
 * Undeclared columns are excluded because they may hold personal data.
 */
export function analysisColumns(columns: readonly TableColumn[], dataset: Dataset): ViewColumn[] {
  const kept = columns.filter(({ declared, personal }) => declared && !personal);
  const date = kept.find(({ type }) => type === "timestamp") ?? kept.find(({ type }) => type === "date");
  const parts = date ? dateParts(date, dataset.fiscalYearStart, isCoarse(date, dataset)) : [];
  return [
    ...kept.map((column) => ({
      name: column.name,
      type: column.type,
      select: `"${column.name}"`,
      comment: commentOf(column),
    })),
    ...parts,
  ];
}

const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** Returns whether dates are the first days of their weeks or months, so that weekdays and hours mean nothing. */
function isCoarse({ header }: TableColumn, dataset: Dataset): boolean {
  return (
    isDeidentified(dataset.name) &&
    dataset.columns.some(
      (column) => column.name === header && !("drop" in column) && typeof column.generalise === "string",
    )
  );
}

/** A date has no hour. */
function dateParts(
  { name, header, type }: TableColumn,
  fiscalYearStart: number,
  isCoarse: boolean,
): ViewColumn[] {
  const extract = (part: string): string => `${part}("${name}")`;
  const fiscalYear =
    fiscalYearStart === 1
      ? extract("year")
      : `CASE WHEN ${extract("month")} >= ${fiscalYearStart} THEN ${extract("year")} + 1 ELSE ${extract("year")} END`;
  const dayNames = weekdays.map((day, index) => `WHEN ${index + 1} THEN '${day}'`).join(" ");
  const firstMonth = new Date(Date.UTC(2000, fiscalYearStart - 1)).toLocaleString("en", {
    month: "long",
    timeZone: "UTC",
  });
  const part = (
    partName: (typeof datePartNames)[number],
    select: string,
    meaning: string,
    partType: ColumnType = "integer",
  ): ViewColumn => ({
    name: partName,
    type: partType,
    select,
    comment: `${meaning} (from ${header})`,
  });
  const years = [
    part("year", extract("year"), "Calendar year"),
    part("fiscal_year", fiscalYear, `Fiscal year from ${firstMonth}, named after the year in which it ends`),
    part("month", extract("month"), "Month, 1 to 12"),
  ];
  if (isCoarse) return years;
  return [
    ...years,
    part("weekday", extract("day_of_week"), "Day of the week, 1 is Monday"),
    part("weekday_name", `CASE ${extract("day_of_week")} ${dayNames} END`, "Day of the week by name", "text"),
    ...(type === "date" ? [] : [part("hour", extract("hour"), "Hour of the day, 0 to 23")]),
  ];
}

/** Glue allows one line of 255 bytes. https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html */
const maxCommentBytes = 255;

/** Returns the label and its meaning, such as `Question Type: Kind of question`. */
function commentOf({ header, meaning, declared }: TableColumn): string {
  const label = header.replace(/[\p{C}\u2028\u2029]+/gu, " ").trim();
  const comment = declared ? label : `${label} (not declared in shared/library.ts)`;
  return cut(meaning === undefined ? comment : `${comment}: ${meaning}`);
}

function cut(text: string): string {
  const characters = [...text.slice(0, maxCommentBytes)];
  while (Buffer.byteLength(characters.join("")) > maxCommentBytes) characters.pop();
  return characters.join("");
}
