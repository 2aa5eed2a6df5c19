// Creates the resources of an evaluated stage on the emulator, type by type, with the same inputs that Pulumi sends to AWS.
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import type { Graph, Resource } from "../stacks/evaluate/graph.ts";
import type { Context, Creator } from "./create/context.ts";
import * as compute from "./create/create-compute.ts";
import * as messaging from "./create/create-messaging.ts";
import * as storage from "./create/create-storage.ts";

/** In dependency order: a resource only refers to resources of earlier types. */
const creators: readonly (readonly [type: string, create: Creator])[] = [
  ["aws:s3/bucket:Bucket", storage.bucket],
  ["aws:sqs/queue:Queue", messaging.queue],
  ["aws:sns/topic:Topic", messaging.topic],
  ["aws:cloudwatch/eventBus:EventBus", messaging.eventBus],
  ["aws:cloudwatch/logGroup:LogGroup", compute.logGroup],
  ["aws:iam/role:Role", compute.role],
  ["aws:iam/user:User", compute.user],
  ["aws:iam/policy:Policy", compute.policy],
  ["aws:iam/userPolicyAttachment:UserPolicyAttachment", compute.userPolicyAttachment],
  ["aws:s3/bucketVersioning:BucketVersioning", storage.bucketVersioning],
  ["aws:s3/bucketPolicy:BucketPolicy", storage.bucketPolicy],
  ["aws:s3/bucketObjectv2:BucketObjectv2", storage.bucketObject],
  ["aws:sqs/queuePolicy:QueuePolicy", messaging.queuePolicy],
  ["aws:sns/topicSubscription:TopicSubscription", messaging.topicSubscription],
  ["aws:s3/bucketNotification:BucketNotification", storage.bucketNotification],
  ["aws:lambda/function:Function", compute.lambdaFunction],
  ["aws:lambda/eventSourceMapping:EventSourceMapping", compute.eventSourceMapping],
  ["aws:cloudwatch/eventRule:EventRule", messaging.eventRule],
  ["aws:cloudwatch/eventTarget:EventTarget", messaging.eventTarget],
  ["aws:scheduler/schedule:Schedule", messaging.schedule],
];

/**
 * The first three exist only in Pulumi's and SST's state. athena-endpoint.ts simulates the workgroups. MiniStack accepts the
 * others but does not act on them; test/stacks tests them.
 */
const skippedTypes =
  /^(sst:|pulumi:pulumi:Stack$|random:|aws:athena\/workgroup:|aws:cloudwatch\/metricAlarm:|aws:cloudwatch\/logMetricFilter:|aws:lambda\/functionRecursionConfig:|aws:s3\/bucketPublicAccessBlock:|aws:s3\/bucketLifecycleConfiguration:)/;

/** Limits concurrent requests, because an emulator is one process. */
const maxConcurrent = 6;

/**
 * Creates all resources.
 * @returns the number of resources of each type
 * @throws Error if the graph has an unknown type, or refers to existing resources
 */
export async function createStage(graph: Graph, context: Context): Promise<Record<string, number>> {
  const resources = graph.resources.filter(({ type }) => !skippedTypes.test(type));
  const known = new Map(creators);
  const unknown = new Set(resources.filter(({ type }) => !known.has(type)).map(({ type }) => type));
  if (unknown.size > 0) {
    throw new Error(`${[...unknown].join(", ")} has no creator. Add one to test/emulator/create.ts.`);
  }
  const existing = resources.filter((resource) => resource.existing);
  if (existing.length > 0) {
    throw new Error(
      `The emulator cannot look up existing resources: ${existing.map(({ name }) => name).join(", ")}.`,
    );
  }
  for (const Bucket of assetBucketsOf(resources)) {
    await context.clients.s3.send(new CreateBucketCommand({ Bucket }));
  }
  const counts: Record<string, number> = {};
  for (const [type, create] of creators) {
    const ofType = resources.filter((resource) => resource.type === type);
    if (ofType.length === 0) continue;
    // Dead-letter queues are created before the queues that refer to them.
    const groups = Map.groupBy(ofType, ({ inputs }) => "redrivePolicy" in inputs);
    for (const hasRedrive of [false, true]) await createAll(groups.get(hasRedrive) ?? [], create, context);
    counts[type] = ofType.length;
  }
  return counts;
}

async function createAll(resources: Resource[], create: Creator, context: Context): Promise<void> {
  for (let from = 0; from < resources.length; from += maxConcurrent) {
    await Promise.all(
      resources.slice(from, from + maxConcurrent).map(async ({ type, name, inputs, parent = "" }) => {
        try {
          await create(inputs, context, parent);
        } catch (cause) {
          throw new Error(`${type} ${name} could not be created: ${String(cause)}`, { cause });
        }
      }),
    );
  }
}

/** Returns the bucket of the functions' code. SST creates it in an account before its first deploy. */
function assetBucketsOf(resources: Resource[]): Set<string> {
  const code = resources.filter(({ type }) => type === "aws:s3/bucketObjectv2:BucketObjectv2");
  return new Set(code.map(({ inputs }) => String(inputs.bucket)));
}
