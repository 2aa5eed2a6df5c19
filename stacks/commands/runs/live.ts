// Finds the run whose file is published now, and whether a published run is still live. Only reads.
import pMap from "p-map";
import { z } from "zod";
import { countCsvRows } from "../../../shared/csv.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { datasets } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import type { ObjectInfo, ObjectStore } from "../../../shared/ports.ts";
import { type Run, runResult, run as runSchema } from "../../../shared/run.ts";
import { runIdPattern } from "../../../shared/schemas.ts";

const atOnce = 8;
/** The rows of a larger file are not counted, because that would take minutes. */
const maxCountedBytes = 1024 ** 3;

export type Buckets = { work: ObjectStore; data: ObjectStore };

/** The metadata of a published file. A file that another program wrote may have any metadata. */
export const runMetadata = z.object({
  "run-id": z.string().regex(runIdPattern),
  "requested-at": z.iso.datetime(),
});

/** `requestedAt` is the run's own, which a rollback does not change; missing if the work bucket no longer has the run. */
export type Live = { dataset: string; runId: string; requestedAt?: string };

/**
 * - `live`: its file is in place
 * - `rolled back`: the file of an earlier run is in place
 * - `replaced`: the file of a later run is in place
 */
export type FileState = "live" | "rolled back" | "replaced";

/** Returns the run whose file is in place for each dataset, except for files that no run wrote. */
export async function liveRuns({ work, data }: Buckets): Promise<Live[]> {
  const found = await pMap(
    datasets,
    async ({ name, publish }) => {
      const runId = runIdIn(await data.head(publish.csv));
      if (runId === undefined) return [];
      const run = await work.getJson(keys.run(runId), runSchema);
      return [{ dataset: name, runId, ...(run && { requestedAt: run.requestedAt }) }];
    },
    { concurrency: atOnce },
  );
  return found.flat();
}

export function runIdIn(file: Pick<ObjectInfo, "metadata"> | undefined): string | undefined {
  return runMetadata.safeParse(file?.metadata).data?.["run-id"];
}

/**
 * Returns the state of a published run's file; undefined if no run wrote the file in place. The work bucket expires the
 * oldest runs first, so a live run that it no longer has is older than all that it has.
 */
export function fileStateOf(run: Run, live: readonly Live[]): FileState | undefined {
  const inPlace = live.find(({ dataset }) => dataset === run.dataset);
  if (!inPlace) return undefined;
  if (inPlace.runId === run.runId) return "live";
  const { requestedAt } = inPlace;
  const isLater = requestedAt === undefined || Date.parse(run.requestedAt) > Date.parse(requestedAt);
  return isLater ? "rolled back" : "replaced";
}

/** `runId` is missing if no run wrote the file, `rows` if there are too many to count here. */
export type FileInPlace = { at: Date; runId?: string; rows?: number };

export async function fileInPlace(
  { publish }: Pick<Dataset, "publish">,
  { work, data }: Buckets,
): Promise<FileInPlace | undefined> {
  const file = await data.head(publish.csv);
  if (!file) return undefined;
  const runId = runIdIn(file);
  const result = runId === undefined ? undefined : await work.getJson(keys.result(runId), runResult);
  const isCounted = !result && file.bytes <= maxCountedBytes;
  const rows = isCounted ? await countCsvRows(await data.stream(publish.csv)) : result?.rows;
  return { at: file.at, ...(runId !== undefined && { runId }), ...(rows !== undefined && { rows }) };
}
