// Loads each dataset's query from queries/. The folder is copied next to the function's bundle (shared/topology.ts).
import { readFile } from "node:fs/promises";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";

/** Athena allows 262,144 bytes; the rest is room for the comment that names the run. */
const maxBytes = 250_000;

/**
 * Returns the SQL of a dataset's query with the names of its table and views.
 * @throws PipelineError `QueryFileUnusable`
 */
export async function loadQuery({ name, publish }: Dataset, database: string): Promise<string> {
  const template = (await readSql(name)) ?? (await readSql("default")) ?? "";
  const { typed, analysis } = viewNames(publish.table);
  const relations = { table: publish.table, typed, analysis };
  const sql = template
    .replace(/\{(table|typed|analysis)\}/g, (placeholder) => {
      const found = Object.entries(relations).find(([name]) => placeholder === `{${name}}`);
      return found ? `"${database}"."${found[1]}"` : placeholder;
    })
    .trim()
    .replace(/;$/, "");
  if (sql === "" || Buffer.byteLength(sql) > maxBytes) {
    throw new PipelineError("QueryFileUnusable", {
      message: `The dataset's query is missing, empty or longer than ${maxBytes} bytes.`,
      advice: `Fix services/athena/queries/${name}.sql, or default.sql if that file does not exist.`,
      ids: { dataset: name },
    });
  }
  return sql;
}

async function readSql(name: string): Promise<string | undefined> {
  try {
    return await readFile(new URL(`./queries/${name}.sql`, import.meta.url), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
