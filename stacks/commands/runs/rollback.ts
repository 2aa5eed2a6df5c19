// Restores the files that a run published, from the versions that S3 keeps of them. Athena and everything after it follow,
// as they follow every published file.
import { pMapIterable } from "p-map";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { datasets, findDataset } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { type HoldDeps, headersOf, holdTable } from "../../../shared/header-change.ts";
import { keys } from "../../../shared/keys.ts";
import type { ObjectInfo, Version } from "../../../shared/ports.ts";
import { publishNewest } from "../../../shared/publish.ts";
import { quantity } from "../../../shared/quantity.ts";
import { runResult, run as runSchema } from "../../../shared/run.ts";
import { type Buckets, type FileInPlace, runIdIn, runMetadata } from "./live.ts";

/** A run every two hours makes about as many in the 90 days that S3 keeps versions. */
const maxVersions = 1_000;
/** Concurrent requests for versions. */
const atOnce = 8;
/** How many runs an error lists that can be restored instead. */
const maxAlternatives = 10;

/** A published file, in place or replaced since. `runId` and `requestedAt` are missing if no run wrote it. */
export type Publication = Version & ObjectInfo & FileInPlace & { requestedAt?: string };

/** The version of a file to restore, and the one that it replaces. `back.isLatest` if it is in place already. */
export type RollbackFile = { key: string; back: Publication; inPlace: Publication | undefined };
export type Rollback = { runId: string; dataset: string; csv: RollbackFile; jsonl: RollbackFile };

/**
 * Finds the versions to restore. If the run has expired from the work bucket, the files of every dataset are searched.
 * @throws PipelineError `RunVersionGone`, `RunUnknown`, `UnknownDataset`
 */
export async function planRollback(runId: string, { work, data }: Buckets): Promise<Rollback> {
  const run = await work.getJson(keys.run(runId), runSchema);
  const others: Publication[] = [];
  for (const { name, publish } of run ? [findDataset(run.dataset)] : datasets) {
    const csv = await findVersion(runId, publish.csv, { work, data });
    if (csv.back === undefined) {
      if (run) throw versionGone(runId, publish.csv, csv.others);
      others.push(...csv.others);
      continue;
    }
    const jsonl = await findVersion(runId, publish.jsonl, { work, data });
    if (jsonl.back === undefined) throw versionGone(runId, publish.jsonl, jsonl.others);
    // Each run has child files of its own, so they are still in place.
    const result = await work.getJson(keys.result(runId), runResult);
    for (const { key } of result?.state === "published" ? (result.children ?? []) : [])
      if (!(await data.head(key))) throw versionGone(runId, key, csv.others);
    return {
      runId,
      dataset: name,
      csv: { key: publish.csv, back: csv.back, inPlace: csv.inPlace },
      jsonl: { key: publish.jsonl, back: jsonl.back, inPlace: jsonl.inPlace },
    };
  }
  throw new PipelineError("RunUnknown", {
    message: "This run is neither in the work bucket nor among the versions of the published files.",
    advice: alternatives(others),
    ids: { run: runId },
  });
}

/**
 * Finds the publication before a live run: the one that the run's file replaced when it was first published.
 * @returns undefined if the run is not live; `before` is missing if no other run's file is kept
 */
export async function liveBefore(
  runId: string,
  { work, data }: Buckets,
): Promise<{ wasRestored: boolean; before?: Publication } | undefined> {
  for (const { publish } of datasets) {
    const file = await data.head(publish.csv);
    if (!file || runIdIn(file) !== runId) continue;
    let before: Publication | undefined;
    for await (const publication of await publicationsOf(publish.csv, { work, data })) {
      if (publication?.runId === runId) before = undefined;
      else if (publication?.runId !== undefined) before ??= publication;
    }
    return { wasRestored: "rolled-back-at" in file.metadata, ...(before && { before }) };
  }
  return undefined;
}

type Found = { inPlace: Publication | undefined; back?: Publication; others: Publication[] };

/** Finds the run's newest version of the file. A run that was restored before has several, with the same bytes. */
async function findVersion(runId: string, key: string, buckets: Buckets): Promise<Found> {
  const others: Publication[] = [];
  let inPlace: Publication | undefined;
  for await (const publication of await publicationsOf(key, buckets)) {
    if (!publication) continue;
    if (publication.isLatest) inPlace = publication;
    if (publication.runId === runId) return { inPlace, back: publication, others };
    others.push(publication);
  }
  return { inPlace, others };
}

/** Returns the versions of a file, newest first. */
async function publicationsOf(
  key: string,
  buckets: Buckets,
): Promise<AsyncIterable<Publication | undefined>> {
  const versions = await buckets.data.listVersions(key, maxVersions);
  return pMapIterable(versions, (version) => publicationOf(version, key, buckets), { concurrency: atOnce });
}

