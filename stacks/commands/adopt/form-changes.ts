// Compares a dataset's entry with its form in LibInsight, and writes the differences as a diff.
import { type Column, type Dataset, sourceNames } from "../../../shared/dataset-schema.ts";
import { plain } from "../text-table.ts";
import { builtIn, type Field } from "./form.ts";

type Gone = { column: Column; label: string; position: number };

/**
 * Returns the lines of the diff; none if nothing changed.
 * @param isComplete whether LibInsight listed the form's fields; if not, a field without records may still be there
 */
export function formChanges(dataset: Dataset, form: readonly Field[], isComplete: boolean): string[] {
  const columns = dataset.columns.filter(({ name }) => !builtIn.includes(name));
  const labels = new Set(form.map(({ label }) => label));
  const declared = new Set(columns.flatMap(sourceNames));
  const isPresent = (column: Column) => sourceNames(column).some((label) => labels.has(label));
  const gone = columns.flatMap((column, index): Gone[] => {
    const sources = "join" in column ? column.join : isPresent(column) ? [] : [column.name];
    const missing = sources.filter((label) => !labels.has(label));
    const position = columns.slice(0, index).filter(isPresent).length;
    return missing.map((label) => ({ column, label, position }));
  });
  const added = form.flatMap((field, index) => {
    if (declared.has(field.label)) return [];
    return [{ field, position: form.slice(0, index).filter(({ label }) => declared.has(label)).length }];
  });

  const renames = new Map<Gone, { field: Field; why: string }>();
  const isFree = ({ field }: { field: Field }) =>
    ![...renames.values()].some((rename) => rename.field === field);
  for (const one of gone) {
    const { fieldId } = "type" in one.column ? one.column : {};
    const same = added.find(({ field: { id } }) => id !== undefined && String(id) === String(fieldId));
    if (same) renames.set(one, { field: same.field, why: "the same field ID" });
  }
  for (const one of gone.filter((other) => !renames.has(other))) {
    const { type, fieldId } = "type" in one.column ? one.column : { type: "text", fieldId: undefined };
    const same = added.filter(isFree).find(({ field, position }) => {
      // Two different IDs are two fields.
      const mayBeSame = field.id === undefined || fieldId === undefined;
      return mayBeSame && position === one.position && field.type === type;
    });
    if (same) renames.set(one, { field: same.field, why: "the same position and type" });
  }

  const lines = [
    ...gone.flatMap((one) => {
      const rename = renames.get(one);
      if (rename)
        return [`- ${quoted(one.label)}`, `+ ${quoted(rename.field.label)}, renamed: ${rename.why}`];
      return isComplete ? [`- ${quoted(one.label)}, gone`] : [];
    }),
    ...added.filter(isFree).map(({ field }) => `+ ${quoted(field.label)}, new: ${kindOf(field)}`),
    ...dataset.expectations.flatMap((expected) => {
      if (expected.kind !== "answers" || !expected.accepted) return [];
      const column = columns.find(({ name }) => name === expected.column);
      const field =
        form.find(({ label }) => column && sourceNames(column).includes(label)) ??
        [...renames].find(([one]) => one.column === column)?.[1].field;
      const unknown = field?.answers.filter((answer) => !expected.accepted?.includes(answer)) ?? [];
      return unknown.map((answer) => `+ ${quoted(expected.column)}, new answer: ${quoted(answer)}`);
    }),
  ];
  return lines.map(plain);
}

function kindOf({ type, personal, answers }: Field): string {
  return [
    type,
    ...(answers.length > 0 ? [`${answers.length} answers`] : []),
    ...(personal ? ["personal"] : []),
  ].join(", ");
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
