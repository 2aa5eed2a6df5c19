// Everything of the graph is created on the emulator, type by type, and is there as SST describes it.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DescribeAlarmsCommand } from "@aws-sdk/client-cloudwatch";
import { DescribeLogGroupsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { DescribeRuleCommand, ListRulesCommand, ListTargetsByRuleCommand } from "@aws-sdk/client-eventbridge";
import { CreateAccessKeyCommand, ListRolesCommand } from "@aws-sdk/client-iam";
import {
  GetFunctionConfigurationCommand,
  ListEventSourceMappingsCommand,
  ListFunctionsCommand,
} from "@aws-sdk/client-lambda";
import {
  GetBucketVersioningCommand,
  GetObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { GetScheduleCommand, ListSchedulesCommand } from "@aws-sdk/client-scheduler";
import { ListSubscriptionsCommand, ListTopicsCommand } from "@aws-sdk/client-sns";
import { GetQueueAttributesCommand, ListQueuesCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defaultDataset } from "../../shared/datasets.ts";
import { created } from "../stacks/stages.ts";
import { clientSettings } from "./clients.ts";
import { functionInputs, mappingInputs } from "./create/compute.ts";
import { evaluatedUrl, queueAttributes, queueInputs, ruleInputs, targetInputs } from "./create/messaging.ts";
import { createStage } from "./create.ts";
import { dataOf, workOf } from "./handles.ts";
import { deploy, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await deploy();
});
afterAll(() => stage?.close());

test("so many of each type are created", () => {
  expect(stage.counts).toEqual({
    "aws:athena/workgroup:Workgroup": 2,
    "aws:cloudwatch/eventBus:EventBus": 1,
    "aws:cloudwatch/eventRule:EventRule": 13,
    "aws:cloudwatch/eventTarget:EventTarget": 13,
    "aws:cloudwatch/logGroup:LogGroup": 9,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 43,
    "aws:iam/policy:Policy": 1,
    "aws:iam/role:Role": 14,
    "aws:iam/user:User": 1,
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": 1,
    "aws:lambda/eventSourceMapping:EventSourceMapping": 9,
    "aws:lambda/function:Function": 9,
    "aws:s3/bucket:Bucket": 3,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 3,
    "aws:s3/bucketNotification:BucketNotification": 1,
    "aws:s3/bucketObjectv2:BucketObjectv2": 9,
    "aws:s3/bucketPolicy:BucketPolicy": 3,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 3,
    "aws:s3/bucketVersioning:BucketVersioning": 2,
    "aws:scheduler/schedule:Schedule": 5,
    "aws:sns/topic:Topic": 1,
    "aws:sns/topicSubscription:TopicSubscription": 1,
    "aws:sqs/queue:Queue": 20,
    "aws:sqs/queuePolicy:QueuePolicy": 15,
  });
});

test("the emulator lists all of them", async () => {
  const { cloudWatch, events, iam, lambda, logs, s3, scheduler, sns, sqs } = stage.clients;
  const bus = { EventBusName: stage.settings.BUS_NAME };
  const ofStage = (name = "") => name.includes("libinsight-ada");
  const listed = {
    buckets: (await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name).filter(ofStage)
      .length,
    queues: (await sqs.send(new ListQueuesCommand({}))).QueueUrls?.filter(ofStage).length,
    topics: (await sns.send(new ListTopicsCommand({}))).Topics?.length,
    subscriptions: (await sns.send(new ListSubscriptionsCommand({}))).Subscriptions?.length,
    // The bus's twelve without the observer's, and the default bus's two without their twins.
    rules: (await events.send(new ListRulesCommand(bus))).Rules?.map(({ Name }) => Name).filter(ofStage)
      .length,
    rulesOfDefault: (await events.send(new ListRulesCommand({}))).Rules?.filter(
      ({ Name = "" }) => !Name.startsWith("stand-in-"),
    ).length,
    roles: (await iam.send(new ListRolesCommand({}))).Roles?.map(({ RoleName }) => RoleName).filter(ofStage)
      .length,
    functions: (await lambda.send(new ListFunctionsCommand({}))).Functions?.length,
    mappings: (await lambda.send(new ListEventSourceMappingsCommand({}))).EventSourceMappings?.length,
    schedules: (await scheduler.send(new ListSchedulesCommand({}))).Schedules?.length,
    logGroups: (
      await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: "/libinsight/ada/" }))
    ).logGroups?.filter(({ retentionInDays }) => retentionInDays === 90).length,
    alarms: (await cloudWatch.send(new DescribeAlarmsCommand({}))).MetricAlarms?.length,
  };
  expect(listed).toEqual({
    buckets: 3,
    queues: 20,
    topics: 1,
    subscriptions: 1,
    rules: 11,
    rulesOfDefault: 2,
    roles: 14,
    functions: 9,
    mappings: 9,
    schedules: 5,
    logGroups: 9,
    alarms: 43,
  });
});

