// The columns of a dataset's table and of its two views: their names, types and comments. The data dictionary and
// Tableau's data source are made of the same.
import { type ColumnType, columnTypes } from "../../shared/column-types.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { assignNames, type ColumnNames, type datePartNames, occurrences } from "./names.ts";

export type TableColumn = {
  name: string;
  /** As the file has it: the field's label in LibInsight. */
  header: string;
  type: ColumnType;
  meaning?: string | undefined;
  personal: boolean;
  /** Whether shared/datasets.ts knows it. */
  declared: boolean;
};

/** A column of a view: what it selects, and how it is explained. */
export type ViewColumn = { name: string; type: ColumnType; select: string; comment: string };

/**
 * The table's columns for a file's header: CSV maps by position. Undeclared columns are text.
 * @param known names that headers have got before
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
  const each = occurrences(headers);
  return headers.map((header, index) => {
    const column = declared.get(header);
    return {
      header,
      name: names.get(each[index] ?? header) ?? "",
      type: column && "type" in column ? column.type : "text",
      meaning: column?.meaning,
      personal: column?.personal ?? false,
      declared: column !== undefined,
    };
  });
}

/** The columns of a file in which nothing is undeclared. */
export function declaredColumns(dataset: Dataset, known?: ColumnNames): TableColumn[] {
  return tableColumns(outputColumns(dataset.columns), dataset, known);
}

/** Required columns that a file's header lacks. */
export function missingColumns(headers: readonly string[], dataset: Dataset): string[] {
  return dataset.columns
    .filter((column) => "required" in column && column.required && !headers.includes(column.name))
    .map(({ name }) => name);
}

/** Every column with its type; a value that is not of its column's type is null. */
export function typedColumns(columns: readonly TableColumn[]): ViewColumn[] {
  return columns.map((column) => {
    const { name, type } = column;
    return { name, type, select: columnTypes[type].sqlOf(`"${name}"`), comment: commentOf(column) };
  });
}

/**
 * The columns for analysts, on top of the typed view: without people's names and free text, and with the parts of the
 * date. An undeclared column may hold either, so it is left out until it is declared.
 */
export function analysisColumns(columns: readonly TableColumn[], dataset: Dataset): ViewColumn[] {
  const kept = columns.filter(({ declared, personal }) => declared && !personal);
  const date = kept.find(({ type }) => type === "timestamp");
  const parts = date ? dateParts(date, dataset.fiscalYearStart) : [];
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

function dateParts({ name, header }: TableColumn, fiscalYearStart: number): ViewColumn[] {
  const of = (part: string): string => `${part}("${name}")`;
  const fiscalYear =
    fiscalYearStart === 1
      ? of("year")
      : `CASE WHEN ${of("month")} >= ${fiscalYearStart} THEN ${of("year")} + 1 ELSE ${of("year")} END`;
  const dayNames = weekdays.map((day, index) => `WHEN ${index + 1} THEN '${day}'`).join(" ");
  const firstMonth = new Date(Date.UTC(2000, fiscalYearStart - 1)).toLocaleString("en", {
    month: "long",
    timeZone: "UTC",
  });
  const part = (
    partName: (typeof datePartNames)[number],
    select: string,
    what: string,
    type: ColumnType = "integer",
  ): ViewColumn => ({
    name: partName,
    type,
    select,
    comment: `${what}, of ${header}`,
  });
  return [
    part("year", of("year"), "Calendar year"),
    part("fiscal_year", fiscalYear, `Fiscal year from ${firstMonth}, named after the year in which it ends`),
    part("month", of("month"), "Month, 1 to 12"),
    part("weekday", of("day_of_week"), "Day of the week, 1 is Monday"),
    part("weekday_name", `CASE ${of("day_of_week")} ${dayNames} END`, "Day of the week by name", "text"),
    part("hour", of("hour"), "Hour of the day, 0 to 23"),
  ];
}

/** Glue takes 255 bytes on one line. https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html */
const maxCommentBytes = 255;

/** The label and what it means: `Question Type: Kind of question`. */
function commentOf({ header, meaning, declared }: TableColumn): string {
  const label = header.replace(/[\p{C}\u2028\u2029]+/gu, " ").trim();
  const comment = declared ? label : `${label} (not declared in shared/datasets.ts)`;
  return cut(meaning === undefined ? comment : `${comment}: ${meaning}`);
}

function cut(text: string): string {
  const characters = [...text.slice(0, maxCommentBytes)];
  while (Buffer.byteLength(characters.join("")) > maxCommentBytes) characters.pop();
  return characters.join("");
}
