// What is published now: the file that a new one is compared with.
import * as z from "zod/mini";
import { countCsvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { headersOf } from "../../shared/header-change.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { type Run, type RunResult, runResult } from "../../shared/run.ts";
import type { Baseline } from "./guard.ts";

export type PublishedFile = Baseline & {
  rows: number;
  /** Undefined where no run wrote it, as the predecessor's. */
  runId: string | undefined;
  requestedAt: string | undefined;
  /** Of the dataset's entry by which it was made (shared/fingerprint.ts). */
  entry: string | undefined;
  /** Its columns that the dataset's entry does not declare, sorted. They are likely to be in the next run too. */
  undeclared: string[];
};

/** Returns undefined where nothing is published. Rows are counted in the file where its run's result is unknown. */
export async function baselineOf(
  { columns, publish }: Dataset,
  { work, data }: { work: ObjectStore; data: ObjectStore },
): Promise<PublishedFile | undefined> {
  const file = await data.head(publish.csv);
  if (!file) return undefined;
  const { "run-id": runId, "requested-at": requestedAt, entry } = file.metadata;
  const result = runId === undefined ? undefined : await work.getJson(keys.result(runId), runResult);
  const rows = result?.rows ?? (await countCsvRows(await data.stream(publish.csv)));
  if (runId === undefined) return { rows, runId, requestedAt, entry, undeclared: [] };
  const headers = (await headersOf(publish.csv, data)) ?? [];
  const declared = outputColumns(columns);
  const undeclared = headers.filter((header) => !declared.includes(header)).sort();
  return { rows, runId, requestedAt, entry, headers, filled: result?.filled, undeclared };
}

/**
 * Returns the publication that a run follows. Where the run's own file is in place already (an assembler died before it
 * could write the result), the earlier publication is unknown.
 */
export function previousOf(
  published: PublishedFile | undefined,
  { runId }: Run,
): Pick<RunResult, "previous"> {
  if (!published || published.runId === runId) return {};
  // Another writer's metadata may be anything.
  const requestedAt = z.iso.datetime().safeParse(published.requestedAt);
  return requestedAt.success ? { previous: { rows: published.rows, requestedAt: requestedAt.data } } : {};
}