test("a type that nobody knows how to create fails, and so does a property", async () => {
  const [bucket] = created(stage.graph, "aws:s3/bucket:Bucket");
  if (!bucket) throw new Error("The graph has no bucket.");
  const context = {
    clients: stage.clients,
    athena: stage.athena,
    tags: {},
    codeOf: () => "",
    addresses: new Map(),
    functionEnvironment: {},
  };
  const create = (resource: typeof bucket) => createStage({ ...stage.graph, resources: [resource] }, context);
  await expect(create({ ...bucket, type: "aws:dynamodb/table:Table" })).rejects.toThrow(
    "Nobody knows how to create aws:dynamodb/table:Table",
  );
  await expect(create({ ...bucket, inputs: { ...bucket.inputs, acl: "private" } })).rejects.toThrow("acl");
});

test("each function has its code, its limits, its role and its environment", async () => {
  for (const { name, inputs } of created(stage.graph, "aws:lambda/function:Function")) {
    const is = functionInputs.parse(inputs);
    const found = await stage.clients.lambda.send(
      new GetFunctionConfigurationCommand({ FunctionName: is.name }),
    );
    const service = name.replace(/Function$/, "");
    const zip = await readFile(
      join(stage.graph.bundles[service]?.directory ?? "", "..", service, "code.zip"),
    );
    expect(found).toMatchObject({
      Runtime: "nodejs24.x",
      Handler: "bundle.handler",
      Architectures: ["arm64"],
      MemorySize: is.memorySize,
      Timeout: is.timeout,
      Role: is.role,
      LoggingConfig: { LogFormat: "JSON", LogGroup: is.loggingConfig.logGroup },
      CodeSha256: createHash("sha256").update(zip).digest("base64"),
      State: "Active",
    });
    const variables = found.Environment?.Variables ?? {};
    expect(Object.keys(variables)).toEqual(expect.arrayContaining(Object.keys(is.environment.variables)));
    // Nothing of the evaluation's is left where the emulator has its own.
    expect(Object.values(variables).join()).not.toMatch(/amazonaws\.com|\.invalid/);
  }
});

test("each queue has its attributes, and feeds its function as SST says", async () => {
  const { lambda, sqs } = stage.clients;
  for (const { inputs } of created(stage.graph, "aws:sqs/queue:Queue")) {
    const is = queueInputs.parse(inputs);
    const QueueUrl = Object.values(stage.settings).find((url) => url.endsWith(`/${is.name}`));
    // Two are known to nobody but EventBridge and the scheduler.
    if (!QueueUrl) continue;
    expect(QueueUrl).not.toBe(evaluatedUrl(is.name));
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }),
    );
    expect(Attributes).toMatchObject(queueAttributes(is));
  }
  for (const { inputs } of created(stage.graph, "aws:lambda/eventSourceMapping:EventSourceMapping")) {
    const is = mappingInputs.parse(inputs);
    const { EventSourceMappings } = await lambda.send(
      new ListEventSourceMappingsCommand({ EventSourceArn: is.eventSourceArn }),
    );
    expect(EventSourceMappings).toMatchObject([
      {
        FunctionArn: is.functionName,
        BatchSize: is.batchSize,
        FunctionResponseTypes: ["ReportBatchItemFailures"],
        ScalingConfig: { MaximumConcurrency: is.scalingConfig.maximumConcurrency },
        State: "Enabled",
      },
    ]);
  }
});

