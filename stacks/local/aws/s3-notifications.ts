// Bucket notifications as S3 documents them, for queues: the configuration's XML, which events it selects, and
// the message that is sent.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/NotificationHowTo.html
import { z } from "zod";
import { queueArn } from "./queue-targets.ts";
import { S3Error } from "./s3-error.ts";
import { escapeXml, parseXml, type XmlElement } from "./xml.ts";

export const writeEvents = ["Put", "Copy", "CompleteMultipartUpload"] as const;
/** The part of the event's name after `ObjectCreated:`. */
export type WriteEvent = (typeof writeEvents)[number];

const eventNames = ["s3:ObjectCreated:*", ...writeEvents.map((event) => `s3:ObjectCreated:${event}`)];

/** One queue configuration of a bucket. */
export const queueNotification = z.strictObject({
  id: z.string(),
  queue: z.string(),
  events: z.array(z.string()),
  prefix: z.string(),
  suffix: z.string(),
});
export type QueueNotification = z.infer<typeof queueNotification>;

const maxConfigurations = 100;

/**
 * The queue configurations of a NotificationConfiguration document.
 * @param nameless an id for a configuration that has none
 * @throws S3Error `MalformedXML`, `InvalidArgument`, or `NotImplemented` for what does not run locally
 */
export function parseNotifications(document: string, nameless: () => string): QueueNotification[] {
  const root = parseXml(document);
  if (root?.name !== "NotificationConfiguration") {
    throw new S3Error(400, "MalformedXML", "The body is not a NotificationConfiguration document.");
  }
  if (root.children.length > maxConfigurations) {
    throw new S3Error(400, "InvalidArgument", `A bucket has at most ${maxConfigurations} notifications.`);
  }
  return root.children.map((element) => {
    if (element.name !== "QueueConfiguration") {
      throw new S3Error(501, "NotImplemented", `The local S3 notifies queues only, not by ${element.name}.`);
    }
    return parseQueueConfiguration(element, nameless);
  });
}

function parseQueueConfiguration(element: XmlElement, nameless: () => string): QueueNotification {
  const parsed: QueueNotification = { id: "", queue: "", events: [], prefix: "", suffix: "" };
  for (const child of element.children) {
    if (child.name === "Id") parsed.id = child.text;
    else if (child.name === "Queue") parsed.queue = child.text;
    else if (child.name === "Event") parsed.events.push(child.text);
    else if (child.name === "Filter") Object.assign(parsed, parseFilter(child));
    else throw new S3Error(400, "MalformedXML", `A QueueConfiguration has no ${child.name}.`);
  }
  if (!queueArn.test(parsed.queue) || parsed.queue.endsWith(".fifo")) {
    throw new S3Error(400, "InvalidArgument", "The ARN is not well formed: S3 notifies standard SQS queues.");
  }
  const unknown = parsed.events.find((event) => !eventNames.includes(event));
  if (unknown !== undefined || parsed.events.length === 0) {
    throw new S3Error(
      400,
      "InvalidArgument",
      `The event "${unknown ?? ""}" is not supported for notifications here; use ${eventNames.join(", ")}.`,
    );
  }
  return { ...parsed, id: parsed.id || nameless() };
}

function parseFilter(filter: XmlElement): Partial<QueueNotification> {
  const rules = filter.children.flatMap((key) => key.children);
  const parsed: Partial<QueueNotification> = {};
  for (const rule of rules) {
    const part = (name: string) => rule.children.find((child) => child.name === name)?.text;
    const name = part("Name")?.toLowerCase();
    if ((name !== "prefix" && name !== "suffix") || parsed[name] !== undefined) {
      throw new S3Error(
        400,
        "InvalidArgument",
        "A filter has at most one rule for the prefix and one for the suffix.",
      );
    }
    parsed[name] = part("Value") ?? "";
  }
  return parsed;
}

/** The document that `parseNotifications` reads. */
export function formatNotifications(notifications: readonly QueueNotification[]): string {
  const configurations = notifications.map(({ id, queue, events, prefix, suffix }) => {
    const rules = Object.entries({ prefix, suffix })
      .filter(([, value]) => value !== "")
      .map(([name, value]) => `<FilterRule>${tag("Name", name)}${tag("Value", value)}</FilterRule>`)
      .join("");
    return [
      "<QueueConfiguration>",
      tag("Id", id),
      tag("Queue", queue),
      ...events.map((event) => tag("Event", event)),
      rules && `<Filter><S3Key>${rules}</S3Key></Filter>`,
      "</QueueConfiguration>",
    ].join("");
  });
  return (
    '<?xml version="1.0" encoding="UTF-8"?>' +
    '<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    `${configurations.join("")}</NotificationConfiguration>`
  );
}

function tag(name: string, text: string): string {
  return `<${name}>${escapeXml(text)}</${name}>`;
}

/** Whether this write of this key is to be told. */
export function selects(notification: QueueNotification, event: WriteEvent, key: string): boolean {
  return (
    notification.events.some(
      (name) => name === "s3:ObjectCreated:*" || name === `s3:ObjectCreated:${event}`,
    ) &&
    key.startsWith(notification.prefix) &&
    key.endsWith(notification.suffix)
  );
}

/** What was written where. */
export type Write = {
  event: WriteEvent;
  bucket: string;
  key: string;
  /** Bytes. */
  size: number;
  /** Without quotes. */
  etag: string;
  /** Hexadecimal; of two writes of one key the later has the greater one. */
  sequencer: string;
  time: Date;
  region: string;
};

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html */
export function formatEvent(notification: QueueNotification, write: Write, requestId: string): string {
  return JSON.stringify({
    Records: [
      {
        eventVersion: "2.1",
        eventSource: "aws:s3",
        awsRegion: write.region,
        eventTime: write.time.toISOString(),
        eventName: `ObjectCreated:${write.event}`,
        userIdentity: { principalId: "local" },
        requestParameters: { sourceIPAddress: "127.0.0.1" },
        responseElements: { "x-amz-request-id": requestId, "x-amz-id-2": "local" },
        s3: {
          s3SchemaVersion: "1.0",
          configurationId: notification.id,
          bucket: {
            name: write.bucket,
            ownerIdentity: { principalId: "local" },
            arn: `arn:aws:s3:::${write.bucket}`,
          },
          object: {
            key: encodeKey(write.key),
            size: write.size,
            eTag: write.etag,
            sequencer: write.sequencer,
          },
        },
      },
    ],
  });
}

/** What S3 sends to each queue once, when the notification is configured. */
export function formatTestEvent(bucket: string, time: Date, requestId: string): string {
  return JSON.stringify({
    Service: "Amazon S3",
    Event: "s3:TestEvent",
    Time: time.toISOString(),
    Bucket: bucket,
    RequestId: requestId,
    HostId: "local",
  });
}

/** Percent-encoded, a space as +, slashes as they are. */
function encodeKey(key: string): string {
  return new URLSearchParams({ key }).toString().slice("key=".length).replaceAll("%2F", "/");
}
