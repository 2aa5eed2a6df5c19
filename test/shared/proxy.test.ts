// LibInsight, Tableau and the AWS clients on a network with a forward proxy, whose log shows the requests that it
// received. URLs use "localhost", because requests to 127.0.0.1 never go through a proxy.
import type { Socket } from "node:net";
import { inspect } from "node:util";
import { GetQueueUrlCommand } from "@aws-sdk/client-sqs";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type LibInsight, startLibInsight } from "../../stacks/local/libinsight/server.ts";
import { proxyPassword, startForwardProxy, startTcpServer, startTlsFor } from "../support/forward-proxy.ts";
import { sendJson, startHttpServer } from "../support/http-server.ts";
import { startTableau, tokenSecret } from "../support/tableau-server.ts";

type Scheme = "http" | "https";
const through: [Scheme, variable: string][] = [
  ["http", "HTTP_PROXY"],
  ["https", "HTTPS_PROXY"],
];

beforeEach(() => {
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]) {
    vi.stubEnv(name, undefined);
    vi.stubEnv(name.toLowerCase(), undefined);
  }
  // A process creates its agents once.
  vi.resetModules();
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** Returns a URL with localhost for a server on 127.0.0.1, with TLS for https. */
async function urlOf(endpoint: string, scheme: Scheme): Promise<string> {
  const { port, pathname } = new URL(endpoint);
  const origin = scheme === "https" ? await startTlsFor(Number(port)) : `http://localhost:${port}`;
  return origin + pathname.replace(/\/$/, "");
}

async function startedLibInsight(): Promise<LibInsight> {
  const server = await startLibInsight({ records: 1_000 });
  onTestFinished(server.close);
  return server;
}

/** Fetches a page and returns the number of its records. */
async function fetchPage(
  { clientId, clientSecret, datasetId }: LibInsight,
  baseUrl: string,
  timeoutMs = 5_000,
) {
  const { libInsightClient } = await import("../../shared/libinsight/client.ts");
  const client = libInsightClient({ baseUrl, clientId, clientSecret, timeoutMs });
  const dataset = { kind: "records", timeZone: "America/New_York" } as const;
  const range = { from: "2023-12-02", to: "2024-12-01", page: 1 };
  return (await client.fetchPage({ ...dataset, datasetId, requestId: 16, ...range })).records.length;
}

async function failureOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(proxyPassword);
  return error;
}

test.each<[Scheme, variable: string]>([...through, ["http", "http_proxy"], ["https", "https_proxy"]])(
  "sends requests to LibInsight over %s through the proxy of %s",
  async (scheme, variable) => {
    const proxy = await startForwardProxy();
    vi.stubEnv(variable, proxy.url);
    const server = await startedLibInsight();
    const baseUrl = await urlOf(server.baseUrl, scheme);
    expect(await fetchPage(server, baseUrl)).toBe(100);
    const { host } = new URL(baseUrl);
    // Both HTTPS requests use one tunnel.
    const logged = scheme === "http" ? [`POST ${host}`, `GET ${host}`] : [`CONNECT ${host}`];
    expect(proxy.log).toEqual(logged);
    expect(server.requests).toHaveLength(2);
  },
);

test.each(through)("sends requests to Tableau over %s through the proxy of %s", async (scheme, variable) => {
  const proxy = await startForwardProxy();
  vi.stubEnv(variable, proxy.url);
  const tableau = await startTableau();
  const id = tableau.add("datasources", "Desk");
  const { tokenName, site } = tableau;
  const url = await urlOf(tableau.url, scheme);
  const { signIn } = await import("../../services/tableau/tableau-client.ts");
  const time = { timeoutMs: 5_000, pauseMs: 1, deadline: Date.now() + 60_000 };
  const session = await signIn({ url, site, tokenName, tokenSecret, apiVersion: "3.21", ...time });
  expect(await session.find({ kind: "data source", name: "Desk" })).toBe(id);
  await session.signOut();
  const { host } = new URL(url);
  const logged = scheme === "http" ? [`POST ${host}`, `GET ${host}`, `POST ${host}`] : [`CONNECT ${host}`];
  expect(proxy.log).toEqual(logged);
  expect(tableau.steps).toEqual(["signin", "find datasources", "signout"]);
});

