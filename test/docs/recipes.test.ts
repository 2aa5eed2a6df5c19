// cspell:words pyspark readr Rscript
// The analysts' recipes, on the files of a real run. DuckDB is part of the project; Python with pandas or PySpark, and R,
// are used where this machine has them.
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLocal } from "../../shared/local/open-local.ts";
import { start, temporaryFolder } from "../support/npm-start.ts";
import { pages } from "./markdown.ts";

const page = (await pages()).find(({ file }) => file === "docs/analysts.md");
const blocksIn = (lang: string) =>
  page?.blocks.filter((block) => block.lang === lang).map(({ text }) => text) ?? [];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeAll(async () => {
  folder = await temporaryFolder();
  expect((await start(folder.path, ["--quiet"]).ended).code).toBe(0);
});
afterAll(() => folder[Symbol.asyncDispose]());

const rows = async () =>
  (await readFile(join(folder.path, ".local/out/LibInsightQueryData.jsonl"), "utf8")).trimEnd().split("\n");

test.each(["parquet", "csv"])(
  "DuckDB reads every row of the %s, and an empty answer is no null",
  async (format) => {
    const name = `.local/out/LibInsightQueryData.${format}`;
    const sql = blocksIn("sql").find((block) => block.includes(name)) ?? "";
    const connection = await (await DuckDBInstance.create()).connect();
    const reader = await connection.runAndReadAll(sql.replace(name, join(folder.path, name)));
    connection.closeSync();
    const records = (await rows()).map((line): Record<string, unknown> => JSON.parse(line));
    expect(reader.getRowObjectsJson()).toEqual([
      {
        row_count: String(records.length),
        with_studio: String(records.filter(({ studio }) => studio !== null).length),
        without_patron: String(records.filter(({ who }) => who === "").length),
      },
    ]);
  },
);

test("the query on the measures runs and has each fiscal year", async () => {
  const sql = blocksIn("sql").find((block) => block.includes("_measures")) ?? "";
  const local = await openLocal(join(folder.path, ".local"));
  try {
    const found = await local.engine.firstRows(sql, "queries", 99);
    expect(found.columns).toEqual(["fiscal_year", "transactions", "consultations"]);
    expect(found.rows.length).toBeGreaterThan(2);
    for (const [, ...sums] of found.rows) expect(Math.min(...sums.map(Number))).toBeGreaterThan(0);
  } finally {
    await local.close();
  }
});

test("the query on a day returns the rows of the file that was published by then", async () => {
  const sql = blocksIn("sql").find((block) => block.includes("_as_known")) ?? "";
  const local = await openLocal(join(folder.path, ".local"));
  try {
    const today = new Date().toISOString().slice(0, 10);
    const found = await local.engine.firstRows(sql.replace("2026-10-01", today), "queries", 99);
    const all = found.rows.reduce((sum, [, rows]) => sum + Number(rows), 0);
    expect(all).toBe((await rows()).length);
  } finally {
    await local.close();
  }
});

const pythonWith = (module: string) =>
  spawnSync("python3", ["-c", `import ${module}`], { timeout: 30_000 }).status === 0;
const hasR = spawnSync("Rscript", ["-e", "library(readr)"], { timeout: 30_000 }).status === 0;

/** Spark takes half a minute to start. */
const longestMs = 120_000;

function run(program: string, file: string): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(program, [file], {
    cwd: folder.path,
    encoding: "utf8",
    timeout: longestMs,
  });
  return { status, stderr: status === 0 ? "" : stderr };
}

const spark = `from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1").getOrCreate()
`;

const python = blocksIn("python").map((code, index) => ({
  index,
  module: code.includes("spark.") ? "pyspark" : code.includes("parquet") ? "pandas, pyarrow" : "pandas",
  code: code.includes("spark.") ? `${spark}${code}` : code,
}));

test.each(python)(
  "Python with $module: recipe $index",
  async ({ index, module, code }) => {
    if (!pythonWith(module)) return;
    const file = join(folder.path, `recipe-${index}.py`);
    await writeFile(file, code);
    expect(run("python3", file)).toEqual({ status: 0, stderr: "" });
  },
  longestMs,
);

const readers = [
  {
    module: "pyarrow",
    read: "pyarrow.parquet.read_table(file).to_pylist()",
    before: "import pyarrow.parquet",
  },
  { module: "pyspark", read: "[row.asDict() for row in spark.read.parquet(file).collect()]", before: spark },
];

test.each(readers)(
  "$module reads the values of the JSON lines from Parquet",
  async ({ module, read, before }) => {
    if (!pythonWith(module)) return;
    const code = `${before}
import json
file = ".local/out/LibInsightQueryData.parquet"
plain = lambda value: str(value) if hasattr(value, "isoformat") else value
typed = [[plain(value) for value in row.values()] for row in ${read}]
lines = [list(json.loads(line).values()) for line in open(file.replace("parquet", "jsonl"), encoding="utf-8")]
assert len(typed) == len(lines) > 10000
assert typed == lines
`;
    const file = join(folder.path, `values-of-${module}.py`);
    await writeFile(file, code);
    expect(run("python3", file)).toEqual({ status: 0, stderr: "" });
  },
  longestMs,
);

test.runIf(hasR).each(blocksIn("r").map((code, index): [number, string] => [index, code]))(
  "R: recipe %i",
  async (index, code) => {
    const file = join(folder.path, `recipe-${index}.R`);
    await writeFile(file, code);
    expect(run("Rscript", file)).toEqual({ status: 0, stderr: "" });
  },
);

test("the page's number of rows is that of the simulation", async () => {
  const count = String((await rows()).length);
  for (const code of [...blocksIn("python"), ...blocksIn("r")]) {
    for (const number of code.match(/\b\d{5}\b/g) ?? []) expect(number).toBe(count);
  }
});
