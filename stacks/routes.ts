// Routes events of the pipeline's bus, Athena and S3 to the queues, as shared/topology.ts defines.
import { datasets } from "../shared/datasets.ts";
import { eventSource } from "../shared/events.ts";
import { type AwsRoute, awsRoutes, filePublished, routes } from "../shared/topology.ts";
import { bus, queueOf, undelivered } from "./messaging.ts";
import { currentStage } from "./stage.ts";
import { data } from "./storage.ts";
import { workgroup } from "./workgroups.ts";

const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;
/** AWS services put their events on this bus. */
const defaultBus = $interpolate`arn:aws:events:${region}:${accountId}:event-bus/default`;

/** EventBridge retries for 24 hours, its maximum, and then moves the event to the queue Undelivered. */
const delivery = {
  retryPolicy: { maximumEventAgeInSeconds: 24 * 3600, maximumRetryAttempts: 185 },
  deadLetterConfig: { arn: undelivered.arn },
};
sst.aws.Queue.createPolicy("UndeliveredPolicy", undelivered.arn);

/** The name of the rule of each route. */
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

const { queryEnded } = awsRoutes;
toQueue(queryEnded, { workgroupName: [workgroup.name], currentState: [...queryEnded.states] });

export function toQueue({ name, source, detailType, to }: AwsRoute, detail: object): void {
  sst.aws.Bus.subscribeQueue(name, defaultBus, queueOf(to).queue.arn, {
    pattern: { source: [source], detailType: [detailType], detail },
    transform: { target: delivery },
  });
}

const fileQueue = queueOf(filePublished.to).queue;
if (currentStage().existingBuckets.data) {
  // S3 keeps all notifications of a bucket in one setting, so setting it here would remove those of other teams. The
  // bucket's owner turns on EventBridge for it instead (docs/deploy.md). This rule then gives the message the schema of
  // S3's own notifications, which the service reads.
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
