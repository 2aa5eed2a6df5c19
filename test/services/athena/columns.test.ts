import fc from "fast-check";
import { expect, test } from "vitest";
import { analysisColumns, typedColumns } from "../../../services/athena/columns.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { deidentified } from "../../../shared/privacy/deidentified.ts";
import { declaredColumns, tableColumns } from "../../../shared/table-columns.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", required: true, meaning: "When the door opened" },
  { name: "Minutes", type: "number" },
  { name: "Staff Member", type: "text", personal: true, meaning: "Who" },
  { name: "both", join: ["one", "two"], personal: true },
  { name: "secret", drop: true },
]);
const headers = ["_id", "Opened At", "Minutes", "Staff Member", "both", "Undeclared"];
const columns = tableColumns(headers, dataset);

test("each column's comment has its label and its meaning", () => {
  expect(typedColumns(columns).map(({ comment }) => comment)).toEqual([
    "_id",
    "Opened At: When the door opened",
    "Minutes",
    "Staff Member: Who",
    "both",
    "Undeclared (not declared in shared/library.ts)",
  ]);
});

test("a column has the type and flags of its entry; a dropped field counts as undeclared", () => {
  expect(columns[3]).toMatchObject({ header: "Staff Member", type: "text", personal: true, declared: true });
  expect(tableColumns(["secret"], dataset)).toMatchObject([{ declared: false, personal: false }]);
});

test("a comment of any label is one line of at most 255 bytes", () => {
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

test("the parts of the date keep their names if a dataset has a column called year", () => {
  const own = datasetOf([
    { name: "Year", type: "text" },
    { name: "at", type: "timestamp" },
  ]);
  const names = analysisColumns(declaredColumns(own), own).map(({ name }) => name);
  expect(names.slice(0, 4)).toEqual(["_id", "year_2", "at", "year"]);
  expect(new Set(names).size).toBe(names.length);
});

test("the parts of the date have types and comments, which name the fiscal year's first month", () => {
  const parts = analysisColumns(columns, dataset).filter(({ comment }) =>
    comment.endsWith("(from Opened At)"),
  );
  expect(
    parts.map(({ name, type, comment }) => [name, type, comment.replace(" (from Opened At)", "")]),
  ).toEqual([
    ["year", "integer", "Calendar year"],
    ["fiscal_year", "integer", "Fiscal year from July, named after the year in which it ends"],
    ["month", "integer", "Month, 1 to 12"],
    ["weekday", "integer", "Day of the week, 1 is Monday"],
    ["weekday_name", "text", "Day of the week by name"],
    ["hour", "integer", "Hour of the day, 0 to 23"],
  ]);
});

test("control characters in a label become one space in its comment, and a long label is cut", () => {
  const commentOf = (label: string) => typedColumns(tableColumns([label], dataset))[0]?.comment;
  expect(commentOf("\n one\r\n\u0000two ")).toBe("one two (not declared in shared/library.ts)");
  expect(commentOf("x".repeat(300))).toBe("x".repeat(255));
});

test("the declared header keeps its name if an undeclared one would get the same", () => {
  const file = tableColumns(["minutes", "Minutes"], dataset);
  expect(file.map(({ header, name }) => [header, name])).toEqual([
    ["minutes", "minutes_2"],
    ["Minutes", "minutes"],
  ]);
});

test("the analysis view of a dataset with dates and no times has no hour", () => {
  const monthly = datasetOf([{ name: "month", type: "date" }]);
  const names = analysisColumns(declaredColumns(monthly), monthly).map(({ name }) => name);
  expect(names).toEqual(["_id", "month_2", "year", "fiscal_year", "month", "weekday", "weekday_name"]);
});

test.each(["week", "month"] as const)(
  "the de-identified view of dates that are the first day of a %s has neither weekday nor hour",
  (generalise) => {
    const own = datasetOf([
      { name: "at", type: "timestamp", privacy: "generalise", generalise },
      { name: "day", type: "date", privacy: "keep" },
    ]);
    const namesOf = (entry: typeof own) =>
      analysisColumns(declaredColumns(entry), entry).map(({ name }) => name);
    const years = ["_id", "at", "day", "year", "fiscal_year", "month"];
    expect(namesOf(own)).toEqual([...years, "weekday", "weekday_name", "hour"]);
    expect(namesOf(deidentified(own))).toEqual(years);
    const kept = datasetOf([{ name: "at", type: "timestamp" }]);
    expect(namesOf(deidentified(kept)).slice(-3)).toEqual(["weekday", "weekday_name", "hour"]);
  },
);

test("the de-identified view has its dates by week or month after a time too, and numbers in bands change nothing", () => {
  const own = datasetOf([
    { name: "at", type: "timestamp", generalise: "month", after: { months: 12, then: "generalise" } },
    { name: "minutes", type: "number", privacy: "generalise", generalise: { bands: [0, 15] } },
  ]);
  const namesOf = (entry: typeof own) =>
    analysisColumns(declaredColumns(entry), entry).map(({ name }) => name);
  expect(namesOf(deidentified(own))).not.toContain("weekday");
  expect(namesOf(own)).toContain("weekday");
  const bands = datasetOf([
    { name: "at", type: "timestamp" },
    { name: "minutes", type: "number", privacy: "generalise", generalise: { bands: [0, 15] } },
  ]);
  expect(namesOf(deidentified(bands))).toContain("hour");
});
