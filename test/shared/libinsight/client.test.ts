import type { ServerResponse } from "node:http";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { PipelineError } from "../../../shared/errors.ts";
import {
  type LibInsightOptions,
  libInsightClient,
  type PageRequest,
} from "../../../shared/libinsight/client.ts";
import { loggable } from "../../../shared/logger.ts";
import {
  type FaultSetting,
  type LibInsight,
  type LibInsightSettings,
  startLibInsight,
} from "../../../stacks/local/libinsight.ts";
import { type HttpServer, type Received, sendJson, startHttpServer } from "../../support/http-server.ts";

const datasetId = 28364;
const request: PageRequest = {
  kind: "records",
  timeZone: "America/New_York",
  datasetId,
  requestId: 16,
  from: "2023-12-02",
  to: "2024-12-01",
  page: 1,
};

/** Starts a LibInsight simulator and a client for it. */
async function start(settings: LibInsightSettings = {}, options: Partial<LibInsightOptions> = {}) {
  const server = await startLibInsight({ records: 1_000, ...settings });
  onTestFinished(server.close);
  const { baseUrl, clientId, clientSecret } = server;
  return { server, client: libInsightClient({ baseUrl, clientId, clientSecret, ...options }) };
}

/** Returns the requests, oldest first: `token`, or `data` for a page. */
function requestsOf({ requests }: LibInsight): string[] {
  return requests.map(({ path }) => (path.endsWith("/oauth/token") ? "token" : "data"));
}

/** Returns the error of a call. */
async function failureOf(call: Promise<unknown>): Promise<PipelineError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof PipelineError) return error;
  throw new Error(`Not a PipelineError: ${inspect(error)}`);
}

test("uses one token for all pages of a window, which contain each record once", async () => {
  const { server, client } = await start();
  const { totals, records } = await client.fetchPage(request);
  for (let page = 2; page <= totals.totalPages; page++) {
    records.push(...(await client.fetchPage({ ...request, page })).records);
  }
  expect(totals.totalPages).toBeGreaterThan(2);
  expect(new Set(records.map((record) => JSON.stringify(record))).size).toBe(totals.totalRecords);
  expect(requestsOf(server)).toEqual(["token", ...Array(totals.totalPages).fill("data")]);
});

test("requests a page sorted oldest first, of all users, with the dataset's request id if it has one", async () => {
  const { from, to } = request;
  const query = { from, to, page: "1", sort: "asc", entered_by: "all" };
  const { server, client } = await start();
  await client.fetchPage(request);
  expect(server.requests.at(-1)?.query).toEqual({ ...query, request_id: "16" });
  const other = await start({ requestId: null });
  await other.client.fetchPage({ ...request, requestId: undefined });
  expect(other.server.requests.at(-1)?.query).toEqual(query);
});

test("fails each call that waits for a failed token request, and requests a token for the next call", async () => {
  const { server, client } = await start({
    latencyMs: 20,
    faults: [{ kind: "status", status: 503, where: { endpoint: "token" } }],
  });
  const results = await Promise.allSettled([client.fetchPage(request), client.fetchPage(request)]);
  for (const result of results) {
    expect(result).toMatchObject({ status: "rejected", reason: { name: "LibInsightServerError" } });
  }
  expect(requestsOf(server)).toEqual(["token"]);
  await client.fetchPage(request);
  expect(requestsOf(server)).toEqual(["token", "token", "data"]);
});

test("renews a refused token once for several pages", async () => {
  let now = 0;
  // The token expires on the server while it is valid for the client.
  const { server, client } = await start(
    { tokenSeconds: 60, latencyMs: 20, now: () => now },
    { now: () => 0 },
  );
  await client.fetchPage(request);
  now = 60_000;
  await Promise.all(Array.from({ length: 5 }, () => client.fetchPage(request)));
  expect(requestsOf(server).filter((what) => what === "token")).toHaveLength(2);
});

const refusals = (times: number): LibInsightSettings => ({
  faults: [{ kind: "unauthorized", where: { endpoint: "data-grid" }, times }],
});

