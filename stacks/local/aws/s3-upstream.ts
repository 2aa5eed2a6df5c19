// The front's way to the S3 behind it: requests and answers are streamed through as they are.
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { parseXml } from "./xml.ts";

// fauxqs answers at once; this is for a client that stops in the middle of its upload.
const idleMs = 60_000;
const maxSockets = 256;

/**
 * Where fauxqs, which knows no versions, keeps an object's version id: among its metadata, so that both are written in
 * one step. Clients see it as S3's own header.
 */
const storedVersionId = "x-amz-meta-local-version-id";
export const versionIdHeader = "x-amz-version-id";
/** What S3 calls the version of an object that was written while its bucket kept none. */
const noVersionId = "null";

/** Requests to the S3 at `endpoint`, over connections that are kept open until `close`. */
export function connectUpstream(endpoint: string) {
  const { hostname, port, host } = new URL(endpoint);
  const agent = new Agent({ keepAlive: true, maxSockets });

  function open(method: string, path: string, headers: string[]) {
    const sent = httpRequest({ agent, hostname, port, method, path, headers: ["host", host, ...headers] });
    sent.setTimeout(idleMs, () => sent.destroy(new Error("fauxqs did not answer in time.")));
    return sent;
  }

  /** Reads the answer's head; undefined when there is nothing at the path. */
  async function ask(method: "GET" | "HEAD", path: string): Promise<IncomingMessage | undefined> {
    const sent = open(method, path, []).end();
    const [answered]: IncomingMessage[] = await once(sent, "response");
    if (answered?.statusCode === 200) return answered;
    answered?.resume();
    if (answered?.statusCode === 404) return undefined;
    throw new Error(`fauxqs did not answer a ${method} request.`);
  }

  return {
    /**
     * Sends the request on, body and all. Resolves when the answer begins, its body unread.
     * @param changed `url` instead of the request's own; `versionId` for what the request writes
     */
    forward(
      request: IncomingMessage,
      changed: { url?: string; versionId?: string | undefined } = {},
    ): Promise<IncomingMessage> {
      const { url = request.url ?? "/", versionId } = changed;
      const headers = endToEnd(request.rawHeaders);
      if (versionId !== undefined) headers.push(storedVersionId, versionId);
      const sent = open(request.method ?? "GET", url, headers);
      return new Promise((resolve, reject) => {
        sent.once("response", resolve);
        sent.on("error", (error) => {
          // What the client still sends is read, so that it can read the answer.
          request.resume();
          reject(error);
        });
        request.once("close", () => {
          if (!request.complete)
            sent.destroy(new Error("The client went away in the middle of its request."));
        });
        request.pipe(sent);
      });
    },

    /** What is known of the object (or bucket), or undefined when there is none. */
    async head(path: string): Promise<StoredObject | undefined> {
      const answered = await ask("HEAD", path);
      answered?.resume();
      return answered && storedObject(answered);
    },

    /** The answer with the object, its body unread, or undefined when there is none. */
    get: (path: string) => ask("GET", path),

    /** The keys below a prefix, in any order; fauxqs lists a thousand at a time. */
    async keys(bucket: string, prefix: string): Promise<string[] | "too many"> {
      const answered = await ask("GET", `/${bucket}?${new URLSearchParams({ "list-type": "2", prefix })}`);
      const found = (answered && parseXml(await text(answered))?.children) ?? [];
      if (found.some((one) => one.name === "IsTruncated" && one.text === "true")) return "too many";
      return found
        .filter(({ name }) => name === "Contents")
        .flatMap(({ children }) => children.find(({ name }) => name === "Key")?.text ?? []);
    },

    close: () => agent.destroy(),
  };
}

/** An object as fauxqs keeps it. */
export type StoredObject = {
  versionId: string;
  /** Without quotes. */
  etag: string;
  /** Bytes. */
  size: number;
  /** HTTP's form, by the second. */
  lastModified: string;
};

/** The object that fauxqs answered a GET or HEAD request with. */
export function storedObject({ headers }: IncomingMessage): StoredObject {
  return {
    versionId: String(headers[storedVersionId] ?? noVersionId),
    etag: unquoted(headers.etag ?? ""),
    size: Number(headers["content-length"] ?? 0),
    lastModified: headers["last-modified"] ?? "",
  };
}

/**
 * Answers with what upstream answered, streaming its body.
 * @param versionId where upstream does not tell it
 */
export async function passOn(
  answered: IncomingMessage,
  response: ServerResponse,
  versionId = answered.headers[storedVersionId],
): Promise<void> {
  const headers = endToEnd(answered.rawHeaders);
  if (versionId !== undefined) headers.push(versionIdHeader, String(versionId));
  response.writeHead(answered.statusCode ?? 502, headers);
  await pipeline(answered, response);
}

// They belong to one connection, or to the front itself, which answers `host` and `expect`.
const notPassedOn = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "te",
  "host",
  "expect",
  storedVersionId,
]);

/** Raw headers, names and values in turn, without those that end here. */
export function endToEnd(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!notPassedOn.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

/** An ETag as notifications have it. */
export function unquoted(etag: string): string {
  return etag.replaceAll('"', "");
}
