// Keeps the folder of `npm start --out`, which has copies of the published files.
import { constants, existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join, parse } from "node:path";
import * as z from "zod/mini";
import { type ChildTable, childTables } from "../../shared/child-tables.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { Local } from "../../shared/local/open-local.ts";
import { parquetKey } from "../../shared/parquet-file.ts";
import { deidentified } from "../../shared/privacy/deidentified.ts";

/** The folder of each dataset that npm start collected here. */
const folders = z.record(z.string(), z.string());
/** Earlier versions kept only the last dataset. */
const savedOut = z.union([
  z.object({ folders }),
  z.pipe(
    z.object({ dataset: z.string(), out: z.string() }),
    z.transform(({ dataset, out }) => ({ folders: { [dataset]: out } })),
  ),
]);

const fileName = "out.json";

/** Saves the dataset's folder, so that the commands can update its files. @param folder .local */
export async function saveOut(folder: string, { dataset, out }: { dataset: string; out: string }) {
  const path = join(folder, fileName);
  // A folder has the files of one dataset.
  const others = Object.entries((await readJson(path, savedOut))?.folders ?? {}).filter(
    ([, other]) => other !== out,
  );
  const saved = { folders: { ...Object.fromEntries(others), [dataset]: out } };
  await writeAtomically(path, (draft) => writeFile(draft, JSON.stringify(saved)));
}

/** Returns the names of the copies. The query's result has another name than the CSV even if their keys end alike. */
export function copyNames(dataset: Dataset) {
  const { csv, jsonl, results } = dataset.publish;
  const names = {
    csv: basename(csv),
    jsonl: basename(jsonl),
    parquet: basename(parquetKey(csv, "run")),
    deidentified: basename(deidentified(dataset).publish.csv),
    results: basename(results),
  };
  return { ...names, results: names.results === names.csv ? `results-${names.results}` : names.results };
}

/** The copy of the run's report. */
export const reportName = "report.html";

type Stores = Pick<Local, "data" | "results">;

/** Copies the published files and the report of their run into a folder. @returns the names of the copies */
export async function copyPublished(
  dataset: Dataset,
  runId: string,
  out: string,
  { data, results }: Stores,
): Promise<string[]> {
  const { name, publish } = dataset;
  const names = copyNames(dataset);
  const ofRun: string[] = [];
  for (const [copy, key] of [
    [names.parquet, parquetKey(publish.csv, runId)],
    ...childTables(dataset).map((child) => [childName(child), child.keyOf(runId)] as const),
  ] as const) {
    const copied = await copyTo(out, copy, data.pathOf(key));
    // An earlier copy has the rows of another run.
    if (copied.length === 0) await rm(join(out, copy), { force: true });
    ofRun.push(...copied);
  }
  return [
    ...(await copyTo(out, names.csv, data.pathOf(publish.csv))),
    ...(await copyTo(out, names.jsonl, data.pathOf(publish.jsonl))),
    ...ofRun,
    ...(await copyTo(out, names.deidentified, data.pathOf(deidentified(dataset).publish.csv))),
    ...(await copyTo(out, names.results, results.pathOf(publish.results))),
    ...(await copyReport(keys.runReport(name, runId), out, results)),
  ];
}

/** Returns the name of the copy of a child file: `Questions-topic.csv`. */
export function childName({ name, keyOf }: ChildTable): string {
  return `${parse(keyOf("run")).name}-${name}.csv`;
}

/** Copies a report into a folder. @returns its name, or nothing if there is no such report */
export function copyReport(key: string, out: string, results: Stores["results"]): Promise<string[]> {
  return copyTo(out, reportName, results.pathOf(key));
}

/** Creates the folder. @param path of the original; undefined if there is none */
async function copyTo(out: string, name: string, path: string | undefined): Promise<string[]> {
  if (path === undefined) return [];
  await mkdir(out, { recursive: true });
  // The copy shares blocks with the original if the file system supports it.
  await writeAtomically(join(out, name), (draft) => copyFile(path, draft, constants.COPYFILE_FICLONE));
  return [name];
}

/**
 * Updates the copies of the last npm start of each dataset.
 * @param folder .local
 * @returns a line for each dataset; empty if npm start never ran or nothing is published
 * @throws PipelineError `FilesNotCopied`
 */
export async function refreshOut(folder: string, local: Stores, among = datasets): Promise<string> {
  const saved = await readJson(join(folder, fileName), savedOut);
  let lines = "";
  for (const dataset of among) {
    const out = saved?.folders[dataset.name];
    if (out !== undefined) lines += await refreshCopies(dataset, out, local);
  }
  return lines;
}

/**
 * Deletes the copies of a dataset's files and what else may quote its records, and copies the live files again.
 * @param folder .local
 * @returns as `refreshOut`
 * @throws PipelineError `FilesNotCopied`
 */
export async function purgeCopies(
  folder: string,
  dataset: Dataset,
  local: Stores & Pick<Local, "database">,
): Promise<string> {
  const out = (await readJson(join(folder, fileName), savedOut))?.folders[dataset.name];
  const names = [
    ...Object.values(copyNames(dataset)),
    ...childTables(dataset).map(childName),
    ...[reportName, "run.json"],
  ];
  for (const name of out === undefined ? [] : names) await rm(join(out ?? "", name), { force: true });
  // Results of an interrupted query, and messages that may name an answer.
  for (const name of ["tmp", "messages.txt"]) await rm(join(folder, name), { recursive: true, force: true });
  local.database.compact();
  return refreshOut(folder, local, [dataset]);
}

async function refreshCopies(dataset: Dataset, out: string, local: Stores): Promise<string> {
  const { csv, results } = dataset.publish;
  const runIds = [await local.data.head(csv), await local.results.head(results)].map(
    (file) => file?.metadata["run-id"],
  );
  const [live, queried] = runIds;
  if (live === undefined) return "";
  const copied = await copyPublished(dataset, live, out, local).catch((cause) => {
    throw new PipelineError("FilesNotCopied", {
      message: `The published files were not copied to ${out}. The published files are not affected.`,
      advice: "Free disk space or check the folder's permissions, then repeat the command.",
      cause,
    });
  });
  const report = await readJson(join(out, "run.json"), z.object({ runId: z.string() }));
  const sentences = [
    `Copied the live files to ${out}: ${copied.join(", ")}.`,
    ...(queried === live ? [] : ["The query result belongs to another run until the query has run."]),
    ...(!report || report.runId === live ? [] : [`Its run.json describes run ${report.runId}.`]),
    ...(copied.includes(reportName) || !existsSync(join(out, reportName))
      ? []
      : [`Its ${reportName} describes another run, because run ${live} has no report.`]),
  ];
  return `${sentences.join(" ")}\n`;
}

/** Returns undefined if the file is missing or invalid. */
async function readJson<T extends z.ZodMiniType>(path: string, schema: T): Promise<z.infer<T> | undefined> {
  try {
    return schema.safeParse(JSON.parse(await readFile(path, "utf8"))).data;
  } catch {
    return undefined;
  }
}

/** Writes a draft beside the file and renames it, so that no reader sees a part of the file. */
export async function writeAtomically(path: string, write: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${path}.draft`;
  try {
    await write(draft);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}