test.each([
  [1, []],
  [2, [1_000]],
  [5, [1_000, 2_000, 4_000, 8_000]],
])(
  "renews a token that is refused %i times, after waits of %j ms, and requests the page again",
  async (times, waits) => {
    const slept: number[] = [];
    const sleep = async (ms: number) => void slept.push(ms);
    const { server, client } = await start(refusals(times), { sleep, random: () => 0.5 });
    expect((await client.fetchPage(request)).records).toHaveLength(100);
    expect(slept).toEqual(waits);
    expect(requestsOf(server)).toEqual(
      Array(times + 1)
        .fill(["token", "data"])
        .flat(),
    );
  },
);

test("throws a transient error with advice after six refused tokens", async () => {
  const { server, client } = await start(refusals(100), { sleep: async () => {} });
  expect(await failureOf(client.fetchPage(request))).toMatchObject({
    name: "LibInsightTokenRefused",
    kind: "transient",
    ids: { status: 401, "LibInsight dataset": datasetId },
    sentence: expect.stringContaining("may read this dataset"),
  });
  expect(requestsOf(server)).toHaveLength(12);
});

test.each([
  20_000,
  // The next wait would begin within the minute and end after it.
  14_750,
])("ends all waits for a token within a minute (case %#)", async (ms) => {
  let now = 0;
  const onRequest = () => {
    now += ms;
  };
  const { server, client } = await start(
    { ...refusals(100), onRequest },
    { now: () => now, sleep: async () => {}, random: () => 1 },
  );
  expect(await failureOf(client.fetchPage(request))).toMatchObject({ name: "LibInsightTokenRefused" });
  expect(requestsOf(server)).toEqual(["token", "data", "token", "data"]);
});

test.each([{ clientId: "another" }, { clientSecret: "another" }])(
  "reports wrong credentials (%o) as terminal, with advice",
  async (wrong) => {
    const { client } = await start({}, wrong);
    expect(await failureOf(client.fetchPage(request))).toMatchObject({
      name: "LibInsightCredentialsRefused",
      kind: "terminal",
      sentence: expect.stringContaining("LIBINSIGHT_CLIENT_ID"),
    });
  },
);

test("reports an unknown dataset as terminal, with its id", async () => {
  const { client } = await start();
  expect(await failureOf(client.fetchPage({ ...request, datasetId: 1 }))).toMatchObject({
    name: "LibInsightDatasetNotFound",
    kind: "terminal",
    ids: { status: 404, "LibInsight dataset": 1 },
  });
});

type Failure = readonly [name: string, kind: string, message?: string];
const lost: Failure = ["LibInsightConnectionLost", "transient"];
const server: Failure = ["LibInsightServerError", "transient"];
const credentialsRefused: Failure = ["LibInsightCredentialsRefused", "terminal"];
const limited: Failure = ["LibInsightRateLimited", "rate-limited"];
const html: Failure = ["LibInsightResponseUnreadable", "transient", "HTML"];
const brokenJson: Failure = ["LibInsightResponseUnreadable", "transient", "broken JSON"];
const errorResponse: Failure = ["LibInsightErrorResponse", "transient"];

// policy.test.ts tests every status.
test.each<[FaultSetting, data: Failure, token: Failure]>([
  [{ kind: "status", status: 403 }, ["LibInsightAccessDenied", "terminal"], credentialsRefused],
  [{ kind: "status", status: 503 }, server, server],
  [{ kind: "rate-limited" }, limited, limited],
  [{ kind: "html" }, html, html],
  [{ kind: "html", status: 502 }, server, server],
  [{ kind: "broken-json" }, brokenJson, brokenJson],
  [{ kind: "error-at-200" }, errorResponse, credentialsRefused],
  [{ kind: "error-at-200", payload: null }, errorResponse, credentialsRefused],
  [{ kind: "reset" }, lost, lost],
  [{ kind: "cut-body" }, lost, lost],
])(
  "reports %j with its name and kind, for tokens and pages, and then recovers",
  async (fault, data, token) => {
    const { client } = await start({
      faults: [
        { ...fault, where: { endpoint: "token" } },
        { ...fault, where: { endpoint: "data-grid" } },
      ],
    });
    for (const [name, kind, message = ""] of [token, data]) {
      const expected = { name, kind, message: expect.stringContaining(message) };
      expect(await failureOf(client.fetchPage(request))).toMatchObject(expected);
    }
    expect((await client.fetchPage(request)).records).toHaveLength(100);
  },
);

