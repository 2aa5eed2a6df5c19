// What runs where on one machine: the queues, rules, buckets and notifications of the design, and the handler that
// each queue feeds. Created through the AWS SDK, so the same wiring works on any endpoint that speaks it.
import {
  CreateEventBusCommand,
  type EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
} from "@aws-sdk/client-eventbridge";
import {
  CreateBucketCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { CreateTopicCommand, type SNSClient } from "@aws-sdk/client-sns";
import { CreateQueueCommand, GetQueueAttributesCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { type QueueName, queueNames } from "../../shared/config.ts";
import { datasets } from "../../shared/datasets.ts";
import { eventSource } from "../../shared/events.ts";
import { receiveLimit } from "../../shared/sqs-handler.ts";

/** A service as its event source mapping runs it. */
export type ServiceWiring = {
  service: string;
  /** Messages that one call of the handler gets at most. */
  batchSize: number;
  /** Handlers that run at the same time. */
  concurrency: number;
  /** A handler that takes longer has failed. */
  timeoutSeconds: number;
  fifo: boolean;
  /** Of two messages with one body within five minutes the second is dropped. FIFO queues only. */
  contentBasedDeduplication?: boolean;
};

export const services: Record<QueueName, ServiceWiring> = {
  KICKOFF: { service: "kickoff", batchSize: 1, concurrency: 1, timeoutSeconds: 60, fifo: false },
  // One LibInsight request a message; eight at once are polite to a hosted service.
  FETCH: { service: "fetcher", batchSize: 1, concurrency: 8, timeoutSeconds: 120, fifo: false },
  // A batch asks once whether its run is complete.
  PAGES: { service: "transformer", batchSize: 10, concurrency: 2, timeoutSeconds: 60, fifo: false },
  ASSEMBLE: { service: "assembler", batchSize: 1, concurrency: 1, timeoutSeconds: 900, fifo: true },
  ATHENA: { service: "athena", batchSize: 1, concurrency: 1, timeoutSeconds: 120, fifo: false },
  TABLEAU: {
    service: "tableau",
    batchSize: 1,
    concurrency: 1,
    timeoutSeconds: 900,
    fifo: true,
    contentBasedDeduplication: true,
  },
  REPORT: { service: "reporter", batchSize: 1, concurrency: 1, timeoutSeconds: 60, fifo: false },
  INSTANCE: { service: "ec2", batchSize: 1, concurrency: 1, timeoutSeconds: 120, fifo: false },
  REPLAY: { service: "replay", batchSize: 1, concurrency: 1, timeoutSeconds: 300, fifo: false },
};

/**
 * On Lambda it is six times the function's timeout. Here nobody waits half an hour for a message whose handler was
 * killed, and a handler that takes longer does twice what can be done twice.
 */
const visibilityTimeoutSeconds = 60;

export const names = {
  prefix: "libinsight-local",
  bus: "libinsight-local",
  alertsTopic: "libinsight-local-alerts",
  workgroup: "primary",
  database: "libinsightdatabase",
  buckets: {
    work: "libinsight-local-work",
    data: "libinsight-local-data",
    results: "libinsight-local-results",
  },
} as const;

/** The rules of the design, each with its bus, its pattern and its queue. */
export const rules = [
  {
    name: `${names.prefix}-run-requested`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["run.requested"] },
    target: "KICKOFF",
  },
  {
    name: `${names.prefix}-replay-requested`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["deadletter.replay.requested"] },
    target: "REPLAY",
  },
  {
    name: `${names.prefix}-results-published`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["results.published"] },
    target: "TABLEAU",
    // One group for all datasets: a second sign-in with the token would end the first.
    messageGroupId: "tableau",
  },
  // On a stage each failure has a rule of its own, because its alarm counts what the rule matched.
  {
    name: `${names.prefix}-run-held`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["run.held"] },
    target: "REPORT",
  },
  {
    name: `${names.prefix}-run-failed`,
    bus: names.bus,
    pattern: {
      source: [eventSource],
      "detail-type": ["run.failed"],
      detail: { superseded: [{ exists: false }] },
    },
    target: "REPORT",
  },
  {
    name: `${names.prefix}-query-failed`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["query.failed", "file.refused"] },
    target: "REPORT",
  },
  {
    name: `${names.prefix}-refresh-failed`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["tableau.failed"] },
    target: "REPORT",
  },
  {
    name: `${names.prefix}-instance-failed`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["instance.failed"] },
    target: "REPORT",
  },
  {
    name: `${names.prefix}-run-superseded`,
    bus: names.bus,
    pattern: { source: [eventSource], "detail-type": ["run.failed"], detail: { superseded: [true] } },
    target: "REPORT",
  },
  {
    name: `${names.prefix}-reported`,
    bus: names.bus,
    pattern: {
      source: [eventSource],
      "detail-type": [
        "run.published",
        "results.published",
        "freshness.check.requested",
        "instances.check.requested",
      ],
    },
    target: "REPORT",
  },
  {
    // Athena tells the account's default bus.
    name: `${names.prefix}-query-ended`,
    bus: "default",
    pattern: {
      source: ["aws.athena"],
      "detail-type": ["Athena Query State Change"],
      detail: { workgroupName: [names.workgroup], currentState: ["SUCCEEDED", "FAILED", "CANCELLED"] },
    },
    target: "ATHENA",
  },
  {
    name: `${names.prefix}-instance-wanted`,
    bus: names.bus,
    pattern: {
      source: [eventSource],
      "detail-type": [
        "instance.start.requested",
        "instance.stop.requested",
        "run.published",
        "run.held",
        "run.failed",
      ],
    },
    target: "INSTANCE",
  },
  {
    // EC2 tells the account's default bus, of every instance in the account.
    name: `${names.prefix}-instance-changed`,
    bus: "default",
    pattern: {
      source: ["aws.ec2"],
      "detail-type": ["EC2 Instance State-change Notification"],
      detail: { state: ["running", "stopped", "terminated"] },
    },
    target: "INSTANCE",
  },
  {
    // What `npm start` watches to know how the run ended.
    name: `${names.prefix}-observer`,
    bus: names.bus,
    pattern: { source: [eventSource] },
    target: "OBSERVER",
  },
] as const;

