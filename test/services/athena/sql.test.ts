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
  expect(createDatabase("library")).toMatchInlineSnapshot(`"CREATE DATABASE IF NOT EXISTS \`library\`"`);
});

test("the table's statement: every column a string, an escape character that is in no field", () => {
  const table = hiveTable(tableOf(dataset, columns), "data-bucket");
  expect(createTable("library", "test_dataset", table)).toMatchInlineSnapshot(`
    "CREATE EXTERNAL TABLE IF NOT EXISTS \`library\`.\`test_dataset\` (
      \`_id\` string COMMENT '_id',
      \`opened_at\` string COMMENT 'Opened At: When it\\'s open\\073 local \\\\ time',
      \`duration_in_minutes\` string COMMENT 'Duration (in minutes)',
      \`comments_notes\` string COMMENT 'Comments/Notes',
      \`both\` string COMMENT 'both',
      \`undeclared\` string COMMENT 'Undeclared \`"\\073-- (not declared in shared/datasets.ts)'
    )
    ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
    WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '"', 'escapeChar' = '\\001')
    STORED AS TEXTFILE
    LOCATION 's3://data-bucket/csv/'
    TBLPROPERTIES ('skip.header.line.count' = '1')"
  `);
});

test("the typed view's statement", () => {
  const { select } = typedView(dataset, columns, "library");
  expect(createView("library", "test_dataset_typed", select)).toMatchInlineSnapshot(`
    "CREATE OR REPLACE VIEW "library"."test_dataset_typed" AS
    SELECT
      TRY_CAST("_id" AS bigint) AS "_id",
      TRY_CAST("opened_at" AS timestamp) AS "opened_at",
      TRY_CAST("duration_in_minutes" AS double) AS "duration_in_minutes",
      "comments_notes",
      "both",
      "undeclared"
    FROM "library"."test_dataset""
  `);
});

test("the analysis view's statement", () => {
  const { select } = analysisView(dataset, columns, "library");
  expect(createView("library", "test_dataset_analysis", select)).toMatchInlineSnapshot(`
    "CREATE OR REPLACE VIEW "library"."test_dataset_analysis" AS
    SELECT
      "_id",
      "opened_at",
      "duration_in_minutes",
      "both",
      year("opened_at") AS "year",
      CASE WHEN month("opened_at") >= 7 THEN year("opened_at") + 1 ELSE year("opened_at") END AS "fiscal_year",
      month("opened_at") AS "month",
      day_of_week("opened_at") AS "weekday",
      CASE day_of_week("opened_at") WHEN 1 THEN 'Monday' WHEN 2 THEN 'Tuesday' WHEN 3 THEN 'Wednesday' WHEN 4 THEN 'Thursday' WHEN 5 THEN 'Friday' WHEN 6 THEN 'Saturday' WHEN 7 THEN 'Sunday' END AS "weekday_name",
      hour("opened_at") AS "hour"
    FROM "library"."test_dataset_typed""
  `);
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
  expect(datasetQuery("SELECT 1", origin)).toMatchInlineSnapshot(`
    "-- libinsight run test-dataset-0123456789ab of test-dataset, attempt 1
    SELECT 1"
  `);
});
