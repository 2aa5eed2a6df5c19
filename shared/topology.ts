// The services, their queues and the routes of events, as data. Each service has a queue of the same name. stacks/
// creates SST components from this file, and stacks/local/ creates workers.
import { childTables } from "./child-tables.ts";
import type { Dataset } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";
import type { EventType } from "./events.ts";
import { folderOf, keys, previousKey } from "./keys.ts";
import { parquetFolder, parquetKey } from "./parquet-file.ts";
import { isDeidentified } from "./privacy/deidentified.ts";

/** A message becomes a dead letter after this many receives. */
export const receiveLimit = 5;

/** The keys of a bucket that a function may read and write. `*` matches any text. */
export type Access = { read: readonly string[]; write?: readonly string[]; multipart?: true };
/** Returns the access to the files of an entry. */
export type PublishedAccess = (entry: Dataset) => Access;

export type ServiceDefinition<Name extends string = string> = {
  /** What stops if the service fails. Alarms name it first. */
  purpose: string;
  queue: {
    /** How a FIFO queue recognizes a repeated message: by an id from the sender, or by its content. */
    fifo?: "by-id" | "by-content";
  };
  /** Limits one invocation. */
  timeoutSeconds: number;
  memoryMb: number;
  /** The most messages in one invocation. 1 for a FIFO queue (`checkTopology`). */
  batchSize: number;
  /**
   * The most invocations at the same time, if more would harm someone. Without a limit Lambda polls an idle queue with as few
   * as 2 connections, with a limit always with 5, which cost SQS requests.
   * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
   */
  concurrency?: number;
  /** Whether the function may be invoked more than 16 times in a chain of messages (stacks/services.ts). */
  allowsLongChains?: true;
  /** The queues to which the service sends. */
  sendsTo: readonly Name[];
  /** The ports that the service uses. */
  uses: {
    work?: Access;
    /** Whether `data`, `results` and the tables are those of the de-identified files too, or only of the full ones. */
    entries?: "all";
    data?: PublishedAccess;
    results?: PublishedAccess;
    bus?: true;
    libInsight?: true;
    pseudonymKey?: true;
    /** `tables`: only changes the tables of the files that the service writes, and runs no queries. */
    queryEngine?: "queries" | "tables";
    tableau?: "credentials" | "settings";
    notifier?: true;
    /** Whether the stage's schedules are enabled. */
    schedules?: true;
    /** Which files the stage's analysts, Tableau and the reports use. */
    audience?: true;
    metrics?: true;
    instances?: "read" | "write";
    /** The dead letters of every queue. `read`: receives and counts them, and deletes none. */
    deadLetters?: "read" | "move";
  };
  /** Files to copy next to the function's bundle. */
  copyFiles?: { from: string; to: string };
};

/** Returns the keys of the files that each run of an entry publishes. */
function publishedFiles(entry: Dataset): string[] {
  const { csv, jsonl } = entry.publish;
  const children = childTables(entry).map(({ keyOf }) => keyOf("*"));
  return [csv, jsonl, previousKey(csv), ...children, parquetKey(csv, "*")];
}

