// Emails people when a run has ended or something around it failed, and records metrics. A webhook gets the same messages, and
// the alarms.
import type { AlarmStateChange } from "../../shared/aws-events.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError, toPipelineError } from "../../shared/errors.ts";
import type { Reportable } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Numbers } from "../../shared/metrics.ts";
import { once } from "../../shared/once.ts";
import type { Notification, Notify, ObjectStore } from "../../shared/ports.ts";
import { isDeidentified } from "../../shared/privacy/deidentified.ts";
import { quantity } from "../../shared/quantity.ts";
import { maxPages, type RunResult, runResult } from "../../shared/run.ts";
import { type DeadLetterDeps, deadLetterMail } from "./dead-letters.ts";
import { checkFreshness } from "./freshness.ts";
import { checkInstances, type InstanceDeps } from "./instance-hours.ts";
import { heldText, instanceMail, notificationOf, publishedMail, whereReport } from "./message.ts";
import { runMetrics, secondsBetween } from "./run-metrics.ts";

/** Limit for listing the pages of all of a run's attempts. */
const maxParts = 10 * maxPages;

export type ReporterDeps = InstanceDeps &
  DeadLetterDeps & {
    work: ObjectStore;
    data: ObjectStore;
    results: ObjectStore;
    notify: Notify;
    /** Posts a message to a webhook after its email. Does nothing if no webhook is set. */
    post?: Notify;
    /** Called if a message could not be posted. */
    onNotPosted?: (error: PipelineError) => void;
    stage: string;
    /** Whether the stage has a Tableau to refresh. */
    hasTableau: boolean;
    datasets: readonly Dataset[];
  };

/** @throws PipelineError `ReportInProgress`, `ResultMissing`, `UnknownDataset`, `InstancesNotListed` */
export async function report(event: Reportable | AlarmStateChange, deps: ReporterDeps): Promise<LogFields> {
  switch (event["detail-type"]) {
    case "freshness.check.requested":
      return dailyCheck(event, deps);
    case "instances.check.requested":
      return checkInstances(deps);
    case "results.published":
      return measureQuery(event, deps);
    case "instance.failed":
      return sendOnce(keys.reportOfEvent(event.id), deps, async () => ({
        notification: notificationOf(instanceMail(event.detail), deps.stage),
      }));
    case "CloudWatch Alarm State Change": {
      const { alarmName, configuration } = event.detail;
      const notification = { subject: `ALARM: ${alarmName}`, body: configuration.description };
      // The alarm's topic sends the email.
      const withoutEmail = { ...deps, notify: async () => {} };
      return sendOnce(keys.reportOfEvent(event.id), withoutEmail, async () => ({ notification }));
    }
    default:
      return sendOnce(keys.report(event.detail.runId, occurrenceOf(event)), deps, () =>
        reportOf(event, deps),
      );
  }
}

type EventOf<T extends Reportable["detail-type"]> = Extract<Reportable, { "detail-type": T }>;
type RunEvent = EventOf<
  | "run.published"
  | "run.held"
  | "run.failed"
  | "run.superseded"
  | "file.refused"
  | "query.failed"
  | "tableau.failed"
>;

/** `measured` has the run's metrics if the event is a run outcome. */
type Report = { notification: Notification; measured?: { numbers: Numbers; dataset: string } };

/**
 * Sends one email per key, even for repeated events. A crash between the email and the write of its claim sends it twice.
 * Posts to the webhook after both, so that a failure or a crash there does not repeat the email.
 * @param prepare does everything that may fail before the email is sent
 */
async function sendOnce(key: string, deps: ReporterDeps, prepare: () => Promise<Report>): Promise<LogFields> {
  const { work, notify, measure, now } = deps;
  const outcome = await once(key, work, now, async () => {
    const { notification, measured } = await prepare();
    await notify(notification);
    if (measured) measure(measured.numbers, { dataset: measured.dataset });
    return notification;
  });
  if (outcome === "claimed") {
    throw new PipelineError("ReportInProgress", {
      message: "Another call is sending the same email, or crashed while sending it.",
      advice: "Retried automatically. If this persists, replay the dead letter.",
      kind: "transient",
      ids: { report: key },
    });
  }
  if (outcome !== "done") await postOrReport(outcome, deps);
  return { report: key, sent: outcome !== "done" };
}

async function postOrReport(
  notification: Notification,
  { post, onNotPosted, measure }: ReporterDeps,
): Promise<void> {
  try {
    await post?.(notification);
  } catch (error) {
    measure({ WebhookFailures: 1 }, {});
    onNotPosted?.(toPipelineError(error));
  }
}

