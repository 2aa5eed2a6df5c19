import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { queryOf } from "../../../services/athena/queries.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

/** Files of queries/ that exist for one test only. */
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

/** Returns the query of a dataset whose file has this text. */
function queryFrom(text: string | Error): Promise<string> {
  files.set("test-dataset.sql", text);
  return queryOf(datasetOf([]), "library");
}

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

test("a query names the table and both views; braces around anything else stay", async () => {
  expect(await queryFrom("SELECT '{x}{table}' FROM {table} JOIN {typed} JOIN {analysis}")).toBe(
    `SELECT '{x}"library"."test_dataset"' FROM "library"."test_dataset" JOIN "library"."test_dataset_typed" JOIN "library"."test_dataset_analysis"`,
  );
});

test("a query ends without the semicolon and the line breaks of its file; semicolons within stay", async () => {
  expect(await queryFrom("\nSELECT ';' FROM {table};\n")).toBe(`SELECT ';' FROM "library"."test_dataset"`);
});

test.each([
  ["empty", ""],
  ["only a semicolon", " ;\n"],
  ["longer than 250,000 bytes, in fewer characters", `SELECT '${"é".repeat(124_996)}'`],
])("a query file that is %s is an error that names the dataset", async (_what, text) => {
  await expect(queryFrom(text)).rejects.toMatchObject({
    name: "QueryFileUnusable",
    kind: "terminal",
    ids: { dataset: "test-dataset" },
    advice: expect.stringContaining("services/athena/queries/test-dataset.sql"),
  });
});

test("without a file of its own and without the default a dataset has no query", async () => {
  files.set("default.sql", Object.assign(new Error("missing"), { code: "ENOENT" }));
  await expect(queryOf(datasetOf([]), "library")).rejects.toMatchObject({ name: "QueryFileUnusable" });
});

test("a query of 250,000 bytes is taken", async () => {
  const text = `SELECT  '${"é".repeat(124_995)}'`;
  expect(Buffer.byteLength(text)).toBe(250_000);
  expect(await queryFrom(text)).toBe(text);
});

test("a query file that cannot be read is not replaced by the default", async () => {
  const refused = Object.assign(new Error("refused"), { code: "EACCES" });
  await expect(queryFrom(refused)).rejects.toBe(refused);
});
