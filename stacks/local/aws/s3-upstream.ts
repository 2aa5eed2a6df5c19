// The front's way to the S3 behind it: requests and answers are streamed through as they are.
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";

// fauxqs answers at once; this is for a client that stops in the middle of its upload.
const idleMs = 60_000;
const maxSockets = 256;

/** Requests to the S3 at `endpoint`, over connections that are kept open until `close`. */
export function connectUpstream(endpoint: string) {
  const { hostname, port, host } = new URL(endpoint);
  const agent = new Agent({ keepAlive: true, maxSockets });

  function open(method: string, path: string, headers: string[]) {
    const sent = httpRequest({ agent, hostname, port, method, path, headers: ["host", host, ...headers] });
    sent.setTimeout(idleMs, () => sent.destroy(new Error("fauxqs did not answer in time.")));
    return sent;
  }

  return {
    /** Sends the request on, body and all. Resolves when the answer begins, its body unread. */
    forward(request: IncomingMessage): Promise<IncomingMessage> {
      const sent = open(request.method ?? "GET", request.url ?? "/", endToEnd(request.rawHeaders));
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

    /** The object's (or bucket's) ETag and size, or undefined when there is none. */
    async head(path: string): Promise<{ etag: string; size: number } | undefined> {
      const sent = open("HEAD", path, []).end();
      const [answered]: IncomingMessage[] = await once(sent, "response");
      answered?.resume();
      if (answered?.statusCode === 404) return undefined;
      if (answered?.statusCode !== 200) throw new Error("fauxqs did not answer a HEAD request.");
      return {
        etag: unquoted(answered.headers.etag ?? ""),
        size: Number(answered.headers["content-length"] ?? 0),
      };
    },

    close: () => agent.destroy(),
  };
}

/** Answers with what upstream answered, streaming its body. */
export async function passOn(answered: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(answered.statusCode ?? 502, endToEnd(answered.rawHeaders));
  await pipeline(answered, response);
}

// They belong to one connection; `host` and `expect` are answered by the front itself.
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "te",
  "host",
  "expect",
]);

/** Raw headers, names and values in turn, without those of the connection. */
function endToEnd(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!hopByHop.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

/** An ETag as notifications have it. */
export function unquoted(etag: string): string {
  return etag.replaceAll('"', "");
}
