// Creates a function for each service of shared/topology.ts, with the environment and the permissions that its ports need
// and no others. Buckets, queues and the bus are not linked, because SST's links allow whole services (`sqs:*`, `s3:*`).
import { library } from "#library";
import { type Dataset, relationsOf } from "../shared/dataset-schema.ts";
import { datasets } from "../shared/datasets.ts";
import { instancesText } from "../shared/instance-settings.ts";
import { allEntries } from "../shared/privacy/deidentified.ts";
import { tableauEnvironment } from "../shared/tableau-settings.ts";
import {
  type Access,
  type DeadLetterName,
  deadLetterNames,
  type PublishedAccess,
  type QueueName,
  queueNames,
  type ServiceDefinition,
  services,
} from "../shared/topology.ts";
import { alerts } from "./alerts.ts";
import { bus, deadLettersOf, deadLetterUrls, queueOf, queueUrls, titleOf } from "./messaging.ts";
import {
  alertsWebhookUrl,
  libInsightClientId,
  libInsightClientSecret,
  pseudonymKey,
  tableauTokenSecret,
} from "./secrets.ts";
import { currentStage } from "./stage.ts";
import { data, results, work } from "./storage.ts";
import { database, workgroup } from "./workgroups.ts";

type Text = $util.Input<string>;
type Permission = {
  actions: string[];
  resources: Text[];
  conditions?: { test: string; variable: string; values: string[] }[];
};
/** The settings and permissions that a function needs for one port. */
type Grant = { environment?: Record<string, Text>; link?: sst.Secret[]; permissions?: Permission[] };

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;
const logRetentionDays = 90;

const readActions = ["sqs:ReceiveMessage", "sqs:GetQueueAttributes"];
const consumeActions = [
  ...readActions,
  "sqs:DeleteMessage",
  // Delays the retry of a failed message, and releases a listed dead letter at once.
  "sqs:ChangeMessageVisibility",
];

/** The CloudWatch namespace of the metrics in shared/metrics.ts. */
export const metricNamespace = "LibInsight";

export const functions = queueNames.map(createFunction);

function createFunction(name: QueueName) {
  const service = services[name];
  const { timeoutSeconds, memoryMb, batchSize, concurrency, allowsLongChains, sendsTo, copyFiles } = service;
  const { queue, deadLetters } = queueOf(name);
  const grants = grantsOf(service);
  const { otlpEndpoint } = currentStage();
  const logs = new aws.cloudwatch.LogGroup(`${titleOf(name)}Logs`, {
    name: `/${$app.name}/${$app.stage}/${name}`,
    retentionInDays: logRetentionDays,
  });
  const handler = new sst.aws.Function(titleOf(name), {
    description: `LibInsight pipeline: ${name}`,
    handler: `services/${name}/handler.handler`,
    runtime: "nodejs24.x",
    architecture: "arm64",
    memory: `${memoryMb} MB`,
    timeout: `${timeoutSeconds} seconds`,
    logging: { format: "json", logGroup: logs.name },
    environment: {
      ...Object.fromEntries(grants.flatMap(({ environment = {} }) => Object.entries(environment))),
      ...queueUrls([name, ...sendsTo]),
      ...deadLetterUrls([name]),
      ...(otlpEndpoint !== undefined && { OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint }),
    },
    link: grants.flatMap(({ link = [] }) => link),
    copyFiles: copyFiles ? [copyFiles] : [],
    // Without a collector the bundle does not contain the packages of shared/otlp.ts, which are loaded when spans are exported.
    ...(otlpEndpoint === undefined && { nodejs: { esbuild: { external: ["@opentelemetry/*"] } } }),
    permissions: [
      { actions: consumeActions, resources: [queue.arn] },
      {
        actions: ["sqs:SendMessage"],
        resources: [deadLetters.arn, ...sendsTo.map((target) => queueOf(target).queue.arn)],
      },
      ...grants.flatMap(({ permissions = [] }) => permissions),
      {
        actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
        resources: [$interpolate`${logs.arn}:*`],
      },
    ],
    transform: {
      role: (args) => {
        // Removes SST's AWSLambdaBasicExecutionRole, which allows every log group.
        args.managedPolicyArns = [];
        // By default SST lets every principal of the account assume the role, which only `sst dev` needs.
        if (!$dev)
          args.assumeRolePolicy = aws.iam.assumeRolePolicyForPrincipal({ Service: "lambda.amazonaws.com" });
      },
    },
  });
  queue.subscribe(handler.arn, {
    batch: { size: batchSize, partialResponses: true },
    ...(concurrency !== undefined && {
      transform: { eventSourceMapping: { scalingConfig: { maximumConcurrency: concurrency } } },
    }),
  });
  if (allowsLongChains) {
    // By default Lambda drops a message after about 16 invocations of a function in one chain of messages.
    // https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    new aws.lambda.FunctionRecursionConfig(`${titleOf(name)}Chains`, {
      functionName: handler.name,
      recursiveLoop: "Allow",
    });
  }
  return { name, handler, logs };
}

