// What the system is made of, as data: each service with the queue of the same name that feeds it, and which event goes
// to which queue. stacks/ makes SST components of it, stacks/local/ makes workers. Adding a service or an event touches
// its own folder and this file.
import type { Dataset } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";
import type { EventType } from "./events.ts";
import { folderOf, keys, previousKey } from "./keys.ts";

/** After this many receives a message is a dead letter. */
export const receiveLimit = 5;

/** Keys of a bucket that a function may read and write; `*` stands for anything. */
export type Access = { read: readonly string[]; write?: readonly string[]; multipart?: true };
/** Access to a dataset's files. */
export type PublishedAccess = (publish: Dataset["publish"]) => Access;

export type ServiceDefinition<Name extends string = string> = {
  /** What stops if the service fails. Alarms name it first. */
  purpose: string;
  queue: {
    /** FIFO queues name how a repeated message is recognized: by an id of its sender or by its content. */
    fifo?: "by-id" | "by-content";
  };
  /** How long one call of the handler may take. */
  timeoutSeconds: number;
  memoryMb: number;
  /** Messages that one call gets at most. */
  batchSize: number;
  /** Calls at the same time, at most. Lambda's minimum is 2. */
  concurrency: number;
  /** Queues to which it sends. */
  sendsTo: readonly Name[];
  /** Which of the ports it uses. */
  uses: {
    work?: Access;
    data?: PublishedAccess;
    results?: PublishedAccess;
    bus?: true;
    libInsight?: true;
    /** `tables`: it changes tables and runs no queries. */
    queryEngine?: "queries" | "tables";
    tableau?: "credentials" | "settings";
    notifier?: true;
    metrics?: true;
    instances?: "read" | "write";
    /** Receives and deletes the dead letters of every queue. */
    deadLetters?: true;
  };
  /** Files beside the function's bundle. */
  copyFiles?: { from: string; to: string };
};

const definitions = {
  kickoff: {
    purpose: "starting requested runs",
    queue: {},
    timeoutSeconds: 60,
    memoryMb: 256,
    batchSize: 1,
    concurrency: 2,
    sendsTo: ["fetcher"],
    uses: {
      bus: true,
      work: { read: ["runs/*/run.json", "runs/*/result.json"], write: ["runs/*/run.json"] },
    },
  },
  fetcher: {
    purpose: "fetching records from LibInsight",
    queue: {},
    // LibInsight may take 25 seconds to respond, twice where a token is renewed, and that may begin within a minute.
    timeoutSeconds: 120,
    // A page is some hundred kilobytes, and at most 8 MiB (shared/libinsight/limits.ts), parsed and written again.
    memoryMb: 512,
    // One LibInsight request a message.
    batchSize: 1,
    // Eight requests at once are polite to a hosted service.
    concurrency: 8,
    sendsTo: ["fetcher", "transformer", "assembler"],
    uses: {
      libInsight: true,
      metrics: true,
      work: {
        read: ["runs/*/windows/*"],
        write: ["runs/*/windows/*", "runs/*/pages/*", "runs/*/recounts/*"],
      },
    },
  },
  transformer: {
    purpose: "transforming fetched records",
    queue: {},
    timeoutSeconds: 60,
    // Up to ten pages at once.
    memoryMb: 1024,
    // A batch checks once whether its run is complete.
    batchSize: 10,
    // Keeps up with eight fetchers: a page is transformed in less time than LibInsight takes to send it.
    concurrency: 4,
    sendsTo: ["assembler"],
    uses: {
      bus: true,
      work: {
        read: [
          "runs/*/run.json",
          "runs/*/attempts/*",
          "runs/*/windows/*",
          "runs/*/pages/*",
          "runs/*/parts/*",
        ],
        write: ["runs/*/parts/*", "runs/*/rejects/*"],
      },
    },
  },
  assembler: {
    purpose: "publishing files",
    // One run of a dataset at a time.
    queue: { fifo: "by-id" },
    // Lambda's maximum: it reads and writes all of a dataset.
    timeoutSeconds: 900,
    // A whole CPU comes with 1,769 MB; memory itself does not grow with the data.
    memoryMb: 1769,
    batchSize: 1,
    // The queue's groups already allow one at a time for each dataset; this is for two datasets at once.
    concurrency: 2,
    sendsTo: ["fetcher"],
    uses: {
      bus: true,
      work: {
        read: [
          "runs/*/run.json",
          "runs/*/result.json",
          "runs/*/attempts/*",
          "runs/*/windows/*",
          "runs/*/recounts/*",
          "runs/*/parts/*",
          "runs/*/held/*",
        ],
        write: ["runs/*/attempts/*", "runs/*/result.json", "runs/*/held/*"],
        // A held run is as large as a published one.
        multipart: true,
      },
      // While the header changes the table reads a copy of the earlier file.
      queryEngine: "tables",
      data: ({ csv, jsonl }) => {
        const files = [csv, jsonl, previousKey(csv)];
        return { read: files, write: files, multipart: true };
      },
    },
  },
  athena: {
    purpose: "updating Athena's tables and results",
    queue: {},
    // Waits for some DDL statements, a second or two each.
    timeoutSeconds: 120,
    // It mostly waits; what it copies is streamed.
    memoryMb: 512,
    batchSize: 1,
    // Files come weekly. Two calls may follow one table at once; the service allows for that.
    concurrency: 2,
    // To itself: to check a query later.
    sendsTo: ["athena"],
    uses: {
      bus: true,
      queryEngine: "queries",
      work: { read: ["queries/*", "runs/*/result.json"], write: ["queries/*"] },
      // Athena reads the table's files and writes results with the permissions of the caller.
      data: ({ csv }) => ({ read: [`${folderOf(csv)}*`, previousKey(csv)] }),
      results: ({ results, queryResults }) => {
        const objects = [results, `${queryResults}/*`, keys.columnNames("*")];
        return { read: objects, write: objects, multipart: true };
      },
    },
    copyFiles: { from: "services/athena/queries", to: "queries" },
  },
  tableau: {
    purpose: "refreshing Tableau",
    queue: { fifo: "by-content" },
    // Lambda's maximum again: it follows Tableau's jobs for ten minutes.
    timeoutSeconds: 900,
    memoryMb: 256,
    batchSize: 1,
    concurrency: 2,
    sendsTo: [],
    uses: { bus: true, tableau: "credentials" },
  },
  reporter: {
    purpose: "emails about runs and the daily checks",
    queue: {},
    // Some calls of S3 and one of SNS.
    timeoutSeconds: 60,
    // A result of some kilobytes, and a list of the run's pages.
    memoryMb: 256,
    batchSize: 1,
    concurrency: 2,
    sendsTo: [],
    uses: {
      notifier: true,
      metrics: true,
      instances: "read",
      tableau: "settings",
      // What it reported of a run, and of an event that concerns no run.
      work: {
        read: ["runs/*/result.json", "runs/*/reports/*", "reports/*"],
        write: ["runs/*/reports/*", "reports/*"],
      },
      data: ({ csv }) => ({ read: [csv] }),
      results: ({ results }) => ({ read: [results] }),
    },
  },
  ec2: {
    purpose: "starting and stopping EC2 instances",
    queue: {},
    // Asks EC2 about one instance after the other, some calls each.
    timeoutSeconds: 120,
    memoryMb: 256,
    batchSize: 1,
    concurrency: 2,
    // To itself: to check an instance later.
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
    // A thousand dead letters, some calls each.
    timeoutSeconds: 300,
    // Ten messages at a time of each queue, each a megabyte at most.
    memoryMb: 512,
    batchSize: 1,
    concurrency: 2,
    sendsTo: [
      "kickoff",
      "fetcher",
      "transformer",
      "assembler",
      "athena",
      "tableau",
      "reporter",
      "ec2",
      "replay",
    ],
    uses: { deadLetters: true },
  },
} as const satisfies Record<string, ServiceDefinition>;