// test/shared/http.test.ts tests the values of the header.
test("returns the wait of Retry-After by the client's clock", async () => {
  const retryAfter = "Sun, 01 Mar 2026 12:01:00 GMT";
  const { client } = await start(
    { faults: [{ kind: "rate-limited", retryAfter, where: { endpoint: "data-grid" } }] },
    { now: () => Date.parse("2026-03-01T12:00:00Z") },
  );
  expect(await failureOf(client.fetchPage(request))).toMatchObject({ retryAfterSeconds: 60 });
});

test.each(["token", "data-grid"] as const)(
  "ends a %s request that hangs at the timeout",
  async (endpoint) => {
    const { client } = await start({ faults: [{ kind: "hang", where: { endpoint } }] }, { timeoutMs: 150 });
    expect(await failureOf(client.fetchPage(request))).toMatchObject({
      name: "LibInsightTimeout",
      kind: "transient",
    });
  },
);

const credentialsGiven = { clientId: "id", clientSecret: "secret" };

/** Starts a server that issues tokens and lets `data` respond to page requests. */
async function startStub(
  data: (response: ServerResponse, request: Received) => void,
  token: unknown = { access_token: "t", expires_in: 3600 },
) {
  const stub = await startHttpServer((request, response) => {
    if (request.path === "/oauth/token") sendJson(response, 200, token);
    else data(response, request);
  });
  const client = (options: Partial<LibInsightOptions> = {}) =>
    libInsightClient({ baseUrl: stub.url, ...credentialsGiven, ...options });
  return { stub, client };
}

test("ends a slow response at the timeout of the whole request", async () => {
  const { client } = await startStub((response) => {
    const drip = setInterval(() => response.write(" "), 20);
    response.on("close", () => clearInterval(drip));
  });
  expect(await failureOf(client({ timeoutMs: 200 }).fetchPage(request))).toMatchObject({
    name: "LibInsightTimeout",
  });
});

const redirects = [301, 302, 303, 307, 308];

test.each(redirects)(
  "does not follow a redirect (%i) to another host, and reports it as terminal",
  async (status) => {
    const elsewhere = await startHttpServer((_, response) => sendJson(response, 200, { access_token: "t" }));
    const redirect = (response: ServerResponse, path: string) =>
      response.writeHead(status, { location: `${elsewhere.url}${path}?key=SECRET#SECRET` }).end();
    const { client } = await startStub((response, { path }) => redirect(response, path));
    const all = await startHttpServer(({ path }, response) => redirect(response, path));
    const astray = libInsightClient({ baseUrl: all.url, ...credentialsGiven });
    for (const one of [client(), astray]) {
      const error = await failureOf(one.fetchPage(request));
      expect(error).toMatchObject({ name: "LibInsightRedirected", kind: "terminal", ids: { status } });
      expect(error.message).toContain(elsewhere.url);
      expect(error.sentence).not.toContain("SECRET");
    }
    expect(elsewhere.requests).toEqual([]);
  },
);

test.each(redirects)("reports a redirect (%i) on the same host as transient", async (status) => {
  const { stub, client } = await startStub((response) =>
    response.writeHead(status, { location: "/maintenance?from=SECRET" }).end(),
  );
  const error = await failureOf(client().fetchPage(request));
  expect(error).toMatchObject({ name: "LibInsightRedirected", kind: "transient", ids: { status } });
  expect(error.message).toContain(`${stub.url}/maintenance.`);
  expect(stub.requests).toHaveLength(2);
});

test.each([{}, { location: "http://" }])(
  "reports a redirect without a valid location (%j) as terminal",
  async (headers) => {
    const { client } = await startStub((response) => response.writeHead(302, headers).end());
    expect(await failureOf(client().fetchPage(request))).toMatchObject({
      name: "LibInsightRequestRefused",
      kind: "terminal",
    });
  },
);

