// A forward proxy with a password, and TLS for HTTP servers of tests.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { pipeline } from "node:stream";
import * as tls from "node:tls";
import { Server } from "proxy-chain";
import { onTestFinished } from "vitest";

export type ForwardProxy = {
  /** With the user name and password. */
  url: string;
  /** The requests that the proxy received, oldest first, as `METHOD host:port`. */
  log: string[];
};

export const proxyPassword = "PlantedProxyPassword";

/**
 * Starts a forward proxy on 127.0.0.1 until the test has finished. Without the password it responds with status 407.
 */
export async function startForwardProxy(): Promise<ForwardProxy> {
  const log: string[] = [];
  const proxy = new Server({
    host: "127.0.0.1",
    port: 0,
    prepareRequestFunction: ({ request, hostname, port, password }) => {
      log.push(`${request.method} ${hostname}:${port}`);
      return { requestAuthentication: password !== proxyPassword };
    },
  });
  await proxy.listen();
  onTestFinished(() => proxy.close(true));
  return { url: `http://library:${proxyPassword}@127.0.0.1:${proxy.port}`, log };
}

/** Starts a server that calls `act` with each connection, until the test has finished. @returns its port */
export async function startTcpServer(act: (socket: Socket) => void): Promise<number> {
  return listen(createServer(act));
}

/**
 * Starts a TLS server in front of an HTTP server, and makes this process trust its certificate.
 * @param port of the HTTP server @returns `https://localhost:port`
 */
export async function startTlsFor(port: number): Promise<string> {
  const pem = await readFile(new URL("localhost.pem", import.meta.url), "utf8");
  tls.setDefaultCACertificates([...tls.getCACertificates(), pem]);
  const server = tls.createServer({ key: pem, cert: pem }, (socket) => {
    const upstream = connect(port, "127.0.0.1");
    pipeline(socket, upstream, socket, () => {});
  });
  return `https://localhost:${await listen(server)}`;
}

async function listen(server: NetServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return address.port;
}
