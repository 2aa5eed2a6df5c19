// How queues, functions, rules, notifications and versioned buckets hang together: of an evaluated stage, and of stacks/local/.
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { S3Client } from "@aws-sdk/client-s3";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import * as local from "../../stacks/local/wiring.ts";
import type { Graph } from "./evaluate/graph.ts";
import { all, json, nameIn } from "./stages.ts";

export type QueueWiring = {
  handler: string;
  batchSize: number;
  timeoutSeconds: number;
  fifo: boolean;
  contentBasedDeduplication: boolean;
  receiveLimit: number;
};
/** A group where the queue is FIFO. */
export type RuleWiring = { bus: string; pattern: unknown; queue: string; messageGroup?: string };
export type NotificationWiring = { prefix: string; events: string[]; queue: string };

/** Queues by the name that their function knows them by: FETCH for FETCHER_QUEUE_URL. */
export type Wiring = {
  queues: Record<string, QueueWiring>;
  rules: RuleWiring[];
  notifications: NotificationWiring[];
  /** The buckets that keep old versions. */
  versioned: string[];
};

export const queue = z.object({
  name: z.string(),
  fifoQueue: z.boolean(),
  contentBasedDeduplication: z.boolean(),
  visibilityTimeoutSeconds: z.number(),
  sqsManagedSseEnabled: z.boolean().optional(),
  maxMessageSize: z.number().optional(),
  messageRetentionSeconds: z.number().optional(),
  redrivePolicy: json(z.object({ deadLetterTargetArn: z.string(), maxReceiveCount: z.number() })).optional(),
});

export const lambda = z.object({
  name: z.string(),
  runtime: z.string(),
  handler: z.string(),
  architectures: z.array(z.string()),
  timeout: z.number(),
  memorySize: z.number(),
  role: z.string(),
  environment: z.object({ variables: z.record(z.string(), z.string()) }),
  loggingConfig: z.object({ logFormat: z.string(), logGroup: z.string() }),
});

export const mapping = z.object({
  eventSourceArn: z.string(),
  functionName: z.string(),
  batchSize: z.number(),
  functionResponseTypes: z.array(z.string()),
  scalingConfig: z.object({ maximumConcurrency: z.number() }),
});

export const rule = z.object({
  name: z.string(),
  eventBusName: z.string(),
  state: z.string(),
  eventPattern: json(z.record(z.string(), z.unknown())),
});

export const target = z.object({
  rule: z.string(),
  arn: z.string(),
  retryPolicy: z.object({ maximumEventAgeInSeconds: z.number(), maximumRetryAttempts: z.number() }),
  deadLetterConfig: z.object({ arn: z.string() }),
  sqsTarget: z.object({ messageGroupId: z.string() }).optional(),
  inputTransformer: z
    .object({ inputPaths: z.record(z.string(), z.string()), inputTemplate: z.string() })
    .optional(),
});

const versioning = z.object({
  bucket: z.string(),
  versioningConfiguration: z.object({ status: z.literal("Enabled") }),
});

const notification = z.object({
  queues: z.array(z.object({ queueArn: z.string(), events: z.array(z.string()), filterPrefix: z.string() })),
});

export function wiringOf(graph: Graph): Wiring {
  const known = nameIn(graph);
  const queues = all(graph, "aws:sqs/queue:Queue", queue);
  const lambdas = all(graph, "aws:lambda/function:Function", lambda);
  const names = new Map<string, string>();
  const wired = all(graph, "aws:lambda/eventSourceMapping:EventSourceMapping", mapping).map(({ is }) => {
    const source = only(queues.filter(({ is: { name } }) => is.eventSourceArn.endsWith(`:${name}`)));
    const fed = only(lambdas.filter(({ is: { name } }) => is.functionName.endsWith(`:${name}`)));
    const { variables } = fed.is.environment;
    const [name] = only(
      Object.entries(variables).filter(([, url]) => known(url) === known(source.is.name)),
    )[0].split("_QUEUE_URL");
    names.set(known(source.is.name), name ?? "");
    const wiring: QueueWiring = {
      handler: graph.bundles[fed.name.replace(/Function$/, "")]?.source ?? "none",
      batchSize: is.batchSize,
      timeoutSeconds: fed.is.timeout,
      fifo: source.is.fifoQueue,
      contentBasedDeduplication: source.is.contentBasedDeduplication,
      receiveLimit: source.is.redrivePolicy?.maxReceiveCount ?? Number.POSITIVE_INFINITY,
    };
    return [name ?? "", wiring] as const;
  });
  const knownAs = (arn: string): string => names.get(known(arn)) ?? known(arn);
  const targets = all(graph, "aws:cloudwatch/eventTarget:EventTarget", target);
  return {
    queues: Object.fromEntries(wired),
    rules: all(graph, "aws:cloudwatch/eventRule:EventRule", rule).map(({ is }) => {
      const { arn, sqsTarget } = only(targets.filter((each) => each.is.rule === is.name)).is;
      return {
        bus: known(is.eventBusName),
        pattern: is.eventPattern,
        queue: knownAs(arn),
        ...(sqsTarget && { messageGroup: sqsTarget.messageGroupId }),
      };
    }),
    notifications: all(graph, "aws:s3/bucketNotification:BucketNotification", notification).flatMap(
      ({ is }) =>
        is.queues.map(({ queueArn, events, filterPrefix }) => ({
          prefix: filterPrefix,
          events,
          queue: knownAs(queueArn),
        })),
    ),
    versioned: all(graph, "aws:s3/bucketVersioning:BucketVersioning", versioning).map(({ is }) =>
      known(is.bucket),
    ),
  };
}

