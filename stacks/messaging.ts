// The bus and the queues. One helper creates every queue, because SST's defaults (no dead-letter queue, a visibility
// timeout of 30 seconds) lose or repeat work.
import {
  type DeadLetterName,
  type QueueName,
  queueNames,
  receiveLimit,
  type ServiceDefinition,
  services,
} from "../shared/topology.ts";
import { data } from "./storage.ts";

/**
 * SQS's maximum, in bytes. The default of Pulumi's provider is a quarter of it, and the fetcher sends messages of up to
 * `maxMessageBytes` (shared/ports.ts).
 * https://www.pulumi.com/registry/packages/aws/api-docs/sqs/queue/#maxmessagesize_nodejs
 */
const maxMessageSize = 1024 * 1024;

/** SQS's maximum, 14 days. With the default of four, messages vanish in an outage without becoming dead letters. */
const messageRetentionSeconds = 14 * 24 * 3600;

const queueSettings = { sqsManagedSseEnabled: true, maxMessageSize, messageRetentionSeconds };

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;

// SST's default policy lets S3, SNS and EventBridge of every account send to a queue. This one allows only the rules of
// this account and the data bucket. All senders share it, because a queue has only one policy.
$transform(aws.sqs.QueuePolicy, (args) => {
  const name = $output(args.queueUrl).apply((url) => url.slice(url.lastIndexOf("/") + 1));
  args.policy = aws.iam.getPolicyDocumentOutput({
    statements: [
      {
        actions: ["sqs:SendMessage"],
        resources: [$interpolate`arn:aws:sqs:${region}:${accountId}:${name}`],
        principals: [{ type: "Service", identifiers: ["events.amazonaws.com", "s3.amazonaws.com"] }],
        conditions: [
          {
            test: "ArnLike",
            variable: "aws:SourceArn",
            values: [$interpolate`arn:aws:events:${region}:${accountId}:rule/*`, data.arn],
          },
        ],
      },
    ],
  }).json;
});

export const bus = new sst.aws.Bus("Pipeline");

export type WorkQueue = { queue: sst.aws.Queue; deadLetters: sst.aws.Queue };

const workQueues = new Map(queueNames.map((name) => [name, workQueue(name, services[name])] as const));

/** Keeps events that a rule could not deliver to its queue. */
export const undelivered = deadLetterQueue("Undelivered", false);
/** Keeps requests that a schedule could not deliver to the bus. */
export const unscheduled = deadLetterQueue("Unscheduled", false);

/** Returns the queue of a service, with its dead-letter queue. */
export function queueOf(name: QueueName): WorkQueue {
  const found = workQueues.get(name);
  if (!found) throw new Error(`The queue ${name} is missing from shared/topology.ts.`);
  return found;
}

/** Returns the variables that shared/aws/config.ts reads the queues' URLs from. */
export function queueUrls(names: readonly QueueName[]): Record<string, $util.Output<string>> {
  return Object.fromEntries(
    names.map((name) => [`${name.toUpperCase()}_QUEUE_URL`, queueOf(name).queue.url]),
  );
}

/** Returns the variables that shared/aws/config.ts reads the dead-letter queues' URLs from. */
export function deadLetterUrls(names: readonly DeadLetterName[]): Record<string, $util.Output<string>> {
  return Object.fromEntries(
    names.map((name) => [`${name.toUpperCase()}_DEAD_LETTERS_URL`, deadLettersOf(name).url]),
  );
}

/** Returns the dead-letter queue of a service, of the rules or of the schedules. */
export function deadLettersOf(name: DeadLetterName): sst.aws.Queue {
  if (name === "undelivered") return undelivered;
  return name === "unscheduled" ? unscheduled : queueOf(name).deadLetters;
}

/** Returns the prefix of a service's resource names: `Fetcher` for FetcherQueue. */
export function titleOf(name: QueueName): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function workQueue(
  name: QueueName,
  { queue: { fifo }, timeoutSeconds }: Pick<ServiceDefinition, "queue" | "timeoutSeconds">,
): WorkQueue {
  const isFifo = fifo !== undefined;
  const deadLetters = deadLetterQueue(`${titleOf(name)}DeadLetters`, isFifo);
  const queue = new sst.aws.Queue(`${titleOf(name)}Queue`, {
    // EventBridge sends no deduplication id, so the queues that it fills deduplicate by content.
    fifo: fifo === "by-content" ? { contentBasedDeduplication: true } : isFifo,
    // AWS recommends six times the function's timeout, so that a batch is not received again while Lambda still retries.
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    visibilityTimeout: `${6 * timeoutSeconds} seconds`,
    dlq: { queue: deadLetters.arn, retry: receiveLimit },
    transform: { queue: queueSettings },
  });
  return { queue, deadLetters };
}

function deadLetterQueue(name: string, fifo: boolean): sst.aws.Queue {
  return new sst.aws.Queue(name, { fifo, transform: { queue: queueSettings } });
}
