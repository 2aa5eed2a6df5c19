// views.test.ts has what the views return, grammar.test.ts that every statement is valid.
import { expect, test } from "vitest";
import { tableColumns } from "../../../services/athena/columns.ts";
import { analysisView } from "../../../services/athena/sql.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", meaning: "When it's open; local \\ time" },
  { name: "Duration (in minutes)", type: "number" },
  { name: "Comments/Notes", type: "text", personal: true },
  { name: "both", join: ["one", "two"] },
]);
const headers = ["_id", "Opened At", "Duration (in minutes)", "Comments/Notes", "both", 'Undeclared `";--'];
const columns = tableColumns(headers, dataset);

test("a fiscal year that begins in January is the calendar year", () => {
  const { select } = analysisView({ ...dataset, fiscalYearStart: 1 }, columns, "library");
  expect(select).toContain('  year("opened_at") AS "fiscal_year"');
});