/** A service, and the queue that feeds it. */
export type QueueName = keyof typeof definitions;
export const services: Readonly<Record<QueueName, ServiceDefinition<QueueName>>> = definitions;
export const queueNames = Object.keys(definitions).filter((name): name is QueueName => name in definitions);

/** Which of the pipeline's events go to which queue. */
export type Route = { name: string; events: readonly EventType[]; to: QueueName; group?: string };
export const routes: readonly Route[] = [
  { name: "RunRequested", events: ["run.requested"], to: "kickoff" },
  // Beside S3's own message, which is lost when someone replaces the bucket's one notification setting.
  { name: "RunPublished", events: ["run.published"], to: "athena" },
  { name: "ReplayRequested", events: ["deadletter.replay.requested"], to: "replay" },
  // One group for all datasets: a second sign-in with the token would end the first.
  { name: "ResultsPublished", events: ["results.published"], to: "tableau", group: "tableau" },
  // Each failure has a route of its own, because its alarm is EventBridge's count of what the rule matched.
  { name: "RunHeld", events: ["run.held"], to: "reporter" },
  { name: "RunFailed", events: ["run.failed"], to: "reporter" },
  { name: "QueryFailed", events: ["query.failed", "file.refused"], to: "reporter" },
  { name: "RefreshFailed", events: ["tableau.failed"], to: "reporter" },
  { name: "InstanceFailed", events: ["instance.failed"], to: "reporter" },
  { name: "RunSuperseded", events: ["run.superseded"], to: "reporter" },
  {
    name: "Reported",
    events: ["run.published", "results.published", "freshness.check.requested", "instances.check.requested"],
    to: "reporter",
  },
  {
    name: "InstanceWanted",
    events: [
      "instance.start.requested",
      "instance.stop.requested",
      // The work is done for which an instance may have been started.
      "run.published",
      "run.held",
      "run.failed",
      "run.superseded",
    ],
    to: "ec2",
  },
];

/** Which events of AWS's own services go to which queue, all fields as they arrive. */
export type AwsRoute = {
  name: string;
  source: string;
  detailType: string;
  states: readonly string[];
  to: QueueName;
};
export const awsRoutes = {
  /** Of the pipeline's workgroup only. */
  queryEnded: {
    name: "QueryEnded",
    source: "aws.athena",
    detailType: "Athena Query State Change",
    states: ["SUCCEEDED", "FAILED", "CANCELLED"],
    to: "athena",
  },
  /** Of every instance in the account; the service knows which it asked. */
  instanceChanged: {
    name: "InstanceChanged",
    source: "aws.ec2",
    detailType: "EC2 Instance State-change Notification",
    states: ["running", "stopped", "terminated"],
    to: "ec2",
  },
} as const satisfies Record<string, AwsRoute>;

/** The queue that hears of each published CSV. */
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