test.each(through)(
  "sends requests of the AWS clients over %s through the proxy of %s",
  async (scheme, variable) => {
    const proxy = await startForwardProxy();
    vi.stubEnv(variable, proxy.url);
    const QueueUrl = "https://sqs.us-east-1.amazonaws.com/000000000000/fetcher";
    const server = await startHttpServer((_, response) => sendJson(response, 200, { QueueUrl }));
    const endpoint = await urlOf(server.url, scheme);
    vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
    vi.stubEnv("AWS_REGION", "us-east-1");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "local");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "local");
    const { sqs } = await import("../../shared/aws/clients.ts");
    expect(await sqs().send(new GetQueueUrlCommand({ QueueName: "fetcher" }))).toMatchObject({ QueueUrl });
    expect(proxy.log).toEqual([`${scheme === "http" ? "POST" : "CONNECT"} ${new URL(endpoint).host}`]);
    expect(server.requests).toHaveLength(1);
  },
);

test.each<[Scheme, host: string, noProxy: string]>([
  ["http", "localhost", "localhost"],
  ["https", "localhost", "localhost"],
  ["https", "localhost", "*.example.edu, LOCALHOST"],
  ["http", "127.0.0.1", "example.edu"],
])("sends requests to LibInsight over %s at %s directly if NO_PROXY is %s", async (scheme, host, noProxy) => {
  const proxy = await startForwardProxy();
  for (const [, variable] of through) vi.stubEnv(variable, proxy.url);
  vi.stubEnv("NO_PROXY", noProxy);
  const server = await startedLibInsight();
  const baseUrl = host === "localhost" ? await urlOf(server.baseUrl, scheme) : server.baseUrl;
  expect(await fetchPage(server, baseUrl)).toBe(100);
  expect(proxy.log).toEqual([]);
});

const refused = ["LibInsightProxyRefused", "terminal"] as const;
const lost = ["LibInsightProxyRefused", "transient"] as const;

test.each(through)(
  "reports a proxy that refuses over %s as terminal and names %s",
  async (scheme, variable) => {
    const proxy = await startForwardProxy();
    vi.stubEnv(variable, proxy.url.replace(proxyPassword, `not-${proxyPassword}`));
    const server = await startedLibInsight();
    const [name, kind] = refused;
    expect(await failureOf(fetchPage(server, await urlOf(server.baseUrl, scheme)))).toMatchObject({
      ...{ name, kind, message: "The proxy did not connect to LibInsight (status 407)." },
      advice: expect.stringContaining(variable),
    });
    expect(server.requests).toEqual([]);
  },
);

const unreachable = ["LibInsightUnreachable", "transient"] as const;
test.each<
  [what: string, Scheme, failure: readonly [name: string, kind: string], port: () => Promise<number>]
>([
  [
    "responds with status 403",
    "https",
    refused,
    () => startTcpServer(ending("HTTP/1.1 403 Forbidden\r\n\r\n")),
  ],
  [
    "responds with status 502",
    "https",
    lost,
    () => startTcpServer(ending("HTTP/1.1 502 Bad Gateway\r\n\r\n")),
  ],
  ["closes the connection", "https", lost, () => startTcpServer(ending(""))],
  ["does not respond", "https", ["LibInsightTimeout", "transient"], () => startTcpServer(() => {})],
  ["does not run", "http", unreachable, async () => 1],
  ["does not run", "https", unreachable, async () => 1],
])("reports a proxy that %s over %s as %s", async (what, scheme, [name, kind], port) => {
  for (const [, variable] of through) {
    vi.stubEnv(variable, `http://library:${proxyPassword}@127.0.0.1:${await port()}`);
  }
  const server = await startedLibInsight();
  const error = await failureOf(fetchPage(server, `${scheme}://localhost:1/v1.0`, 300));
  expect(error).toMatchObject({ name, kind });
  if (what === "does not run")
    expect(error).toMatchObject({ advice: expect.stringContaining("HTTPS_PROXY") });
});

function ending(response: string): (socket: Socket) => void {
  return (socket) => void socket.once("data", () => socket.end(response));
}

test.each([
  `proxy.example.edu:3128`,
  `socks5://library:${proxyPassword}@proxy.example.edu`,
  `http://library:${proxyPassword}@`,
  `http://library:${proxyPassword}%@proxy.example.edu`,
])("refuses HTTPS_PROXY=%s and names the variable and not its value", async (value) => {
  vi.stubEnv("HTTPS_PROXY", value);
  const server = await startedLibInsight();
  expect(await failureOf(fetchPage(server, "https://localhost:1"))).toMatchObject({
    name: "ProxyUnusable",
    kind: "terminal",
    message: expect.stringContaining("HTTPS_PROXY"),
  });
});
