// Writes the report of a run to the results bucket, and keeps a copy of the newest report of each dataset.
import * as z from "zod/mini";
import { nextTime, parseCron } from "../../shared/cron.ts";
import { countCsvRows } from "../../shared/csv.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { type Audience, isDeidentified } from "../../shared/privacy/deidentified.ts";
import { type Profile, readProfile } from "../../shared/profile.ts";
import { publishAttempts, publishContended, publishNewest } from "../../shared/publish.ts";
import { type RunResult, runResult } from "../../shared/run.ts";
import { shownTo } from "./for-audience.ts";
import { type ReportInput, renderReport } from "./render.ts";

export type RendererDeps = {
  work: ObjectStore;
  data: ObjectStore;
  results: ObjectStore;
  datasets: readonly Dataset[];
  /** Whether the datasets' schedules are enabled. */
  isScheduled: boolean;
  /** The readers of the report. */
  audience: Audience;
  now: () => Date;
};

const contentType = "text/html; charset=utf-8";
/** The metadata of a report. `finished-at` is that of the result from which it was made. */
const reportMetadata = z.object({ "requested-at": z.iso.datetime(), "finished-at": z.iso.datetime() });
/** A dataset's schedule fires within ten years (shared/dataset-schema.ts). */
const scheduleDays = 10 * 366;

/**
 * Writes the run's report once for each outcome, and replaces the dataset's latest report unless that is of a later request.
 * After a rollback, the latest report is that of the restored run.
 * @returns the key of the report; undefined for a superseded run, whose data readers never see, and for results of the
 * de-identified file, because the run's report follows those of the full one
 * @throws PipelineError `ResultMissing`, `UnknownDataset`, `PublishContended`
 */
export async function writeReport(
  run: Pick<RunResult, "runId" | "dataset">,
  deps: RendererDeps,
): Promise<string | undefined> {
  const { data, results, datasets, now } = deps;
  const { runId } = run;
  if (isDeidentified(run.dataset)) return undefined;
  const dataset = findDataset(run.dataset, datasets);
  const key = keys.runReport(dataset.name, runId);
  const requestedAt = await writeOnce(runId, key, dataset, deps);
  if (requestedAt === undefined) return undefined;
  const live = (await data.head(dataset.publish.csv))?.metadata;
  // A rollback counts as a request.
  const restoredAt = live?.["run-id"] === runId ? live["requested-at"] : undefined;
  await publishNewest(
    results,
    keys.latestReport(dataset.name),
    { runId, requestedAt: restoredAt ?? requestedAt },
    () => results.stream(key),
    { contentType, now: now() },
  );
  return key;
}

/**
 * Writes the report, unless it has been written from the same result. So a repeated message gives the same bytes, even if
 * another run has published since or the profiles have expired.
 * @returns when the run was requested, or undefined if it has no report
 */
async function writeOnce(
  runId: string,
  key: string,
  dataset: Dataset,
  deps: RendererDeps,
): Promise<string | undefined> {
  const { work, results } = deps;
  for (let attempt = 1; attempt <= publishAttempts; attempt++) {
    const stored = await results.head(key);
    const result = await work.getJson(keys.result(runId), runResult);
    const { data: written } = reportMetadata.safeParse(stored?.metadata);
    // A rollback may publish a run again that has expired.
    if (written && (!result || written["finished-at"] === result.finishedAt)) return written["requested-at"];
    if (!result) throw resultMissing(runId);
    const { state, requestedAt, finishedAt } = result;
    if (state === "superseded") return undefined;
    const html = Buffer.from(renderReport(await inputOf(result, dataset, deps)));
    const etag = await results.upload(key, inOnePart(html), {
      contentType,
      metadata: { "run-id": runId, "requested-at": requestedAt, "finished-at": finishedAt },
      // A held run may be published meanwhile. Its later report stays.
      condition: stored ? { ifMatch: stored.etag } : "absent",
    });
    if (etag !== undefined) return requestedAt;
  }
  throw publishContended(key, { runId });
}

async function* inOnePart(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function inputOf(result: RunResult, dataset: Dataset, deps: RendererDeps): Promise<ReportInput> {
  const { work, isScheduled, audience } = deps;
  const profileOf = async (runId: string | undefined): Promise<Profile | undefined> =>
    runId === undefined ? undefined : readProfile(runId, work);
  const live = result.state === "published" ? undefined : await liveFile(dataset, deps);
  return {
    ...shownTo(audience, { dataset, result }),
    profile: await profileOf(result.runId),
    previous: await profileOf(result.previous?.runId ?? live?.runId),
    live,
    nextRunAt: isScheduled ? nextRun(dataset, result) : undefined,
  };
}

/**
 * Returns the published file, or undefined if there is none. One that was rolled back has the time of its run's own request,
 * and one that no run wrote has the time of its write.
 */
async function liveFile({ publish }: Dataset, { work, data }: RendererDeps): Promise<ReportInput["live"]> {
  const file = await data.head(publish.csv);
  if (!file) return undefined;
  const { "run-id": runId = "none", "requested-at": requestedAt } = file.metadata;
  const result = await work.getJson(keys.result(runId), runResult);
  // Other writers may have set any metadata.
  const { data: requested } = z.iso.datetime().safeParse(requestedAt);
  return {
    runId,
    // The result may have expired.
    rows: result?.rows ?? (await countCsvRows(await data.stream(publish.csv))),
    requestedAt: result?.requestedAt ?? requested ?? file.at.toISOString(),
  };
}

function nextRun({ schedule, timeZone }: Dataset, { finishedAt }: RunResult): Date | undefined {
  const cron = parseCron(schedule);
  return "problem" in cron ? undefined : nextTime(cron, timeZone, new Date(finishedAt), scheduleDays);
}

function resultMissing(runId: string): PipelineError {
  return new PipelineError("ResultMissing", {
    message: "The run's result is not in the work bucket, where runs expire after 30 days.",
    advice: "Only this report is lost. Archive the dead letter.",
    ids: { run: runId },
  });
}
