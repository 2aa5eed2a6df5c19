// The functions: what each is given, what each may do and nothing more, and the queue that feeds each.
// SST's links would allow whole services (`sqs:*`, `s3:*`), so buckets, queues and bus are not linked but named.
import { type QueueName, queueNames } from "../shared/config.ts";
import { viewNames } from "../shared/dataset.ts";
import { datasets } from "../shared/datasets.ts";
import { instancesText, instanceTag } from "../shared/instances.ts";
import { tableauEnvironment } from "../shared/tableau.ts";
import { alerts } from "./alerts.ts";
import { database, workgroup } from "./athena.ts";
import { bus, queues } from "./messaging.ts";
import { libInsightClientId, libInsightClientSecret, tableauTokenSecret } from "./secrets.ts";
import { currentStage } from "./stage.ts";
import { data, results, work } from "./storage.ts";

type Text = $util.Input<string>;
type Permission = {
  actions: string[];
  resources: Text[];
  conditions?: { test: string; variable: string; values: string[] }[];
};

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;
const logRetentionDays = 90;

/** CloudWatch's name for the metrics of shared/metrics.ts. */
export const metricNamespace = "LibInsight";
/** Of functions that tell metrics. */
const measuring = { STAGE: $app.stage, POWERTOOLS_METRICS_NAMESPACE: metricNamespace };

/** All of them, with the queue that feeds each. */
export const functions: { folder: string; queue: QueueName; handler: sst.aws.Function }[] = [];

service("kickoff", {
  queue: "KICKOFF",
  memory: "256 MB",
  batchSize: 1,
  // Requests come one at a time; two is the least that Lambda allows.
  concurrency: 2,
  environment: { BUS_NAME: bus.name, WORK_BUCKET: work.name },
  sendsTo: ["FETCH"],
  permissions: [
    ...store(work, { read: ["runs/*/run.json", "runs/*/result.json"], write: ["runs/*/run.json"] }),
    publishEvents(),
  ],
});

service("fetcher", {
  queue: "FETCH",
  // A page is some hundred kilobytes, parsed and written again.
  memory: "512 MB",
  batchSize: 1,
  // One LibInsight request a message. Eight at once are polite to a hosted service.
  concurrency: 8,
  environment: {
    WORK_BUCKET: work.name,
    LIBINSIGHT_BASE_URL: currentStage().libInsightBaseUrl,
    ...measuring,
  },
  link: [libInsightClientId, libInsightClientSecret],
  sendsTo: ["FETCH", "PAGES"],
  permissions: store(work, {
    read: ["runs/*/windows/*"],
    write: ["runs/*/windows/*", "runs/*/pages/*"],
  }),
});

service("transformer", {
  queue: "PAGES",
  // Up to ten pages at once.
  memory: "1024 MB",
  // A batch asks once whether its run is complete.
  batchSize: 10,
  // Keeps up with eight fetchers: a page is transformed in less time than LibInsight takes to send it.
  concurrency: 4,
  environment: { BUS_NAME: bus.name, WORK_BUCKET: work.name },
  sendsTo: ["ASSEMBLE"],
  permissions: [
    ...store(work, {
      read: [
        "runs/*/run.json",
        "runs/*/attempts/*",
        "runs/*/windows/*",
        "runs/*/pages/*",
        "runs/*/summaries/*",
      ],
      write: ["runs/*/parts/*", "runs/*/rejects/*", "runs/*/summaries/*"],
    }),
    publishEvents(),
  ],
});

service("assembler", {
  queue: "ASSEMBLE",
  // A whole CPU comes with 1,769 MB; memory itself does not grow with the data (two uploads of 5 MiB, 32 parts).
  memory: "1769 MB",
  batchSize: 1,
  // The queue's groups already make it one at a time for each dataset; this is for two datasets at once.
  concurrency: 2,
  environment: { BUS_NAME: bus.name, WORK_BUCKET: work.name, DATA_BUCKET: data.name },
  sendsTo: ["FETCH"],
  permissions: [
    ...store(work, {
      read: [
        "runs/*/run.json",
        "runs/*/result.json",
        "runs/*/attempts/*",
        "runs/*/windows/*",
        "runs/*/summaries/*",
        "runs/*/parts/*",
        "runs/*/held/*",
      ],
      write: ["runs/*/attempts/*", "runs/*/result.json", "runs/*/held/*"],
      // A held run is as large as a published one.
      multipart: true,
    }),
    ...store(data, {
      read: published(({ csv, jsonl }) => [csv, jsonl]),
      write: published(({ csv, jsonl }) => [csv, jsonl]),
      multipart: true,
    }),
    publishEvents(),
  ],
});

