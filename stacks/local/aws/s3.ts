// S3 for one machine: a front before fauxqs that adds the conditional writes and the bucket notifications which
// fauxqs lacks, refuses what fauxqs would take for something else, and streams the rest through as it is.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { openJsonFile } from "./json-file.ts";
import { type LocalEndpoint, listenOnLoopback } from "./loopback.ts";
import { createQueueSender, type Delivery } from "./queue-targets.ts";
import { S3Error } from "./s3-error.ts";
import {
  formatEvent,
  formatNotifications,
  formatTestEvent,
  parseNotifications,
  queueNotification,
  selects,
  type WriteEvent,
} from "./s3-notifications.ts";
import { connectUpstream, passOn, unquoted } from "./s3-upstream.ts";

const notificationsByBucket = z.record(z.string(), z.array(queueNotification));

const maxConfigurationBytes = 256 * 1024;

/**
 * @param options.upstream fauxqs's endpoint
 * @param options.dataDir where the bucket notifications are kept (`notifications.json`)
 * @param options.sqs sends the notifications
 */
export async function startS3(options: {
  upstream: string;
  dataDir: string;
  sqs: SQSClient;
}): Promise<LocalEndpoint> {
  const upstream = connectUpstream(options.upstream);
  const deliver = createQueueSender(options.sqs);
  const region = await options.sqs.config.region();
  const notifications = await openJsonFile(
    join(options.dataDir, "notifications.json"),
    notificationsByBucket,
    {},
  );
  const inTurn = createTurns();
  const nextSequencer = createSequencer();

  const server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const target = parseTarget(request.url ?? "/");
      refuseUnknown(request, target);
      if (target.key !== "") await onObject(request, response, target);
      else if (target.query.has("notification")) await onNotifications(request, response, target.bucket);
      else await onBucket(request, response, target.bucket);
    } catch (error) {
      fail(request, response, error);
    }
  }

  async function onObject(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const event = writeEvent(request, target);
    if (event === undefined && request.method !== "DELETE") {
      await passOn(await upstream.forward(request), response);
      return;
    }
    // Of all writes to a key one at a time, so that nothing comes between a condition and its write. (Only the
    // keys of a DeleteObjects request do not wait their turn.)
    const { stored, messages } = await inTurn(`${target.bucket}/${target.key}`, async () => {
      if (response.destroyed) throw new Error("The client went away while it waited.");
      await checkConditions(request, target);
      const stored = await upstream.forward(request);
      return { stored, messages: event && isSuccess(stored) ? await notificationsOf(event, target) : [] };
    });
    // Before the answer: a writer that heard of its success can rely on the notification being in the queue.
    await Promise.all(messages.map((message) => deliver(message).catch((error) => tellLost(target, error))));
    await passOn(stored, response);
  }

  /** https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
  async function checkConditions(request: IncomingMessage, target: Target): Promise<void> {
    const ifMatch = request.headers["if-match"];
    const ifNoneMatch = request.headers["if-none-match"];
    if (ifMatch === undefined && ifNoneMatch === undefined) return;
    if (request.method === "DELETE" || (ifNoneMatch !== undefined && ifNoneMatch !== "*")) {
      throw new S3Error(
        501,
        "NotImplemented",
        "A header you provided implies functionality that is not implemented: " +
          "writes take If-None-Match: * or If-Match with an ETag, deletes take neither.",
      );
    }
    const current = await upstream.head(target.path);
    if (current === undefined && ifMatch !== undefined) {
      await requireBucket(target.bucket);
      throw new S3Error(404, "NoSuchKey", "The specified key does not exist.");
    }
    const differs = ifMatch !== undefined && current?.etag !== unquoted(ifMatch);
    const exists = ifNoneMatch !== undefined && current !== undefined;
    if (differs || exists) {
      throw new S3Error(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
      );
    }
  }

  /** The messages that tell of a write which just succeeded. */
  async function notificationsOf(event: WriteEvent, target: Target): Promise<Delivery[]> {
    const { bucket, key, path } = target;
    const selected = (notifications.value[bucket] ?? []).filter((one) => selects(one, event, key));
    if (selected.length === 0) return [];
    try {
      const written = await upstream.head(path);
      if (written === undefined) return [];
      const sequencer = nextSequencer();
      const write = { event, bucket, key, ...written, sequencer, time: new Date(), region };
      return selected.map((one) => ({ arn: one.queue, body: formatEvent(one, write, newRequestId()) }));
    } catch (error) {
      tellLost(target, error);
      return [];
    }
  }

  async function onNotifications(
    request: IncomingMessage,
    response: ServerResponse,
    bucket: string,
  ): Promise<void> {
    await requireBucket(bucket);
    if (request.method === "GET") {
      const document = formatNotifications(notifications.value[bucket] ?? []);
      response.writeHead(200, { "content-type": "application/xml" }).end(document);
      return;
    }
    if (request.method !== "PUT")
      throw new S3Error(405, "MethodNotAllowed", "Use PUT or GET for notification.");
    const configured = parseNotifications(await readText(request), randomUUID);
    const testEvent = formatTestEvent(bucket, new Date(), newRequestId());
    for (const arn of new Set(configured.map(({ queue }) => queue))) {
      try {
        await deliver({ arn, body: testEvent });
      } catch {
        throw new S3Error(
          400,
          "InvalidArgument",
          `Unable to validate the following destination configurations: ${arn} does not take messages.`,
        );
      }
    }
    await notifications.replace({ ...notifications.value, [bucket]: configured });
    response.writeHead(200).end();
  }

  async function onBucket(request: IncomingMessage, response: ServerResponse, bucket: string): Promise<void> {
    const answered = await upstream.forward(request);
    if (request.method === "DELETE" && isSuccess(answered) && notifications.value[bucket]) {
      const { [bucket]: _gone, ...others } = notifications.value;
      await notifications.replace(others);
    }
    await passOn(answered, response);
  }

  async function requireBucket(bucket: string): Promise<void> {
    if ((await upstream.head(`/${bucket}`)) === undefined) {
      throw new S3Error(404, "NoSuchBucket", "The specified bucket does not exist");
    }
  }

  const front = await listenOnLoopback(server);
  return {
    endpoint: front.endpoint,
    async close() {
      await front.close();
      upstream.close();
    },
  };
}

