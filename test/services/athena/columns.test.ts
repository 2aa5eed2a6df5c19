import fc from "fast-check";
import { expect, test } from "vitest";
import {
  analysisColumns,
  declaredColumns,
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

test("a field that the dataset drops is undeclared in a file that has it, others are what their entry says", () => {
  expect(columns[3]).toMatchObject({ header: "Staff Member", type: "text", personal: true, declared: true });
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

test("Virginia Tech's analysis view has no names and no free text", () => {
  const names = analysisColumns(declaredColumns(defaultDataset), defaultDataset).map(({ name }) => name);
  for (const personal of ["_entered_by", "answeredby", "employee", "comments_notes"]) {
    expect(names).not.toContain(personal);
  }
  expect(names).toEqual(
    expect.arrayContaining(["_id", "_start_date", "question_type", "mode", "fiscal_year"]),
  );
});

test("the parts of the date keep their names where a dataset has a column called year", () => {
  const own = datasetOf([
    { name: "Year", type: "text" },
    { name: "at", type: "timestamp" },
  ]);
  const names = analysisColumns(declaredColumns(own), own).map(({ name }) => name);
  expect(names.slice(0, 4)).toEqual(["_id", "year_2", "at", "year"]);
  expect(new Set(names).size).toBe(names.length);
});
