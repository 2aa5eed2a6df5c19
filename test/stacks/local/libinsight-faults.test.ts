// Tests each injected fault with a real HTTP client.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type FaultSetting, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { fieldsPath, requestToken, signIn } from "./libinsight-client.ts";

async function withFaults(...faults: FaultSetting[]) {
  const server = await startLibInsight({ records: 400 });
  const client = await signIn(server);
  server.fail(...faults);
  return { server, client, [Symbol.asyncDispose]: () => server.close() };
}

test.each<[FaultSetting, { status: number; headers?: Record<string, string | null>; body?: unknown }]>([
  [{ kind: "status", status: 503 }, { status: 503 }],
  [
    { kind: "rate-limited", retryAfter: 2 },
    { status: 429, headers: { "retry-after": "2" } },
  ],
  [
    { kind: "rate-limited", retryAfter: "Wed, 21 Oct 2026 07:28:00 GMT" },
    { status: 429, headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" } },
  ],
  [{ kind: "rate-limited" }, { status: 429, headers: { "retry-after": null } }],
  [
    { kind: "html" },
    {
      status: 200,
      headers: { "content-type": expect.stringContaining("text/html") },
      body: expect.stringContaining("<html>"),
    },
  ],
  [
    { kind: "error-at-200" },
    { status: 200, body: { type: "error", payload: { message: "Simulated error." } } },
  ],
  ...["text", [], null].map((payload): [FaultSetting, { status: number; body: unknown }] => [
    { kind: "error-at-200", payload },
    { status: 200, body: { type: "error", payload } },
  ]),
])("%j affects one response, and the next one is regular", async (fault, { status, headers = {}, body }) => {
  await using given = await withFaults(fault);
  const response = await given.client.grid();
  expect(response.status).toBe(status);
  for (const [name, value] of Object.entries(headers)) expect(response.headers.get(name)).toEqual(value);
  const text = await response.text();
  if (body !== undefined) expect(text.startsWith("<") ? text : JSON.parse(text)).toEqual(body);
  expect((await given.client.page()).records).toHaveLength(100);
});

test("broken-json sends a complete response with invalid JSON", async () => {
  await using given = await withFaults({ kind: "broken-json" });
  const response = await given.client.grid();
  expect(response.status).toBe(200);
  const text = await response.text();
  expect(text).toContain('"type":"success"');
  expect(() => JSON.parse(text)).toThrow(SyntaxError);
});

test("hang delays one response until the server is closed, and other requests get theirs", async () => {
  await using given = await withFaults({ kind: "hang" });
  const hanging = given.client.grid().then(
    () => "a response",
    (error: unknown) => String(error),
  );
  expect((await given.client.grid({ page: 2 })).status).toBe(200);
  await given.server.close();
  // The server ended the request, not the client's timeout.
  expect(await hanging).toBe("TypeError: fetch failed");
  expect(given.server.requests[1]).not.toHaveProperty("status");
});

test("reset ends the connection before the response, cut-body within the body", async () => {
  await using given = await withFaults({ kind: "reset" }, { kind: "cut-body" });
  await expect(given.client.grid()).rejects.toThrow("fetch failed");
  const response = await given.client.grid();
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow("terminated");
});

const gridPage = z.object({
  payload: z.object({ records: z.array(z.object({ _id: z.number() })), total_records: z.number() }),
});

test.each([
  { kind: "too-few", records: 99, distinct: 99, total: 0 },
  { kind: "too-many", records: 101, distinct: 100, total: 0 },
  { kind: "repeated", records: 100, distinct: 99, total: 0 },
  { kind: "other-total", records: 100, distinct: 100, total: 1 },
] as const)("$kind sends a page with wrong records or totals", async ({ kind, records, distinct, total }) => {
  await using given = await withFaults({ kind });
  const page = async () => gridPage.parse(await (await given.client.grid()).json()).payload;
  const faulty = await page();
  const regular = await page();
  expect(faulty.records).toHaveLength(records);
  expect(new Set(faulty.records.map(({ _id }) => _id)).size).toBe(distinct);
  expect(faulty.total_records - regular.total_records).toBe(total);
});

test("unauthorized revokes the token, and a new token is accepted", async () => {
  await using given = await withFaults({ kind: "unauthorized", where: { page: 2 } });
  expect((await given.client.grid({ page: 2 })).status).toBe(401);
  expect((await given.client.grid({ page: 1 })).status).toBe(401);
  const renewed = await signIn(given.server);
  expect((await renewed.grid({ page: 2 })).status).toBe(200);
});

test("faults are used up in order, `times` times each, by the requests that they select", async () => {
  await using given = await withFaults(
    { kind: "status", status: 500, where: { endpoint: "token" } },
    { kind: "status", status: 501, where: { endpoint: "data-grid", page: 2 }, times: 2 },
    { kind: "status", status: 502, where: { from: "2023-12-03", page: 1 } },
    { kind: "status", status: 503, where: { endpoint: "fields" } },
    { kind: "status", status: 504, where: { endpoint: "data-grid", page: 2 } },
  );
  const { client, server } = given;
  expect((await client.grid({ page: 1 })).status).toBe(200);
  for (const status of [501, 501, 504, 200]) expect((await client.grid({ page: 2 })).status).toBe(status);
  expect((await client.grid({ from: "2023-12-03" })).status).toBe(502);
  expect((await client.get(fieldsPath)).status).toBe(503);
  expect((await requestToken(server)).status).toBe(500);
  expect((await requestToken(server)).status).toBe(200);
});

const march = { from: "2024-03-04", to: "2024-03-10" };
const ofKinds = [
  { kind: "gate-count", path: "/gate-count/28364/overview", parameters: { ...march, aggregate: "hourly" } },
  { kind: "gate-count", path: "/gate-count/28364/overview", parameters: { ...march, aggregate: "daily" } },
  { kind: "e-resources", path: "/e-resources/28364/overview", parameters: march },
] as const;

/** Returns the path and number of each value in the text of a response, those of repeated names too. */
function valuesIn(text: string): { path: string; value: number }[] {
  const [, map = ""] = /"(?:hourly|daily|overview_by_platforms)":(\{.*\})\}\}$/.exec(text) ?? [];
  const path: string[] = [];
  const values: { path: string; value: number }[] = [];
  for (const [token, name, value] of map.matchAll(/"([^"]*)":|"?(\d+|null)"?|[{}]/g)) {
    if (name !== undefined) path.push(name);
    else if (value !== undefined)
      values.push({ path: path.join(" "), value: value === "null" ? 0 : Number(value) });
    // A value and the end of a map below a name end this name.
    if (value !== undefined || token === "}") path.pop();
  }
  return values;
}