service("athena", {
  queue: "ATHENA",
  // It mostly waits; what it copies is streamed.
  memory: "512 MB",
  batchSize: 1,
  // Files come weekly. Two is the least that Lambda allows; that they may follow one table at once, the service knows.
  concurrency: 2,
  environment: {
    BUS_NAME: bus.name,
    WORK_BUCKET: work.name,
    DATA_BUCKET: data.name,
    RESULTS_BUCKET: results.name,
    ATHENA_WORKGROUP: workgroup.name,
    ATHENA_DATABASE: database,
  },
  // To itself: to look at a query later.
  sendsTo: ["ATHENA"],
  copyFiles: [{ from: "services/athena/queries", to: "queries" }],
  permissions: [
    ...store(work, { read: ["queries/*"], write: ["queries/*"] }),
    // Athena reads the table's folder and writes results with the permissions of who asks.
    ...store(data, { read: published(({ csv }) => [`${csv.slice(0, csv.lastIndexOf("/"))}/*`]) }),
    ...store(results, {
      read: published((place) => [place.results, `${place.queryResults}/*`]),
      write: published((place) => [place.results, `${place.queryResults}/*`]),
      multipart: true,
    }),
    // https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html
    { actions: ["s3:GetBucketLocation"], resources: [data.arn, results.arn] },
    { actions: ["s3:ListBucketMultipartUploads"], resources: [results.arn] },
    {
      actions: ["s3:ListMultipartUploadParts"],
      resources: published((place) => [`${place.queryResults}/*`]).map(
        (key) => $interpolate`${results.arn}/${key}`,
      ),
    },
    { actions: ["athena:StartQueryExecution", "athena:GetQueryExecution"], resources: [workgroup.arn] },
    // Athena looks at the default database, whichever one is used.
    // https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
    {
      actions: ["glue:GetDatabase"],
      resources: [glue("catalog"), glue("database/default"), glue(`database/${database}`)],
    },
    { actions: ["glue:CreateDatabase"], resources: [glue("catalog"), glue(`database/${database}`)] },
    {
      actions: [
        "glue:GetTable",
        "glue:GetTables",
        "glue:GetPartitions",
        "glue:CreateTable",
        "glue:UpdateTable",
      ],
      resources: [
        glue("catalog"),
        glue(`database/${database}`),
        ...published(({ table }) => [table, ...Object.values(viewNames(table))]).map((table) =>
          glue(`table/${database}/${table}`),
        ),
      ],
    },
    publishEvents(),
  ],
});

service("tableau", {
  queue: "TABLEAU",
  // It waits, for one answer at a time.
  memory: "256 MB",
  batchSize: 1,
  // The queue's one group makes it one at a time; two is the least that Lambda allows.
  concurrency: 2,
  environment: { BUS_NAME: bus.name, ...tableauEnvironment(currentStage().tableau) },
  link: tableauTokenSecret ? [tableauTokenSecret] : [],
  sendsTo: [],
  permissions: [publishEvents()],
});

service("reporter", {
  queue: "REPORT",
  // A result of some kilobytes, and a list of the run's pages.
  memory: "256 MB",
  batchSize: 1,
  // A few events a run; two is the least that Lambda allows.
  concurrency: 2,
  environment: {
    WORK_BUCKET: work.name,
    DATA_BUCKET: data.name,
    ALERTS_TOPIC_ARN: alerts.arn,
    INSTANCES: instancesText(currentStage().instances),
    ...measuring,
    ...tableauEnvironment(currentStage().tableau),
  },
  sendsTo: [],
  permissions: [
    ...store(work, {
      // What it told of a run, and of an event that is about none.
      read: ["runs/*/result.json", "runs/*/reports/*", "reports/*"],
      write: ["runs/*/reports/*", "reports/*"],
    }),
    ...store(data, { read: published(({ csv }) => [csv]) }),
    { actions: ["sns:Publish"], resources: [alerts.arn] },
    ...describeInstances(),
  ],
});

service("ec2", {
  queue: "INSTANCE",
  // It waits, for one answer at a time.
  memory: "256 MB",
  batchSize: 1,
  // An instance changes twice a week; two is the least that Lambda allows.
  concurrency: 2,
  environment: {
    BUS_NAME: bus.name,
    WORK_BUCKET: work.name,
    INSTANCES: instancesText(currentStage().instances),
  },
  // To itself: to look at an instance later.
  sendsTo: ["INSTANCE"],
  permissions: [
    ...store(work, { read: ["runs/*/run.json", "instances/*"], write: ["instances/*"] }),
    ...startAndStopInstances(),
    ...describeInstances(),
    publishEvents(),
  ],
});

service("replay", {
  queue: "REPLAY",
  // Ten messages at a time of each queue, each a megabyte at most.
  memory: "512 MB",
  batchSize: 1,
  // Wishes are rare; two is the least that Lambda allows.
  concurrency: 2,
  environment: deadLetterUrls(queueNames),
  sendsTo: [...queueNames],
  permissions: [
    {
      actions: [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        // What was only looked at is shown again.
        "sqs:ChangeMessageVisibility",
      ],
      resources: queueNames.map((name) => queues[name].deadLetters.arn),
    },
  ],
});