/** Returns what the service's ports need, one grant per port. */
function grantsOf({ uses }: Pick<ServiceDefinition, "uses">): Grant[] {
  const entries = uses.entries === "all" ? allEntries(datasets) : datasets;
  const grants = [
    uses.work && { environment: { WORK_BUCKET: work.name }, permissions: objectPermissions(work, uses.work) },
    uses.data && {
      environment: { DATA_BUCKET: data.name },
      permissions: objectPermissions(data, accessTo(entries, uses.data)),
    },
    uses.results && {
      environment: { RESULTS_BUCKET: results.name },
      permissions: objectPermissions(results, accessTo(entries, uses.results)),
    },
    uses.queryEngine && {
      environment: { ATHENA_DATABASE: database },
      permissions: tablePermissions(
        uses.queryEngine === "queries" ? entries : entries.filter((entry) => uses.data?.(entry).write),
      ),
    },
    uses.queryEngine === "queries" && {
      environment: { ATHENA_WORKGROUP: workgroup.name },
      permissions: queryPermissions(entries),
    },
    uses.pseudonymKey && { link: pseudonymKey ? [pseudonymKey] : [] },
    uses.libInsight && {
      environment: { LIBINSIGHT_BASE_URL: currentStage().libInsightBaseUrl },
      link: [libInsightClientId, libInsightClientSecret],
    },
    uses.tableau && {
      environment: tableauEnvironment(currentStage().tableau),
      link: uses.tableau === "credentials" && tableauTokenSecret ? [tableauTokenSecret] : [],
    },
    uses.notifier && {
      environment: { ALERTS_TOPIC_ARN: alerts.arn },
      link: [alertsWebhookUrl],
      permissions: [{ actions: ["sns:Publish"], resources: [alerts.arn] }],
    },
    uses.schedules && { environment: { SCHEDULED: String(currentStage().scheduled) } },
    uses.audience && { environment: { AUDIENCE: currentStage().audience } },
    uses.metrics && {
      environment: { STAGE: $app.stage, POWERTOOLS_METRICS_NAMESPACE: metricNamespace },
    },
    uses.instances && {
      environment: { INSTANCES: instancesText(currentStage().instances) },
      permissions: instancePermissions(uses.instances),
    },
    uses.bus && {
      environment: { BUS_NAME: bus.name },
      permissions: [{ actions: ["events:PutEvents"], resources: [bus.arn] }],
    },
    uses.deadLetters === "read" && deadLetterGrant(deadLetterNames, readActions),
    uses.deadLetters === "move" && deadLetterGrant(queueNames, consumeActions),
  ];
  return grants.filter((grant) => typeof grant === "object");
}

function deadLetterGrant(names: readonly DeadLetterName[], actions: string[]): Grant {
  return {
    environment: deadLetterUrls(names),
    permissions: [{ actions, resources: names.map((name) => deadLettersOf(name).arn) }],
  };
}

