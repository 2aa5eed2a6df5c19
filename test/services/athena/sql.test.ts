import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { analysisColumns, tableColumns, typedColumns } from "../../../services/athena/columns.ts";
import {
  createAnalysisView,
  createDatabase,
  createTable,
  createTypedView,
  datasetQuery,
  originOf,
  tableOf,
} from "../../../services/athena/sql.ts";
import { runIdOf } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/datasets.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", meaning: "When it's open; local \\ time" },
  { name: "Duration (in minutes)", type: "number" },
  { name: "Comments/Notes", type: "text", personal: true },
  { name: "both", join: ["one", "two"] },
]);
const headers = ["_id", "Opened At", "Duration (in minutes)", "Comments/Notes", "both", 'Undeclared `";--'];
const columns = tableColumns(headers, dataset);
const origin = {
  runId: "test-dataset-0123456789ab",
  dataset: "test-dataset",
  requestedAt: "2024-03-15T12:00:00Z",
  rows: 12,
  attempt: 1,
};

test("the database's statement", () => {
  expect(createDatabase("library")).toMatchInlineSnapshot(`"CREATE DATABASE IF NOT EXISTS \`library\`"`);
});

test("the table's statement: every column a string, an escape character that is in no field", () => {
  const table = tableOf(dataset, columns, "data-bucket");
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
  expect(createTypedView("library", dataset, typedColumns(columns))).toMatchInlineSnapshot(`
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
  expect(createAnalysisView("library", dataset, analysisColumns(columns, dataset))).toMatchInlineSnapshot(`
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
  const january = { ...dataset, fiscalYearStart: 1 };
  expect(createAnalysisView("library", january, analysisColumns(columns, january))).toContain(
    'year("opened_at") AS "fiscal_year"',
  );
});

test("the dataset's query", () => {
  expect(datasetQuery("SELECT 1", origin)).toMatchInlineSnapshot(`
    "-- libinsight run test-dataset-0123456789ab of test-dataset requested at 2024-03-15T12:00:00Z with 12 rows, attempt 1
    SELECT 1"
  `);
});

describe("what a query was asked for", () => {
  test("is read back from the query", () => {
    const times = fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
    const names = fc.stringMatching(/^[a-z][a-z0-9-]{1,47}$/);
    const counts = fc.nat();
    fc.assert(
      fc.property(
        names,
        fc.string(),
        times,
        counts,
        counts,
        fc.string(),
        (name, requestId, requestedAt, rows, attempt, sql) => {
          const asked = { runId: runIdOf(name, requestId), dataset: name, requestedAt, rows, attempt };
          expect(originOf(datasetQuery(sql, asked))).toEqual({ origin: asked, sql });
        },
      ),
    );
  });

  test.each([
    'SELECT * FROM "library"."test_dataset"',
    "-- somebody's note\nSELECT 1",
    "-- libinsight run a of b requested at c",
    "-- libinsight run a of b requested at c with many rows, attempt 1\nSELECT 1",
    `SELECT 1\n${datasetQuery("SELECT 1", origin)}`,
    createDatabase("library"),
    "",
  ])("is unknown where the query does not say: %j", (query) => {
    expect(originOf(query)).toBeUndefined();
  });
});