/** Returns undefined if the version has expired since it was listed. */
async function publicationOf(
  version: Version,
  key: string,
  { work, data }: Buckets,
): Promise<Publication | undefined> {
  const object = await data.head(key, version.versionId);
  if (!object) return undefined;
  const { data: metadata } = runMetadata.safeParse(object.metadata);
  if (!metadata) return { ...version, ...object };
  const { "run-id": runId, "requested-at": requestedAt } = metadata;
  const result = await work.getJson(keys.result(runId), runResult);
  return { ...version, ...object, runId, requestedAt, ...(result && { rows: result.rows }) };
}

function versionGone(runId: string, key: string, others: Publication[]): PipelineError {
  return new PipelineError("RunVersionGone", {
    message: `None of the newest ${maxVersions} versions of ${key} is this run's: it did not publish, or its version expired.`,
    advice: alternatives(others),
    ids: { run: runId },
  });
}

/** Returns a sentence with the runs that can be restored. @param others of one or more files, newest first */
function alternatives(others: readonly Publication[]): string {
  const inPlace = new Set(others.filter(({ isLatest }) => isLatest).map(({ runId }) => runId));
  const newestOfRun = new Map<string, Publication>();
  for (const other of others) {
    const { runId } = other;
    if (runId !== undefined && !inPlace.has(runId) && !newestOfRun.has(runId)) newestOfRun.set(runId, other);
  }
  if (newestOfRun.size === 0) {
    return "No other run's file is kept either: check that the data bucket keeps versions (docs/deploy.md).";
  }
  const listed = [...newestOfRun.values()].slice(0, maxAlternatives);
  return `Runs that can be restored: ${listed.map(publicationText).join(", ")}.`;
}

/** Returns `RUN (10,287 rows, 2026-11-22 11:05 UTC)`. */
export function publicationText({ runId, rows, at }: FileInPlace): string {
  const when = `${at.toISOString().slice(0, "2026-01-01T00:00".length).replace("T", " ")} UTC`;
  const what = rows === undefined ? when : `${quantity(rows, "row")}, ${when}`;
  return `${runId ?? "a file that no run wrote"} (${what})`;
}

/** Returns the files that are not in place yet, the CSV first, because Athena follows its arrival. */
export function remaining({ csv, jsonl }: Rollback): RollbackFile[] {
  return [csv, jsonl].filter(({ back }) => !back.isLatest);
}

export type RollbackDeps = HoldDeps & {
  now: Date;
  reason?: string | undefined;
  deployed?: readonly Dataset[];
};

/**
 * Restores the planned versions. To finish an interrupted rollback, plan and do it again.
 * @param now by the bucket's clock; with a clock that is a year ahead no run would publish for a year
 * @throws PipelineError `NewerRunPublished`, `PublishContended`, `TableChanged`
 */
export async function rollBack(
  rollback: Rollback,
  { data, tables, now, reason, deployed = datasets }: RollbackDeps,
): Promise<void> {
  const { runId } = rollback;
  const dataset = findDataset(rollback.dataset, deployed);
  const requestedAt = requestedAtOf(rollback, now);
  for (const { key, back } of remaining(rollback)) {
    const { "rollback-reason": _earlier, ...metadata } = back.metadata;
    const body = async () => {
      if (key === dataset.publish.csv) {
        const headers = (await headersOf(key, data, back.versionId)) ?? [];
        await holdTable(dataset, { runId, headers }, { tables, data });
      }
      return data.stream(key, back.versionId);
    };
    const published = await publishNewest(data, key, { runId, requestedAt }, body, {
      contentType: back.contentType,
      metadata: {
        ...metadata,
        "rolled-back-at": now.toISOString(),
        ...(reason !== undefined && { "rollback-reason": asciiOnly(reason) }),
      },
    });
    if (published.superseded) throw newerRunPublished(runId, published.by, key);
  }
}

/**
 * Returns the time at which the restored files count as requested: now, so that no run that was requested earlier replaces
 * them. If the CSV is restored already, the JSON lines get its time. With a slow clock the time is still not before that of
 * the replaced files.
 */
function requestedAtOf(rollback: Rollback, now: Date): string {
  const { back } = rollback.csv;
  const begun = back.isLatest ? back.requestedAt : undefined;
  const replaced = remaining(rollback).flatMap(({ inPlace }) => inPlace?.requestedAt ?? []);
  const times = [begun ?? now.toISOString(), ...replaced].map((time) => Date.parse(time));
  return new Date(Math.max(...times)).toISOString();
}

/** Metadata are sent as HTTP headers, which are ASCII. */
function asciiOnly(text: string): string {
  return text.trim().replace(/[^ -~]/gu, "?");
}

function newerRunPublished(runId: string, by: string, key: string): PipelineError {
  return new PipelineError("NewerRunPublished", {
    message: `The run ${by}, which was requested after this rollback, has published ${key}. Its file stays.`,
    advice: "If its file is wrong too, roll back again.",
    ids: { run: runId },
  });
}