test.each([
  [403, "LibInsightRateLimited", "rate-limited"],
  [503, "LibInsightServerError", "transient"],
])("reports status %i with Retry-After as %s, %s, for tokens and pages", async (status, name, kind) => {
  const busy = (response: ServerResponse) => response.writeHead(status, { "retry-after": "30" }).end();
  const { client } = await startStub(busy);
  const all = await startHttpServer((_, response) => busy(response));
  for (const one of [client(), libInsightClient({ baseUrl: all.url, ...credentialsGiven })]) {
    const error = await failureOf(one.fetchPage(request));
    expect(error).toMatchObject({ name, kind, retryAfterSeconds: 30 });
  }
});

test("reports status 403 with an invalid Retry-After as terminal", async () => {
  const { client } = await startStub((response) => response.writeHead(403, { "retry-after": "+49" }).end());
  expect(await failureOf(client().fetchPage(request))).toMatchObject({
    name: "LibInsightAccessDenied",
    kind: "terminal",
    retryAfterSeconds: undefined,
  });
});

const grid = (text: string) =>
  `{"type":"success","payload":{"records":[{"a":"${text}"}],"total_pages":1,"total_records":1}}`;

test.each([
  ["application/json", "utf8", "Café 図書 😀"],
  ["application/json; charset=UTF-8", "utf8", "Café 図書 😀"],
  ['application/json;Charset="iso-8859-1"', "latin1", "Café"],
  ["application/json; charset=utf-16le", "utf16le", "Café 図書 😀"],
] as const)(
  "decodes a response of type %s by its charset, with or without a byte order mark",
  async (type, encoding, text) => {
    for (const mark of encoding === "latin1" ? [""] : ["", "\ufeff"]) {
      const { client } = await startStub((response) =>
        response.setHeader("content-type", type).end(Buffer.from(mark + grid(text), encoding)),
      );
      expect((await client().fetchPage(request)).records).toEqual([{ a: text }]);
    }
  },
);

test("refuses invalid bytes anywhere in a response instead of replacing them", async () => {
  const [before, after] = grid("|").split("|");
  for (const bytes of ["Caf\xe9", "\xc3", "\xed\xa0\x80", "\xc0\xaf"]) {
    const { client } = await startStub((response) =>
      response.end(Buffer.from(`${before}${bytes}${after}`, "latin1")),
    );
    expect(await failureOf(client().fetchPage(request))).toMatchObject({
      name: "LibInsightTextDamaged",
      kind: "transient",
    });
  }
  const { client } = await startStub((response) => response.end(Buffer.from(`${grid("")}\xc3`, "latin1")));
  expect(await failureOf(client().fetchPage(request))).toMatchObject({ name: "LibInsightTextDamaged" });
});

test.each([
  ["klingon", "klingon"],
  ["", "of an unreadable name"],
  ["a{b}", "of an unreadable name"],
])("refuses the unknown charset %j and names it", async (charset, named) => {
  const { client } = await startStub((response) =>
    response.setHeader("content-type", `application/json; charset=${charset}`).end(grid("a")),
  );
  const error = await failureOf(client().fetchPage(request));
  expect(error).toMatchObject({ name: "LibInsightCharsetUnknown", kind: "transient" });
  expect(error.message).toContain(`charset ${named}.`);
});

test("reads only the beginning of an error response", async () => {
  const { client } = await startStub((response) => {
    response.writeHead(500, { "content-type": "text/html" }).write("x".repeat(100_000));
  });
  // Otherwise the error would be a timeout.
  expect(await failureOf(client().fetchPage(request))).toMatchObject({ name: "LibInsightServerError" });
});

test("reports the status of an error response with invalid bytes", async () => {
  const { client } = await startStub((response) =>
    response.writeHead(502, { "content-type": "text/html; charset=klingon" }).end(Buffer.from([0xff, 0xfe])),
  );
  expect(await failureOf(client().fetchPage(request))).toMatchObject({ name: "LibInsightServerError" });
});

test("refuses a response of more than 64 MiB after decompression", async () => {
  const large = gzipSync(Buffer.alloc(65 * 1024 * 1024, " "), { level: 1 });
  const { client } = await startStub((response) =>
    response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" }).end(large),
  );
  expect(await failureOf(client().fetchPage(request))).toMatchObject({
    name: "LibInsightResponseTooLarge",
    kind: "transient",
  });
});

