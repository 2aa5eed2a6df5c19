// The simulated form of a dataset: every field that the dataset declares. The fields of the simulation's own form keep
// their answers; the others get answers of their type.
import type { ColumnType } from "../../../shared/column-types.ts";
import { type Dataset, sourceNames } from "../../../shared/dataset-schema.ts";
import type { KindName } from "../../../shared/kinds/kinds.ts";
import { comment } from "./comment.ts";
import type { LibInsightRecord } from "./generate-records.ts";
import { localTime } from "./local-time.ts";
import { between, type NonEmpty, pick, type Random } from "./random.ts";
import { type Field, fields as ownFields, topics } from "./vocabulary.ts";

/** Fields that every record has and that LibInsight defines. */
export const builtIn = ["_id", "_start_date", "_entered_by"];

/** `comment` is free text. Other texts are one of `options` or, if `isMultiple`, up to three of them. */
export type FormField = {
  name: string;
  type: ColumnType | "comment";
  options?: [string, ...string[]] | undefined;
  isMultiple?: boolean | undefined;
};

/**
 * Returns the simulator's settings for a dataset.
 * @returns `fields` is undefined if the dataset has exactly the fields of the simulation's own form, or no form
 */
export function formOf({
  kind,
  timeZone,
  libinsightId,
  requestId,
  firstDate,
  columns,
  expectations,
}: Dataset): {
  kind: KindName;
  timeZone: string;
  datasetId: number;
  requestId: number | null;
  firstDay: string;
  fields: FormField[] | undefined;
} {
  const own = ownFields.map(({ name }) => name);
  const fields = columns.flatMap((column): FormField[] => {
    if (!("type" in column)) return sourceNames(column).map((name) => ({ name, type: "text" }));
    const label = sourceNames(column).find((name) => own.includes(name)) ?? column.name;
    const type = column.personal && column.type === "text" ? "comment" : column.type;
    const expected = expectations.find(
      (expected) => expected.kind === "answers" && expected.column === column.name,
    );
    const [first, ...others] = (expected?.kind === "answers" && expected.accepted) || [];
    return [{ name: label, type, ...(first !== undefined && { options: [first, ...others] }) }];
  });
  const ofForm = fields.filter(({ name }) => !builtIn.includes(name));
  const isOwn = ofForm.length === own.length && ofForm.every(({ name }) => own.includes(name));
  return {
    kind,
    timeZone,
    datasetId: libinsightId,
    requestId: requestId ?? null,
    firstDay: firstDate,
    fields: isOwn || kind !== "records" ? undefined : ofForm,
  };
}

/** Returns a record of the form, made from a record of the simulation's own form. */
export function recordOfForm(
  form: readonly FormField[],
  record: LibInsightRecord,
  start: number,
  random: Random,
): LibInsightRecord {
  const known = new Set(ownFields.map(({ name }) => name));
  const kept = [...builtIn, ...form.map(({ name }) => name)].flatMap((name) => {
    if (!builtIn.includes(name) && !known.has(name)) return [];
    return Object.hasOwn(record, name) ? [[name, record[name]] as const] : [];
  });
  const made = form.flatMap((field) => {
    if (known.has(field.name)) return [];
    const isBlank = random() < 0.03;
    const value = answerOf(field, start, random);
    return [[field.name, isBlank ? "" : value] as const];
  });
  const values = new Map([...kept, ...made]);
  const order = [...builtIn, ...form.map(({ name }) => name)];
  return Object.fromEntries(order.flatMap((name) => (values.has(name) ? [[name, values.get(name)]] : [])));
}

function answerOf(field: FormField, start: number, random: Random): unknown {
  const { type, isMultiple } = field;
  const [day = "", time = ""] = localTime(start).split(" ");
  switch (type) {
    case "comment":
      return comment(random, pick(random, topics));
    case "text": {
      const options = optionsOf(field);
      const answers = Array.from({ length: isMultiple ? between(random, 1, 3) : 1 }, () =>
        pick(random, options),
      );
      return [...new Set(answers)];
    }
    case "integer":
      return between(random, 1, 60);
    case "number":
      return between(random, 1, 600) / 10;
    case "timestamp":
      return `${day} ${time}`;
    case "date":
      return day;
    case "time":
      return time.slice(0, 5);
    case "boolean":
      return [pick(random, ["Yes", "No"])];
  }
}

function optionsOf({ name, options }: FormField): NonEmpty<string> {
  return options ?? [`${name} 1`, `${name} 2`, `${name} 3`, `${name} 4`, `${name} 5`];
}

/** Returns the form's fields as LibInsight lists them. */
export function listedFields(form: readonly FormField[] | undefined): readonly Field[] {
  if (!form) return ownFields;
  return form.map((field) => ownFields.find(({ name }) => name === field.name) ?? listed(field));
}

function listed(field: FormField): Field {
  const { name, type, isMultiple } = field;
  switch (type) {
    case "text":
      return { name, type: isMultiple ? "multi-select" : "select", options: [...optionsOf(field)] };
    case "boolean":
      return { name, type: "select", options: ["Yes", "No"] };
    case "comment":
      return { name, type: "text" };
    case "integer":
      return { name, type: "number" };
    case "timestamp":
      return { name, type: "datetime" };
    default:
      return { name, type };
  }
}
