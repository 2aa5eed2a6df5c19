// What arrives in which queue: the bus's events, Athena's, EC2's, and S3's.
import { datasets } from "../shared/datasets.ts";
import { type EventType, eventSource } from "../shared/events.ts";
import { workgroup } from "./athena.ts";
import { bus, queues, undelivered } from "./messaging.ts";
import { currentStage } from "./stage.ts";
import { data } from "./storage.ts";

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;
/** On which AWS's own services tell what they did. */
const defaultBus = $interpolate`arn:aws:events:${region}:${accountId}:event-bus/default`;

/** EventBridge tries for a day, its longest, and then leaves the event among the undelivered. */
const delivery = {
  retryPolicy: { maximumEventAgeInSeconds: 24 * 3600, maximumRetryAttempts: 185 },
  deadLetterConfig: { arn: undelivered.arn },
};
sst.aws.Queue.createPolicy("UndeliveredPolicy", undelivered.arn);

bus.subscribeQueue("RunRequested", queues.KICKOFF.queue.arn, {
  pattern: { source: [eventSource], detailType: ["run.requested"] },
  transform: { target: delivery },
});

bus.subscribeQueue("ReplayRequested", queues.REPLAY.queue.arn, {
  pattern: { source: [eventSource], detailType: ["deadletter.replay.requested"] },
  transform: { target: delivery },
});

bus.subscribeQueue("ResultsPublished", queues.TABLEAU.queue.arn, {
  pattern: { source: [eventSource], detailType: ["results.published"] },
  // One group for all datasets: a second sign-in with the token would end the first.
  transform: { target: { ...delivery, sqsTarget: { messageGroupId: "tableau" } } },
});

/** Each failure has a rule of its own, because its alarm is EventBridge's count of what the rule matched. */
export const failureRules = {
  RunHeld: toReporter("RunHeld", ["run.held"]),
  RunFailed: toReporter("RunFailed", ["run.failed"], { superseded: [{ exists: false }] }),
  QueryFailed: toReporter("QueryFailed", ["query.failed", "file.refused"]),
  RefreshFailed: toReporter("RefreshFailed", ["tableau.failed"]),
  InstanceFailed: toReporter("InstanceFailed", ["instance.failed"]),
};
toReporter("RunSuperseded", ["run.failed"], { superseded: [true] });
toReporter("Reported", [
  "run.published",
  "results.published",
  "freshness.check.requested",
  "instances.check.requested",
]);

/** @returns the rule's name */
function toReporter(name: string, detailType: EventType[], detail?: object) {
  return bus.subscribeQueue(name, queues.REPORT.queue.arn, {
    pattern: { source: [eventSource], detailType, ...(detail && { detail }) },
    transform: { target: delivery },
  }).nodes.rule.name;
}

sst.aws.Bus.subscribeQueue("QueryEnded", defaultBus, queues.ATHENA.queue.arn, {
  pattern: {
    source: ["aws.athena"],
    detailType: ["Athena Query State Change"],
    detail: { workgroupName: [workgroup.name], currentState: ["SUCCEEDED", "FAILED", "CANCELLED"] },
  },
  transform: { target: delivery },
});

bus.subscribeQueue("InstanceWanted", queues.INSTANCE.queue.arn, {
  pattern: {
    source: [eventSource],
    detailType: [
      "instance.start.requested",
      "instance.stop.requested",
      // The work is done for which an instance may have been started.
      "run.published",
      "run.held",
      "run.failed",
    ],
  },
  transform: { target: delivery },
});

// EC2 tells it of every instance in the account; the service knows which it asked.
sst.aws.Bus.subscribeQueue("InstanceChanged", defaultBus, queues.INSTANCE.queue.arn, {
  pattern: {
    source: ["aws.ec2"],
    detailType: ["EC2 Instance State-change Notification"],
    detail: { state: ["running", "stopped", "terminated"] },
  },
  transform: { target: delivery },
});

if (currentStage().existingBuckets.data) {
  // S3 keeps all notifications of a bucket in one setting, and setting it here would remove everybody else's. So the
  // bucket's owner turns EventBridge on in it (stacks/README.md), and a rule takes over from there. The message is
  // given the form of S3's own, which the service reads.
  sst.aws.Bus.subscribeQueue("FilePublished", defaultBus, queues.ATHENA.queue.arn, {
    pattern: {
      source: ["aws.s3"],
      detailType: ["Object Created"],
      detail: { bucket: { name: [data.name] }, object: { key: datasets.map(({ publish }) => publish.csv) } },
    },
    transform: {
      target: {
        ...delivery,
        inputTransformer: {
          inputPaths: { bucket: "$.detail.bucket.name", key: "$.detail.object.key" },
          inputTemplate:
            '{"Records":[{"eventName":"ObjectCreated","s3":{"bucket":{"name":<bucket>},"object":{"key":<key>}}}]}',
        },
      },
    },
  });
} else {
  data.notify({
    notifications: datasets.map(({ name, publish }) => ({
      name,
      queue: queues.ATHENA.queue.arn,
      events: ["s3:ObjectCreated:*"],
      filterPrefix: publish.csv,
    })),
  });
}
