// S3 for one machine: a front before fauxqs that adds what fauxqs lacks (conditional writes, bucket notifications,
// versions), refuses what fauxqs would take for something else, and streams the rest through as it is.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { openJsonFile } from "./json-file.ts";
import { type LocalEndpoint, listenOnLoopback } from "./loopback.ts";
import { createQueueSender, type Delivery } from "./queue-targets.ts";
import { openArchive } from "./s3-archive.ts";
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
import { parseTarget, refuseInVersioned, refuseUnknown, type Target, writeEvent } from "./s3-request.ts";
import { connectUpstream, passOn, storedObject, unquoted, versionIdHeader } from "./s3-upstream.ts";
import {
  checkVersioning,
  formatVersioning,
  formatVersions,
  type ListedVersion,
  pageOfVersions,
  parseVersionsAsked,
} from "./s3-versions.ts";

const notificationsByBucket = z.record(z.string(), z.array(queueNotification));

const maxConfigurationBytes = 256 * 1024;

/**
 * @param options.upstream fauxqs's endpoint
 * @param options.dataDir where bucket notifications (`notifications.json`) and old versions (s3-archive.ts) are kept
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
  const archive = await openArchive(options.dataDir);
  const inTurn = createTurns();
  const nextSequencer = createSequencer();

  const server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const target = parseTarget(request.url ?? "/");
      refuseUnknown(request, target);
      if (archive.has(target.bucket)) refuseInVersioned(request, target);
      const versionId = target.query.get("versionId");
      if (versionId !== null) await onVersion(request, response, target, versionId);
      else if (target.key !== "") await onObject(request, response, target);
      else if (target.query.has("notification")) await onNotifications(request, response, target.bucket);
      else if (target.query.has("versioning")) await onVersioning(request, response, target.bucket);
      else if (target.query.has("versions")) await onVersions(request, response, target);
      else await onBucket(request, response, target);
    } catch (error) {
      fail(request, response, error);
    }
  }

  async function onObject(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const event = writeEvent(request, target);
    const isVersioned = archive.has(target.bucket);
    const versionId = isVersioned ? randomUUID().replaceAll("-", "") : undefined;
    if (event === undefined && request.method !== "DELETE") {
      // Among these is the start of a multipart upload, from which fauxqs takes the object's metadata.
      await passOn(await upstream.forward(request, { versionId }), response);
      return;
    }
    // Of all writes to a key one at a time, so that nothing comes between a condition and its write. (Only the
    // keys of a DeleteObjects request do not wait their turn.)
    const { stored, messages, written } = await inTurn(`${target.bucket}/${target.key}`, async () => {
      await checkConditions(request, target);
      if (event && isVersioned) await keepCurrent(target);
      if (response.destroyed) throw new Error("The client went away while it waited.");
      const stored = await upstream.forward(request, { versionId });
      const isWritten = event !== undefined && isSuccess(stored);
      return {
        stored,
        messages: isWritten ? await notificationsOf(event, target) : [],
        written: isWritten && isVersioned ? await upstream.head(target.path) : undefined,
      };
    });
    // Before the answer: a writer that heard of its success can rely on the notification being in the queue.
    await Promise.all(messages.map((message) => deliver(message).catch((error) => tellLost(target, error))));
    await passOn(stored, response, written?.versionId);
  }

  /** Before it is replaced. A write that then fails leaves its object both kept and in place, as one version. */
  async function keepCurrent({ bucket, key, path }: Target): Promise<void> {
    const current = await upstream.head(path);
    if (!current || isKept(bucket, key, current.versionId)) return;
    const answered = await upstream.get(path);
    if (answered) await archive.keep(bucket, key, answered);
  }

  function isKept(bucket: string, key: string, versionId: string): boolean {
    return archive.of(bucket, key).some((old) => old.versionId === versionId);
  }

  async function onVersion(
    request: IncomingMessage,
    response: ServerResponse,
    { bucket, key, path }: Target,
    versionId: string,
  ): Promise<void> {
    if (!isKept(bucket, key, versionId)) {
      const current = await upstream.forward(request, { url: path });
      if (isSuccess(current) && storedObject(current).versionId === versionId) {
        await passOn(current, response, versionId);
        return;
      }
      current.resume();
      await requireBucket(bucket);
    }
    // Looked for once more, as the version may have been replaced, and kept, in between.
    const old = archive.of(bucket, key).find((one) => one.versionId === versionId);
    if (!old) throw new S3Error(404, "NoSuchVersion", "The specified version does not exist.");
    response.writeHead(200, [...old.headers, versionIdHeader, versionId]);
    if (request.method === "HEAD") response.end();
    else await pipeline(archive.read(old), response);
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

  async function onVersioning(
    request: IncomingMessage,
    response: ServerResponse,
    bucket: string,
  ): Promise<void> {
    await requireBucket(bucket);
    if (request.method === "GET") {
      const document = formatVersioning(archive.has(bucket));
      response.writeHead(200, { "content-type": "application/xml" }).end(document);
      return;
    }
    if (request.method !== "PUT")
      throw new S3Error(405, "MethodNotAllowed", "Use PUT or GET for versioning.");
    checkVersioning(await readText(request));
    await archive.add(bucket);
    response.writeHead(200).end();
  }

  async function onVersions(
    request: IncomingMessage,
    response: ServerResponse,
    { bucket, query }: Target,
  ): Promise<void> {
    if (request.method !== "GET") throw new S3Error(405, "MethodNotAllowed", "Use GET for versions.");
    const asked = parseVersionsAsked(query);
    await requireBucket(bucket);
    // A key has no versions unless one is in place, because nothing is deleted there.
    const keys = await upstream.keys(bucket, asked.prefix);
    if (keys === "too many") {
      throw new S3Error(501, "NotImplemented", "The local S3 lists the versions of a thousand keys at most.");
    }
    const page = await pageOfVersions(keys, asked, (key) => versionsOf(bucket, key));
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(formatVersions(bucket, asked, page));
  }

  /** The newest first. */
  async function versionsOf(bucket: string, key: string): Promise<ListedVersion[]> {
    const current = await upstream.head(`/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`);
    if (!current) return [];
    const old = archive.of(bucket, key).filter(({ versionId }) => versionId !== current.versionId);
    return [current, ...old].map((one, index) => ({ ...one, key, isLatest: index === 0 }));
  }

  async function onBucket(
    request: IncomingMessage,
    response: ServerResponse,
    { bucket, query }: Target,
  ): Promise<void> {
    const answered = await upstream.forward(request);
    if (request.method === "DELETE" && !query.has("lifecycle") && isSuccess(answered)) {
      await archive.remove(bucket);
      const { [bucket]: gone, ...others } = notifications.value;
      if (gone) await notifications.replace(others);
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