/** @param folder of the service below services/ */
function service(
  folder: string,
  options: {
    queue: QueueName;
    memory: `${number} MB`;
    /** Messages that one call gets at most. */
    batchSize: number;
    /** Calls at the same time, at most. */
    concurrency: number;
    environment: Record<string, Text>;
    link?: sst.Secret[];
    /** Files beside the bundle. */
    copyFiles?: { from: string; to: string }[];
    sendsTo: QueueName[];
    permissions: Permission[];
  },
): void {
  const { queue, deadLetters, timeoutSeconds } = queues[options.queue];
  const logs = new aws.cloudwatch.LogGroup(`${capitalized(folder)}Logs`, {
    name: `/${$app.name}/${$app.stage}/${folder}`,
    retentionInDays: logRetentionDays,
  });
  const handler = new sst.aws.Function(capitalized(folder), {
    description: `LibInsight pipeline: ${folder}`,
    handler: `services/${folder}/handler.handler`,
    runtime: "nodejs24.x",
    architecture: "arm64",
    memory: options.memory,
    timeout: `${timeoutSeconds} seconds`,
    logging: { format: "json", logGroup: logs.name },
    environment: {
      ...options.environment,
      ...queueUrls([options.queue, ...options.sendsTo]),
      ...deadLetterUrls([options.queue]),
    },
    link: options.link ?? [],
    copyFiles: options.copyFiles ?? [],
    permissions: [
      {
        actions: [
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
          // A failed message comes back after a growing delay.
          "sqs:ChangeMessageVisibility",
        ],
        resources: [queue.arn],
      },
      {
        actions: ["sqs:SendMessage"],
        resources: [deadLetters.arn, ...options.sendsTo.map((name) => queues[name].queue.arn)],
      },
      ...options.permissions,
      {
        actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
        resources: [$interpolate`${logs.arn}:*`],
      },
    ],
    transform: {
      role: (args) => {
        // In place of AWSLambdaBasicExecutionRole, which allows every log group.
        args.managedPolicyArns = [];
        // SST lets everybody in the account take the role, which only `sst dev` needs.
        if (!$dev)
          args.assumeRolePolicy = aws.iam.assumeRolePolicyForPrincipal({ Service: "lambda.amazonaws.com" });
      },
    },
  });
  functions.push({ folder, queue: options.queue, handler });
  queue.subscribe(handler.arn, {
    batch: { size: options.batchSize, partialResponses: true },
    transform: {
      eventSourceMapping: { scalingConfig: { maximumConcurrency: options.concurrency } },
    },
  });
}

function queueUrls(names: readonly QueueName[]): Record<string, Text> {
  return Object.fromEntries(names.map((name) => [`${name}_QUEUE_URL`, queues[name].queue.url]));
}

function deadLetterUrls(names: readonly QueueName[]): Record<string, Text> {
  return Object.fromEntries(names.map((name) => [`${name}_DEAD_LETTERS_URL`, queues[name].deadLetters.url]));
}

/** Objects of a bucket, by key. Nobody may delete: lifecycle rules do. */
function store(
  bucket: sst.aws.Bucket,
  keys: { read: string[]; write?: string[]; multipart?: boolean },
): Permission[] {
  const objects = (paths: string[]): Text[] => paths.map((path) => $interpolate`${bucket.arn}/${path}`);
  const { read, write = [], multipart = false } = keys;
  return [
    { actions: ["s3:GetObject"], resources: objects(read) },
    // Without it S3 answers 403 in place of 404.
    { actions: ["s3:ListBucket"], resources: [bucket.arn] },
    ...(write.length > 0
      ? [
          {
            actions: ["s3:PutObject", ...(multipart ? ["s3:AbortMultipartUpload"] : [])],
            resources: objects(write),
          },
        ]
      : []),
  ];
}

/** Of each dataset. */
function published(keysOf: (publish: (typeof datasets)[number]["publish"]) => string[]): string[] {
  return datasets.flatMap(({ publish }) => keysOf(publish));
}

function publishEvents(): Permission {
  return { actions: ["events:PutEvents"], resources: [bus.arn] };
}

/** Where the stage has none, nothing at all. */
function startAndStopInstances(): Permission[] {
  if (currentStage().instances === "none") return [];
  return [
    {
      actions: ["ec2:StartInstances", "ec2:StopInstances"],
      resources: [$interpolate`arn:aws:ec2:${region}:${accountId}:instance/*`],
      conditions: [
        {
          test: "StringEquals",
          variable: `aws:ResourceTag/${instanceTag.key}`,
          values: [instanceTag.value],
        },
      ],
    },
  ];
}

/** EC2 knows no narrower one. https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html */
function describeInstances(): Permission[] {
  if (currentStage().instances === "none") return [];
  return [{ actions: ["ec2:DescribeInstances"], resources: ["*"] }];
}

function glue(resource: string): Text {
  return $interpolate`arn:aws:glue:${region}:${accountId}:${resource}`;
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
