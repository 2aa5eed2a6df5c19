import { expect, test } from "vitest";
import { tableColumns } from "../../../services/athena/columns.ts";
import { analysisView, datasetQuery, tableOf, typedView } from "../../../services/athena/sql.ts";
import { createDatabase, createTable, createView, hiveTable } from "../../../shared/aws/hive.ts";
import { datasetOf } from "../../factories/datasets.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", meaning: "When it's open; local \\ time" },
  { name: "Duration (in minutes)", type: "number" },
  { name: "Comments/Notes", type: "text", personal: true },
  { name: "both", join: ["one", "two"] },
]);
const headers = ["_id", "Opened At", "Duration (in minutes)", "Comments/Notes", "both", 'Undeclared `";--'];
const columns = tableColumns(headers, dataset);

test("the database's statement", () => {
  expect(createDatabase("library")).toMatchInlineSnapshot();
});

test("the table's statement: every column a string, an escape character that is in no field", () => {
  const table = hiveTable(tableOf(dataset, columns), "data-bucket");
  expect(createTable("library", "test_dataset", table)).toMatchInlineSnapshot();
});

test("the typed view's statement", () => {
  const { select } = typedView(dataset, columns, "library");
  expect(createView("library", "test_dataset_typed", select)).toMatchInlineSnapshot();
});

test("the analysis view's statement", () => {
  const { select } = analysisView(dataset, columns, "library");
  expect(createView("library", "test_dataset_analysis", select)).toMatchInlineSnapshot();
});

test("a fiscal year that begins in January is the calendar year", () => {
  const { select } = analysisView({ ...dataset, fiscalYearStart: 1 }, columns, "library");
  expect(select).toContain('year("opened_at") AS "fiscal_year"');
});

test("a view's columns have the comments of the table's, and those of date parts name their date", () => {
  const { comments } = analysisView(dataset, columns, "library");
  expect(comments.get("opened_at")).toBe("Opened At: When it's open; local \\ time");
  expect(comments.get("hour")).toBe("Hour of the day, 0 to 23, of Opened At");
});

test("the dataset's query names its run", () => {
  const origin = {
    runId: "test-dataset-0123456789ab",
    dataset: "test-dataset",
    requestedAt: "2024-03-15T12:00:00Z",
    attempt: 1,
  };
  expect(datasetQuery("SELECT 1", origin)).toMatchInlineSnapshot();
});
