// The parts of a dataset's last publication that later runs reuse instead of fetching their windows again (`refresh` of
// the dataset's entry).
import * as z from "zod/mini";
import { keys } from "./keys.ts";
import type { ObjectStore } from "./ports.ts";
import { isoDate, nonNegativeInt, positiveInt } from "./schemas.ts";

/** The longest lookback that an entry may set. */
export const maxLookbackDays = 366;

/** The source of a window's records in a run that does not fetch them. */
export const reusedParts = z.strictObject({
  /** When the run that fetched them was requested. */
  at: z.iso.datetime(),
  runId: z.string(),
  /** What LibInsight announced then. */
  records: nonNegativeInt,
  /** Names of the kept parts (`keys.kept`), in output order. */
  parts: z.array(z.string().check(z.regex(/^[0-9a-f]{64}$/))),
});
const requestedRun = z.strictObject({ runId: z.string(), requestedAt: z.iso.datetime() });

const keptWindow = z.strictObject({ from: isoDate, to: isoDate, ...reusedParts.shape });
export type KeptWindow = z.infer<typeof keptWindow>;

/** `kept/{dataset}/index.json`: the windows of the publication of the run, without gaps. */
export const keptIndex = z.strictObject({
  ...requestedRun.shape,
  /** Fingerprint (shared/fingerprint.ts) of the dataset entry that made the parts. */
  entry: z.string(),
  from: isoDate,
  to: isoDate,
  /** The run itself, or the last one before it that collected everything. */
  full: requestedRun,
  windows: z.array(keptWindow),
});
export type KeptIndex = z.infer<typeof keptIndex>;

/** `refresh` of `run.json`: why the run collects everything or not. */
export const runRefresh = z.strictObject({
  /** A clause without the period. */
  reason: z.string(),
  /** The last run that collected everything. Missing if this one does. */
  lastFull: z.optional(requestedRun),
});
export type RunRefresh = z.infer<typeof runRefresh>;

/** Returns the index, or undefined if it has expired or another version of the pipeline stored it. */
export async function readKeptIndex(
  dataset: string,
  work: Pick<ObjectStore, "getJson">,
): Promise<KeptIndex | undefined> {
  return keptIndex.safeParse(await work.getJson(keys.keptIndex(dataset), z.unknown())).data;
}

/** `refresh` of `result.json`. */
export const refreshResult = z.strictObject({
  /** Whether the run collected everything. */
  full: z.boolean(),
  /** Why it did or did not, as a clause without the period. */
  reason: z.string(),
  /** The number of windows that were not fetched. */
  reused: nonNegativeInt,
  /** When the run that fetched the oldest of them was requested. */
  oldest: z.optional(z.iso.datetime()),
  /** What a full run found in windows that the publication before it had reused. */
  missed: z.optional(
    z.strictObject({
      changes: positiveInt,
      /** When the run that had fetched the oldest of these windows was requested. */
      since: z.iso.datetime(),
      /** The least `lookbackDays` with which that publication would have had all of them. */
      adviceDays: positiveInt,
    }),
  ),
});
export type RefreshResult = z.infer<typeof refreshResult>;
