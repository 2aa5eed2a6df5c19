// What arrives in which queue: the events of the bus, of Athena, of EC2 and of S3 (shared/topology.ts).
import { datasets } from "../shared/datasets.ts";
import { eventSource } from "../shared/events.ts";
import { type AwsRoute, awsRoutes, filePublished, routes } from "../shared/topology.ts";
import { bus, queueOf, undelivered } from "./messaging.ts";
import { currentStage } from "./stage.ts";
import { data } from "./storage.ts";
import { workgroup } from "./workgroups.ts";

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;
/** AWS's own services publish their events here. */
const defaultBus = $interpolate`arn:aws:events:${region}:${accountId}:event-bus/default`;

/** EventBridge retries for a day, which is its maximum, and then moves the event to the queue Undelivered. */
const delivery = {
  retryPolicy: { maximumEventAgeInSeconds: 24 * 3600, maximumRetryAttempts: 185 },
  deadLetterConfig: { arn: undelivered.arn },
};
sst.aws.Queue.createPolicy("UndeliveredPolicy", undelivered.arn);

/** The name of each route's rule. */
export const ruleNames = new Map(
  routes.map(({ name, events, to, group }) => {
    const { nodes } = bus.subscribeQueue(name, queueOf(to).queue.arn, {
      pattern: { source: [eventSource], detailType: [...events] },
      transform: {
        target: { ...delivery, ...(group !== undefined && { sqsTarget: { messageGroupId: group } }) },
      },
    });
    return [name, nodes.rule.name] as const;
  }),
);

const { queryEnded, instanceChanged } = awsRoutes;
toQueue(queryEnded, { workgroupName: [workgroup.name], currentState: [...queryEnded.states] });
toQueue(instanceChanged, { state: [...instanceChanged.states] });

function toQueue({ name, source, detailType, to }: AwsRoute, detail: object): void {
  sst.aws.Bus.subscribeQueue(name, defaultBus, queueOf(to).queue.arn, {
    pattern: { source: [source], detailType: [detailType], detail },
    transform: { target: delivery },
  });
}

const fileQueue = queueOf(filePublished.to).queue;
if (currentStage().existingBuckets.data) {
  // S3 keeps all notifications of a bucket in one setting, and setting it here would remove everyone else's. So the
  // bucket's owner turns on EventBridge for it (stacks/README.md), and a rule takes over from there. The rule gives the
  // message the schema of S3's own notifications, which the service reads.
  sst.aws.Bus.subscribeQueue(filePublished.name, defaultBus, fileQueue.arn, {
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
      queue: fileQueue.arn,
      events: ["s3:ObjectCreated:*"],
      filterPrefix: publish.csv,
    })),
  });
}