const definitions = {
  kickoff: {
    purpose: "starting requested runs",
    queue: {},
    timeoutSeconds: 60,
    memoryMb: 256,
    batchSize: 1,
    sendsTo: ["fetcher"],
    uses: {
      bus: true,
      work: {
        read: ["runs/*/run.json", "runs/*/result.json", "runs/*/profile.json", keys.keptIndex("*")],
        write: ["runs/*/run.json"],
      },
      data: ({ publish: { csv } }) => ({ read: [csv] }),
    },
  },
  fetcher: {
    purpose: "fetching records from LibInsight",
    queue: {},
    // LibInsight may take 25 seconds to respond, twice if a token is renewed, after up to a minute of waits.
    timeoutSeconds: 120,
    // A page is several hundred kilobytes and at most 8 MiB (shared/kinds/records/limits.ts), parsed and written again.
    memoryMb: 512,
    // Each message takes one request to LibInsight.
    batchSize: 1,
    // Limits the load on a hosted service.
    concurrency: 8,
    sendsTo: ["fetcher", "transformer", "assembler"],
    // A window of a year is split several times, in each of three or four attempts, which recounts and searches precede.
    allowsLongChains: true,
    uses: {
      libInsight: true,
      metrics: true,
      work: {
        read: [
          "runs/*/run.json",
          "runs/*/splits/*",
          "runs/*/parts/*",
          "runs/*/searches/*",
          "runs/*/attempts/*",
          keys.forgotten("*"),
        ],
        write: [
          "runs/*/splits/*",
          "runs/*/pages/*",
          "runs/*/parts/*",
          "runs/*/recounts/*",
          "runs/*/attempts/*",
        ],
      },
    },
  },
  transformer: {
    purpose: "transforming fetched records",
    queue: {},
    timeoutSeconds: 60,
    // Up to ten pages at once.
    memoryMb: 1024,
    // The check whether a run is complete runs once per batch.
    batchSize: 10,
    sendsTo: ["assembler"],
    uses: {
      bus: true,
      work: {
        read: ["runs/*/run.json", "runs/*/attempts/*", "runs/*/splits/*", "runs/*/pages/*", "runs/*/parts/*"],
        write: ["runs/*/parts/*", "runs/*/rejects/*"],
      },
    },
  },
  assembler: {
    purpose: "publishing files",
    // One run of a dataset at a time.
    queue: { fifo: "by-id" },
    // Lambda's maximum, because an invocation reads and writes a whole dataset.
    timeoutSeconds: 900,
    // 1,769 MB comes with one whole CPU. The use of memory does not grow with the data.
    memoryMb: 1769,
    batchSize: 1,
    sendsTo: ["fetcher"],
    uses: {
      bus: true,
      work: {
        read: [
          "runs/*/run.json",
          "runs/*/result.json",
          "runs/*/profile.json",
          "runs/*/attempts/*",
          "runs/*/splits/*",
          "runs/*/recounts/*",
          "runs/*/parts/*",
          "runs/*/held/*",
          "kept/*",
          "runs/*/changes.json",
          "runs/*/changes.parquet",
        ],
        write: [
          "runs/*/attempts/*",
          "runs/*/searches/*",
          "runs/*/result.json",
          "runs/*/profile.json",
          "runs/*/held/*",
          "kept/*",
          "runs/*/changes.json",
          "runs/*/changes.parquet",
        ],
        // A held run is as large as a published one.
        multipart: true,
      },
      // While the header changes, the table reads a copy of the earlier file.
      queryEngine: "tables",
      data: (dataset) => {
        const files = [...publishedFiles(dataset), keys.changesFile(dataset.name, "*")];
        return { read: files, write: files, multipart: true };
      },
      // Parquet has the names that Athena's columns have.
      results: () => ({ read: [keys.columnNames("*")], write: [keys.columnNames("*")] }),
    },
  },
  deidentifier: {
    purpose: "publishing de-identified files",
    queue: {},
    // As the assembler: an invocation reads and writes a whole dataset.
    timeoutSeconds: 900,
    memoryMb: 1769,
    batchSize: 1,
    sendsTo: [],
    uses: {
      bus: true,
      pseudonymKey: true,
      entries: "all",
      work: { read: [keys.namesFile("*")], write: ["runs/*/deidentification.json"] },
      data: (entry) => {
        if (!isDeidentified(entry.name)) return { read: [entry.publish.csv] };
        const files = publishedFiles(entry);
        return { read: files, write: files, multipart: true };
      },
      // While the header changes, the table reads a copy of the earlier file.
      queryEngine: "tables",
      results: () => ({ read: [keys.columnNames("*")], write: [keys.columnNames("*")] }),
    },
  },
  athena: {
    purpose: "updating Athena's tables and results",
    queue: {},
    // The statements of three views, each with up to 240 checks (shared/aws/athena.ts) of a quarter of a second and a call of
    // some 50 ms: 216 seconds. Those of the other views run beside them. The calls to S3 and Glue take several seconds more.
    timeoutSeconds: 238,
    // An invocation mostly waits, and streams what it copies.
    memoryMb: 512,
    batchSize: 1,
    // To its own queue, to check a query later: ten checks for each of three attempts, so more than 16 invocations.
    sendsTo: ["athena"],
    allowsLongChains: true,
    uses: {
      bus: true,
      entries: "all",
      queryEngine: "queries",
      work: { read: ["queries/*", "runs/*/result.json"], write: ["queries/*"] },
      // Athena reads the table's files and writes results with the caller's permissions.
      data: (dataset) => {
        const { csv } = dataset.publish;
        const children = childTables(dataset).map(({ folder }) => `${folder}*`);
        return { read: [`${folderOf(csv)}*`, previousKey(csv), ...children, `${parquetFolder(csv)}*`] };
      },
      results: ({ publish: { results, queryResults } }) => {
        const objects = [results, `${queryResults}/*`, keys.columnNames("*")];
        return { read: objects, write: objects, multipart: true };
      },
    },
    copyFiles: { from: "services/athena/queries", to: "queries" },
  },
  tableau: {
    purpose: "refreshing Tableau",
    queue: { fifo: "by-content" },
    // Lambda's maximum, because an invocation follows Tableau's jobs for ten minutes.
    timeoutSeconds: 900,
    memoryMb: 256,
    batchSize: 1,
    sendsTo: [],
    uses: { bus: true, audience: true, tableau: "credentials" },
  },
  reporter: {
    purpose: "emails about runs and the daily checks",
    queue: {},
    // Several calls to S3, one to SNS, and at most 25 seconds for a webhook.
    timeoutSeconds: 60,
    // A result of several kilobytes, and a list of the run's pages.
    memoryMb: 256,
    batchSize: 1,
    sendsTo: [],
    uses: {
      notifier: true,
      metrics: true,
      deadLetters: "read",
      instances: "read",
      tableau: "settings",
      // The claims of reports about a run, and about an event without a run.
      work: {
        read: ["runs/*/result.json", "runs/*/reports/*", "reports/*"],
        write: ["runs/*/reports/*", "reports/*"],
      },
      data: ({ publish: { csv } }) => ({ read: [csv] }),
      results: ({ publish: { results } }) => ({ read: [results] }),
    },
  },
  renderer: {
    purpose: "the reports of runs",
    queue: {},
    // Several calls to S3. If the result of the published file's run has expired, the rows of that file are counted.
    timeoutSeconds: 120,
    memoryMb: 512,
    batchSize: 1,
    sendsTo: [],
    uses: {
      schedules: true,
      audience: true,
      work: { read: ["runs/*/result.json", "runs/*/profile.json"] },
      data: ({ publish: { csv } }) => ({ read: [csv] }),
      results: () => {
        const reports = [keys.runReport("*", "*")];
        return { read: reports, write: reports, multipart: true };
      },
    },
  },
  ec2: {
    purpose: "starting and stopping EC2 instances",
    queue: {},
    // Several calls to EC2 for each instance, one instance after the other.
    timeoutSeconds: 120,
    memoryMb: 256,
    batchSize: 1,
    // To its own queue, to check an instance later.
    sendsTo: ["ec2"],
    uses: {
      bus: true,
      instances: "write",
      work: { read: ["runs/*/run.json", "instances/*"], write: ["instances/*"] },
    },
  },
  replay: {
    purpose: "requested replays of dead letters",
    queue: {},
    // A thousand dead letters, several calls each.
    timeoutSeconds: 300,
    // Ten messages at a time from each queue, at most a megabyte each.
    memoryMb: 512,
    batchSize: 1,
    sendsTo: [
      "kickoff",
      "fetcher",
      "transformer",
      "assembler",
      "deidentifier",
      "athena",
      "tableau",
      "reporter",
      "renderer",
      "ec2",
      "replay",
    ],
    uses: { deadLetters: "move" },
  },
} as const satisfies Record<string, ServiceDefinition>;

