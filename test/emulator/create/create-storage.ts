// Creates S3 buckets and objects.
import { readFile } from "node:fs/promises";
import {
  CreateBucketCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { z } from "zod";
import { creator, document } from "./context.ts";

/** `forceDestroy` affects only Pulumi's removal of a bucket. */
export const bucket = creator(
  z.strictObject({ bucket: z.string(), forceDestroy: z.boolean() }),
  ({ bucket: Bucket }, { clients: { s3 } }) => s3.send(new CreateBucketCommand({ Bucket })),
);

export const bucketPolicy = creator(
  z.strictObject({ bucket: z.string(), policy: document }),
  ({ bucket: Bucket, policy: Policy }, { clients: { s3 } }) =>
    s3.send(new PutBucketPolicyCommand({ Bucket, Policy })),
);

export const bucketVersioning = creator(
  z.strictObject({
    bucket: z.string(),
    versioningConfiguration: z.strictObject({ status: z.literal("Enabled") }),
  }),
  ({ bucket: Bucket, versioningConfiguration: { status: Status } }, { clients: { s3 } }) =>
    s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } })),
);

const objectEvent = z.enum(["s3:ObjectCreated:*"]);
export const bucketNotification = creator(
  z.strictObject({
    bucket: z.string(),
    queues: z.array(
      z.strictObject({
        id: z.string(),
        queueArn: z.string(),
        events: z.array(objectEvent),
        filterPrefix: z.string(),
      }),
    ),
    lambdaFunctions: z.array(z.never()),
    topics: z.array(z.never()),
  }),
  ({ bucket: Bucket, queues }, { clients: { s3 } }) =>
    s3.send(
      new PutBucketNotificationConfigurationCommand({
        Bucket,
        NotificationConfiguration: {
          QueueConfigurations: queues.map(({ id, queueArn, events, filterPrefix }) => ({
            Id: id,
            QueueArn: queueArn,
            Events: events,
            Filter: { Key: { FilterRules: [{ Name: "prefix", Value: filterPrefix }] } },
          })),
        },
      }),
    ),
);

/** Uploads the code of a function: the archive that SST created in the evaluation, named after the function. */
export const bucketObject = creator(
  z.strictObject({
    bucket: z.string(),
    key: z.string(),
    source: z.looseObject({ __pulumiArchive: z.literal(true) }),
  }),
  async ({ bucket: Bucket, key: Key }, { clients: { s3 }, codeOf }, parent) => {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: await readFile(codeOf(parent)) }));
  },
);