export type WiredQueue = { url: string; arn: string };
export type Wired = {
  queues: Record<QueueName, WiredQueue & { deadLetters: WiredQueue }>;
  observer: WiredQueue;
  /** The ARN of the topic that people would subscribe to. */
  alertsTopic: string;
};

/** `defaultBus`: where the account's default bus is, to which AWS's own services tell their events. */
type Clients = {
  sqs: SQSClient;
  s3: S3Client;
  sns: SNSClient;
  events: EventBridgeClient;
  defaultBus: EventBridgeClient;
};

/** Creates what is missing and leaves alone what is there. */
export async function wire({ sqs, s3, sns, events, defaultBus }: Clients): Promise<Wired> {
  const wired = await Promise.all(
    queueNames.map(async (name) => [name, await workQueue(name, sqs)] as const),
  );
  const queues = recordOf(wired);
  const observer = await queue(`${names.prefix}-observer`, { MessageRetentionPeriod: "3600" }, sqs);

  const { TopicArn: alertsTopic } = await sns.send(new CreateTopicCommand({ Name: names.alertsTopic }));
  if (!alertsTopic) throw new Error("SNS did not tell the topic's ARN.");

  for (const bucket of Object.values(names.buckets)) await createBucket(bucket, s3);
  for (const bucket of [names.buckets.data, names.buckets.results]) {
    const keepVersions = { Bucket: bucket, VersioningConfiguration: { Status: "Enabled" } } as const;
    await s3.send(new PutBucketVersioningCommand(keepVersions));
  }
  await s3.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket: names.buckets.data,
      NotificationConfiguration: {
        QueueConfigurations: datasets.map(({ name, publish }) => ({
          Id: name,
          QueueArn: queues.ATHENA.arn,
          Events: ["s3:ObjectCreated:*"],
          Filter: { Key: { FilterRules: [{ Name: "prefix", Value: publish.csv }] } },
        })),
      },
    }),
  );

  await ignoring("ResourceAlreadyExistsException", () =>
    events.send(new CreateEventBusCommand({ Name: names.bus })),
  );
  for (const rule of rules) {
    const { arn } = rule.target === "OBSERVER" ? observer : queues[rule.target];
    const bus = rule.bus === "default" ? defaultBus : events;
    await bus.send(
      new PutRuleCommand({
        Name: rule.name,
        EventBusName: rule.bus,
        EventPattern: JSON.stringify(rule.pattern),
      }),
    );
    const { FailedEntryCount, FailedEntries } = await bus.send(
      new PutTargetsCommand({
        Rule: rule.name,
        EventBusName: rule.bus,
        Targets: [
          {
            Id: "queue",
            Arn: arn,
            ...("messageGroupId" in rule && { SqsParameters: { MessageGroupId: rule.messageGroupId } }),
          },
        ],
      }),
    );
    if (FailedEntryCount) {
      throw new Error(`EventBridge refused the target of ${rule.name}: ${FailedEntries?.[0]?.ErrorMessage}`);
    }
  }
  return { queues, observer, alertsTopic };
}

