// What is told of a run: a message to people when it has ended and when something after it went wrong, and its numbers.
import type { Store } from "../../shared/aws/store.ts";
import type { Notify } from "../../shared/aws/topic.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Reportable } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { Facts } from "../../shared/logger.ts";
import type { Measure, Numbers } from "../../shared/metrics.ts";
import { once } from "../../shared/once.ts";
import { maxPages, type RunResult, runResult } from "../../shared/run.ts";
import { checkFreshness } from "./freshness.ts";
import { mailOf, publishedText } from "./message.ts";
import { numbersOf, secondsBetween } from "./numbers.ts";

/** Summaries of a run's pages, of all its attempts. */
const maxSummaries = 10 * maxPages;

export type ReporterEffects = {
  work: Store;
  data: Store;
  notify: Notify;
  measure: Measure;
  stage: string;
  /** Whether there is a Tableau to refresh. */
  hasTableau: boolean;
  now: () => Date;
};

/** @throws PipelineError `ReportUnderWay`, `ResultMissing`, `UnknownDataset` */
export async function report(event: Reportable, effects: ReporterEffects): Promise<Facts> {
  switch (event["detail-type"]) {
    case "freshness.check.requested":
      return checkFreshness(findDataset(event.detail.dataset), effects);
    case "results.published":
      return measureQuery(event, effects);
    default:
      return tell(event, effects);
  }
}

type ResultsPublished = Extract<Reportable, { "detail-type": "results.published" }>;
type Told = Exclude<Reportable, { "detail-type": "results.published" | "freshness.check.requested" }>;

/** However often an event comes, people get one message, unless this dies between sending it and writing that down. */
async function tell(event: Told, effects: ReporterEffects): Promise<Facts> {
  const { runId, dataset } = event.detail;
  const { work, notify, measure, stage, now } = effects;
  const outcome = await once(keys.report(runId, occurrence(event)), work, now, async () => {
    // All that can fail goes first.
    const { what, text, numbers } = await contentOf(event, effects);
    const more = `npm run runs -- show ${runId}`;
    await notify(mailOf({ what: `${dataset} ${what}`, text, more }, stage));
    if (numbers) measure(numbers, { dataset });
  });
  if (outcome === "claimed") {
    throw new PipelineError("ReportUnderWay", {
      message: "The same message is being sent by another call of this function, or was when that died.",
      advice: "It is tried again by itself; if it stays, replay the dead letter.",
      kind: "transient",
      ids: { run: runId },
    });
  }
  return { run: runId, event: event["detail-type"], told: outcome !== "done" };
}

/** What makes two events one. A run ends once in each way, whoever says so again; queries and refreshes fail by themselves. */
function occurrence(event: Told): string {
  switch (event["detail-type"]) {
    case "query.failed":
      return `query.failed-${event.detail.queryExecutionId}`;
    case "tableau.failed":
      return `tableau.failed-${event.id}`;
    default:
      return event["detail-type"];
  }
}

type Content = { what: string; text: string; numbers?: Numbers };

/** In a subject, after the dataset's name. */
const whats = {
  "run.held": "run held",
  "run.failed": "run failed",
  "file.refused": "published file refused",
  "query.failed": "query failed",
  "tableau.failed": "Tableau not refreshed",
} as const;

async function contentOf(
  { "detail-type": type, detail }: Told,
  { work, hasTableau }: ReporterEffects,
): Promise<Content> {
  switch (type) {
    case "run.published": {
      const { result, numbers } = await endOf(detail.runId, work);
      const what = `published ${detail.rows.toLocaleString("en-US")} ${detail.rows === 1 ? "row" : "rows"}`;
      return { what, text: publishedText(result, findDataset(detail.dataset), hasTableau), numbers };
    }
    case "run.held":
    case "run.failed": {
      const { result, numbers } = await endOf(detail.runId, work);
      const what = result.state === "superseded" ? "run superseded" : whats[type];
      return { what, text: detail.reason, numbers };
    }
    default:
      return { what: whats[type], text: detail.reason };
  }
}

async function endOf(runId: string, work: Store): Promise<{ result: RunResult; numbers: Numbers }> {
  const result = await work.getJson(keys.result(runId), runResult);
  if (!result) {
    throw new PipelineError("ResultMissing", {
      message: "A run has ended whose result is not in the work bucket, which keeps runs for 30 days.",
      advice: "Nothing is lost but this message: archive it.",
      ids: { run: runId },
    });
  }
  const summaries = await work.listChanges(keys.allSummaries(runId), maxSummaries);
  let transformedAt: Date | undefined;
  for (const at of summaries.values()) if (!transformedAt || at > transformedAt) transformedAt = at;
  return { result, numbers: numbersOf(result, transformedAt) };
}

/** From the file's arrival to the result's. Where a later file has arrived meanwhile, the query was not of this one. */
async function measureQuery({ detail, time }: ResultsPublished, effects: ReporterEffects): Promise<Facts> {
  const { runId, dataset } = detail;
  const file = await effects.data.head(findDataset(dataset).publish.csv);
  if (file?.metadata["run-id"] !== runId) return { run: runId, measured: false };
  const seconds = secondsBetween(file.at, new Date(time));
  effects.measure({ QuerySeconds: seconds }, { dataset });
  return { run: runId, measured: true, seconds };
}