const page = <T>(payload: T) => ({ type: "success", payload });

const shown = (displayed_page: unknown, records: unknown[] = [{}]) =>
  page({ records, total_pages: 1, total_records: records.length, displayed_page });

test.each([
  ["the requested page number", shown(1)],
  ["the requested page number as text", shown("1")],
  ["no page number", shown(undefined)],
  ["another page number for an empty range", shown(0, [])],
  ["counts as text", page({ records: [], total_pages: "1", total_records: "0" })],
  ["null as the page number", shown(null)],
])("accepts a response with %s", async (_what, body) => {
  const { client } = await startStub((response) => sendJson(response, 200, body));
  const { records } = body.payload;
  const totals = { totalPages: 1, totalRecords: records.length };
  expect(await client().fetchPage(request)).toEqual({ records, totals });
});

const counts = (total_records: unknown, total_pages: unknown = 1) => ({ total_records, total_pages });

test.each([
  [[], { totalPages: 0, totalRecords: 0 }, []],
  [{ records: {}, ...counts(0, 0) }, { totalPages: 0, totalRecords: 0 }, []],
  [{ records: null, ...counts(0, 0) }, { totalPages: 0, totalRecords: 0 }, []],
  [{ records: null, ...counts("0", null) }, { totalPages: 0, totalRecords: 0 }, []],
  [{ ...counts(null, 0) }, { totalPages: 0, totalRecords: 0 }, []],
  [{ records: [], ...counts(0, null), displayed_page: null }, { totalPages: 0, totalRecords: 0 }, []],
  [{ records: { 0: { a: 1 }, 1: null }, ...counts(2) }, { totalPages: 1, totalRecords: 2 }, [{ a: 1 }, null]],
  [
    { records: { 10: "c", 2: "b", 0: "a" }, ...counts("3", "3") },
    { totalPages: 3, totalRecords: 3 },
    ["a", "b", "c"],
  ],
  // The page does not match its totals. Reconciliation finds that later.
  [{ records: {}, ...counts(1) }, { totalPages: 1, totalRecords: 1 }, []],
])("accepts PHP's payload %j", async (payload, totals, records) => {
  const { client } = await startStub((response) => sendJson(response, 200, page(payload)));
  expect(await client().fetchPage(request)).toEqual({ totals, records });
});

test.each([
  [1, { records: null, ...counts(1) }],
  [1, { records: { 0: {}, one: {} }, ...counts(2) }],
  [1, { records: { 0.5: {} }, ...counts(1) }],
  [1, { records: [{}], ...counts(1, null) }],
  [1, { records: [{}], ...counts(null, 0) }],
  [1, { records: [] }],
  [1, [{}]],
  [1, {}],
  [2, []],
])("refuses page %i with PHP's payload %j, which is not provably empty", async (number, payload) => {
  const { client } = await startStub((response) => sendJson(response, 200, page(payload)));
  const error = await failureOf(client().fetchPage({ ...request, page: number }));
  expect(error).toMatchObject({ name: "LibInsightResponseUnreadable", kind: "transient" });
});

test("leaves out a record that exceeds a limit, with the reason", async () => {
  const wide = Object.fromEntries(Array.from({ length: 1_001 }, (_, n) => [`f${n}`, n]));
  const body = page({ records: [{ a: 1 }, { _id: 7, ...wide }, { b: 2 }], ...counts(3) });
  const { client } = await startStub((response) => sendJson(response, 200, body));
  expect(await client().fetchPage(request)).toEqual({
    records: [{ a: 1 }, { b: 2 }],
    leftOut: [{ index: 1, reason: "more than 1,000 fields", id: 7 }],
    totals: { totalPages: 1, totalRecords: 3 },
  });
});

test("reports a response with too many records as transient", async () => {
  const body = page({ records: Array(10_001).fill(1), ...counts(10_001) });
  const { client } = await startStub((response) => sendJson(response, 200, body));
  expect(await failureOf(client().fetchPage(request))).toMatchObject({
    name: "LibInsightResponseTooLarge",
    kind: "transient",
    ids: { "LibInsight dataset": datasetId },
  });
});

