// Each dataset's query, from its file in queries/. stacks/services.ts puts the folder beside the function's bundle.
import { readFile } from "node:fs/promises";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";

/** Athena takes 262,144 bytes; the rest is room for the line that names the run. */
const maxBytes = 250_000;

/**
 * The SQL of a dataset's query, with its names filled in.
 * @throws PipelineError `QueryFileUnusable`
 */
export async function queryOf({ name, publish }: Dataset, database: string): Promise<string> {
  const template = (await fileNamed(name)) ?? (await fileNamed("default")) ?? "";
  const { typed, analysis } = viewNames(publish.table);
  const places = { table: publish.table, typed, analysis };
  const sql = template
    .replace(/\{(table|typed|analysis)\}/g, (place) => {
      const named = Object.entries(places).find(([known]) => place === `{${known}}`);
      return named ? `"${database}"."${named[1]}"` : place;
    })
    .trim()
    .replace(/;$/, "");
  if (sql === "" || Buffer.byteLength(sql) > maxBytes) {
    throw new PipelineError("QueryFileUnusable", {
      message: "The dataset's query is missing, empty or longer than Athena takes.",
      advice: `Fix services/athena/queries/${name}.sql, or default.sql where there is no such file.`,
      ids: { dataset: name },
    });
  }
  return sql;
}

async function fileNamed(name: string): Promise<string | undefined> {
  try {
    return await readFile(new URL(`./queries/${name}.sql`, import.meta.url), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
