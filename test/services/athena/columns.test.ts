import fc from "fast-check";
import { expect, test } from "vitest";
import {
  analysisColumns,
  declaredColumns,
  missingColumns,
  tableColumns,
  typedColumns,
} from "../../../services/athena/columns.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/datasets.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", required: true, meaning: "When the door opened" },
  { name: "Minutes", type: "number" },
  { name: "Staff Member", type: "text", personal: true, meaning: "Who" },
  { name: "both", join: ["one", "two"], personal: true },
  { name: "secret", drop: true },
]);
const headers = ["_id", "Opened At", "Minutes", "Staff Member", "both", "Undeclared"];
const columns = tableColumns(headers, dataset);

test("a file's columns have the types of the dataset's entry; joined and undeclared ones are text", () => {
  expect(
    columns.map(({ name, header, type, personal, declared }) => [name, header, type, personal, declared]),
  ).toEqual([
    ["_id", "_id", "integer", false, true],
    ["opened_at", "Opened At", "timestamp", false, true],
    ["minutes", "Minutes", "number", false, true],
    ["staff_member", "Staff Member", "text", true, true],
    ["both", "both", "text", true, true],
    ["undeclared", "Undeclared", "text", false, false],
  ]);
});

test("each column's comment has its label and what it means", () => {
  expect(typedColumns(columns).map(({ comment }) => comment)).toEqual([
    "_id",
    "Opened At: When the door opened",
    "Minutes",
    "Staff Member: Who",
    "both",
    "Undeclared (not declared in shared/datasets.ts)",
  ]);
});

test("a field that the dataset drops is undeclared in a file that has it", () => {
  expect(tableColumns(["secret"], dataset)).toMatchObject([{ declared: false }]);
});

test("a comment is one line of 255 bytes at most, whatever the label", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (label) => {
      for (const { comment } of typedColumns(tableColumns([label], dataset))) {
        expect(Buffer.byteLength(comment)).toBeLessThanOrEqual(255);
        expect(comment).toMatch(/^[^\p{C}\u2028\u2029]*$/u);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("the analysis view leaves out personal and undeclared columns, and adds the parts of the date", () => {
  expect(analysisColumns(columns, dataset).map(({ name, type }) => [name, type])).toEqual([
    ["_id", "integer"],
    ["opened_at", "timestamp"],
    ["minutes", "number"],
    ["year", "integer"],
    ["fiscal_year", "integer"],
    ["month", "integer"],
    ["weekday", "integer"],
    ["weekday_name", "text"],
    ["hour", "integer"],
  ]);
});

test("Virginia Tech's analysis view has no names and no free text", () => {
  const names = analysisColumns(declaredColumns(defaultDataset), defaultDataset).map(({ name }) => name);
  for (const personal of ["_entered_by", "answeredby", "employee", "comments_notes"]) {
    expect(names).not.toContain(personal);
  }
  expect(names).toEqual(
    expect.arrayContaining(["_id", "_start_date", "question_type", "mode", "fiscal_year"]),
  );
});

test("a dataset's own column called year keeps its name", () => {
  const own = datasetOf([
    { name: "Year", type: "text" },
    { name: "at", type: "timestamp" },
  ]);
  const names = analysisColumns(declaredColumns(own), own).map(({ name }) => name);
  expect(names.slice(0, 4)).toEqual(["_id", "year", "at", "year_2"]);
  expect(new Set(names).size).toBe(names.length);
});

test("without a date there are no parts of it", () => {
  const dateless = datasetOf([{ name: "note", type: "text" }]);
  expect(analysisColumns(declaredColumns(dateless), dateless).map(({ name }) => name)).toEqual([
    "_id",
    "note",
  ]);
});

test("a header lacks the required columns that are not in it", () => {
  expect(missingColumns(["Opened At", "x"], dataset)).toEqual(["_id"]);
  expect(missingColumns([], dataset)).toEqual(["_id", "Opened At"]);
  expect(missingColumns(headers, dataset)).toEqual([]);
});
