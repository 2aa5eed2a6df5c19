// The folder of `npm start --out`: copies of the files that readers have now.
import { constants } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod/mini";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Local } from "../../shared/local/open-local.ts";

/** Of the last npm start. */
const remembered = z.object({ dataset: z.string(), out: z.string() });
type Remembered = z.infer<typeof remembered>;

const fileName = "out.json";

/** Remembers the folder, so that the commands can bring its files up to date. @param folder .local */
export function rememberOut(folder: string, { dataset, out }: Remembered): Promise<void> {
  return whole(join(folder, fileName), (draft) => writeFile(draft, JSON.stringify({ dataset, out })));
}

/** Copies what readers have now into a folder, and creates that. @returns the names of the copies */
export async function copyLive(
  { publish }: Pick<Dataset, "publish">,
  out: string,
  { data, results }: Pick<Local, "data" | "results">,
): Promise<string[]> {
  await mkdir(out, { recursive: true });
  const files = [
    { key: publish.csv, path: data.pathOf(publish.csv) },
    { key: publish.jsonl, path: data.pathOf(publish.jsonl) },
    { key: publish.results, path: results.pathOf(publish.results) },
  ];
  const copied: string[] = [];
  for (const { key, path } of files) {
    if (path === undefined) continue;
    const name = basename(key);
    // Shares blocks with the original where the file system can.
    await whole(join(out, name), (draft) => copyFile(path, draft, constants.COPYFILE_FICLONE));
    copied.push(name);
  }
  return copied;
}

/**
 * Brings the copies of the last npm start up to date.
 * @param folder .local
 * @returns a line for a person; empty where npm start never ran or nothing is published
 * @throws PipelineError `FilesNotCopied`
 */
export async function refreshOut(folder: string, local: Pick<Local, "data" | "results">): Promise<string> {
  const last = await readJson(join(folder, fileName), remembered);
  const dataset = datasets.find(({ name }) => name === last?.dataset);
  if (!last || !dataset) return "";
  const { csv, results } = dataset.publish;
  const runIds = [await local.data.head(csv), await local.results.head(results)].map(
    (file) => file?.metadata["run-id"],
  );
  const [live, queried] = runIds;
  if (live === undefined) return "";
  const copied = await copyLive(dataset, last.out, local).catch((cause) => {
    throw new PipelineError("FilesNotCopied", {
      message: `The published files were not copied to ${last.out}. What is published is not affected.`,
      advice: "Free disk space or check the folder's permissions, then repeat the command.",
      cause,
    });
  });
  const report = await readJson(join(last.out, "run.json"), z.object({ runId: z.string() }));
  const sentences = [
    `Copied the live files to ${last.out}: ${copied.join(", ")}.`,
    ...(queried === live ? [] : ["The query result is of another run until Athena has followed."]),
    ...(!report || report.runId === live ? [] : [`Its run.json is still of run ${report.runId}.`]),
  ];
  return `${sentences.join(" ")}\n`;
}

/** Undefined where the file cannot be used. */
async function readJson<T extends z.ZodMiniType>(path: string, schema: T): Promise<z.infer<T> | undefined> {
  try {
    return schema.safeParse(JSON.parse(await readFile(path, "utf8"))).data;
  } catch {
    return undefined;
  }
}

/** Each file appears whole: it is written beside its place and then moved there. */
export async function whole(path: string, write: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${path}.draft`;
  try {
    await write(draft);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}
