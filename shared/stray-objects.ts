// Finds objects beside a published file in its folder, which Athena would read as rows of the table.
import { childTables } from "./child-tables.ts";
import type { Dataset } from "./dataset-schema.ts";
import { folderOf } from "./keys.ts";
import type { ObjectStore } from "./ports.ts";

/** A message names at most these. */
const maxNamed = 5;
/** Includes objects that Athena ignores. */
const maxListed = 10_000;

/**
 * Returns the keys of up to five objects that Athena would read beside the published CSV and the child files of a run.
 * Athena ignores empty objects, which may represent folders, and objects with names that begin with _ or a dot.
 * https://docs.aws.amazon.com/athena/latest/ug/other-notable-limitations.html
 * @param runId the run of the child files; by default only the CSV's folder is checked
 * @throws PipelineError `TooManyObjects`
 */
export async function strayObjects(
  dataset: Pick<Dataset, "publish" | "columns">,
  data: ObjectStore,
  runId?: string,
): Promise<string[]> {
  const children = runId === undefined ? [] : childTables(dataset).map(({ keyOf }) => keyOf(runId));
  const stray: string[] = [];
  for (const own of [dataset.publish.csv, ...children]) {
    for await (const { key, bytes } of data.objects(folderOf(own), maxListed)) {
      const isIgnored = bytes === 0 || /^[_.]/.test(key.slice(key.lastIndexOf("/") + 1));
      if (key !== own && !isIgnored) stray.push(key);
      if (stray.length === maxNamed) return stray;
    }
  }
  return stray;
}

/** Returns a sentence without the period that names the objects and says what to do. */
export function strayText(stray: readonly string[], bucket: string): string {
  const urls = stray.map((key) => `s3://${bucket}/${key}`).join(", ");
  return `Athena would read ${urls} as rows of the published file. Move or delete it (aws s3 rm): the folder is for the published file only`;
}