/** The environment that each function has on Lambda, here shared by all. */
export function environment({ queues, alertsTopic }: Wired): Record<string, string> {
  const urls = Object.entries(queues).flatMap(([name, { url, deadLetters }]) => [
    [`${name}_QUEUE_URL`, url],
    [`${name}_DEAD_LETTERS_URL`, deadLetters.url],
  ]);
  return {
    ...Object.fromEntries(urls),
    STAGE: "local",
    BUS_NAME: names.bus,
    ALERTS_TOPIC_ARN: alertsTopic,
    WORK_BUCKET: names.buckets.work,
    DATA_BUCKET: names.buckets.data,
    RESULTS_BUCKET: names.buckets.results,
    ATHENA_WORKGROUP: names.workgroup,
    ATHENA_DATABASE: names.database,
    // They are lines on stdout, which CloudWatch reads and here would stand among the lines for a person.
    POWERTOOLS_METRICS_DISABLED: "true",
    // On Lambda it is a minute; here a query takes a second, and Athena's event always comes.
    QUERY_CHECK_SECONDS: process.env.QUERY_CHECK_SECONDS ?? "5",
    INSTANCES: process.env.INSTANCES ?? "tagged",
    // On Lambda it is 15 seconds; here an instance takes two.
    INSTANCE_CHECK_SECONDS: process.env.INSTANCE_CHECK_SECONDS ?? "2",
    // On Lambda a failed message waits half a minute first; for somebody at a terminal a second is long.
    RETRY_BASE_SECONDS: process.env.RETRY_BASE_SECONDS ?? "1",
  };
}

async function workQueue(name: QueueName, sqs: SQSClient): Promise<WiredQueue & { deadLetters: WiredQueue }> {
  const { service, fifo, contentBasedDeduplication = false } = services[name];
  const suffix = fifo ? ".fifo" : "";
  const kind = fifo ? { FifoQueue: "true" } : {};
  const deadLetters = await queue(`${names.prefix}-${service}-dead-letters${suffix}`, kind, sqs);
  const source = await queue(
    `${names.prefix}-${service}${suffix}`,
    {
      ...kind,
      ...(contentBasedDeduplication && { ContentBasedDeduplication: "true" }),
      VisibilityTimeout: String(visibilityTimeoutSeconds),
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadLetters.arn, maxReceiveCount: receiveLimit }),
    },
    sqs,
  );
  return { ...source, deadLetters };
}

async function queue(name: string, attributes: Record<string, string>, sqs: SQSClient): Promise<WiredQueue> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
  );
  const arn = Attributes?.QueueArn;
  if (!QueueUrl || !arn) throw new Error(`SQS did not tell the URL and ARN of ${name}.`);
  return { url: QueueUrl, arn };
}

async function createBucket(bucket: string, s3: S3Client): Promise<void> {
  await ignoring("BucketAlreadyOwnedByYou", () => s3.send(new CreateBucketCommand({ Bucket: bucket })));
}

async function ignoring(errorName: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof Error && error.name === errorName)) throw error;
  }
}

function recordOf<T>(entries: (readonly [QueueName, T])[]): Record<QueueName, T> {
  const found = new Map(entries);
  const of = (name: QueueName): T => {
    const value = found.get(name);
    if (value === undefined) throw new Error(`There is no queue ${name}.`);
    return value;
  };
  return {
    KICKOFF: of("KICKOFF"),
    FETCH: of("FETCH"),
    PAGES: of("PAGES"),
    ASSEMBLE: of("ASSEMBLE"),
    ATHENA: of("ATHENA"),
    TABLEAU: of("TABLEAU"),
    REPORT: of("REPORT"),
    INSTANCE: of("INSTANCE"),
    REPLAY: of("REPLAY"),
  };
}
