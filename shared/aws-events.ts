// The schemas of messages that AWS services send to the queues.
import * as z from "zod/mini";
import { envelope, nonEmpty } from "./schemas.ts";

/** https://docs.aws.amazon.com/athena/latest/ug/athena-events.html */
export const queryStateChange = envelope(
  "Athena Query State Change",
  z.object({
    queryExecutionId: nonEmpty,
    currentState: z.string(),
    workgroupName: z.string(),
  }),
);

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html */
export const alarmStateChange = envelope(
  "CloudWatch Alarm State Change",
  z.object({ alarmName: nonEmpty, configuration: z.object({ description: z.string() }) }),
);
export type AlarmStateChange = z.infer<typeof alarmStateChange>;

/**
 * Only the fields that the pipeline reads.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
 */
export const objectCreated = z.object({
  Records: z
    .array(
      z.object({
        eventName: z.string(),
        s3: z.object({
          bucket: z.object({ name: z.string() }),
          /** The key arrives URL-encoded, with + for a space. */
          object: z.object({
            key: z.pipe(
              z.string(),
              z.transform((key) => decodeURIComponent(key.replaceAll("+", " "))),
            ),
          }),
        }),
      }),
    )
    .check(z.minLength(1)),
});

/** S3 sends this message once, when a notification is configured. */
export const s3TestEvent = z.object({ Event: z.literal("s3:TestEvent") });