test("passes on the text of an error response, for tokens and pages", async () => {
  const error = (response: ServerResponse) => sendJson(response, 500, { message: "Down for maintenance" });
  const half = await startStub(error);
  const all = await startHttpServer((_, response) => error(response));
  for (const baseUrl of [half.stub.url, all.url]) {
    const texts: string[] = [];
    const onErrorText = (text: string) => void texts.push(text);
    await failureOf(libInsightClient({ baseUrl, ...credentialsGiven, onErrorText }).fetchPage(request));
    expect(texts).toEqual(["Down for maintenance"]);
  }
});

test("passes on no text of a success, an error without text, or an expired token", async () => {
  const texts: string[] = [];
  const onErrorText = (text: string) => void texts.push(text);
  let requests = 0;
  const { client } = await startStub((response) => {
    requests += 1;
    if (requests === 1) sendJson(response, 401, { message: "The token has expired" });
    else if (requests === 2) sendJson(response, 200, shown(1));
    else response.writeHead(500).end();
  });
  const reporting = client({ onErrorText });
  await reporting.fetchPage(request);
  await failureOf(reporting.fetchPage(request));
  expect(requests).toBe(3);
  expect(texts).toEqual([]);
});

test("reports a response with another page as transient", async () => {
  const { client } = await startStub((response) => sendJson(response, 200, shown(1)));
  expect(await failureOf(client().fetchPage({ ...request, page: 2 }))).toMatchObject({
    name: "LibInsightAnotherPage",
    kind: "transient",
    ids: { "LibInsight dataset": datasetId },
  });
});

test.each([
  [null],
  [[]],
  ["success"],
  [{ type: "success" }],
  [{ payload: { records: [], total_pages: 0, total_records: 0 } }],
  [page({ records: "", total_pages: 1, total_records: 1 })],
  [page({ records: [], total_records: 1 })],
  [page({ records: [], total_pages: -1, total_records: 1 })],
  [page({ records: [], total_pages: 1.5, total_records: 1 })],
  [page({ records: [], total_pages: "", total_records: 1 })],
  [page({ records: [], total_pages: "1e3", total_records: 1 })],
])("refuses the response %j as of an unknown shape", async (body) => {
  const { client } = await startStub((response) => sendJson(response, 200, body));
  const error = await failureOf(client().fetchPage(request));
  expect(error).toMatchObject({ name: "LibInsightResponseUnreadable", kind: "transient" });
  expect(error.message).toContain("an unknown shape");
});

test.each([[{}], [{ access_token: "" }], [{ access_token: 7 }], [[]]])(
  "refuses the token response %j as of an unknown shape",
  async (token) => {
    const { client } = await startStub((response) => response.end(), token);
    expect(await failureOf(client().fetchPage(request))).toMatchObject({
      name: "LibInsightResponseUnreadable",
      message: expect.stringContaining("an unknown shape"),
    });
  },
);

test.each([
  // A minute before it expires, or after half of its lifetime if that is later.
  [3_600, 3_540_000],
  ["3600", 3_540_000],
  [121, 61_000],
  [60, 30_000],
  [2, 1_000],
  // Counts as one minute.
  [undefined, 30_000],
  [null, 30_000],
  [-1, 30_000],
  ["soon", 30_000],
])("renews a token with expires_in %j after %i ms", async (expires_in, renewal) => {
  let now = 0;
  const { stub, client } = await startStub(
    (response) => sendJson(response, 200, page({ records: [], total_pages: 0, total_records: 0 })),
    { access_token: "t", expires_in },
  );
  const timed = client({ now: () => now });
  const tokens = () => stub.requests.filter(({ path }) => path === "/oauth/token").length;
  await timed.fetchPage(request);
  now = renewal - 1;
  await timed.fetchPage(request);
  expect(tokens()).toBe(1);
  now = renewal;
  await timed.fetchPage(request);
  expect(tokens()).toBe(2);
});

