// S3.

import { readFile } from "node:fs/promises";
import {
  CreateBucketCommand,
  type LifecycleRule,
  PutBucketLifecycleConfigurationCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
} from "@aws-sdk/client-s3";
import { z } from "zod";
import { creator, document, tagList } from "./context.ts";

/** `forceDestroy` is what Pulumi does when it removes a bucket; nothing of it goes to AWS. */
export const bucket = creator(
  z.strictObject({ bucket: z.string(), forceDestroy: z.boolean() }),
  async ({ bucket: Bucket }, { clients: { s3 }, tags }) => {
    await s3.send(new CreateBucketCommand({ Bucket }));
    await s3.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet: tagList(tags) } }));
  },
);

export const publicAccessBlock = creator(
  z.strictObject({
    bucket: z.string(),
    blockPublicAcls: z.boolean(),
    blockPublicPolicy: z.boolean(),
    ignorePublicAcls: z.boolean(),
    restrictPublicBuckets: z.boolean(),
  }),
  ({ bucket: Bucket, ...blocks }, { clients: { s3 } }) =>
    s3.send(
      new PutPublicAccessBlockCommand({
        Bucket,
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: blocks.blockPublicAcls,
          BlockPublicPolicy: blocks.blockPublicPolicy,
          IgnorePublicAcls: blocks.ignorePublicAcls,
          RestrictPublicBuckets: blocks.restrictPublicBuckets,
        },
      }),
    ),
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

const days = z.int().positive();
const lifecycleRule = z
  .strictObject({
    id: z.string(),
    status: z.literal("Enabled"),
    filter: z.strictObject({ prefix: z.string() }).optional(),
    expiration: z.strictObject({ days }).optional(),
    noncurrentVersionExpiration: z.strictObject({ noncurrentDays: days }).optional(),
    abortIncompleteMultipartUpload: z.strictObject({ daysAfterInitiation: days }).optional(),
  })
  .transform(
    ({ id, status, filter, expiration, noncurrentVersionExpiration, abortIncompleteMultipartUpload }) =>
      ({
        ID: id,
        Status: status,
        Filter: { Prefix: filter?.prefix ?? "" },
        ...(expiration && { Expiration: { Days: expiration.days } }),
        ...(noncurrentVersionExpiration && {
          NoncurrentVersionExpiration: { NoncurrentDays: noncurrentVersionExpiration.noncurrentDays },
        }),
        ...(abortIncompleteMultipartUpload && {
          AbortIncompleteMultipartUpload: {
            DaysAfterInitiation: abortIncompleteMultipartUpload.daysAfterInitiation,
          },
        }),
      }) satisfies LifecycleRule,
  );

export const bucketLifecycle = creator(
  z.strictObject({ bucket: z.string(), rules: z.array(lifecycleRule) }),
  ({ bucket: Bucket, rules: Rules }, { clients: { s3 } }) =>
    s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } })),
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

/** A function's code. The evaluation keeps SST's archive as a file, named after the function. */
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