const localVersioning = z.object({
  Bucket: z.string(),
  VersioningConfiguration: z.object({ Status: z.literal("Enabled") }),
});
const localQueue = z.object({
  QueueName: z.string(),
  Attributes: z.object({
    FifoQueue: z.string().optional(),
    ContentBasedDeduplication: z.string().optional(),
    RedrivePolicy: json(z.object({ maxReceiveCount: z.number() })).optional(),
  }),
});
const localRule = z.object({
  Name: z.string(),
  EventBusName: z.string(),
  EventPattern: json(z.record(z.string(), z.unknown())),
});
const localTarget = z.object({
  Rule: z.string(),
  Targets: z.tuple([
    z.object({ Arn: z.string(), SqsParameters: z.object({ MessageGroupId: z.string() }).optional() }),
  ]),
});
const localNotification = z.object({
  NotificationConfiguration: z.object({
    QueueConfigurations: z.array(
      z.object({
        QueueArn: z.string(),
        Events: z.array(z.string()),
        Filter: z.object({
          Key: z.object({
            FilterRules: z.tuple([z.object({ Name: z.literal("prefix"), Value: z.string() })]),
          }),
        }),
      }),
    ),
  }),
});

/** What `wire` of stacks/local/ would create: it runs with AWS clients that write down what they are asked. */
export async function localWiring(): Promise<Wiring> {
  const asked: { command: string; input: object }[] = [];
  const nameOf = (input: object): string => {
    if ("QueueName" in input) return String(input.QueueName);
    return "QueueUrl" in input ? String(input.QueueUrl).replace(/.*\//, "") : "";
  };
  const settings = { region: "us-east-1", credentials: { accessKeyId: "none", secretAccessKey: "none" } };
  const clients = {
    sqs: new SQSClient(settings),
    s3: new S3Client(settings),
    sns: new SNSClient(settings),
    events: new EventBridgeClient(settings),
  };
  const answer = (command: string, input: object) => {
    asked.push({ command, input });
    const output = {
      $metadata: {},
      QueueUrl: `http://queues/${nameOf(input)}`,
      TopicArn: "arn:aws:sns:us-east-1:000000000000:alerts",
      Attributes: { QueueArn: `arn:aws:sqs:us-east-1:000000000000:${nameOf(input)}` },
    };
    return { output, response: {} };
  };
  const first = { step: "initialize", priority: "high" } as const;
  clients.sqs.middlewareStack.add(
    (_, { commandName = "" }) =>
      async ({ input }) =>
        answer(commandName, input),
    first,
  );
  clients.s3.middlewareStack.add(
    (_, { commandName = "" }) =>
      async ({ input }) =>
        answer(commandName, input),
    first,
  );
  clients.sns.middlewareStack.add(
    (_, { commandName = "" }) =>
      async ({ input }) =>
        answer(commandName, input),
    first,
  );
  clients.events.middlewareStack.add(
    (_, { commandName = "" }) =>
      async ({ input }) =>
        answer(commandName, input),
    first,
  );
  const wired = await local.wire({ ...clients, defaultBus: clients.events });
  const inputsOf = <T extends z.ZodType>(command: string, schema: T): z.infer<T>[] =>
    asked.filter((each) => each.command === command).map(({ input }) => schema.parse(input));

  const made = inputsOf("CreateQueueCommand", localQueue);
  const targets = inputsOf("PutTargetsCommand", localTarget);
  const knownAs = (arn: string): string =>
    Object.entries(wired.queues).find(([, each]) => each.arn === arn)?.[0] ?? arn;
  return {
    queues: Object.fromEntries(
      Object.entries(local.services).map(([name, each]) => {
        const { arn } = only(Object.entries(wired.queues).filter(([key]) => key === name))[1];
        const { Attributes } = only(made.filter(({ QueueName }) => arn.endsWith(`:${QueueName}`)));
        const wiring: QueueWiring = {
          handler: `services/${each.service}/handler.handler`,
          batchSize: each.batchSize,
          timeoutSeconds: each.timeoutSeconds,
          fifo: Attributes.FifoQueue === "true",
          contentBasedDeduplication: Attributes.ContentBasedDeduplication === "true",
          receiveLimit: Attributes.RedrivePolicy?.maxReceiveCount ?? Number.POSITIVE_INFINITY,
        };
        return [name, wiring];
      }),
    ),
    rules: inputsOf("PutRuleCommand", localRule)
      .map(({ Name, EventBusName, EventPattern }) => {
        const { Arn, SqsParameters } = only(targets.filter(({ Rule }) => Rule === Name)).Targets[0];
        return {
          bus: EventBusName,
          pattern: EventPattern,
          queue: knownAs(Arn),
          ...(SqsParameters && { messageGroup: SqsParameters.MessageGroupId }),
        };
      })
      // `npm start` watches the bus; on AWS nobody does.
      .filter(({ queue: name }) => name in wired.queues),
    notifications: inputsOf("PutBucketNotificationConfigurationCommand", localNotification).flatMap(
      ({ NotificationConfiguration: { QueueConfigurations } }) =>
        QueueConfigurations.map(({ QueueArn, Events, Filter }) => ({
          prefix: Filter.Key.FilterRules[0].Value,
          events: Events,
          queue: knownAs(QueueArn),
        })),
    ),
    versioned: inputsOf("PutBucketVersioningCommand", localVersioning).map(
      ({ Bucket }) => bucketNames[Bucket] ?? Bucket,
    ),
  };
}

/** As the stacks call them. */
const bucketNames: Record<string, string> = {
  [local.names.buckets.work]: "Work",
  [local.names.buckets.data]: "Data",
  [local.names.buckets.results]: "Results",
};

/** @throws Error where there is not exactly one */
export function only<T>(found: T[]): T {
  const [one, ...others] = found;
  if (one === undefined || others.length > 0) throw new Error(`Expected one, found ${found.length}.`);
  return one;
}