checkTopology(definitions);

/** The name of a service and of its queue. */
export type QueueName = keyof typeof definitions;
export const services: Readonly<Record<QueueName, ServiceDefinition<QueueName>>> = definitions;
export const queueNames = Object.keys(definitions).filter((name): name is QueueName => name in definitions);

/** The dead-letter queues: of each service, of the rules that route events, and of the schedules. */
export type DeadLetterName = QueueName | "undelivered" | "unscheduled";
export const deadLetterNames: readonly DeadLetterName[] = [...queueNames, "undelivered", "unscheduled"];

/** Routes the pipeline's events to queues. */
export type Route = { name: string; events: readonly EventType[]; to: QueueName; group?: string };
export const routes: readonly Route[] = [
  { name: "RunRequested", events: ["run.requested"], to: "kickoff" },
  // In addition to S3's message, because another tool may overwrite the bucket's only notification configuration.
  { name: "RunPublished", events: ["run.published", "deidentified.published"], to: "athena" },
  {
    name: "DeidentificationWanted",
    events: ["run.published", "deidentification.requested"],
    to: "deidentifier",
  },
  { name: "ReplayRequested", events: ["deadletter.replay.requested"], to: "replay" },
  // One group for all datasets, because a second sign-in with the token would end the first session.
  { name: "ResultsPublished", events: ["results.published"], to: "tableau", group: "tableau" },
  // Failures have a route of their own, because its alarm uses EventBridge's count of matched events.
  {
    name: "Failed",
    events: ["run.held", "run.failed", "query.failed", "file.refused", "tableau.failed", "instance.failed"],
    to: "reporter",
  },
  {
    name: "Reported",
    events: [
      "run.published",
      "run.superseded",
      "results.published",
      "freshness.check.requested",
      "instances.check.requested",
    ],
    to: "reporter",
  },
  // A superseded run has no report: its data was not published, and the later run has a report of its own.
  { name: "ReportWanted", events: ["results.published", "run.held", "run.failed"], to: "renderer" },
  {
    name: "InstanceWanted",
    events: [
      "instance.start.requested",
      "instance.stop.requested",
      // The end of a run for which an instance may have been started.
      "run.published",
      "run.held",
      "run.failed",
      "run.superseded",
    ],
    to: "ec2",
  },
];