/** What a request is about. */
type Target = {
  /** As it was sent, still encoded, without the query. */
  path: string;
  bucket: string;
  /** Empty for a request about the bucket itself. */
  key: string;
  query: URLSearchParams;
};

function parseTarget(url: string): Target {
  const [path = "/", query = ""] = splitOnce(url, "?");
  const [bucket, encodedKey = ""] = splitOnce(path.slice(1), "/");
  let key: string;
  try {
    key = decodeURIComponent(encodedKey);
  } catch {
    throw new S3Error(400, "InvalidURI", "Couldn't parse the specified URI.");
  }
  // fauxqs makes each of these segments a folder, where "a//b" would be "a/b" and ".." would lead out.
  const folders = key.endsWith("/") ? key.slice(0, -1).split("/") : key.split("/");
  if (key !== "" && folders.some((name) => name === "" || name === "." || name === "..")) {
    throw new S3Error(
      400,
      "InvalidURI",
      'The local S3 can\'t keep a key with an empty segment, "." or "..".',
    );
  }
  return { path, bucket: bucket ?? "", key, query: new URLSearchParams(query) };
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

const listing = [
  "list-type",
  "prefix",
  "delimiter",
  "max-keys",
  "continuation-token",
  "start-after",
  "marker",
];
const bucketQueries = new Set([
  ...listing,
  "encoding-type",
  "fetch-owner",
  "delete",
  "lifecycle",
  "notification",
]);
const objectQueries: Record<string, ReadonlySet<string>> = {
  GET: new Set(["partNumber", "attributes"]),
  HEAD: new Set(),
  PUT: new Set(["partNumber", "uploadId"]),
  POST: new Set(["uploads", "uploadId"]),
  DELETE: new Set(["uploadId"]),
};

/** fauxqs passes over what it does not know: PutBucketVersioning would be answered as CreateBucket. */
function refuseUnknown(request: IncomingMessage, { key, query }: Target): void {
  const known = key === "" ? bucketQueries : objectQueries[request.method ?? ""];
  for (const name of query.keys()) {
    if (known?.has(name) || name === "x-id" || /^(x-amz-|response-)/i.test(name)) continue;
    throw new S3Error(501, "NotImplemented", `The local S3 has no "${name}" for ${request.method} requests.`);
  }
  const condition = Object.keys(request.headers).find((name) => name.startsWith("x-amz-copy-source-if-"));
  if (condition) throw new S3Error(501, "NotImplemented", `The local S3 does not know ${condition}.`);
}

function writeEvent(request: IncomingMessage, { query }: Target): WriteEvent | undefined {
  if (request.method === "POST" && query.has("uploadId")) return "CompleteMultipartUpload";
  if (request.method !== "PUT" || query.has("uploadId")) return undefined;
  return request.headers["x-amz-copy-source"] === undefined ? "Put" : "Copy";
}

function isSuccess({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

/** The write itself succeeded, and is answered so. */
function tellLost({ bucket, key }: Target, error: unknown): void {
  const why = error instanceof Error ? error.name : typeof error;
  process.stderr.write(
    `The local S3 stored ${bucket}/${key} but could not notify the bucket's queue (${why}); ` +
      "see that the queue exists, then write the object again.\n",
  );
}

function fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    // The status is gone out; only a broken connection can still tell that the body is not whole.
    response.destroy();
    return;
  }
  if (!(error instanceof S3Error)) {
    const what = error instanceof Error ? error.message : typeof error;
    process.stderr.write(`The local S3 failed in ${request.method} ${request.url}: ${what}\n`);
  }
  const known =
    error instanceof S3Error
      ? error
      : new S3Error(503, "ServiceUnavailable", "The local S3 failed; see stderr.");
  const document = known.toXml(newRequestId());
  response.writeHead(known.status, { "content-type": "application/xml" });
  response.end(request.method === "HEAD" ? undefined : document);
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > maxConfigurationBytes) {
      throw new S3Error(400, "MalformedXML", `A configuration has at most ${maxConfigurationBytes} bytes.`);
    }
  }
  return text;
}

/** Runs tasks of one name one after the other, tasks of other names side by side. */
function createTurns() {
  const last = new Map<string, Promise<unknown>>();
  return async <T>(name: string, task: () => Promise<T>): Promise<T> => {
    const turn = (last.get(name) ?? Promise.resolve()).then(task, task);
    last.set(name, turn);
    try {
      return await turn;
    } finally {
      if (last.get(name) === turn) last.delete(name);
    }
  };
}

/** Time in units of about a nanosecond, never twice the same: it grows over restarts, too. */
function createSequencer(): () => string {
  let latest = 0n;
  return () => {
    const now = BigInt(Date.now()) << 20n;
    latest = now > latest ? now : latest + 1n;
    return latest.toString(16).toUpperCase().padStart(18, "0");
  };
}

function newRequestId(): string {
  return randomUUID().replaceAll("-", "").slice(0, 16).toUpperCase();
}
