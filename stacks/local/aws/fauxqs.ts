// SQS and S3 for one machine: fauxqs in this process, on disk, on 127.0.0.1 only.
// fauxqs 2.4.1 offers no option for the address, and falls short of SQS in ways that would lose messages here.
// It is built on Fastify, which announces a new server before any route is added; what has to be different
// is put in place at that moment, through Fastify's own hooks.
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { existsSync } from "node:fs";
import { Server } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type buildApp, startFauxqs } from "fauxqs";
import { z } from "zod";
// Not among the package's exports; the exact version is pinned in package.json, and a test covers the need.
import { INVALID_MESSAGE_BODY_CHAR } from "../../../node_modules/fauxqs/dist/sqs/sqsTypes.js";
import { endpointOf, type LocalEndpoint, loopbackAddress } from "./loopback.ts";

type App = ReturnType<typeof buildApp>;

/** A single request's bytes. fauxqs holds each in memory; larger objects are uploaded in parts. */
const maxRequestBytes = 256 * 1024 * 1024;

/**
 * Starts SQS and S3, both at the endpoint. Queues, messages, buckets and objects are kept below `dataDir` and
 * are there again at the next start. Queue URLs name the port of this start, so they are to be asked for
 * (GetQueueUrl) rather than kept. One process at a time may use a `dataDir`.
 * @param dataDir where none is given, everything is in memory and gone at the end
 * @throws Error when fauxqs would listen on another address than 127.0.0.1
 */
export async function startFauxqsOnLoopback(dataDir?: string): Promise<LocalEndpoint> {
  acceptAllOfUnicode();
  if (dataDir !== undefined) releaseMessages(join(dataDir, "sqs", "fauxqs.db"));
  let app: App | undefined;
  const prepare = (message: unknown): void => {
    const announced = initialization.parse(message);
    app = announced.fastify;
    prepareApp(announced.fastify);
  };
  // fauxqs makes its server before its first await, so nobody else's Fastify is announced in between.
  subscribe(channel, prepare);
  let starting: ReturnType<typeof startFauxqs>;
  try {
    starting = startFauxqs({
      port: 0,
      logger: false,
      ...(dataDir !== undefined && { dataDir: join(dataDir, "sqs"), s3StorageDir: join(dataDir, "s3") }),
    });
  } finally {
    unsubscribe(channel, prepare);
  }
  const fauxqs = await starting;
  try {
    if (!app) throw new Error("fauxqs did not start as fauxqs 2.4.1 does; check stacks/local/aws/fauxqs.ts.");
    return { endpoint: endpointOf(app.server), close: () => fauxqs.stop() };
  } catch (error) {
    await fauxqs.stop();
    throw error;
  }
}

/**
 * A message that a killed process had received would be hidden until its visibility timeout. As one process at a time
 * uses the folder, whoever had it is gone, and it can be received at once.
 */
function releaseMessages(database: string): void {
  if (!existsSync(database)) return;
  const messages = new DatabaseSync(database);
  try {
    messages.exec("UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL");
  } finally {
    messages.close();
  }
}

/** https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks */
const channel = "fastify.initialization";
const initialization = z.object({ fastify: z.custom<App>(isApp, "not a Fastify server") });

function isApp(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    "server" in value &&
    value.server instanceof Server &&
    "listen" in value &&
    typeof value.listen === "function" &&
    "addHook" in value &&
    typeof value.addHook === "function"
  );
}

// A millisecond instead of no time, see below.
const visibilityTimeout = z.number().transform((seconds) => (seconds === 0 ? 0.001 : seconds));
const visibilityChange = z.looseObject({ VisibilityTimeout: visibilityTimeout.optional() });
const visibilityChanges = visibilityChange.extend({ Entries: z.array(visibilityChange).optional() });
const queueUrls = z.looseObject({ QueueUrl: z.url().optional(), QueueUrls: z.array(z.url()).optional() });

function prepareApp(app: App): void {
  const listen = app.listen.bind(app);
  Reflect.defineProperty(app, "listen", {
    value: (options: { port: number }) => listen({ ...options, host: loopbackAddress }),
  });

  // 11 MiB by default, less than a PutObject may have.
  app.addHook("onRoute", (route) => {
    route.bodyLimit = maxRequestBytes;
  });

  // fauxqs loses a message that is made visible at once: its database refuses the change after the message
  // is gone from memory. A timeout of a millisecond goes the way that works.
  app.addHook("preHandler", async (request) => {
    if (!String(request.headers["x-amz-target"]).startsWith("AmazonSQS.ChangeMessageVisibility")) return;
    const changes = visibilityChanges.safeParse(request.body);
    if (changes.success) request.body = changes.data;
  });

  // fauxqs makes URLs such as http://sqs.us-east-1.localhost:4566/000000000000/name, and keeps them with the
  // port of their first day. The SDK sends requests to the queue URL's host, which has to be this one.
  app.addHook("preSerialization", async (request, _reply, payload: unknown) => {
    const urls = queueUrls.safeParse(payload);
    if (!urls.success) return payload;
    const here = (url: string): string => `http://${request.headers.host}${new URL(url).pathname}`;
    const { QueueUrl, QueueUrls, ...rest } = urls.data;
    return {
      ...rest,
      ...(QueueUrl !== undefined && { QueueUrl: here(QueueUrl) }),
      ...(QueueUrls !== undefined && { QueueUrls: QueueUrls.map(here) }),
    };
  });
}

/**
 * fauxqs refuses every character beyond U+FFFF, emoji among them; SQS takes them.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
 */
function acceptAllOfUnicode(): void {
  const refused = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;
  Reflect.defineProperty(INVALID_MESSAGE_BODY_CHAR, "test", { value: (text: string) => refused.test(text) });
}
