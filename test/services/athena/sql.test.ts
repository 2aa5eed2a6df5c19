import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createDatabase,
  createTable,
  createTypedView,
  datasetQuery,
  originOf,
  replaceColumns,
  tableColumns,
} from "../../../services/athena/sql.ts";
import { runIdOf } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/datasets.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp" },
  { name: "Duration (in minutes)", type: "number" },
  { name: "Comments/Notes", type: "text" },
  { name: "both", join: ["one", "two"] },
]);
const headers = ["_id", "Opened At", "Duration (in minutes)", "Comments/Notes", "both", 'Undeclared `";--'];
const columns = tableColumns(headers, dataset);
const origin = {
  runId: "test-dataset-0123456789ab",
  dataset: "test-dataset",
  requestedAt: "2024-03-15T12:00:00Z",
};

test("a file's columns have the types of the dataset's entry; joined and undeclared ones are text", () => {
  expect(columns).toEqual([
    { header: "_id", name: "_id", type: "integer" },
    { header: "Opened At", name: "opened_at", type: "timestamp" },
    { header: "Duration (in minutes)", name: "duration_in_minutes", type: "number" },
    { header: "Comments/Notes", name: "comments_notes", type: "text" },
    { header: "both", name: "both", type: "text" },
    { header: 'Undeclared `";--', name: "undeclared", type: "text" },
  ]);
});

test("the database's statement", () => {
  expect(createDatabase("library")).toMatchInlineSnapshot(`"CREATE DATABASE IF NOT EXISTS \`library\`"`);
});

test("the table's statement: every column a string, an escape character that is in no field", () => {
  expect(createTable("library", dataset, columns, "data-bucket")).toMatchInlineSnapshot(`
    "CREATE EXTERNAL TABLE IF NOT EXISTS \`library\`.\`test_dataset\` (
      \`_id\` string,
      \`opened_at\` string,
      \`duration_in_minutes\` string,
      \`comments_notes\` string,
      \`both\` string,
      \`undeclared\` string
    )
    ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
    WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '"', 'escapeChar' = '\\u0001')
    STORED AS TEXTFILE
    LOCATION 's3://data-bucket/csv/'
    TBLPROPERTIES ('skip.header.line.count' = '1')"
  `);
});

test("the statement that replaces the columns", () => {
  expect(replaceColumns("library", dataset, columns)).toMatchInlineSnapshot(`
    "ALTER TABLE \`library\`.\`test_dataset\` REPLACE COLUMNS (
      \`_id\` string,
      \`opened_at\` string,
      \`duration_in_minutes\` string,
      \`comments_notes\` string,
      \`both\` string,
      \`undeclared\` string
    )"
  `);
});

test("the typed view's statement", () => {
  expect(createTypedView("library", dataset, columns)).toMatchInlineSnapshot(`
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

test("the dataset's query", () => {
  expect(datasetQuery("library", dataset, origin)).toMatchInlineSnapshot(`
    "-- libinsight run test-dataset-0123456789ab of test-dataset requested at 2024-03-15T12:00:00Z
    SELECT * FROM "library"."test_dataset""
  `);
});

describe("the run that a query belongs to", () => {
  test("is read back from the query", () => {
    const times = fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
    const names = fc.stringMatching(/^[a-z][a-z0-9-]{1,47}$/);
    fc.assert(
      fc.property(names, fc.string(), times, (name, requestId, requestedAt) => {
        const run = { runId: runIdOf(name, requestId), dataset: name, requestedAt };
        expect(originOf(datasetQuery("library", dataset, run))).toEqual(run);
      }),
    );
  });

  test.each([
    'SELECT * FROM "library"."test_dataset"',
    "-- somebody's note\nSELECT 1",
    "-- libinsight run a of b requested at c",
    `SELECT 1\n${datasetQuery("library", dataset, origin)}`,
    createDatabase("library"),
    "",
  ])("is none of ours where it says none: %j", (query) => {
    expect(originOf(query)).toBeUndefined();
  });
});