test("a fault of the daily counts leaves the hourly ones and other endpoints alone", async () => {
  const fault: FaultSetting = { kind: "status", status: 500, where: { aggregate: "daily" } };
  await using server = await startLibInsight({ kind: "gate-count", faults: [fault] });
  const client = await signIn(server);
  const get = (query: string) => client.get(`/gate-count/28364/${query}`);
  const range = "from=2024-03-04&to=2024-03-10";
  expect((await get("libraries")).status).toBe(200);
  expect((await get(`overview?${range}&aggregate=hourly`)).status).toBe(200);
  expect((await get(`overview?${range}&aggregate=daily`)).status).toBe(500);
});

test("another total of a week without counts is a count of 1", async () => {
  await using server = await startLibInsight({ kind: "gate-count" });
  const client = await signIn(server);
  server.fail({ kind: "other-total" });
  const response = await client.get(
    "/gate-count/28364/overview?from=2030-01-01&to=2030-01-07&aggregate=daily",
  );
  expect(valuesIn(await response.text())).toEqual([{ path: "2030-01-01 3", value: 1 }]);
});

describe.each(ofKinds)("a response of $path ($parameters.aggregate)", ({ kind, path, parameters }) => {
  test.each([
    { fault: "too-few", values: -1, distinct: -1 },
    { fault: "too-many", values: 1, distinct: 0 },
    { fault: "repeated", values: 0, distinct: -1 },
    { fault: "other-total", values: 0, distinct: 0 },
  ] as const)("$fault changes one response", async ({ fault, values, distinct }) => {
    const { to, ...where } = parameters;
    await using server = await startLibInsight({ kind });
    const client = await signIn(server);
    server.fail({ kind: fault, where: { ...where, endpoint: "overview", page: 1 } });
    const request = async () =>
      valuesIn(await (await client.get(`${path}?${new URLSearchParams(parameters)}`)).text());
    const [faulty, regular] = [await request(), await request()];
    const paths = (found: typeof regular) => new Set(found.map(({ path }) => path)).size;
    const sum = (found: typeof regular) => found.reduce((total, { value }) => total + value, 0);
    expect(regular.length).toBeGreaterThan(20);
    expect(faulty.length - regular.length).toBe(values);
    expect(paths(faulty) - paths(regular)).toBe(distinct);
    if (fault === "other-total") expect(sum(faulty) - sum(regular)).toBe(1);
  });
});
