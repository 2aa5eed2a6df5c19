// Describes the published file, which the guard compares with the new one.
import * as z from "zod/mini";
import { countCsvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { headersOf } from "../../shared/header-change.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { type Profile, readProfile } from "../../shared/profile.ts";
import { type Run, type RunResult, runResult } from "../../shared/run.ts";
import type { Missing } from "./expectations/finding.ts";
import { foreignFile } from "./foreign-file.ts";
import type { Baseline } from "./guard.ts";

export type PublishedFile = Baseline & {
  rows: number;
  /** Undefined if no run wrote the file, for example the predecessor's. */
  runId: string | undefined;
  requestedAt: string | undefined;
  /** Fingerprint of the dataset's entry that made the file (shared/fingerprint.ts). */
  entry: string | undefined;
  /** Columns that the dataset's entry does not declare, sorted. The next run is likely to have them too. */
  undeclared: string[];
  /** If another writer put the file in place of a run's. */
  foreignFile?: RunResult["foreignFile"];
};

/** Returns the published file, if there is one. If the result of its run has expired, the rows are counted in the file. */
export async function baselineOf(
  { name, columns, publish }: Dataset,
  { work, data }: { work: ObjectStore; data: ObjectStore },
): Promise<PublishedFile | undefined> {
  const file = await data.head(publish.csv);
  if (!file) return undefined;
  const { "run-id": runId, "requested-at": requestedAt, entry } = file.metadata;
  const result = runId === undefined ? undefined : await work.getJson(keys.result(runId), runResult);
  const rows = result?.rows ?? (await countCsvRows(await data.stream(publish.csv)));
  const foreign = runId?.startsWith(`${name}-`) ? undefined : await foreignFile(name, file, work);
  const found = { rows, runId, requestedAt, entry, ...(foreign && { foreignFile: foreign }) };
  if (runId === undefined) return { ...found, undeclared: [] };
  const headers = (await headersOf(publish.csv, data)) ?? [];
  const declared = outputColumns(columns);
  const undeclared = headers.filter((header) => !declared.includes(header)).sort();
  return { ...found, headers, filled: result?.filled, undeclared };
}

/**
 * Returns the publication that a run replaces, and whether another writer made it. It is unknown if the run's own file is
 * already in place, because an assembler died before it wrote the result.
 */
export function previousOf(
  published: PublishedFile | undefined,
  { runId }: Run,
): Pick<RunResult, "previous" | "foreignFile"> {
  if (!published || published.runId === runId) return {};
  const { rows, foreignFile, runId: previousRun } = published;
  // Other writers may have set any metadata.
  const requestedAt = z.iso.datetime().safeParse(published.requestedAt);
  return {
    ...(requestedAt.success && {
      previous: { rows, requestedAt: requestedAt.data, ...(previousRun && { runId: previousRun }) },
    }),
    ...(foreignFile && { foreignFile }),
  };
}

/** Returns the counts of the publication that a run replaces, or why the run is not compared with them. */
export async function previousProfile(
  published: PublishedFile | undefined,
  { runId, skipComparison }: Run,
  work: ObjectStore,
): Promise<Profile | Missing> {
  if (skipComparison !== undefined) return { missing: "the run was requested without a comparison" };
  if (!published) return { missing: "no file was published before" };
  if (published.runId === undefined) return { missing: "no run wrote the published file" };
  if (published.runId === runId) return { missing: "the run's own file is already published" };
  return (
    (await readProfile(published.runId, work)) ?? {
      missing: "the counts of the last publication have expired; they are kept for 30 days",
    }
  );
}