/** Identifies repeated events. A run has each outcome once; every failed query or refresh is its own occurrence. */
function occurrenceOf(event: RunEvent): string {
  switch (event["detail-type"]) {
    case "query.failed":
      return `query.failed-${event.detail.queryExecutionId}`;
    case "tableau.failed":
      return `tableau.failed-${event.id}`;
    case "file.refused":
      // A run has a full and a de-identified file.
      return `file.refused-${event.detail.dataset}`;
    default:
      return event["detail-type"];
  }
}

/** Follow the dataset's name in the subject. */
const subjects = {
  "run.held": "run held for review",
  "run.failed": "run failed",
  "run.superseded": "run superseded, no action needed",
  "file.refused": "not updated in Athena: file refused",
  "query.failed": "not updated in Athena: query failed",
  "tableau.failed": "not updated in Tableau",
} as const;

async function reportOf(
  { "detail-type": type, detail }: RunEvent,
  { work, results, hasTableau, datasets, stage }: ReporterDeps,
): Promise<Report> {
  const { runId, dataset } = detail;
  const report = `s3://${results.bucket}/${keys.runReport(dataset, runId)}`;
  const mail = (subject: string, text: string): Notification =>
    notificationOf(
      { subject: `${dataset} ${subject}`, text, details: `npm run runs -- show ${runId}` },
      stage,
    );
  switch (type) {
    case "run.published": {
      const { result, numbers } = await outcomeOf(runId, work);
      const text = publishedMail(result, findDataset(dataset, datasets), hasTableau);
      const where = whereReport("Report, after Athena's update", report);
      return {
        notification: mail(`published ${quantity(detail.rows, "row")}`, `${text}\n\n${where}`),
        measured: { numbers, dataset },
      };
    }
    case "run.held": {
      const { result, numbers } = await outcomeOf(runId, work);
      const text = `${heldText(result, detail.reason, findDataset(dataset, datasets))}\n\n${whereReport("Report", report)}`;
      return { notification: mail(subjects[type], text), measured: { numbers, dataset } };
    }
    case "run.failed": {
      const { numbers } = await outcomeOf(runId, work);
      const text = `${detail.reason}\n\n${whereReport("Report", report)}`;
      return { notification: mail(subjects[type], text), measured: { numbers, dataset } };
    }
    case "run.superseded": {
      const { numbers } = await outcomeOf(runId, work);
      return { notification: mail(subjects[type], detail.reason), measured: { numbers, dataset } };
    }
    case "tableau.failed": {
      const refresh = "After the fix, refresh again: npm run replay -- send --queue tableau";
      return { notification: mail(subjects[type], `${detail.reason}\n\n${refresh}`) };
    }
    default:
      return { notification: mail(subjects[type], detail.reason) };
  }
}

/** Checks the dataset's file and, once a day, the dead letters of all services. */
async function dailyCheck(
  { detail, time }: EventOf<"freshness.check.requested">,
  deps: ReporterDeps,
): Promise<LogFields> {
  const fields = await checkFreshness(findDataset(detail.dataset, deps.datasets), deps);
  const mail = await deadLetterMail(deps);
  if (!mail) return { ...fields, deadLetters: "none" };
  const key = keys.reportOfEvent(`dead-letters-${time.slice(0, 10)}`);
  const notification = notificationOf(mail, deps.stage);
  return { ...fields, ...(await sendOnce(key, deps, async () => ({ notification }))) };
}

async function outcomeOf(runId: string, work: ObjectStore): Promise<{ result: RunResult; numbers: Numbers }> {
  const result = await work.getJson(keys.result(runId), runResult);
  if (!result) {
    throw new PipelineError("ResultMissing", {
      message: "The run's result is not in the work bucket, where runs expire after 30 days.",
      advice: "Only this email is lost. Archive the dead letter.",
      ids: { run: runId },
    });
  }
  let transformedAt: Date | undefined;
  for await (const { at } of work.objects(keys.allParts(runId), maxParts)) {
    if (!transformedAt || at > transformedAt) transformedAt = at;
  }
  return { result, numbers: runMetrics(result, transformedAt) };
}

/** Measures from the file's publication to the result's, unless a later file has replaced the query's file. */
async function measureQuery(
  { detail, time }: EventOf<"results.published">,
  deps: ReporterDeps,
): Promise<LogFields> {
  const { runId, dataset } = detail;
  // Only the full file's query is measured.
  if (isDeidentified(dataset)) return { run: runId, measured: false };
  const file = await deps.data.head(findDataset(dataset, deps.datasets).publish.csv);
  if (file?.metadata["run-id"] !== runId) return { run: runId, measured: false };
  const seconds = secondsBetween(file.at, new Date(time));
  deps.measure({ QuerySeconds: seconds }, { dataset });
  return { run: runId, measured: true, seconds };
}
