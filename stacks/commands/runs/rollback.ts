// Puts the files that a run published back in place, from the versions that S3 keeps of them. Athena, and whatever comes
// after it, follows as it follows every published file.
import { pMapIterable } from "p-map";
import { quantity } from "../../../services/reporter/message.ts";
import { datasets, findDataset } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { type HoldDeps, headersOf, holdTable } from "../../../shared/header-change.ts";
import { keys } from "../../../shared/keys.ts";
import type { ObjectInfo, Version } from "../../../shared/ports.ts";
import { publishNewest } from "../../../shared/publish.ts";
import { runResult, run as runSchema } from "../../../shared/run.ts";
import { type Buckets, type FileInPlace, runIdIn, runMetadata } from "./live.ts";

/** In the 90 days that S3 keeps them a run every two hours makes about as many. */
const maxVersions = 1_000;
/** Requests for versions on their way at a time. */
const atOnce = 8;
/** Runs that are offered in place of one that is gone. */
const maxOffered = 10;

/** A published file, in place or replaced since. `runId` and `requestedAt` are missing where no run wrote it. */
export type Publication = Version & ObjectInfo & FileInPlace & { requestedAt?: string };

/** Which version of a file comes back, and what it replaces; `back.isLatest` where it is in place already. */
export type RollbackFile = { key: string; back: Publication; inPlace: Publication | undefined };
export type Rollback = { runId: string; dataset: string; csv: RollbackFile; jsonl: RollbackFile };

/**
 * Finds what is to be done. The work bucket may have forgotten the run; then every dataset's files are looked through.
 * @throws PipelineError `RunVersionGone`, `RunUnknown`, `UnknownDataset`
 */
export async function planRollback(runId: string, { work, data }: Buckets): Promise<Rollback> {
  const run = await work.getJson(keys.run(runId), runSchema);
  const others: Publication[] = [];
  for (const { name, publish } of run ? [findDataset(run.dataset)] : datasets) {
    const csv = await lookFor(runId, publish.csv, { work, data });
    if (csv.back === undefined) {
      if (run) throw versionGone(runId, publish.csv, csv.others);
      others.push(...csv.others);
      continue;
    }
    const jsonl = await lookFor(runId, publish.jsonl, { work, data });
    if (jsonl.back === undefined) throw versionGone(runId, publish.jsonl, jsonl.others);
    return {
      runId,
      dataset: name,
      csv: { key: publish.csv, back: csv.back, inPlace: csv.inPlace },
      jsonl: { key: publish.jsonl, back: jsonl.back, inPlace: jsonl.inPlace },
    };
  }
  throw new PipelineError("RunUnknown", {
    message:
      "Nothing is left of this run: neither in the work bucket nor among the published files' versions.",
    advice: offer(others),
    ids: { run: runId },
  });
}

/**
 * Finds the publication before a run whose own file is in place: the one that the run's file replaced at first.
 * @returns undefined where the named run's file is not in place; `before` is missing where no other run's file is kept
 */
export async function liveBefore(
  runId: string,
  { work, data }: Buckets,
): Promise<{ wasPutBack: boolean; before?: Publication } | undefined> {
  for (const { publish } of datasets) {
    const file = await data.head(publish.csv);
    if (!file || runIdIn(file) !== runId) continue;
    let before: Publication | undefined;
    for await (const publication of await publicationsOf(publish.csv, { work, data })) {
      if (publication?.runId === runId) before = undefined;
      else if (publication?.runId !== undefined) before ??= publication;
    }
    return { wasPutBack: "rolled-back-at" in file.metadata, ...(before && { before }) };
  }
  return undefined;
}

type Found = { inPlace: Publication | undefined; back?: Publication; others: Publication[] };