/** Routes events of AWS services to queues, unchanged. */
export type AwsRoute = {
  name: string;
  source: string;
  detailType: string;
  states: readonly string[];
  to: QueueName;
};
export const awsRoutes = {
  /** Only of the pipeline's workgroup. */
  queryEnded: {
    name: "QueryEnded",
    source: "aws.athena",
    detailType: "Athena Query State Change",
    states: ["SUCCEEDED", "FAILED", "CANCELLED"],
    to: "athena",
  },
  /** Only of the stage's alarms. Their topic sends the emails; the reporter posts them to the webhook. */
  alarmRaised: {
    name: "AlarmRaised",
    source: "aws.cloudwatch",
    detailType: "CloudWatch Alarm State Change",
    states: ["ALARM"],
    to: "reporter",
  },
} as const satisfies Record<string, AwsRoute>;

/** The route of S3's message about a published CSV. */
export const filePublished = { name: "FilePublished", to: "athena" } as const satisfies Pick<
  AwsRoute,
  "name" | "to"
>;

/** Returns a record with an entry for each queue. */
export function byQueue<T>(make: (name: QueueName) => T): Record<QueueName, T> {
  const record: Partial<Record<QueueName, T>> = {};
  for (const name of queueNames) record[name] = make(name);
  if (isComplete(record)) return record;
  throw new Error("A queue has no entry.");
}

function isComplete<T>(record: Partial<Record<QueueName, T>>): record is Record<QueueName, T> {
  return queueNames.every((name) => name in record);
}

/** Returns the queue of this name. @throws PipelineError `UnknownQueue` */
export function findQueue(name: string): QueueName {
  const found = queueNames.find((candidate) => candidate === name);
  if (found) return found;
  throw new PipelineError("UnknownQueue", {
    message: "There is no queue of that name.",
    advice: `Use one of ${queueNames.join(", ")}.`,
  });
}

/** @throws Error if a FIFO queue has batches of several messages */
export function checkTopology(
  definitions: Readonly<Record<string, Pick<ServiceDefinition, "queue" | "batchSize">>>,
): void {
  for (const [name, { queue, batchSize }] of Object.entries(definitions)) {
    if (queue.fifo === undefined || batchSize === 1) continue;
    throw new Error(
      `The FIFO queue ${name} has a batch size of ${batchSize} in shared/topology.ts. The messages of a batch are handled at the same time, so a group would not stay in order after a failure. Set batchSize to 1.`,
    );
  }
}
