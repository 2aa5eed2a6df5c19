// Tests that the emulator creates every resource type that it supports, and the analysts' permissions on it.
import { CreateAccessKeyCommand } from "@aws-sdk/client-iam";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultDataset } from "../../shared/datasets.ts";
import { created } from "../stacks/stages.ts";
import { createStage } from "./create.ts";
import { deploy, type Stage } from "./emulated-stage.ts";
import { clientSettings } from "./emulator-clients.ts";
import { dataOf, workOf } from "./handles.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await deploy();
});
afterAll(() => stage?.close());

test("creates every resource of each supported type", () => {
  expect(stage.counts).toEqual({
    "aws:cloudwatch/eventBus:EventBus": 1,
    "aws:cloudwatch/eventRule:EventRule": 11,
    "aws:cloudwatch/eventTarget:EventTarget": 11,
    "aws:cloudwatch/logGroup:LogGroup": 11,
    "aws:iam/policy:Policy": 3,
    "aws:iam/role:Role": 16,
    "aws:iam/user:User": 1,
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": 1,
    "aws:lambda/eventSourceMapping:EventSourceMapping": 11,
    "aws:lambda/function:Function": 11,
    "aws:s3/bucket:Bucket": 3,
    "aws:s3/bucketNotification:BucketNotification": 1,
    "aws:s3/bucketObjectv2:BucketObjectv2": 11,
    "aws:s3/bucketPolicy:BucketPolicy": 3,
    "aws:s3/bucketVersioning:BucketVersioning": 2,
    "aws:scheduler/schedule:Schedule": 5,
    "aws:sns/topic:Topic": 1,
    "aws:sns/topicSubscription:TopicSubscription": 1,
    "aws:sqs/queue:Queue": 24,
    "aws:sqs/queuePolicy:QueuePolicy": 13,
  });
});

test("fails for an unknown type or property", async () => {
  const [bucket] = created(stage.graph, "aws:s3/bucket:Bucket");
  if (!bucket) throw new Error("The graph has no bucket.");
  const context = {
    clients: stage.clients,
    codeOf: () => "",
    addresses: new Map(),
    functionEnvironment: {},
  };
  const create = (resource: typeof bucket) => createStage({ ...stage.graph, resources: [resource] }, context);
  await expect(create({ ...bucket, type: "aws:dynamodb/table:Table" })).rejects.toThrow(
    "aws:dynamodb/table:Table has no creator",
  );
  await expect(create({ ...bucket, inputs: { ...bucket.inputs, acl: "private" } })).rejects.toThrow("acl");
});

test("analysts may read published files and write their own results, and nothing else", async () => {
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
