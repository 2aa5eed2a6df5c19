// How every local endpoint listens: on this machine only, on a port that is free, with bounds, and closable.
import { once } from "node:events";
import type { Server } from "node:http";

/** A running local endpoint. */
export type LocalEndpoint = {
  /** `http://127.0.0.1:port`, as an `AWS_ENDPOINT_URL_*` variable takes it. */
  endpoint: string;
  /** Stops listening; answers that are under way have two seconds to end. */
  close(): Promise<void>;
};

export const loopbackAddress = "127.0.0.1";
const closingMs = 2_000;

/** @throws the socket's own error when the machine has no free port */
export async function listenOnLoopback(server: Server): Promise<LocalEndpoint> {
  server.maxConnections = 1_024;
  // The SDK keeps connections open and reuses them. A server that hangs up after Node's five idle seconds
  // would now and then do so on a request that is just being sent.
  server.keepAliveTimeout = 75_000;
  server.listen({ port: 0, host: loopbackAddress });
  await once(server, "listening");
  return { endpoint: endpointOf(server), close: () => closeServer(server) };
}

/** @throws Error when the server does not listen on the loopback address, and on that one only */
export function endpointOf(server: Server): string {
  const bound = server.address();
  if (bound === null || typeof bound === "string" || bound.address !== loopbackAddress) {
    throw new Error("A local AWS endpoint listens on an address other than 127.0.0.1; nothing was started.");
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
