// Creates functions, event source mappings, IAM resources and log groups.
import { CreateLogGroupCommand, PutRetentionPolicyCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  AttachRolePolicyCommand,
  AttachUserPolicyCommand,
  CreatePolicyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  PutRolePolicyCommand,
} from "@aws-sdk/client-iam";
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import { z } from "zod";
import { creator, document } from "./context.ts";

/** An emulator takes about a second. */
const activeSeconds = 30;

export const functionInputs = z.strictObject({
  name: z.string(),
  description: z.string(),
  runtime: z.literal("nodejs24.x"),
  architectures: z.array(z.enum(["arm64"])),
  handler: z.string(),
  memorySize: z.int(),
  timeout: z.int(),
  ephemeralStorage: z.strictObject({ size: z.int() }),
  role: z.string(),
  packageType: z.literal("Zip"),
  publish: z.literal(false),
  s3Bucket: z.string(),
  s3Key: z.string(),
  loggingConfig: z.strictObject({ logFormat: z.literal("JSON"), logGroup: z.string() }),
  environment: z.strictObject({ variables: z.record(z.string(), z.string()) }),
});

export const lambdaFunction = creator(
  functionInputs,
  async (inputs, { clients: { lambda }, addresses, functionEnvironment }) => {
    const variables = Object.entries(inputs.environment.variables).map(([name, value]) => [
      name,
      addresses.get(value) ?? value,
    ]);
    await lambda.send(
      new CreateFunctionCommand({
        FunctionName: inputs.name,
        Description: inputs.description,
        Runtime: inputs.runtime,
        Architectures: inputs.architectures,
        Handler: inputs.handler,
        MemorySize: inputs.memorySize,
        Timeout: inputs.timeout,
        EphemeralStorage: { Size: inputs.ephemeralStorage.size },
        Role: inputs.role,
        PackageType: inputs.packageType,
        Publish: inputs.publish,
        Code: { S3Bucket: inputs.s3Bucket, S3Key: inputs.s3Key },
        LoggingConfig: { LogFormat: inputs.loggingConfig.logFormat, LogGroup: inputs.loggingConfig.logGroup },
        Environment: { Variables: { ...Object.fromEntries(variables), ...functionEnvironment } },
      }),
    );
    await waitUntilFunctionActiveV2(
      { client: lambda, maxWaitTime: activeSeconds, minDelay: 1, maxDelay: 1 },
      { FunctionName: inputs.name },
    );
  },
);

const mappingInputs = z.strictObject({
  eventSourceArn: z.string(),
  functionName: z.string(),
  batchSize: z.int(),
  maximumBatchingWindowInSeconds: z.int(),
  functionResponseTypes: z.array(z.literal("ReportBatchItemFailures")),
  scalingConfig: z.strictObject({ maximumConcurrency: z.int() }).optional(),
});

export const eventSourceMapping = creator(mappingInputs, (inputs, { clients: { lambda } }) =>
  lambda.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: inputs.eventSourceArn,
      FunctionName: inputs.functionName,
      BatchSize: inputs.batchSize,
      MaximumBatchingWindowInSeconds: inputs.maximumBatchingWindowInSeconds,
      FunctionResponseTypes: inputs.functionResponseTypes,
      ...(inputs.scalingConfig && {
        ScalingConfig: { MaximumConcurrency: inputs.scalingConfig.maximumConcurrency },
      }),
    }),
  ),
);

const conditions = z.record(z.string(), z.record(z.string(), z.unknown()));
const statements = z.looseObject({
  Statement: z.array(z.looseObject({ Action: z.array(z.string()), Condition: conditions.optional() })),
});

/**
 * Adapts a policy to the differences between MiniStack and IAM (README.md):
 * - IAM authorizes SQS's batch calls with the single actions; MiniStack requires the names of the batch calls.
 *   https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
 * - MiniStack does not know the tags of EC2 instances, so a condition on them is never true.
 */
function forMiniStack(text: string): string {
  const { Statement, ...rest } = statements.parse(JSON.parse(text));
  return JSON.stringify({
    ...rest,
    Statement: Statement.map(({ Action, Condition, ...statement }) => {
      const isOnTags = JSON.stringify(Condition ?? {}).includes('"aws:ResourceTag/');
      return {
        ...statement,
        Action: Action.flatMap((action) =>
          batched.includes(action) ? [action, `${action}Batch`] : [action],
        ),
        ...(Condition && !isOnTags && { Condition }),
      };
    }),
  });
}
const batched = ["sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];

export const role = creator(
  z.strictObject({
    name: z.string(),
    assumeRolePolicy: document,
    inlinePolicies: z.array(z.strictObject({ name: z.string(), policy: document })),
    managedPolicyArns: z.array(z.string()).default([]),
  }),
  async ({ name: RoleName, ...inputs }, { clients: { iam } }) => {
    await iam.send(
      new CreateRoleCommand({
        RoleName,
        AssumeRolePolicyDocument: inputs.assumeRolePolicy,
      }),
    );
    for (const { name: PolicyName, policy: PolicyDocument } of inputs.inlinePolicies) {
      const adapted = forMiniStack(PolicyDocument);
      await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument: adapted }));
    }
    for (const PolicyArn of inputs.managedPolicyArns) {
      await iam.send(new AttachRolePolicyCommand({ RoleName, PolicyArn }));
    }
  },
);

/** `forceDestroy` affects only Pulumi's removal of a user. */
export const user = creator(
  z.strictObject({ name: z.string(), forceDestroy: z.boolean() }),
  ({ name: UserName }, { clients: { iam } }) => iam.send(new CreateUserCommand({ UserName })),
);

export const policy = creator(
  z.strictObject({ name: z.string(), description: z.string(), policy: document }),
  (inputs, { clients: { iam } }) =>
    iam.send(
      new CreatePolicyCommand({
        PolicyName: inputs.name,
        Description: inputs.description,
        PolicyDocument: forMiniStack(inputs.policy),
      }),
    ),
);

export const userPolicyAttachment = creator(
  z.strictObject({ user: z.string(), policyArn: z.string() }),
  ({ user: UserName, policyArn: PolicyArn }, { clients: { iam } }) =>
    iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn })),
);

export const logGroup = creator(
  z.strictObject({ name: z.string(), retentionInDays: z.int() }),
  async ({ name: logGroupName, retentionInDays }, { clients: { logs } }) => {
    await logs.send(new CreateLogGroupCommand({ logGroupName }));
    await logs.send(new PutRetentionPolicyCommand({ logGroupName, retentionInDays }));
  },
);
