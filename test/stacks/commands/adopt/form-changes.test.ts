// The diff between an entry and its form.
import { expect, test } from "vitest";
import type { DatasetInput } from "../../../../shared/dataset-schema.ts";
import type { Field } from "../../../../stacks/commands/adopt/form.ts";
import { formChanges } from "../../../../stacks/commands/adopt/form-changes.ts";
import { datasetOf } from "../../../factories/dataset-entries.ts";

const field = (label: string, other: Partial<Field> = {}): Field => ({
  id: undefined,
  label,
  type: "text",
  personal: false,
  answers: [],
  isMultiple: false,
  isEmpty: false,
  ...other,
});
const column = (name: string, other: object = {}): DatasetInput["columns"][number] => ({
  name,
  type: "text",
  ...other,
});
const columns = [
  column("Topic", { labels: ["Subject"] }),
  column("Mode"),
  column("Minutes", { type: "number" }),
];
const form = [field("Subject"), field("Mode"), field("Minutes", { type: "number" })];

test("a form that has one label of each column has not changed", () => {
  expect(formChanges(datasetOf(columns), form, true)).toEqual([]);
});

test("a new and a gone field are listed, and a gone one only if LibInsight listed the fields", () => {
  const now = [
    ...form.slice(0, 2),
    field("Notes", { personal: true }),
    field("Desk", { answers: ["A", "B"] }),
  ];
  const added = ['+ "Notes", new: text, personal', '+ "Desk", new: text, 2 answers'];
  expect(formChanges(datasetOf(columns), now, true)).toEqual(['- "Minutes", gone', ...added]);
  expect(formChanges(datasetOf(columns), now, false)).toEqual(added);
});

test("a field at the same position with the same type was renamed", () => {
  const now = [field("Subject"), field("How"), field("Minutes", { type: "number" })];
  expect(formChanges(datasetOf(columns), now, true)).toEqual([
    '- "Mode"',
    '+ "How", renamed: the same position and type',
  ]);
  const moved = [...form.toSpliced(1, 1), field("How")];
  expect(formChanges(datasetOf(columns), moved, true)).toEqual(['- "Mode", gone', '+ "How", new: text']);
});

test("a field with the same ID was renamed, wherever it is, and one with another ID was not", () => {
  const known = [column("A", { fieldId: 1 }), column("B", { fieldId: "2" }), column("C", { fieldId: 3 })];
  const now = [
    field("D", { id: 9 }),
    field("New B", { id: 2, type: "date" }),
    field("C", { id: 3 }),
    field("New A", { id: 1 }),
  ];
  expect(formChanges(datasetOf(known), now, true)).toEqual([
    '- "A"',
    '+ "New A", renamed: the same field ID',
    '- "B"',
    '+ "New B", renamed: the same field ID',
    '+ "D", new: text',
  ]);
});

test("a new answer of a field with accepted answers is listed, after a rename too", () => {
  const expected = { kind: "answers" as const, action: "warn" as const };
  const expectations = [
    { ...expected, column: "Topic", accepted: ["Maps"] },
    { ...expected, column: "Mode", accepted: ["Chat"] },
    { ...expected, column: "Minutes" },
  ];
  const now = [
    field("Subject", { answers: ["Maps", "Data"] }),
    field("How", { answers: ["Chat", "Zoom"] }),
    field("Minutes", { type: "number" }),
  ];
  expect(formChanges({ ...datasetOf(columns), expectations }, now, true)).toEqual([
    '- "Mode"',
    '+ "How", renamed: the same position and type',
    '+ "Topic", new answer: "Data"',
    '+ "Mode", new answer: "Zoom"',
  ]);
});

test("a missing field of a joined column is listed, and labels cannot change the terminal", () => {
  const joined = [{ name: "Both", join: ["one", "two"] }, ...columns];
  expect(formChanges(datasetOf(joined), [field("one"), ...form, field("\u001b[2J\u202e")], true)).toEqual([
    '- "two", gone',
    '+ "\\u001b[2J ", new: text',
  ]);
});
