// Sends a message to people when a run has ended or something around it failed, and records metrics.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Reportable } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Numbers } from "../../shared/metrics.ts";
import { once } from "../../shared/once.ts";
import type { Notify, ObjectStore } from "../../shared/ports.ts";
import { maxPages, type RunResult, runResult } from "../../shared/run.ts";
import { checkFreshness } from "./freshness.ts";
import { checkInstances, type InstanceDeps } from "./instance-hours.ts";
import { columnNotes, heldText, instanceMail, type Mail, mailOf, publishedText } from "./message.ts";
import { numbersOf, secondsBetween } from "./numbers.ts";

/** Of a run's pages, of all its attempts. */
const maxParts = 10 * maxPages;

export type ReporterDeps = InstanceDeps & {
  work: ObjectStore;
  data: ObjectStore;
  results: ObjectStore;
  notify: Notify;
  stage: string;
  /** Whether there is a Tableau to refresh. */
  hasTableau: boolean;
  datasets: readonly Dataset[];
};

/** @throws PipelineError `ReportUnderWay`, `ResultMissing`, `UnknownDataset`, `InstancesUnseen` */
export async function report(event: Reportable, deps: ReporterDeps): Promise<LogFields> {
  switch (event["detail-type"]) {
    case "freshness.check.requested":
      return checkFreshness(findDataset(event.detail.dataset, deps.datasets), deps);
    case "instances.check.requested":
      return checkInstances(deps);
    case "results.published":
      return measureQuery(event, deps);
    case "instance.failed":
      return tell(keys.reportOfEvent(event.id), deps, async () => ({ mail: instanceMail(event.detail) }));
    default:
      return tell(keys.report(event.detail.runId, occurrence(event)), deps, () => contentOf(event, deps));
  }
}

type OfType<T extends Reportable["detail-type"]> = Extract<Reportable, { "detail-type": T }>;
type OfRun = OfType<
  | "run.published"
  | "run.held"
  | "run.failed"
  | "run.superseded"
  | "file.refused"
  | "query.failed"
  | "tableau.failed"
>;

/** `measured`: the run's metrics, where the event is a run's end. */
type Content = { mail: Mail; measured?: { numbers: Numbers; dataset: string } };

/**
 * However often it comes, people get one message, unless this dies between sending it and writing that down.
 * @param key where that is written down
 * @param contentOf all of it that can fail
 */
async function tell(
  key: string,
  { work, notify, measure, stage, now }: ReporterDeps,
  contentOf: () => Promise<Content>,
): Promise<LogFields> {
  const outcome = await once(key, work, now, async () => {
    const { mail, measured } = await contentOf();
    await notify(mailOf(mail, stage));
    if (measured) measure(measured.numbers, { dataset: measured.dataset });
  });
  if (outcome === "claimed") {
    throw new PipelineError("ReportUnderWay", {
      message: "The same message is being sent by another call of this function, or was when that died.",
      advice: "It is tried again by itself; if it stays, replay the dead letter.",
      kind: "transient",
      ids: { report: key },
    });
  }
  return { report: key, sent: outcome !== "done" };
}

/** Identifies repeated events. A run ends once in each way, however often it is announced; queries and refreshes fail on their own. */
function occurrence(event: OfRun): string {
  switch (event["detail-type"]) {
    case "query.failed":
      return `query.failed-${event.detail.queryExecutionId}`;
    case "tableau.failed":
      return `tableau.failed-${event.id}`;
    default:
      return event["detail-type"];
  }
}

/** In a subject, after the dataset's name. */
const whats = {
  "run.held": "run held",
  "run.failed": "run failed",
  "run.superseded": "run superseded",
  "file.refused": "published file refused",
  "query.failed": "query failed",
  "tableau.failed": "Tableau not refreshed",
} as const;

async function contentOf(
  { "detail-type": type, detail }: OfRun,
  { work, hasTableau, datasets }: ReporterDeps,
): Promise<Content> {
  const { runId, dataset } = detail;
  const mail = (what: string, text: string): Mail => ({
    what: `${dataset} ${what}`,
    text,
    more: `npm run runs -- show ${runId}`,
  });
  switch (type) {
    case "run.published": {
      const { result, numbers } = await endOf(runId, work);
      const what = `published ${detail.rows.toLocaleString("en-US")} ${detail.rows === 1 ? "row" : "rows"}`;
      const entry = findDataset(dataset, datasets);
      const text = [publishedText(result, entry, hasTableau), ...columnNotes(result, entry.columns)];
      return { mail: mail(what, text.join("\n")), measured: { numbers, dataset } };
    }
    case "run.held": {
      const { result, numbers } = await endOf(runId, work);
      const { columns } = findDataset(dataset, datasets);
      const text = heldText(result, detail.reason, columns);
      return { mail: mail(whats[type], text), measured: { numbers, dataset } };
    }
    case "run.failed":
    case "run.superseded": {
      const { numbers } = await endOf(runId, work);
      return { mail: mail(whats[type], detail.reason), measured: { numbers, dataset } };
    }
    default:
      return { mail: mail(whats[type], detail.reason) };
  }
}

async function endOf(runId: string, work: ObjectStore): Promise<{ result: RunResult; numbers: Numbers }> {
  const result = await work.getJson(keys.result(runId), runResult);
  if (!result) {
    throw new PipelineError("ResultMissing", {
      message: "A run has ended whose result is not in the work bucket, which keeps runs for 30 days.",
      advice: "Nothing is lost but this message: archive it.",
      ids: { run: runId },
    });
  }
  let transformedAt: Date | undefined;
  for await (const { at } of work.objects(keys.allParts(runId), maxParts)) {
    if (!transformedAt || at > transformedAt) transformedAt = at;
  }
  return { result, numbers: numbersOf(result, transformedAt) };
}

/** From the file's arrival to the result's. Where a later file has arrived meanwhile, the query was not of this one. */
async function measureQuery(
  { detail, time }: OfType<"results.published">,
  deps: ReporterDeps,
): Promise<LogFields> {
  const { runId, dataset } = detail;
  const file = await deps.data.head(findDataset(dataset, deps.datasets).publish.csv);
  if (file?.metadata["run-id"] !== runId) return { run: runId, measured: false };
  const seconds = secondsBetween(file.at, new Date(time));
  deps.measure({ QuerySeconds: seconds }, { dataset });
  return { run: runId, measured: true, seconds };
}