/** The newest version of the file that is the run's; a run that was put back before has several, with the same bytes. */
async function lookFor(runId: string, key: string, buckets: Buckets): Promise<Found> {
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

/** The newest first. */
async function publicationsOf(
  key: string,
  buckets: Buckets,
): Promise<AsyncIterable<Publication | undefined>> {
  const versions = await buckets.data.listVersions(key, maxVersions);
  return pMapIterable(versions, (version) => publicationOf(version, key, buckets), { concurrency: atOnce });
}

/** Undefined where the version has expired since it was listed. */
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
    message: `None of the newest ${maxVersions} versions of ${key} is this run's: it did not publish, or too long ago.`,
    advice: offer(others),
    ids: { run: runId },
  });
}

/** @param others of one file or of several, the newest first */
function offer(others: readonly Publication[]): string {
  const inPlace = new Set(others.filter(({ isLatest }) => isLatest).map(({ runId }) => runId));
  const newestOfRun = new Map<string, Publication>();
  for (const other of others) {
    const { runId } = other;
    if (runId !== undefined && !inPlace.has(runId) && !newestOfRun.has(runId)) newestOfRun.set(runId, other);
  }
  if (newestOfRun.size === 0) {
    return "No other run's file is kept either; see that the data bucket keeps versions (stacks/README.md).";
  }
  const offered = [...newestOfRun.values()].slice(0, maxOffered);
  return `Runs that can be put back: ${offered.map(publicationText).join(", ")}.`;
}

/** As a person reads it: `RUN (10,287 rows, 2026-11-22 11:05 UTC)` */
export function publicationText({ runId, rows, at }: FileInPlace): string {
  const when = `${at.toISOString().slice(0, "2026-01-01T00:00".length).replace("T", " ")} UTC`;
  const what = rows === undefined ? when : `${quantity(rows, "row")}, ${when}`;
  return `${runId ?? "a file that no run wrote"} (${what})`;
}

/** What is not in place yet, the CSV first: its arrival is what Athena follows. */
export function remaining({ csv, jsonl }: Rollback): RollbackFile[] {
  return [csv, jsonl].filter(({ back }) => !back.isLatest);
}

/**
 * Does what is planned. A rollback that was interrupted is finished by planning and doing it again.
 * @param now by the bucket's clock: were it a year ahead, no run would publish for a year
 * @throws PipelineError `NewerRunPublished`, `PublishContended`, `TableChanged`
 */
export async function rollBack(
  rollback: Rollback,
  { data, tables, now, reason }: HoldDeps & { now: Date; reason?: string | undefined },
): Promise<void> {
  const { runId } = rollback;
  const dataset = findDataset(rollback.dataset);
  const requestedAt = momentOf(rollback, now);
  for (const { key, back } of remaining(rollback)) {
    const { "rollback-reason": _earlier, ...metadata } = back.metadata;
    const body = async () => {
      if (key === dataset.publish.csv) {
        const headers = (await headersOf(key, data, back.versionId)) ?? [];
        await holdTable(dataset, headers, { tables, data });
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
 * The file counts as requested now, so that no run that was requested before takes its place. Where the CSV was put back
 * already, the JSON lines get its moment. A clock that is slow does not make it older than what it replaces.
 */
function momentOf(rollback: Rollback, now: Date): string {
  const { back } = rollback.csv;
  const begun = back.isLatest ? back.requestedAt : undefined;
  const replaced = remaining(rollback).flatMap(({ inPlace }) => inPlace?.requestedAt ?? []);
  const times = [begun ?? now.toISOString(), ...replaced].map((time) => Date.parse(time));
  return new Date(Math.max(...times)).toISOString();
}

/** Metadata travel as HTTP headers. */
function asciiOnly(text: string): string {
  return text.trim().replace(/[^ -~]/gu, "?");
}

function newerRunPublished(runId: string, by: string, key: string): PipelineError {
  return new PipelineError("NewerRunPublished", {
    message: `The run ${by}, which was requested after this rollback, has published ${key}; its file stays.`,
    advice: "If that one is wrong too, roll back again.",
    ids: { run: runId },
  });
}
