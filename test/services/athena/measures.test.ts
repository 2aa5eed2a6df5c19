// The view with the measures, on the local engine. Its sums equal those of the profile of the same rows.
import { expect, test } from "vitest";
import { measuresView } from "../../../services/athena/measures.ts";
import { measuresOf, measureValues } from "../../../shared/statistics/measures.ts";
import { declaredColumns, tableColumns } from "../../../shared/table-columns.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { profileOf, publishRows, type Row, statisticsDataset } from "../../support/statistics-dataset.ts";

const rows: Row[] = [
  ["2024-02-29 10:00:00", "Quick Reference", "In person", 5, "Desk"],
  ["2024-02-01 00:00:00", "Research Consultation", "In person", 30.5, "Classroom"],
  ["2024-02-10 10:00:00", 'Studio / "Maker" Equipment', "In person", null, "Studio"],
  ["2024-02-11 10:00:00", "Directional", "Chat", 1],
  ["2024-02-12 10:00:00", "Circulation & Reserves", "Chat"],
  ["2024-02-13 10:00:00", null, "Zoom", 7],
  ["2024-07-01 00:00:00", "Walk-up help", null, 12, "Classroom"],
  ["2024-07-02 00:00:00", "Gardening", "Pigeon", 3],
  ["soon", "Quick Reference", "In person", 2],
];

test("the view has the measures by month, fiscal year and mode; an unknown answer is only a record", async () => {
  const { local } = await publishRows(statisticsDataset(), rows);
  const sql = 'SELECT * FROM "test_dataset_measures" ORDER BY "month" NULLS LAST, "mode" NULLS LAST';
  expect(await local.engine.firstRows(sql, "queries", 99)).toEqual({
    columns: [
      "month",
      "fiscal_year",
      "mode",
      "records",
      "transactions",
      "consultations",
      "directional",
      "instruction",
      "minutes",
      "coverage",
    ],
    rows: [
      ["2024-02-01", "2024", "in person", "3", "2", "1", "0", "1", "35.5", "100.0"],
      ["2024-02-01", "2024", "virtual", "3", "0", "0", "1", "0", "8.0", "66.7"],
      ["2024-07-01", "2025", null, "2", "0", "1", "0", "1", "15.0", "100.0"],
      [null, null, "in person", "1", "1", "0", "0", "0", "2.0", "100.0"],
    ],
  });
});

test.each([false, true])(
  "each sum over the view equals the profile's (several answers: %s)",
  async (several) => {
    const dataset = statisticsDataset({ several });
    const mixed: Row[] = several
      ? [
          ["2024-03-01 10:00:00", "Directional; Quick Reference", "Chat; In person", 4],
          ["2024-03-01 10:00:00", "Quick Reference; Walk-up help; Gardening", "E-mail; Pigeon", 9],
          ["2024-03-01 10:00:00", "Directional; Circulation & Reserves", "Chat", 1, "Desk; Classroom"],
        ]
      : [];
    const all = [...rows, ...mixed];
    const { local } = await publishRows(dataset, all);
    const values = measureValues(dataset, profileOf(dataset, all).pairs ?? []);
    const summed = values.filter(({ name }) => name !== "coverage");
    const sums = summed.map(({ name }) => `CAST(sum("${name}") AS double)`);
    const found = await local.engine.firstRows(
      `SELECT ${sums.join(", ")} FROM "test_dataset_measures"`,
      "queries",
      1,
    );
    expect(found.rows[0]?.map(Number)).toEqual(summed.map(({ value }) => value));
  },
);

test("the view of a dataset without statistics, or of a file without their columns, has no values for them", async () => {
  const { select } = measuresView(
    datasetOf([{ name: "Topic", type: "text" }]),
    declaredColumns(datasetOf([])),
    "library",
  );
  expect(select).toContain('CAST(NULL AS date) AS "month"');
  expect(select).toContain('CAST(NULL AS bigint) AS "fiscal_year"');
  const dataset = statisticsDataset();
  const { local } = await publishRows(dataset, rows);
  const view = measuresView(dataset, tableColumns(["_id", "_start_date"], dataset), local.engine.database);
  const { rows: found } = await local.engine.firstRows(view.select, "queries", 9);
  expect(found.map((row) => row.join()).toSorted()).toEqual([
    ",,,1,0,0,0,0,0.0,0.0",
    "2024-02-01,2024,,6,0,0,0,0,0.0,0.0",
    "2024-07-01,2025,,2,0,0,0,0,0.0,0.0",
  ]);
});

test("the view's date is the first timestamp that is not personal, because the analysts' view has no other", () => {
  const dataset = statisticsDataset();
  const arrival = datasetOf([{ name: "Arrival", type: "timestamp", personal: true }]).columns;
  const columns = tableColumns(["Arrival", "_start_date"], {
    ...dataset,
    columns: [...arrival, ...dataset.columns],
  });
  expect(columns[0]).toMatchObject({ type: "timestamp", personal: true });
  expect(measuresView(dataset, columns, "library").select).toContain(
    `CAST(date_trunc('month', "${columns[1]?.name}") AS date) AS "month"`,
  );
});

test("a measure is missing if its column is not declared, and comments fit into Glue's limit", () => {
  expect(measuresOf(datasetOf([])).map(({ name }) => name)).toEqual(["records"]);
  const dataset = statisticsDataset();
  const { minutes: _, ...roles } = dataset.roles;
  expect(measuresOf({ ...dataset, roles }).map(({ name }) => name)).not.toContain("minutes");
  const { comments } = measuresView(dataset, declaredColumns(dataset), "library");
  expect([...comments.keys()]).toEqual([
    "month",
    "fiscal_year",
    "mode",
    ...measuresOf(dataset).map(({ name }) => name),
  ]);
  for (const comment of comments.values()) expect(Buffer.byteLength(comment)).toBeLessThanOrEqual(255);
});
