// Creates resources of SQS, SNS, EventBridge and EventBridge Scheduler.
import { CreateEventBusCommand, PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import { CreateScheduleCommand } from "@aws-sdk/client-scheduler";
import { CreateTopicCommand, SubscribeCommand } from "@aws-sdk/client-sns";
import { CreateQueueCommand, type QueueAttributeName, SetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { account, region } from "../../stacks/evaluate/graph.ts";
import { creator, document } from "./context.ts";

const queueInputs = z.strictObject({
  name: z.string(),
  fifoQueue: z.boolean(),
  contentBasedDeduplication: z.boolean(),
  delaySeconds: z.int(),
  visibilityTimeoutSeconds: z.int(),
  messageRetentionSeconds: z.int().optional(),
  maxMessageSize: z.int(),
  sqsManagedSseEnabled: z.boolean(),
  redrivePolicy: z.string().optional(),
});

/** Returns the attributes for CreateQueue. False is expressed by a missing attribute. */
function queueAttributes(inputs: z.infer<typeof queueInputs>): Partial<Record<QueueAttributeName, string>> {
  return {
    DelaySeconds: String(inputs.delaySeconds),
    VisibilityTimeout: String(inputs.visibilityTimeoutSeconds),
    MaximumMessageSize: String(inputs.maxMessageSize),
    SqsManagedSseEnabled: String(inputs.sqsManagedSseEnabled),
    ...(inputs.messageRetentionSeconds !== undefined && {
      MessageRetentionPeriod: String(inputs.messageRetentionSeconds),
    }),
    ...(inputs.redrivePolicy !== undefined && { RedrivePolicy: inputs.redrivePolicy }),
    ...(inputs.fifoQueue && {
      FifoQueue: "true",
      ContentBasedDeduplication: String(inputs.contentBasedDeduplication),
    }),
  };
}

export const queue = creator(queueInputs, async (inputs, { clients: { sqs }, addresses }) => {
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({ QueueName: inputs.name, Attributes: queueAttributes(inputs) }),
  );
  if (!QueueUrl) throw new Error(`SQS returned no URL of ${inputs.name}.`);
  addresses.set(placeholderUrl(inputs.name), QueueUrl);
});

/** Returns the URL of a queue in the evaluation (test/stacks/evaluate/record-resources.ts). */
function placeholderUrl(name: string): string {
  return `https://sqs.${region}.amazonaws.com/${account}/${name}`;
}

export const queuePolicy = creator(
  z.strictObject({ queueUrl: z.string(), policy: document }),
  ({ queueUrl, policy: Policy }, { clients: { sqs }, addresses }) =>
    sqs.send(new SetQueueAttributesCommand({ QueueUrl: addresses.get(queueUrl), Attributes: { Policy } })),
);

export const topic = creator(
  z.strictObject({ name: z.string(), fifoTopic: z.literal(false) }),
  ({ name: Name }, { clients: { sns } }) => sns.send(new CreateTopicCommand({ Name })),
);

export const topicSubscription = creator(
  z.strictObject({ topic: z.string(), protocol: z.string(), endpoint: z.string() }),
  ({ topic: TopicArn, protocol: Protocol, endpoint: Endpoint }, { clients: { sns } }) =>
    sns.send(new SubscribeCommand({ TopicArn, Protocol, Endpoint })),
);

export const eventBus = creator(
  z.strictObject({ name: z.string() }),
  ({ name: Name }, { clients: { events } }) => events.send(new CreateEventBusCommand({ Name })),
);

export const ruleInputs = z.strictObject({
  name: z.string(),
  eventBusName: z.string(),
  eventPattern: z.string(),
  state: z.literal("ENABLED"),
});

export const eventRule = creator(ruleInputs, async (inputs, { clients: { events } }) => {
  await events.send(
    new PutRuleCommand({
      Name: inputs.name,
      EventBusName: inputs.eventBusName,
      EventPattern: inputs.eventPattern,
      State: inputs.state,
    }),
  );
});

export const targetInputs = z.strictObject({
  rule: z.string(),
  eventBusName: z.string(),
  targetId: z.string(),
  arn: z.string(),
  retryPolicy: z.strictObject({ maximumEventAgeInSeconds: z.int(), maximumRetryAttempts: z.int() }),
  deadLetterConfig: z.strictObject({ arn: z.string() }),
  sqsTarget: z.strictObject({ messageGroupId: z.string() }).optional(),
});

export const eventTarget = creator(targetInputs, async (inputs, { clients: { events } }) => {
  const { rule, eventBusName, targetId, arn, retryPolicy, deadLetterConfig, sqsTarget } = inputs;
  const { FailedEntryCount, FailedEntries } = await events.send(
    new PutTargetsCommand({
      Rule: rule,
      EventBusName: eventBusName,
      Targets: [
        {
          Id: targetId,
          Arn: arn,
          RetryPolicy: {
            MaximumEventAgeInSeconds: retryPolicy.maximumEventAgeInSeconds,
            MaximumRetryAttempts: retryPolicy.maximumRetryAttempts,
          },
          DeadLetterConfig: { Arn: deadLetterConfig.arn },
          ...(sqsTarget && { SqsParameters: { MessageGroupId: sqsTarget.messageGroupId } }),
        },
      ],
    }),
  );
  if (FailedEntryCount)
    throw new Error(`EventBridge rejected the target of ${rule}: ${FailedEntries?.[0]?.ErrorMessage}`);
});

export const schedule = creator(
  z.strictObject({
    name: z.string(),
    scheduleExpression: z.string(),
    scheduleExpressionTimezone: z.string(),
    state: z.enum(["ENABLED", "DISABLED"]),
    flexibleTimeWindow: z.strictObject({ mode: z.literal("OFF") }),
    target: z.strictObject({
      arn: z.string(),
      roleArn: z.string(),
      input: z.string(),
      eventbridgeParameters: z.strictObject({ source: z.string(), detailType: z.string() }),
      retryPolicy: z.strictObject({ maximumEventAgeInSeconds: z.int(), maximumRetryAttempts: z.int() }),
      deadLetterConfig: z.strictObject({ arn: z.string() }),
    }),
  }),
  ({ target, ...inputs }, { clients: { scheduler } }) =>
    scheduler.send(
      new CreateScheduleCommand({
        Name: inputs.name,
        ScheduleExpression: inputs.scheduleExpression,
        ScheduleExpressionTimezone: inputs.scheduleExpressionTimezone,
        State: inputs.state,
        FlexibleTimeWindow: { Mode: inputs.flexibleTimeWindow.mode },
        Target: {
          Arn: target.arn,
          RoleArn: target.roleArn,
          Input: target.input,
          EventBridgeParameters: {
            Source: target.eventbridgeParameters.source,
            DetailType: target.eventbridgeParameters.detailType,
          },
          RetryPolicy: {
            MaximumEventAgeInSeconds: target.retryPolicy.maximumEventAgeInSeconds,
            MaximumRetryAttempts: target.retryPolicy.maximumRetryAttempts,
          },
          DeadLetterConfig: { Arn: target.deadLetterConfig.arn },
        },
      }),
    ),
);
