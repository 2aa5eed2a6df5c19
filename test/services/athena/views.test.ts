// Values of a published file as its table and views return them, on the local engine.
import { expect, test } from "vitest";
import { followFile } from "../../../services/athena/follow-file.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";
import type { Dataset, DatasetInput } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { openLocalInMemory } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";

async function start(columns: DatasetInput["columns"]) {
  const local = await openLocalInMemory();
  const dataset: Dataset = { ...datasetOf(columns), name: defaultDataset.name };
  const { csv } = dataset.publish;
  let published = 0;
  return {
    /** Publishes a file and follows it. */
    async publish(rows: Cell[][]): Promise<void> {
      published += 1;
      const metadata = { "run-id": `run-${published}`, "requested-at": "2024-03-15T12:00:00Z" };
      await overwrite(local.data, csv, csvRows(rows), metadata);
      await followFile(dataset, {
        ...local,
        datasets: [dataset],
        athenaQueue: local.queues.athena,
        checkSeconds: 60,
      });
    },
    read: (relation: string, columns = "*") =>
      local.engine.firstRows(`SELECT ${columns} FROM "${relation}" ORDER BY "_id"`, "queries", 100),
  };
}
const relations = ["test_dataset", "test_dataset_typed", "test_dataset_analysis"];

test("a file with other columns replaces the columns, and each value stays under its own name", async () => {
  const { publish, read } = await start(["a", "b", "new"].map((name) => ({ name, type: "text" })));
  const files: { headers: string[]; row: Cell[] }[] = [
    { headers: ["_id", "a", "b"], row: [1, "A1", "B1"] },
    { headers: ["_id", "a", "new", "b"], row: [2, "A2", "N2", "B2"] },
    { headers: ["_id", "b", "a", "new"], row: [3, "B3", "A3", "N3"] },
    { headers: ["_id", "b"], row: [4, "B4"] },
  ];
  for (const { headers, row } of files) {
    await publish([headers, row]);
    for (const relation of relations) {
      expect(await read(relation)).toEqual({ columns: headers, rows: [row.map(String)] });
    }
  }
});

test("the typed view has numbers and times, and null for mistyped values", async () => {
  const { publish, read } = await start([
    { name: "count", type: "integer" },
    { name: "minutes", type: "number" },
    { name: "opened", type: "timestamp" },
    { name: "note", type: "text" },
  ]);
  await publish([
    ["_id", "count", "minutes", "opened", "note", "Undeclared"],
    [1, -3, 7.5, "2024-02-29 23:59:59", "5", 12],
    [2, "many", "about 5", "soon", "", "x"],
    [3, null, null, null, null, null],
    [4, 9007199254740991, 1.5e-7, "0999-01-01 00:00:00", 'a "b", c\\', "2024-01-01"],
  ]);
  expect(await read("test_dataset_typed")).toEqual({
    columns: ["_id", "count", "minutes", "opened", "note", "undeclared"],
    // The serde has no null: an empty field is an empty string.
    rows: [
      ["1", "-3", "7.5", "2024-02-29 23:59:59.000", "5", "12"],
      ["2", null, null, null, "", "x"],
      ["3", null, null, null, "", ""],
      ["4", "9007199254740991", "1.5E-7", "0999-01-01 00:00:00.000", 'a "b", c\\', "2024-01-01"],
    ],
  });
});

test("the analysis view has the parts of each date and no personal or undeclared columns", async () => {
  const { publish, read } = await start([
    { name: "at", type: "timestamp" },
    { name: "who", type: "text", personal: true },
    { name: "mode", type: "text" },
  ]);
  const dates = [
    // A Sunday at the end of a fiscal year, and the Monday after it.
    "2024-06-30 23:59:59",
    "2024-07-01 00:00:00",
    "2024-02-29 08:15:00",
    "2023-12-31 12:00:00",
    "not a date",
  ];
  const rows = dates.map((at, index): Cell[] => [index, at, "Ash Calloway", "Chat", "undeclared"]);
  await publish([["_id", "at", "who", "mode", "New"], ...rows]);
  const seen = await read("test_dataset_analysis");
  const parts = ["year", "fiscal_year", "month", "weekday", "weekday_name", "hour"];
  expect(seen.columns).toEqual(["_id", "at", "mode", ...parts]);
  expect(seen.rows.map((row) => row.slice(3))).toEqual([
    ["2024", "2024", "6", "7", "Sunday", "23"],
    ["2024", "2025", "7", "1", "Monday", "0"],
    ["2024", "2024", "2", "4", "Thursday", "8"],
    ["2023", "2024", "12", "7", "Sunday", "12"],
    [null, null, null, null, null, null],
  ]);
});
