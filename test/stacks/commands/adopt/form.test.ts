// What npm run adopt decides about a field, by the field list and the records.
import { expect, test } from "vitest";
import { formOf } from "../../../../stacks/commands/adopt/form.ts";

const repeat = <T>(count: number, values: readonly T[]) =>
  Array.from({ length: count }, (_, n) => values[n % values.length]);

type Given = { label?: string; type?: string; options?: string[]; values?: readonly unknown[] };

function decided({ label = "Field", type = "", options = [], values = [] }: Given) {
  const listed = type || options.length > 0 ? [{ id: 1, label, type, options }] : [];
  const [field] = formOf(
    listed,
    values.map((value) => ({ [label]: value })),
  );
  return `${field?.type}${field?.personal ? ", personal" : ""}${field?.answers.length ? `: ${field.answers.join(" | ")}` : ""}`;
}

test.each<[string, Given, string]>([
  [
    "answers of the list",
    { type: "select", options: ["A", "B"], values: repeat(5, [["A"], ""]) },
    "text: A | B",
  ],
  ["answers of a list without a type", { options: ["A", "B"], values: [["A"]] }, "text: A | B"],
  ["answers of numbers", { type: "number", options: ["1", "2"], values: [["1"]] }, "text: 1 | 2"],
  [
    "a drop-down without answers in the list",
    { type: "select", values: repeat(9, [["A"], ["B"]]) },
    "text: A | B",
  ],
  ["a drop-down that only records have", { values: repeat(9, [["A"], ["B"]]) }, "text: A | B"],
  ["few records for each answer", { values: repeat(9, [["A"], ["B"], ["C"], ["D"]]) }, "text, personal"],
  [
    "many answers",
    {
      values: repeat(
        500,
        Array.from({ length: 50 }, (_, n) => [`Person ${n}`]),
      ),
    },
    "text, personal",
  ],
  ["a select field with free text", { type: "select", values: ["Ann", "Bob"] }, "text, personal"],
  ["a select field with yes and no", { type: "checkbox", values: ["Yes", "No", ""] }, "boolean"],
  [
    "values beside the answers",
    { type: "select", options: ["A"], values: ["Ann", "Bob", "A"] },
    "text, personal",
  ],
  ["names of staff", { label: "answeredBy", type: "select", options: ["A. B."] }, "text, personal"],
  ["kinds of staff", { label: "Staff type", type: "select", options: ["Librarian"] }, "text: Librarian"],
  ["addresses", { type: "select", options: ["desk@example.org"] }, "text, personal"],
  ["text with suggestions", { type: "text", options: ["A"], values: [["A"]] }, "text, personal"],
  ["an unknown type", { type: "17", values: ["some words"] }, "text, personal"],
  ["free text", { type: "textarea", values: ["some words"] }, "text, personal"],
  [
    "free text that is a number so far",
    { type: "text", values: repeat(30, ["1", "2"]) },
    "integer, personal",
  ],
  ["free text with few numbers", { type: "text", values: ["1"] }, "text, personal"],
  ["whole numbers", { type: "number", values: repeat(20, [1, "2"]) }, "integer"],
  ["few whole numbers", { type: "number", values: [1, "2"] }, "number"],
  ["some numbers with a unit", { type: "number", values: ["45", "30.5", "45 min"] }, "number"],
  ["no numbers", { type: "number", values: ["a lot", "some", "45"] }, "text, personal"],
  ["a number of a person", { label: "Student ID", type: "number", values: [1] }, "number, personal"],
  ["a date", { type: "date", values: ["2024-02-29"] }, "date"],
  ["a date with a time", { type: "date", values: ["2024-02-29 10:00"] }, "timestamp"],
  ["a date of birth", { label: "Date of birth", type: "date", values: ["2004-02-29"] }, "date, personal"],
  ["another format of dates", { type: "date", values: ["2/29/2024"] }, "text, personal"],
  ["no values of a date", { type: "datetime" }, "timestamp"],
  ["no values of a time", { type: "time" }, "time"],
  ["no values of a number", { type: "number" }, "number"],
  ["no values of text", { type: "text" }, "text, personal"],
  ["yes and no", { type: "yes/no", values: ["Yes", "no"] }, "boolean"],
])("%s", (_, given, expected) => {
  expect(decided(given)).toBe(expected);
});

test("a label that the form has twice is personal, because a record may have either value", () => {
  const field = { id: undefined, label: "Notes", type: "select", options: ["A"] };
  const other = { ...field, type: "text", options: [] };
  const fields = formOf([field, other, { ...other, label: "Notes (2)" }], []);
  expect(fields.map(({ label, personal, answers }) => [label, personal, answers])).toEqual([
    ["Notes", true, []],
    ["Notes (3)", true, []],
    ["Notes (2)", true, []],
  ]);
});

test("an answer is as in the published file, without control characters", () => {
  const options = ["Line\nbreak", "\u0000", "Tab\there"];
  expect(decided({ type: "select", options })).toBe("text: Line break | Tab here");
});

test("LibInsight's own fields are no fields of the form, and records that are none are skipped", () => {
  expect(formOf([], [{ _id: 1, _start_date: "2024-01-01", _entered_by: "x" }, null, "x", [1]])).toEqual([]);
});
