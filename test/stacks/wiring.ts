// Extracts how the queues, functions and rules of an evaluated stage are connected.
import { z } from "zod";
import type { Graph } from "./evaluate/graph.ts";
import { all, json, nameIn } from "./stages.ts";

export type QueueWiring = {
  handler: string;
  batchSize: number;
  timeoutSeconds: number;
  memoryMb: number;
  /** Undefined if unlimited. */
  concurrency: number | undefined;
  visibilitySeconds: number;
  fifo: boolean;
  contentBasedDeduplication: boolean;
  receiveLimit: number;
};
/** Only the target of a FIFO queue has a `messageGroup`. */
type RuleWiring = { bus: string; pattern: unknown; queue: string; messageGroup?: string };

/** The keys of `queues` derive from the variables of the functions: `fetcher` for FETCHER_QUEUE_URL. */
export type Wiring = { queues: Record<string, QueueWiring>; rules: RuleWiring[] };

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
  scalingConfig: z.object({ maximumConcurrency: z.number() }).optional(),
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

export function wiringOf(graph: Graph): Wiring {
  const known = nameIn(graph);
  const queues = all(graph, "aws:sqs/queue:Queue", queue);
  const lambdas = all(graph, "aws:lambda/function:Function", lambda);
  const names = new Map<string, string>();
  const wired = all(graph, "aws:lambda/eventSourceMapping:EventSourceMapping", mapping).map(({ is }) => {
    const source = only(queues.filter(({ is: { name } }) => is.eventSourceArn.endsWith(`:${name}`)));
    const fed = only(lambdas.filter(({ is: { name } }) => is.functionName.endsWith(`:${name}`)));
    const { variables } = fed.is.environment;
    const [variable] = only(
      Object.entries(variables).filter(([, url]) => known(url) === known(source.is.name)),
    );
    const name = variable.replace(/_QUEUE_URL$/, "").toLowerCase();
    names.set(known(source.is.name), name);
    const wiring: QueueWiring = {
      handler: graph.bundles[fed.name.replace(/Function$/, "")]?.source ?? "none",
      batchSize: is.batchSize,
      timeoutSeconds: fed.is.timeout,
      memoryMb: fed.is.memorySize,
      concurrency: is.scalingConfig?.maximumConcurrency,
      visibilitySeconds: source.is.visibilityTimeoutSeconds,
      fifo: source.is.fifoQueue,
      contentBasedDeduplication: source.is.contentBasedDeduplication,
      receiveLimit: source.is.redrivePolicy?.maxReceiveCount ?? Number.POSITIVE_INFINITY,
    };
    return [name, wiring] as const;
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
  };
}

/** Returns the only element. @throws Error if there is not exactly one */
export function only<T>(found: T[]): T {
  const [one, ...others] = found;
  if (one === undefined || others.length > 0) throw new Error(`Expected one, found ${found.length}.`);
  return one;
}
