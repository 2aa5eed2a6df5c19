// Watches one run from outside: by the pipeline's events, and by the dead letters that name it.
import { setTimeout as delay } from "node:timers/promises";
import {
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { z } from "zod";
import { Queue } from "../../shared/aws/queue.ts";
import { config, type QueueName, queueNames } from "../../shared/config.ts";
import { eventDetails } from "../../shared/events.ts";
import { services, type Wired } from "./wiring.ts";

export type RunEnd =
  | { state: "published and queried"; queryExecutionId: string; bucket: string; key: string }
  /** A sentence for a person. After a dead letter the run goes on when that is replayed. */
  | { state: "failed" | "dead letter"; reason: string };

/** What became of Tableau, a sentence. */
export type TableauEnd = { state: "refreshed" | "failed"; sentence: string };

export type Watch = {
  sqs: SQSClient;
  wired: Wired;
  runId: string;
  requestId: string;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** When something last moved, in the same clock. */
  lastProgress: () => number;
  onStarted: (windows: number) => void;
  onPublished: () => void;
  /** May come after the run has ended. */
  onTableau: (end: TableauEnd) => void;
  signal: AbortSignal;
};

/** A run neither waits for an EC2 instance nor fails because of one. */
const ofRuns = queueNames.filter((name) => name !== "INSTANCE");

const pollMs = 200;
/** Longer than any retry's delay here. A run that does nothing for so long will do nothing more. */
const stalledMs = 10 * 60_000;

/** @returns when the run has ended, or has come to a halt. @throws when the signal is aborted */
export async function watchRun(watch: Watch): Promise<RunEnd> {
  for (;;) {
    watch.signal.throwIfAborted();
    const end = await hear(watch);
    if (end) return end;
    const deadLetter = await findDeadLetter(watch);
    if (deadLetter) return { state: "dead letter", reason: deadLetter };
    if (Date.now() - watch.lastProgress() > stalledMs) {
      return { state: "failed", reason: "The run has stopped moving for ten minutes. Start it again." };
    }
    await delay(pollMs, undefined, { signal: watch.signal });
  }
}

/** Of ten events each; what is left is heard the next time. */
const maxReceives = 100;

/** Hears what was told since the last time. @returns the run's end, where that was told */
async function hear(watch: Watch): Promise<RunEnd | undefined> {
  const ends: RunEnd[] = [];
  for (let receives = 0; receives < maxReceives; receives++) {
    const events = await receiveEvents(watch);
    if (events.length === 0) break;
    ends.push(...events.flatMap((event) => endOf(event, watch) ?? []));
  }
  return ends[0];
}

const drainMs = 60_000;

/**
 * Waits until no work queue holds a message, for a minute at most: an earlier run that was cut off goes on beside this
 * one, and ends before the machine stops. For Tableau it waits as much longer as the service follows jobs there.
 */
export async function drain(watch: Watch): Promise<void> {
  const { sqs, wired, signal } = watch;
  const startedAt = Date.now();
  const tableauMs = drainMs + config.tableauPatienceMs();
  for (;;) {
    const waiting = await firstWithMessages(sqs, wired);
    if (!waiting || Date.now() - startedAt > (waiting === "TABLEAU" ? tableauMs : drainMs)) break;
    await delay(pollMs, undefined, { signal });
  }
  await hear(watch);
}

/** Asked in the order in which messages go: one that moves on meanwhile is found in a later queue. */
async function firstWithMessages(sqs: SQSClient, wired: Wired): Promise<QueueName | undefined> {
  for (const name of ofRuns) {
    if ((await messagesIn(sqs, wired.queues[name].url, attributesOf(name))) > 0) return name;
  }
  return undefined;
}

const present = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"] as const;
const delayed = "ApproximateNumberOfMessagesDelayed";

/** What is delayed in AthenaQueue looks at queries, in case that Athena's event did not come. Here it always does. */
function attributesOf(name: QueueName): readonly (typeof delayed | (typeof present)[number])[] {
  return name === "ATHENA" ? present : [...present, delayed];
}

async function messagesIn(
  sqs: SQSClient,
  QueueUrl: string,
  AttributeNames: ReturnType<typeof attributesOf>,
): Promise<number> {
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
  );
  return AttributeNames.reduce((sum, name) => sum + Number(Attributes?.[name] ?? 0), 0);
}

