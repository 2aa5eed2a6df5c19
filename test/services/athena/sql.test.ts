// views.test.ts covers what the views return, grammar.test.ts that every statement is valid.
import { expect, test } from "vitest";
import { analysisView } from "../../../services/athena/sql.ts";
import { tableColumns } from "../../../shared/table-columns.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

test("a fiscal year that begins in January is the calendar year", () => {
  const dataset = { ...datasetOf([{ name: "Opened At", type: "timestamp" }]), fiscalYearStart: 1 };
  const { select } = analysisView(dataset, tableColumns(["Opened At"], dataset), "library");
  expect(select).toContain('  year("opened_at") AS "fiscal_year"');
});
