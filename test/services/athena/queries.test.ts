import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { loadQuery } from "../../../services/athena/queries.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

/** Files of queries/ that exist in one test only. */
const files = vi.hoisted(() => new Map<string, string | Error>());
vi.mock("node:fs/promises", async (original) => {
  const actual = await original<typeof import("node:fs/promises")>();
  const readFile = async (path: URL, encoding: "utf8") => {
    const file = files.get(basename(path.pathname));
    if (file instanceof Error) throw file;
    return file ?? actual.readFile(path, encoding);
  };
  return { ...actual, readFile };
});
beforeEach(() => files.clear());

/** Returns the query of a dataset with this query file. */
function queryFrom(text: string | Error): Promise<string> {
  files.set("test-dataset.sql", text);
  return loadQuery(datasetOf([]), "library");
}

test.each([
  ["reference-transactions, from its own file", defaultDataset, "libinsightdata"],
  ["a dataset without its own file, from the default", datasetOf([]), "test_dataset"],
])("loads the query of %s", async (_which, dataset, table) => {
  const sql = await loadQuery(dataset, "library");
  expect(sql.replace(/^--.*$/gm, "").trim()).toBe(`SELECT * FROM "library"."${table}"`);
});

describe("files of queries/", async () => {
  const files = await readdir("services/athena/queries");
  test.each(files)("%s is the default or named after a dataset", (file) => {
    expect(["default.sql", ...datasets.map(({ name }) => `${name}.sql`)]).toContain(file);
  });
});

test("placeholders become the table and both views; other braces stay", async () => {
  expect(await queryFrom("SELECT '{x}{table}' FROM {table} JOIN {typed} JOIN {analysis}")).toBe(
    `SELECT '{x}"library"."test_dataset"' FROM "library"."test_dataset" JOIN "library"."test_dataset_typed" JOIN "library"."test_dataset_analysis"`,
  );
});

test("the final semicolon and surrounding line breaks are removed; other semicolons stay", async () => {
  expect(await queryFrom("\nSELECT ';' FROM {table};\n")).toBe(`SELECT ';' FROM "library"."test_dataset"`);
});

test.each([
  ["empty", ""],
  ["only a semicolon", " ;\n"],
  ["longer than 250,000 bytes in fewer characters", `SELECT '${"é".repeat(124_996)}'`],
])("a query file that is %s is an error that names the dataset", async (_what, text) => {
  await expect(queryFrom(text)).rejects.toMatchObject({
    name: "QueryFileUnusable",
    kind: "terminal",
    ids: { dataset: "test-dataset" },
    advice: expect.stringContaining("services/athena/queries/test-dataset.sql"),
  });
});

test("without its own file and the default a dataset has no query", async () => {
  files.set("default.sql", Object.assign(new Error("missing"), { code: "ENOENT" }));
  await expect(loadQuery(datasetOf([]), "library")).rejects.toMatchObject({ name: "QueryFileUnusable" });
});

test("a query of 250,000 bytes is allowed", async () => {
  const text = `SELECT  '${"é".repeat(124_995)}'`;
  expect(Buffer.byteLength(text)).toBe(250_000);
  expect(await queryFrom(text)).toBe(text);
});

test("an unreadable query file is an error and is not replaced by the default", async () => {
  const refused = Object.assign(new Error("refused"), { code: "EACCES" });
  await expect(queryFrom(refused)).rejects.toBe(refused);
});
