// The simulated form of a dataset with other columns than the simulation's own form.
import { expect, test } from "vitest";
import { transformPage } from "../../../services/transformer/page.ts";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { formOf, listedFields } from "../../../stacks/local/libinsight/dataset-form.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { parseCommand, UsageError } from "../../../stacks/local/start-args.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { library as anotherLibrary } from "../../fixtures/another-library.ts";
import { library } from "../../fixtures/library.ts";

const [dataset] = anotherLibrary.datasets;

test("a dataset with the fields of the simulation's own form has that form", () => {
  expect(formOf(library.datasets[0])).toEqual({
    kind: "records",
    timeZone: "America/New_York",
    datasetId: 28364,
    requestId: 16,
    firstDay: "2021-12-02",
    fields: undefined,
  });
});

test("another dataset has the declared fields, the joined and dropped ones too", () => {
  const { fields } = formOf(dataset);
  expect(fields?.map(({ name, type }) => `${name}: ${type}`)).toEqual([
    "Desk: text",
    "Minutes: integer",
    "Day: date",
    "At: time",
    "Answered: boolean",
    "Score: number",
    "Notes: comment",
    "Status: text",
    "Faculty: text",
  ]);
  expect(listedFields(fields).map(({ name }) => name)).toEqual(fields?.map(({ name }) => name));
});

test("a dataset of statistics has no form", () => {
  expect(formOf({ ...dataset, kind: "gate-count" })).toMatchObject({ kind: "gate-count", fields: undefined });
});

test("a column that reads a field of the own form by another label keeps that field's answers", () => {
  const { fields } = formOf(datasetOf([{ name: "Place", type: "text", labels: ["Location"] }]));
  expect(fields).toEqual([{ name: "Location", type: "text" }]);
});

test("every record becomes a row with a value in every column, of the column's type and from the first day on", async () => {
  await using server = await startLibInsight({ ...formOf(dataset), records: 500 });
  const records = [...server.records()];
  const { summary } = transformPage(records, dataset);
  expect(summary).toMatchObject({ records: 500, mistyped: {}, undeclared: {} });
  expect(summary.ids.length).toBeGreaterThan(490);
  expect(Object.keys(summary.filled).toSorted()).toEqual(outputColumns(dataset.columns).toSorted());
  const dates = records.flatMap(({ _start_date: date }) =>
    typeof date === "string" && date !== "" ? [date] : [],
  );
  const earliest = dates.reduce((a, b) => (a < b ? a : b));
  expect(earliest >= dataset.firstDate && earliest < "2023-10-15").toBe(true);
});

test("a field of the form can be renamed, and no field of another form", async () => {
  const renames = [{ field: "Desk", label: "Counter" }];
  await using server = await startLibInsight({ ...formOf(dataset), records: 1, renames });
  expect([...server.records()].flatMap(Object.keys)).toContain("Counter");
  await expect(
    startLibInsight({ ...formOf(dataset), renames: [{ field: "mode", label: "Mode" }] }),
  ).rejects.toThrow("The settings of the simulated LibInsight are invalid");
  expect(() => parseCommand(["--rename", "Desk=Counter"], new Date())).toThrow(UsageError);
});
