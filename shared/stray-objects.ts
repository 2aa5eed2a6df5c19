// Objects in a table's folder beside the published file: Athena reads every file there as rows of the table.

import type { Dataset } from "./dataset-schema.ts";
import { folderOf } from "./keys.ts";
import type { ObjectStore } from "./ports.ts";

/** That are named; one is too many already. */
const maxNamed = 5;
/** Objects that Athena ignores may be there too. More of them than this is an error. */
const maxListed = 10_000;

/**
 * Returns the keys of the first objects that Athena would read beside the published CSV. It ignores empty objects, such as
 * those that stand for folders, and objects whose name begins with _ or a dot.
 * https://docs.aws.amazon.com/athena/latest/ug/other-notable-limitations.html
 * @returns five at most
 * @throws PipelineError `TooManyObjects`
 */
export async function strayObjects(
  { publish: { csv } }: Pick<Dataset, "publish">,
  data: ObjectStore,
): Promise<string[]> {
  const stray: string[] = [];
  for await (const { key, bytes } of data.objects(folderOf(csv), maxListed)) {
    const isIgnored = bytes === 0 || /^[_.]/.test(key.slice(key.lastIndexOf("/") + 1));
    if (key !== csv && !isIgnored) stray.push(key);
    if (stray.length === maxNamed) break;
  }
  return stray;
}

/** What is wrong and what to do, for a person. */
export function strayText(stray: readonly string[], bucket: string): string {
  const places = stray.map((key) => `s3://${bucket}/${key}`).join(", ");
  return `Athena would read ${places} as rows of the published file. Move or delete it (aws s3 rm): the folder is for the published file only`;
}
