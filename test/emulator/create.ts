// Creates what an evaluated stage consists of, as Pulumi would have AWS create it: resource by resource, by their types.
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import type { Graph, Resource } from "../stacks/evaluate/graph.ts";
import type { Context, Creator } from "./create/context.ts";
import * as compute from "./create/create-compute.ts";
import * as messaging from "./create/create-messaging.ts";
import * as storage from "./create/create-storage.ts";

/** In an order in which everything that a resource names is there already. */
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
 * Pulumi and SST keep the first three in their state only. athena-endpoint.ts has the workgroups. MiniStack takes the others
 * without ever acting on them; test/stacks/monitoring.test.ts and protection.test.ts test them.
 */
const passedOver =
  /^(sst:|pulumi:pulumi:Stack$|random:|aws:athena\/workgroup:|aws:cloudwatch\/metricAlarm:|aws:s3\/bucketPublicAccessBlock:|aws:s3\/bucketLifecycleConfiguration:)/;

/** Requests at the same time; an emulator is one process. */
const atOnce = 6;

/**
 * @returns how many there are of each type
 * @throws Error where the graph has a type that is not known here, or something that should exist already
 */
export async function createStage(graph: Graph, context: Context): Promise<Record<string, number>> {
  const resources = graph.resources.filter(({ type }) => !passedOver.test(type));
  const known = new Map(creators);
  const unknown = new Set(resources.filter(({ type }) => !known.has(type)).map(({ type }) => type));
  if (unknown.size > 0) {
    throw new Error(`${[...unknown].join(", ")} has no creator. Add one to test/emulator/create.ts.`);
  }
  const existing = resources.filter((resource) => resource.existing);
  if (existing.length > 0) {
    throw new Error(`${existing.map(({ name }) => name).join(", ")} would have to exist before the stage.`);
  }
  for (const Bucket of assetBucketsOf(resources)) {
    await context.clients.s3.send(new CreateBucketCommand({ Bucket }));
  }
  const counts: Record<string, number> = {};
  for (const [type, create] of creators) {
    const ofType = resources.filter((resource) => resource.type === type);
    if (ofType.length === 0) continue;
    // A queue names its dead-letter queue, which therefore comes first.
    const naming = ofType.filter(({ inputs }) => "redrivePolicy" in inputs);
    await createAll(
      ofType.filter((resource) => !naming.includes(resource)),
      create,
      context,
    );
    await createAll(naming, create, context);
    counts[type] = ofType.length;
  }
  return counts;
}

async function createAll(resources: Resource[], create: Creator, context: Context): Promise<void> {
  for (let from = 0; from < resources.length; from += atOnce) {
    await Promise.all(
      resources.slice(from, from + atOnce).map(async ({ type, name, inputs, parent = "" }) => {
        try {
          await create(inputs, context, parent);
        } catch (cause) {
          throw new Error(`${type} ${name} could not be created: ${String(cause)}`, { cause });
        }
      }),
    );
  }
}

/** In which functions' code lies. SST makes it in an account before it deploys anything there. */
function assetBucketsOf(resources: Resource[]): Set<string> {
  const code = resources.filter(({ type }) => type === "aws:s3/bucketObjectv2:BucketObjectv2");
  return new Set(code.map(({ inputs }) => String(inputs.bucket)));
}