const pipelineEvent = z.union([
  event("run.started"),
  event("run.published"),
  event("run.held"),
  event("run.failed"),
  event("results.published"),
  event("file.refused"),
  event("query.failed"),
  event("tableau.refreshed"),
  event("tableau.failed"),
  z.object({ "detail-type": z.string() }).transform(() => undefined),
]);
type PipelineEvent = z.infer<typeof pipelineEvent>;

function event<
  T extends
    | "run.started"
    | "run.published"
    | "run.held"
    | "run.failed"
    | "results.published"
    | "file.refused"
    | "query.failed"
    | "tableau.refreshed"
    | "tableau.failed",
>(type: T) {
  return z.object({ "detail-type": z.literal(type), detail: eventDetails[type] });
}

function endOf(
  event: PipelineEvent,
  { runId, onStarted, onPublished, onTableau }: Watch,
): RunEnd | undefined {
  if (event?.detail.runId !== runId) return undefined;
  switch (event["detail-type"]) {
    case "run.started":
      onStarted(event.detail.windows);
      return undefined;
    case "run.published":
      onPublished();
      return undefined;
    case "run.held":
    case "run.failed":
    case "file.refused":
    case "query.failed":
      return { state: "failed", reason: event.detail.reason };
    case "results.published": {
      const { queryExecutionId, bucket, key } = event.detail;
      return { state: "published and queried", queryExecutionId, bucket, key };
    }
    case "tableau.refreshed": {
      const names = event.detail.refreshed.map(({ kind, name }) => `${kind} "${name}"`);
      onTableau({ state: "refreshed", sentence: `Tableau refreshed ${names.join(", ")}.` });
      return undefined;
    }
    case "tableau.failed":
      onTableau({ state: "failed", sentence: `Tableau was not refreshed. ${event.detail.reason}` });
      return undefined;
    default:
      return undefined;
  }
}

async function receiveEvents({ sqs, wired, signal }: Watch): Promise<PipelineEvent[]> {
  const QueueUrl = wired.observer.url;
  const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }), {
    abortSignal: signal,
  });
  if (Messages.length === 0) return [];
  const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
  // One that is not deleted is seen again after its visibility timeout; that changes nothing.
  await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  return Messages.map(({ Body = "" }) => pipelineEvent.parse(JSON.parse(Body)));
}

/**
 * The reason on the first dead letter of this run. Dead letters are looked at and stay where they are. Tableau's come
 * when the run has ended already, and of a message that was not sent the run itself is none the worse.
 */
async function findDeadLetter(watch: Watch): Promise<string | undefined> {
  const { sqs, wired, signal } = watch;
  for (const name of ofRuns.filter((each) => each !== "TABLEAU" && each !== "REPORT")) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: wired.queues[name].deadLetters.url,
        MaxNumberOfMessages: 10,
        // Hidden for a moment, so that the next look sees others, however many there are from earlier runs.
        VisibilityTimeout: 2,
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["SentTimestamp"],
      }),
      { abortSignal: signal },
    );
    const ours = Messages.find((message) => isOurs(message, watch));
    if (ours) {
      // For whoever looks at the dead letters next.
      const receipts = Messages.flatMap(({ ReceiptHandle }) => ReceiptHandle ?? []);
      await new Queue(sqs, wired.queues[name].deadLetters.url).showAgain(receipts);
      return (
        ours.MessageAttributes?.ErrorText?.StringValue ??
        `The ${services[name].service} failed again and again without a reason. Run with POWERTOOLS_LOG_LEVEL=INFO to see its log.`
      );
    }
  }
  return undefined;
}

/** S3's notifications name no run; one that failed since this run began is taken for its own. */
function isOurs({ Body = "", Attributes }: Message, { runId, requestId, startedAt }: Watch): boolean {
  if (Body.includes(runId) || Body.includes(requestId)) return true;
  return Body.includes("aws:s3") && Number(Attributes?.SentTimestamp) >= startedAt;
}