/** Returns the permissions on objects by their keys. No function may delete objects; lifecycle rules expire them. */
function objectPermissions(bucket: sst.aws.Bucket, { read, write = [], multipart }: Access): Permission[] {
  const arns = (keys: readonly string[]): Text[] => keys.map((key) => $interpolate`${bucket.arn}/${key}`);
  return [
    { actions: ["s3:GetObject"], resources: arns(read) },
    // Without this permission S3 responds with 403 instead of 404 to a request for a missing object.
    { actions: ["s3:ListBucket"], resources: [bucket.arn] },
    ...(write.length > 0
      ? [
          {
            actions: ["s3:PutObject", ...(multipart ? ["s3:AbortMultipartUpload"] : [])],
            resources: arns(write),
          },
        ]
      : []),
  ];
}

/** Returns the access to the files of all entries, each key once. */
function accessTo(entries: readonly Dataset[], accessOf: PublishedAccess): Access {
  const each = entries.map(accessOf);
  return {
    read: [...new Set(each.flatMap(({ read }) => read))],
    write: [...new Set(each.flatMap(({ write = [] }) => write))],
    ...(each.some(({ multipart }) => multipart) && { multipart: true }),
  };
}

/** Returns the permissions on the tables, without their views. */
function tablePermissions(entries: readonly Dataset[]): Permission[] {
  const tables = entries.map(({ publish }) => publish.table);
  return [
    { actions: ["glue:CreateDatabase"], resources: [glue("catalog"), glue(`database/${database}`)] },
    {
      actions: ["glue:GetTable", "glue:CreateTable", "glue:UpdateTable"],
      resources: tableResources(tables),
    },
  ];
}

/** Returns the permissions for queries: Athena calls S3 and Glue with those of the function that started the query. */
function queryPermissions(entries: readonly Dataset[]): Permission[] {
  const tables = entries.flatMap(relationsOf);
  return [
    // https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html
    { actions: ["s3:GetBucketLocation"], resources: [data.arn, results.arn] },
    { actions: ["s3:ListBucketMultipartUploads"], resources: [results.arn] },
    {
      actions: ["s3:ListMultipartUploadParts"],
      resources: datasets.map(({ publish }) => $interpolate`${results.arn}/${publish.queryResults}/*`),
    },
    { actions: ["athena:StartQueryExecution", "athena:GetQueryExecution"], resources: [workgroup.arn] },
    // Athena looks up the default database for every query, and creates it in an account that never used Athena, with the
    // permissions of the caller. AWS requires both actions.
    // https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html#full-access-to-default-db-per-region
    {
      actions: ["glue:GetDatabase", "glue:CreateDatabase"],
      resources: [glue("catalog"), glue("database/default"), glue(`database/${database}`)],
    },
    {
      actions: [
        "glue:GetTable",
        "glue:GetTables",
        "glue:GetPartitions",
        // These two create and update views.
        "glue:CreateTable",
        "glue:UpdateTable",
      ],
      resources: tableResources(tables),
    },
  ];
}

/** Returns the tables with their database and catalog, which Glue checks too. */
function tableResources(tables: readonly string[]): Text[] {
  return [
    glue("catalog"),
    glue(`database/${database}`),
    ...tables.map((table) => glue(`table/${database}/${table}`)),
  ];
}

function glue(resource: string): Text {
  return $interpolate`arn:aws:glue:${region}:${accountId}:${resource}`;
}

/** Returns the permissions on instances; none if the stage has no instances. */
function instancePermissions(use: "read" | "write"): Permission[] {
  if (currentStage().instances === "none") return [];
  const startAndStop: Permission = {
    actions: ["ec2:StartInstances", "ec2:StopInstances"],
    resources: [$interpolate`arn:aws:ec2:${region}:${accountId}:instance/*`],
    conditions: [
      {
        test: "StringEquals",
        variable: `aws:ResourceTag/${library.instances.tag.key}`,
        values: [library.instances.tag.value],
      },
    ],
  };
  return [
    ...(use === "write" ? [startAndStop] : []),
    // This action supports no resource-level permissions.
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    { actions: ["ec2:DescribeInstances"], resources: ["*"] },
  ];
}
