// An HTTP server whose responses the test writes, for responses that no simulator sends.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { listenOnLoopback } from "./loopback.ts";

export type Received = { method: string; path: string; headers: IncomingHttpHeaders; body: string };

export type HttpServer = {
  url: string;
  /** The received requests, oldest first. */
  requests: readonly Received[];
  close(): Promise<void>;
};

/** Starts a server until the test has finished or calls `close`. */
export async function startHttpServer(
  respond: (request: Received, response: ServerResponse) => void,
): Promise<HttpServer> {
  const requests: Received[] = [];
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    void text(request).then((body) => {
      const received = { method, path: url, headers, body };
      requests.push(received);
      respond(received, response);
    });
  });
  const { endpoint } = await listenOnLoopback(server);
  const close = async () => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  onTestFinished(close);
  return { url: endpoint, requests, close };
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