const pattern = z.string().transform((text): unknown => JSON.parse(text));

test("each rule has its pattern and its target, with retries and a queue for what can't be delivered", async () => {
  const { events } = stage.clients;
  const targets = created(stage.graph, "aws:cloudwatch/eventTarget:EventTarget").map(({ inputs }) =>
    targetInputs.parse(inputs),
  );
  for (const { inputs } of created(stage.graph, "aws:cloudwatch/eventRule:EventRule")) {
    const { name: Name, eventBusName: EventBusName, eventPattern, state } = ruleInputs.parse(inputs);
    const rule = await events.send(new DescribeRuleCommand({ Name, EventBusName }));
    expect([rule.State, pattern.parse(rule.EventPattern)]).toEqual([state, pattern.parse(eventPattern)]);
    const { Targets } = await events.send(new ListTargetsByRuleCommand({ Rule: Name, EventBusName }));
    const wanted = targets.filter((target) => target.rule === Name);
    expect(wanted).toHaveLength(1);
    expect(Targets).toMatchObject(
      wanted.map(({ arn, deadLetterConfig, retryPolicy, sqsTarget }) => ({
        Arn: arn,
        DeadLetterConfig: { Arn: deadLetterConfig.arn },
        RetryPolicy: { MaximumRetryAttempts: retryPolicy.maximumRetryAttempts },
        ...(sqsTarget && { SqsParameters: { MessageGroupId: sqsTarget.messageGroupId } }),
      })),
    );
  }
});

test("each schedule has its time zone and its event, and a personal stage's is off", async () => {
  for (const { inputs } of created(stage.graph, "aws:scheduler/schedule:Schedule")) {
    const found = await stage.clients.scheduler.send(new GetScheduleCommand({ Name: String(inputs.name) }));
    expect(found).toMatchObject({
      State: "DISABLED",
      ScheduleExpression: inputs.scheduleExpression,
      ScheduleExpressionTimezone: defaultDataset.timeZone,
      Target: { EventBridgeParameters: { Source: "libinsight.pipeline" } },
    });
  }
});

test("what is published keeps its old versions", async () => {
  const { Status } = await stage.clients.s3.send(
    new GetBucketVersioningCommand({ Bucket: dataOf(stage).bucket }),
  );
  expect(Status).toBe("Enabled");
});

test("analysts read what is published, keep their own answers, and do nothing else", async ({ skip }) => {
  skip(!stage.emulator.enforcesIam, "This emulator does not ask IAM.");
  const [user] = created(stage.graph, "aws:iam/user:User");
  const { AccessKey } = await stage.clients.iam.send(
    new CreateAccessKeyCommand({ UserName: String(user?.inputs.name) }),
  );
  const { AccessKeyId: accessKeyId = "", SecretAccessKey: secretAccessKey = "" } = AccessKey ?? {};
  const analyst = new S3Client({
    ...clientSettings(stage.emulator),
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  });
  const { csv, results } = defaultDataset.publish;
  const Results = dataOf(stage).bucket.replace("databucket", "resultsbucket");
  await dataOf(stage).put(csv, "text", "text/csv");
  await workOf(stage).put("runs/1/run.json", "{}", "application/json");
  try {
    const put = (Key: string) => analyst.send(new PutObjectCommand({ Bucket: Results, Key, Body: "text" }));
    const get = (Bucket: string, Key: string) => analyst.send(new GetObjectCommand({ Bucket, Key }));
    expect(await (await get(dataOf(stage).bucket, csv)).Body?.transformToString()).toBe("text");
    await put("tableau/answer.csv");
    const denied = { name: "AccessDenied" };
    await expect(put(results)).rejects.toMatchObject(denied);
    await expect(get(workOf(stage).bucket, "runs/1/run.json")).rejects.toMatchObject(denied);
    await expect(
      analyst.send(new PutObjectCommand({ Bucket: dataOf(stage).bucket, Key: csv, Body: "text" })),
    ).rejects.toMatchObject(denied);
  } finally {
    analyst.destroy();
  }
});
