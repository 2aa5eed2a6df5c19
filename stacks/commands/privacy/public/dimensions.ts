// What `npm run privacy -- public` can count by: columns with a closed set of answers, and parts of the record's date.
import { columnTypes } from "../../../../shared/column-types.ts";
import type { Dataset } from "../../../../shared/dataset-schema.ts";
import { fiscalYearOf } from "../../../../shared/dates.ts";
import { privacyOf } from "../../../../shared/privacy/settings.ts";
import { dateColumn, timeColumn } from "../../../../shared/profile.ts";
import { UsageError } from "../../../cli.ts";

export type Dimension = {
  name: string;
  /** The column's header in the published file. */
  header: string;
  isDate: boolean;
  /** Returns the value for a cell's text. */
  read: (text: string) => string;
};

/** The value of a record without an answer or a date. */
export const none = "(none)";

const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** By the name of the dimension. @param date local time, `YYYY-MM-DD`, with ` HH:MM:SS` for the hour */
const dateParts: Record<string, (date: string, dataset: Dataset) => string> = {
  year: (date) => date.slice(0, 4),
  fiscal_year: (date, { fiscalYearStart }) => String(fiscalYearOf(date, fiscalYearStart)),
  /** The month of one year, such as 2024-03. */
  month: (date) => date.slice(0, 7),
  weekday: (date) => weekdays[(new Date(date.slice(0, 10)).getUTCDay() + 6) % 7] ?? none,
  hour: (date) => date.slice(11, 13),
};
/** Parts that do not reveal more than a date which the de-identified file makes coarser. */
const coarse = ["year", "fiscal_year", "month"];

/** Returns the dimensions: date parts and roles before columns of the same name. @throws UsageError */
export function dimensionsOf(names: readonly string[], dataset: Dataset): Dimension[] {
  if (dataset.roles.quantity !== undefined)
    throw new UsageError(`The rows of ${dataset.name} are counts already. Choose a dataset of records.`);
  const dimensions = names.map((name) =>
    Object.hasOwn(dateParts, name) ? datePart(name, dataset) : columnNamed(name, dataset),
  );
  for (const [index, { name, header, isDate }] of dimensions.entries()) {
    const other = dimensions.slice(0, index).find((other) => !isDate && other.header === header);
    if (other) throw new UsageError(`${other.name} and ${name} are the same column. Remove one of them.`);
  }
  return dimensions;
}

/** Compares two values of a dimension. */
export function byValue(one: string, other: string): number {
  const [first, second] = [weekdays.indexOf(one), weekdays.indexOf(other)];
  return first >= 0 && second >= 0 ? first - second : collator.compare(one, other);
}
const collator = new Intl.Collator("en", { numeric: true });

function datePart(name: string, dataset: Dataset): Dimension {
  const header = name === "hour" ? timeColumn(dataset) : dateColumn(dataset);
  const column = dataset.columns.find((column) => column.name === header);
  const part = dateParts[name];
  if (!(header && part && column && "type" in column))
    throw refused(name, dataset, `has no ${name === "hour" ? "time" : "date"} that is not personal`);
  const privacy = privacyOf(column);
  if (privacy !== "keep" && !(privacy === "generalise" && coarse.includes(name)))
    throw refused(name, dataset, `has privacy: "${privacy}" for the date`);
  const type = columnTypes[column.type];
  return {
    name,
    header,
    isDate: true,
    read: (text) => (type.valueOf(text) === null ? none : part(text, dataset)),
  };
}

function columnNamed(name: string, dataset: Dataset): Dimension {
  const { location, mode, questionType } = dataset.roles;
  const header = new Map(Object.entries({ location, mode, questionType })).get(name) ?? name;
  const column = dataset.columns.find((column) => column.name === header);
  if (!column || "drop" in column) throw refused(name, dataset, "declares no such column or role");
  const privacy = privacyOf(column);
  if (header === "_id") throw refused(name, dataset, "has a different one in each record");
  if (column.personal || privacy !== "keep" || column.after)
    throw refused(name, dataset, "does not keep this column in its de-identified file");
  if ("join" in column) throw refused(name, dataset, "joins free text in this column");
  if (["timestamp", "date", "time"].includes(column.type))
    throw refused(name, dataset, "has a date or time in this column");
  return { name, header, isDate: false, read: (text) => text || none };
}

function refused(name: string, { name: dataset }: Dataset, why: string): UsageError {
  return new UsageError(
    `Cannot count by "${name}": ${dataset} ${why}. Use location, mode, questionType, ${Object.keys(dateParts).join(", ")} or a column of answers that the de-identified file keeps.`,
  );
}
