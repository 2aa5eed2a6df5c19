// views.test.ts has what the views return, grammar.test.ts that every statement is valid.
import { expect, test } from "vitest";
import { tableColumns } from "../../../services/athena/columns.ts";
import { analysisView, tableOf } from "../../../services/athena/sql.ts";
import { createTable, hiveTable } from "../../../shared/aws/hive.ts";
import { datasetOf } from "../../factories/datasets.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", meaning: "When it's open; local \\ time" },
  { name: "Duration (in minutes)", type: "number" },
  { name: "Comments/Notes", type: "text", personal: true },
  { name: "both", join: ["one", "two"] },
]);
const headers = ["_id", "Opened At", "Duration (in minutes)", "Comments/Notes", "both", 'Undeclared `";--'];
const columns = tableColumns(headers, dataset);

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

test("a fiscal year that begins in January is the calendar year", () => {
  const { select } = analysisView({ ...dataset, fiscalYearStart: 1 }, columns, "library");
  expect(select).toContain('  year("opened_at") AS "fiscal_year"');
});