const marked = {
  clientId: "MARKED-ID",
  clientSecret: "MARKED-SECRET-é",
  token: "MARKED-TOKEN",
  record: "MARKED-PATRON",
};
const basic = Buffer.from(`${marked.clientId}:${marked.clientSecret}`).toString("base64");

/** Returns a response that repeats the whole request, and text that a record might contain. */
function echo({ headers, body }: Received): string {
  return JSON.stringify({ headers, body, ...marked, comment: marked.record, basic });
}

const giveToken = { access_token: marked.token, expires_in: 3600 };

type Respond = (response: ServerResponse, request: Received) => void;
const withStatus = (status: number): [string, Respond] => [
  `status ${status}`,
  (response, request) => {
    const headers = { "content-type": "application/json", "x-echo": echo(request).replace(/[^ -~]/g, "") };
    response.writeHead(status, headers).end(echo(request));
  },
];
const withBody = (
  what: string,
  bodyOf: (text: string) => string,
  type = "application/json",
): [string, Respond] => [
  what,
  (response, request) => response.setHeader("content-type", type).end(bodyOf(echo(request))),
];

test.each<[string, Respond]>([
  ...[302, 400, 401, 403, 404, 429, 500].map(withStatus),
  withBody("broken JSON", (text) => `{"x": ${text.slice(0, -1)}`),
  withBody("HTML", (text) => `<p>${text}</p>`, "text/html"),
  withBody("an error at 200", (text) => JSON.stringify({ type: "error", payload: text })),
  withBody("an unknown shape", (text) => JSON.stringify({ type: "success", payload: text })),
  ["a reset", (response) => response.socket?.resetAndDestroy()],
  [
    "a body that is cut off",
    (response, request) =>
      response.writeHead(200, { "content-length": 1e6 }).write(echo(request), () => response.destroy()),
  ],
  ["no response", () => {}],
])("keeps secrets and a patron's words out of the error about %s", async (_what, respond) => {
  const failing = await startHttpServer((request, response) => respond(response, request));
  const { stub: half } = await startStub(respond, giveToken);
  const { clientId, clientSecret } = marked;
  const errors = [failing, half].map(({ url: baseUrl }) =>
    failureOf(
      libInsightClient({
        baseUrl,
        clientId,
        clientSecret,
        timeoutMs: 1_000,
        sleep: async () => {},
      }).fetchPage(request),
    ),
  );
  for (const error of await Promise.all(errors)) expectNoSecrets(error);
  // Otherwise the test proves nothing.
  expect(sentTo(failing)).toContain(basic);
  expect(sentTo(half)).toContain(marked.token);
});

test("keeps secrets out of the errors about an invalid token and an unreachable host", async () => {
  const { clientId, clientSecret } = marked;
  const { stub } = await startStub((response) => response.end(), {
    access_token: `${marked.token}\r\nX-Injected: 1`,
  });
  const client = libInsightClient({ baseUrl: stub.url, clientId, clientSecret, timeoutMs: 5_000 });
  expectNoSecrets(await failureOf(client.fetchPage(request)));
  expect(stub.requests.every(({ headers }) => headers["x-injected"] === undefined)).toBe(true);
  const alone = libInsightClient({ baseUrl: "http://127.0.0.1:1", clientId, clientSecret });
  const unreachable = await failureOf(alone.fetchPage(request));
  expectNoSecrets(unreachable);
  expect(unreachable).toMatchObject({
    name: "LibInsightUnreachable",
    kind: "transient",
    sentence: expect.stringContaining("LIBINSIGHT_BASE_URL"),
  });
});

function sentTo(server: HttpServer): string {
  return JSON.stringify(server.requests.map(({ headers }) => headers));
}

function expectNoSecrets(error: PipelineError): void {
  const everything = [
    inspect(error, { depth: null, showHidden: true, getters: true, maxStringLength: null }),
    JSON.stringify(error),
    JSON.stringify(loggable(error)),
    error.sentence,
    error.stack,
    String(error),
  ].join("\n");
  expect(everything).toContain(error.name);
  for (const secret of ["MARKED", basic, Buffer.from(marked.clientSecret).toString("base64")]) {
    expect(everything).not.toContain(secret);
  }
}
