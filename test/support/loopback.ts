// Starts HTTP servers on 127.0.0.1 with a free port and limits.
import { once } from "node:events";
import type { Server } from "node:http";

export type LocalEndpoint = {
  /** `http://127.0.0.1:port`. */
  endpoint: string;
  /** Stops the server. Responses in progress have two seconds to finish. */
  close(): Promise<void>;
};

const loopbackAddress = "127.0.0.1";
const closingMs = 2_000;

/** Starts a server. @throws the socket's error if the machine has no free port */
export async function listenOnLoopback(server: Server): Promise<LocalEndpoint> {
  server.maxConnections = 1_024;
  // Clients reuse connections. With Node's default of five seconds, the server may close one while a request is on its
  // way.
  server.keepAliveTimeout = 75_000;
  server.listen({ port: 0, host: loopbackAddress });
  await once(server, "listening");
  return { endpoint: endpointOf(server), close: () => closeServer(server) };
}

/** Returns the URL of a listening server. @throws Error if its address is not 127.0.0.1 */
function endpointOf(server: Server): string {
  const bound = server.address();
  if (bound === null || typeof bound === "string" || bound.address !== loopbackAddress) {
    throw new Error("A local server listens on an address other than 127.0.0.1.");
  }
  return `http://${bound.address}:${bound.port}`;
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  const deadline = setTimeout(() => server.closeAllConnections(), closingMs);
  await closed;
  clearTimeout(deadline);
}
