import { readdir } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { queryOf } from "../../../services/athena/queries.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/datasets.ts";

test.each([
  ["reference-transactions, the predecessor's", defaultDataset, "libinsightdata"],
  ["a dataset without a file of its own, the default", datasetOf([]), "test_dataset"],
])("the query of %s", async (_which, dataset, table) => {
  const sql = await queryOf(dataset, "library");
  expect(sql.replace(/^--.*$/gm, "").trim()).toBe(`SELECT * FROM "library"."${table}"`);
});

describe("each file of queries/", async () => {
  const files = await readdir("services/athena/queries");
  test.each(files)("%s is the default or a dataset's", (file) => {
    expect(["default.sql", ...datasets.map(({ name }) => `${name}.sql`)]).toContain(file);
  });
});
