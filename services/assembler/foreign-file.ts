// Recognizes a file that another writer, such as the predecessor, put in place of a run's published file.
import { keys } from "../../shared/keys.ts";
import type { ObjectInfo, ObjectStore } from "../../shared/ports.ts";
import { type RunResult, runResult } from "../../shared/run.ts";

/** Runs of a dataset in the work bucket, which keeps them for 30 days. A weekly schedule makes five. */
const maxRuns = 10_000;

/**
 * Returns when another writer replaced a run's file, and the newest run that had published before; undefined if none had.
 * This looks at the results of runs, because the other writer may have replaced every published object, and a bucket may
 * keep no old versions.
 * @param file a published file whose metadata names no run of the dataset
 */
export async function foreignFile(
  dataset: string,
  file: Pick<ObjectInfo, "at">,
  work: ObjectStore,
): Promise<RunResult["foreignFile"]> {
  let newest: RunResult | undefined;
  for (const folder of await work.listFolders(keys.folder(`${dataset}-`).slice(0, -1), maxRuns)) {
    const runId = folder.slice(keys.runs.length, -1);
    const result = await work.getJson(keys.result(runId), runResult);
    // The name of another dataset may begin with this one's.
    if (result?.state !== "published" || result.dataset !== dataset) continue;
    if (!newest || result.finishedAt > newest.finishedAt) newest = result;
  }
  return newest && { at: file.at.toISOString(), replaced: newest.runId };
}
