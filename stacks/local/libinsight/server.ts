// Runs the HTTP server of the simulated LibInsight: routes, latency, faults and a log of requests.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { PipelineError } from "../../../shared/errors.ts";
import { type FaultSetting, fault, faultPlan, withFault } from "./faults.ts";
import {
  type Endpoint,
  endpointOf,
  knownParameters,
  openDataset,
  type SimulatedData,
} from "./kinds/kinds.ts";
import { datasetUnknown, failure, type SimulatedResponse, tokenRefused } from "./simulated-responses.ts";
import {
  type LibInsightSettings,
  type LoggedRequest,
  type ParsedSettings,
  parseSettings,
} from "./simulator-settings.ts";
import { tokens } from "./tokens.ts";

const maxConnections = 256;
const maxBodyBytes = 64 * 1024;
/** The log keeps the newest requests. */
const maxLogged = 10_000;
const maxLoggedText = 200;
/** A hanging request ends after this time. */
const idleConnectionMs = 10 * 60_000;

export type LibInsight = SimulatedData & {
  /** http://127.0.0.1:PORT/v1.0 */
  baseUrl: string;
  clientId: string;
  clientSecret: string;
  datasetId: number;
  /** The newest 10,000 requests, oldest first. */
  requests: readonly LoggedRequest[];
  /** Appends faults to the remaining ones. */
  fail(...faults: FaultSetting[]): void;
  /** Replaces the data, faults and tokens according to other settings, on the same port. */
  restart(given: LibInsightSettings): void;
  /** Ends every connection, including hanging ones, and frees the port. May be called repeatedly. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * Starts a server that responds like LibInsight's API for one generated dataset, on 127.0.0.1 only.
 * @throws PipelineError `BadSimulationSettings`, or `PortNotFree` if it cannot listen
 */
export async function startLibInsight(given: LibInsightSettings = {}): Promise<LibInsight> {
  const settings = parseSettings(given);
  let state = stateOf(settings);
  const requests: LoggedRequest[] = [];
  const closing = new AbortController();

  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (request, response) => {
    handle(request, response).catch((error: unknown) => {
      // No response can be sent if the client has disconnected or the server is closing.
      if (closing.signal.aborted || request.socket.destroyed || response.headersSent) response.destroy();
      else send(response, failure(500, `The simulation failed: ${String(error)}`));
    });
  });
  server.maxConnections = maxConnections;
  server.timeout = idleConnectionMs;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const logged = log(requests, request.method ?? "", url);
    const body = await readBody(request);
    const { onRequest, latencyMs } = state.settings;
    onRequest?.(logged);
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal: closing.signal });
    const simulated = responseTo(request, url, body);
    if (simulated.ending === "whole" || simulated.ending === "cut") logged.status = simulated.status;
    send(response, simulated);
  }

  function responseTo(request: IncomingMessage, url: URL, body: string | undefined): SimulatedResponse {
    const route = routeOf(url.pathname, state.settings);
    if (!route) return failure(404, "There is nothing at this path.");
    const { authorization } = request.headers;
    const { data, access, faults } = state;
    const planned = faults.take(route.endpoint, url.searchParams);
    if (planned?.kind === "unauthorized") access.revoke(authorization);
    const regular = regularResponse();
    return planned ? withFault(regular, planned, route.endpoint) : regular;

    function regularResponse(): SimulatedResponse {
      const method = route?.endpoint === "token" ? "POST" : "GET";
      if (request.method !== method) return failure(405, `Use ${method} here.`, { allow: method });
      if (body === undefined) return failure(413, "The body is too large.");
      if (route?.endpoint === "token") return access.issue(authorization, body);
      if (!access.accepts(authorization)) return tokenRefused;
      const respond = route && data.responses[route.endpoint];
      return respond && route.dataset === String(state.settings.datasetId)
        ? respond(url.searchParams)
        : datasetUnknown;
    }
  }

  server.listen(settings.port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (cause) {
    const isInUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    throw new PipelineError("PortNotFree", {
      message: `The simulated LibInsight cannot listen on port ${settings.port} of 127.0.0.1${isInUse ? ": the port is in use" : ""}.`,
      advice: "Choose another port, or 0 for a free one.",
      cause,
    });
  }
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : settings.port;

  let closed: Promise<void> | undefined;
  function close(): Promise<void> {
    closed ??= new Promise((resolve) => {
      closing.abort();
      server.close(() => resolve());
      server.closeAllConnections();
    });
    return closed;
  }

  return {
    baseUrl: `http://127.0.0.1:${port}/v1.0`,
    ...settings.credentials,
    datasetId: settings.datasetId,
    requests,
    records: () => state.data.records(),
    add: (...args) => state.data.add(...args),
    edit: (...args) => state.data.edit(...args),
    remove: (id) => state.data.remove(id),
    counts: (...range) => state.data.counts(...range),
    uses: (...range) => state.data.uses(...range),
    setCount: (...args) => state.data.setCount(...args),
    fail: (...faults) => state.faults.add(faults.map((given) => fault.parse(given))),
    restart(given) {
      state = stateOf(parseSettings(given));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Returns everything that the server's responses depend on. */
function stateOf(settings: ParsedSettings) {
  const faults = faultPlan();
  faults.add(settings.faults);
  return { settings, faults, data: openDataset(settings), access: tokens(settings) };
}

type Route = { endpoint: Endpoint; dataset?: string | undefined };

function routeOf(path: string, { kind }: ParsedSettings): Route | undefined {
  if (path === "/v1.0/oauth/token") return { endpoint: "token" };
  const [, prefix = "", dataset, name = ""] = /^\/v1\.0\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  const endpoint = endpointOf(kind, prefix, name);
  return endpoint && { endpoint, dataset };
}

function log(requests: LoggedRequest[], method: string, url: URL): LoggedRequest {
  const query = [...url.searchParams].map(([name, value]) => {
    return knownParameters.has(name)
      ? [name, value.slice(0, maxLoggedText)]
      : [name.slice(0, maxLoggedText), "..."];
  });
  const logged: LoggedRequest = {
    method,
    path: url.pathname.slice(0, maxLoggedText),
    query: Object.fromEntries(query),
  };
  requests.push(logged);
  if (requests.length > maxLogged) requests.shift();
  return logged;
}

/** Reads the body to its end; returns undefined if it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes <= maxBodyBytes) chunks.push(buffer);
  }
  return bytes <= maxBodyBytes ? Buffer.concat(chunks).toString("utf8") : undefined;
}

function send(response: ServerResponse, { status, headers, body, ending }: SimulatedResponse): void {
  const bytes = Buffer.from(body);
  switch (ending) {
    case "whole":
      response.writeHead(status, { ...headers, "content-length": bytes.length }).end(bytes);
      break;
    case "cut":
      response.writeHead(status, { ...headers, "content-length": bytes.length });
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
      break;
    case "reset":
      response.socket?.resetAndDestroy();
      break;
    case "never":
      break;
  }
}
