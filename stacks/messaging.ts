// The bus and the queues. Every queue is made by one helper, because SST's defaults (no dead letters, 30 seconds of
// visibility) lose or repeat work.
import type { QueueName } from "../shared/config.ts";
import { data } from "./storage.ts";

/**
 * After this many receives a message is a dead letter. shared/sqs-handler.ts says the same, and a test compares them:
 * importing it would bring the functions' AWS SDK into the deploy, where SST puts an older one in its place.
 */
const receiveLimit = 5;

/**
 * SQS's largest, in bytes. Where nothing is said, Pulumi's provider creates queues with a quarter of it, and pages are sent
 * in messages of up to `maxMessageBytes` (shared/aws/queue.ts).
 * https://www.pulumi.com/registry/packages/aws/api-docs/sqs/queue/#maxmessagesize_nodejs
 */
const maxMessageSize = 1024 * 1024;

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;

// SST lets S3, SNS and EventBridge of every account send to a queue. Here only this account's rules and our bucket
// may. The policy is the same for all that deliver to a queue, because a queue has one policy.
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

export type WorkQueue = {
  queue: sst.aws.Queue;
  deadLetters: sst.aws.Queue;
  /** How long the function that it feeds may take. */
  timeoutSeconds: number;
};

/** The queues of the design, by the name under which the functions know them. */
export const queues: Record<QueueName, WorkQueue> = {
  KICKOFF: workQueue("Kickoff", { timeoutSeconds: 60 }),
  // LibInsight may take 30 seconds to answer, twice when a token has to be renewed.
  FETCH: workQueue("Fetch", { timeoutSeconds: 120 }),
  PAGES: workQueue("Pages", { timeoutSeconds: 60 }),
  // The longest that Lambda allows: it reads and writes all of a dataset.
  ASSEMBLE: workQueue("Assemble", { timeoutSeconds: 900, fifo: true }),
  // Waits for some DDL statements, a second or two each.
  ATHENA: workQueue("Athena", { timeoutSeconds: 120 }),
  // The longest again: it follows Tableau's jobs for ten minutes. EventBridge names no deduplication id.
  TABLEAU: workQueue("Tableau", { timeoutSeconds: 900, fifo: { contentBasedDeduplication: true } }),
  // Some calls of S3 and one of SNS.
  REPORT: workQueue("Report", { timeoutSeconds: 60 }),
  // Asks EC2 about one instance after the other, some calls each.
  INSTANCE: workQueue("Instance", { timeoutSeconds: 120 }),
  // A thousand dead letters, some calls each.
  REPLAY: workQueue("Replay", { timeoutSeconds: 300 }),
};

/** Events that a rule could not deliver to its queue. */
export const undelivered = deadLetterQueue("Undelivered", false);
/** Requests that the schedule could not hand to the bus. */
export const unscheduled = deadLetterQueue("Unscheduled", false);

/** A queue that feeds one function, with the queue for what that function could not do. */
function workQueue(
  name: string,
  {
    timeoutSeconds,
    fifo = false,
  }: { timeoutSeconds: number; fifo?: boolean | { contentBasedDeduplication: boolean } },
): WorkQueue {
  const deadLetters = deadLetterQueue(`${name}DeadLetters`, Boolean(fifo));
  const queue = new sst.aws.Queue(`${name}Queue`, {
    fifo,
    // Lambda's advice, so that a batch is not received again while it is still being tried.
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    visibilityTimeout: `${6 * timeoutSeconds} seconds`,
    dlq: { queue: deadLetters.arn, retry: receiveLimit },
    transform: { queue: { sqsManagedSseEnabled: true, maxMessageSize } },
  });
  return { queue, deadLetters, timeoutSeconds };
}

/** Kept for 14 days, the longest that SQS keeps a message. */
function deadLetterQueue(name: string, fifo: boolean): sst.aws.Queue {
  return new sst.aws.Queue(name, {
    fifo,
    transform: {
      queue: { sqsManagedSseEnabled: true, maxMessageSize, messageRetentionSeconds: 14 * 24 * 3600 },
    },
  });
}
