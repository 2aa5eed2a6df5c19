import { readdir } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { queryOf } from "../../../services/athena/queries.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/datasets.ts";

const comment = /^--.*$/gm;

test("the predecessor's query is the one of the reference transactions", async () => {
  const sql = await queryOf(defaultDataset, "library");
  expect(sql.replace(comment, "").trim()).toBe('SELECT * FROM "library"."libinsightdata"');
});

test("a dataset without a file of its own has the default", async () => {
  const sql = await queryOf(datasetOf([]), "library");
  expect(sql.replace(comment, "").trim()).toBe('SELECT * FROM "library"."test_dataset"');
});

describe("each file of queries/", async () => {
  const files = await readdir("services/athena/queries");
  test.each(files)("%s is the default or a dataset's", (file) => {
    expect(["default.sql", ...datasets.map(({ name }) => `${name}.sql`)]).toContain(file);
  });
});
