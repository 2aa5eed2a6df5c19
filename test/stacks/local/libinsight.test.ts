// Tests the API of the simulated LibInsight over HTTP.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  type LibInsight,
  type LibInsightSettings,
  type LoggedRequest,
  startLibInsight,
} from "../../../stacks/local/libinsight.ts";
import {
  basic,
  bearerIn,
  type Client,
  fieldsPath,
  type Parameters,
  requestToken,
  send,
  signIn,
  window,
  windows,
} from "./libinsight-client.ts";

/** Starts a server for one test, with a client that has a token. */
async function start(settings: LibInsightSettings) {
  const server = await startLibInsight(settings);
  return { server, client: await signIn(server), [Symbol.asyncDispose]: server.close };
}

let server: LibInsight;
let client: Client;
beforeAll(async () => {
  server = await startLibInsight({ records: 900, tokenSeconds: 1234 });
  client = await signIn(server);
});
afterAll(() => server.close());

describe("a token", () => {
  const withForm = (form: Record<string, string>, headers: Record<string, string> = {}) =>
    send(`${server.baseUrl}/oauth/token`, { method: "POST", headers, body: new URLSearchParams(form) });

  test("is issued for HTTP Basic, with its lifetime in seconds", async () => {
    const response = await requestToken(server);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ token_type: "Bearer", expires_in: 1234 });
  });

  test("is issued for a form body, and gives access to the dataset", async () => {
    const { clientId: client_id, clientSecret: client_secret } = server;
    const response = await withForm({ grant_type: "client_credentials", client_id, client_secret });
    const authorization = await bearerIn(response);
    const fields = await send(`${server.baseUrl}${fieldsPath}`, { headers: { authorization } });
    expect(fields.status).toBe(200);
  });

  test.each([
    ["a wrong secret", basic("simulated-client", "wrong")],
    ["a wrong id", basic("wrong", "simulated-secret")],
    ["Basic without a colon", `Basic ${Buffer.from("simulated-client").toString("base64")}`],
    ["another scheme", "Digest x"],
  ])("is refused for %s", async (_, authorization) => {
    const response = await requestToken(server, authorization);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: "invalid_client" });
  });

  test("is refused for another grant type", async () => {
    const authorization = basic(server.clientId, server.clientSecret);
    expect((await withForm({ grant_type: "password" }, { authorization })).status).toBe(400);
  });

  test("is issued for the configured credentials only", async () => {
    const credentials = { clientId: "42", clientSecret: "with:colon" };
    await using own = await startLibInsight({ records: 1, credentials });
    expect((await requestToken(own)).status).toBe(200);
    expect((await requestToken(own, basic("simulated-client", "simulated-secret"))).status).toBe(401);
  });

  test.each([
    [true, 401],
    [false, 200],
  ])("that is not the newest, with newestTokenOnly %s, gets status %i", async (newestTokenOnly, status) => {
    await using own = await start({ records: 1, newestTokenOnly });
    const later = await signIn(own.server);
    expect((await own.client.grid()).status).toBe(status);
    expect((await later.grid()).status).toBe(200);
  });

  test("that is missing, unknown or expired is refused", async () => {
    let now = 0;
    await using own = await start({ records: 1, tokenSeconds: 60, now: () => now });
    for (const headers of [{}, { authorization: "Bearer unknown" }]) {
      expect((await send(`${own.server.baseUrl}${fieldsPath}`, { headers })).status).toBe(401);
    }
    now = 59_999;
    expect((await own.client.get(fieldsPath)).status).toBe(200);
    now = 60_000;
    expect((await own.client.get(fieldsPath)).status).toBe(401);
    expect((await (await signIn(own.server)).get(fieldsPath)).status).toBe(200);
  });
});

describe("data-grid", () => {
  test("returns every record once in three one-year windows", async () => {
    let total = 0;
    const ids: unknown[] = [];
    for (const range of windows) {
      const { total_records } = await client.page(range);
      const records = await client.all(range);
      expect(records).toHaveLength(total_records);
      total += total_records;
      ids.push(...records.map(({ _id }) => _id));
    }
    expect([total, ids.length, new Set(ids).size]).toEqual([900, 900, 900]);
  });

  test("returns full pages except the last, all with the same totals", async () => {
    await using own = await start({ records: 1_000, pageSize: 40 });
    const first = await own.client.page();
    const { total_pages, total_records } = first;
    const last = await own.client.page({ page: total_pages });
    expect(first.records).toHaveLength(40);
    expect(first.displayed_page).toBe(1);
    expect(last).toMatchObject({ displayed_page: total_pages, total_pages, total_records });
    expect(last.records).toHaveLength(total_records - 40 * (total_pages - 1));
  });

  test("returns the oldest record first with sort=asc, and the newest first by default", async () => {
    const ascending = await client.all();
    const times = ascending.flatMap(({ _start_date: at }) => (typeof at === "string" && at ? [at] : []));
    expect(times.length).toBeGreaterThan(250);
    expect(times).toEqual(times.toSorted());
    expect(await client.all({ sort: "desc" })).toEqual(ascending.toReversed());
    const byDefault = await client.get(
      `/custom-dataset/28364/data-grid?${new URLSearchParams({ ...window, request_id: "16" })}`,
    );
    expect(await byDefault.json()).toEqual(await (await client.grid({ sort: "desc" })).json());
  });

  test("includes both ends of the range", async () => {
    await using own = await start({ records: 0 });
    const times = [
      "2024-02-28 23:59:59",
      "2024-02-29 00:00:00",
      "2024-03-01 23:59:59",
      "2024-03-02 00:00:00",
    ];
    for (const [n, at] of times.entries()) own.server.add({ _id: n, _start_date: at });
    const { records } = await own.client.page({ from: "2024-02-29", to: "2024-03-01" });
    expect(records.map(({ _id }) => _id)).toEqual([1, 2]);
  });

  test("returns an empty first page for an empty range, and accepts a whole leap year", async () => {
    expect(await client.page({ from: "2019-01-01", to: "2019-12-31" })).toEqual({
      records: [],
      total_pages: 0,
      total_records: 0,
      displayed_page: 1,
    });
    await client.page({ from: "2024-01-01", to: "2024-12-31" });
  });

  test.each<[string, Parameters]>([
    ["more than one year", { from: "2023-01-01", to: "2024-01-01" }],
    ["from after to", { from: "2024-01-02", to: "2024-01-01" }],
    ["a day that is not in the calendar", { from: "2023-02-29" }],
    ["a date with a time", { to: "2024-12-01 00:00:00" }],
    ["a page beyond the last", { page: 999 }],
    ["page 0", { page: 0 }],
    ["an unknown sort", { sort: "up" }],
    ["an unknown parameter", { size: 1000 }],
    ["another request_id", { request_id: 17 }],
  ])("returns an error at status 200 for %s", async (_, parameters) => {
    const response = await client.grid(parameters);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ type: "error" });
  });

  test("needs no request_id on a newer site", async () => {
    await using own = await start({ records: 200, requestId: null });
    const response = await own.client.get(`/custom-dataset/28364/data-grid?${new URLSearchParams(window)}`);
    expect(await response.json()).toMatchObject({ type: "success" });
  });

  test("returns 404 for another dataset", async () => {
    const response = await client.get("/custom-dataset/1/data-grid?from=2024-01-01&to=2024-01-02");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ type: "error" });
  });
});

test.each([
  ["records", "/custom-dataset/28364/data-grid?from=2024-01-01&to=2024-12-01&request_id=16&page=2"],
  ["gate-count", "/gate-count/28364/overview?from=2024-01-01&to=2024-03-31&aggregate=hourly"],
  ["e-resources", "/e-resources/28364/overview?from=2024-02-01&to=2024-02-29"],
] as const)("%s: the same seed gives the same bytes, and another seed different ones", async (kind, path) => {
  const bytes = async (seed: number) => {
    await using own = await start({ kind, records: 1_000, seed });
    return (await own.client.get(path)).text();
  };
  const expected = await bytes(7);
  expect(expected).toContain('"type":"success"');
  expect(await bytes(7)).toBe(expected);
  expect(await bytes(8)).not.toBe(expected);
});

test("fields lists the fields of a custom or shared dataset, including an added field", async () => {
  await using own = await start({ records: 1, addedField: { name: "Wait Time", options: ["none", "long"] } });
  const response: unknown = await (await own.client.get(fieldsPath)).json();
  expect(await (await own.client.get("/shared-dataset/28364/fields")).json()).toEqual(response);
  const { fields } = z
    .object({ payload: z.object({ fields: z.array(z.unknown()) }) })
    .parse(response).payload;
  expect(fields).toHaveLength(17);
  expect(fields).toContainEqual({ id: 17, name: "Wait Time", type: "select", options: ["none", "long"] });
});

test.each([
  ["GET", "/oauth/token", 405],
  ["POST", fieldsPath, 405],
  ["GET", "/nowhere", 404],
])("the response to %s %s has status %i", async (method, path, status) => {
  expect((await send(`${server.baseUrl}${path}`, { method })).status).toBe(status);
});

test("records can be added, edited and removed between two pages", async () => {
  const changes: (() => void)[] = [];
  await using own = await start({
    records: 900,
    onRequest: ({ path }: LoggedRequest) => {
      if (path.endsWith("data-grid")) changes.shift()?.();
    },
  });
  const before = await own.client.page();
  const [first, second] = before.records;
  changes.push(
    () => {},
    () => {
      own.server.add({ _id: 1, _start_date: "2024-12-01 23:59:59", who: ["late"] });
      own.server.edit(Number(first?._id), (record) => ({ ...record, who: ["edited"] }));
      own.server.remove(Number(second?._id));
    },
  );
  expect(await own.client.page()).toEqual(before);
  const after = await own.client.all();
  expect(after).toHaveLength(before.total_records);
  expect(after[0]).toEqual({ ...first, who: ["edited"] });
  expect(after.some(({ _id }) => _id === second?._id)).toBe(false);
  expect(after.at(-1)).toEqual({ _id: 1, _start_date: "2024-12-01 23:59:59", who: ["late"] });
  expect([...own.server.records()]).toHaveLength(900);
});

test("an edited record moves with its start date, and one without is selected by the time that it was added with", async () => {
  await using own = await start({ records: 0 });
  own.server.add({ _id: 1, _start_date: "2024-01-01 10:00:00" });
  own.server.add({ _id: 2 }, "2024-01-01 11:00:00");
  own.server.edit(1, (record) => ({ ...record, _start_date: "2024-01-02 10:00:00" }));
  const ids = async (day: string) => (await own.client.all({ from: day, to: day })).map(({ _id }) => _id);
  expect([await ids("2024-01-01"), await ids("2024-01-02")]).toEqual([[2], [1]]);
  expect(() => own.server.add({ _id: 3 })).toThrow("needs a time");
  expect(() => own.server.remove(4)).toThrow("no such record");
});

test("the log has each request with its status, without secrets", async () => {
  await using own = await start({ records: 200 });
  await own.client.page();
  const { baseUrl, clientSecret } = own.server;
  await send(`${baseUrl}/oauth/token?client_secret=${clientSecret}`, { method: "POST" });
  expect(own.server.requests).toEqual([
    { method: "POST", path: "/v1.0/oauth/token", query: {}, status: 200 },
    {
      method: "GET",
      path: "/v1.0/custom-dataset/28364/data-grid",
      query: { ...window, sort: "asc", entered_by: "all", request_id: "16" },
      status: 200,
    },
    { method: "POST", path: "/v1.0/oauth/token", query: { client_secret: "..." }, status: 401 },
  ]);
});

test("errors name invalid settings and a port in use", async () => {
  await expect(startLibInsight({ records: -1, pageSize: 0 })).rejects.toThrow(/records.*pageSize/s);
  for (const lastDay of ["2021-12-01", "2051-12-02"])
    await expect(startLibInsight({ lastDay })).rejects.toThrow("lastDay: use a day less than 30 years after");
  await expect(startLibInsight({ timeZone: "New York" })).rejects.toThrow("use a time zone such as");
  const port = Number(new URL(server.baseUrl).port);
  await expect(startLibInsight({ port })).rejects.toMatchObject({
    name: "PortNotFree",
    message: `The simulated LibInsight cannot listen on port ${port} of 127.0.0.1: the port is in use.`,
  });
});

test("close ends a waiting request, frees the port, and may be called repeatedly", async () => {
  const closing: Promise<void>[] = [];
  const own = await startLibInsight({
    records: 1,
    latencyMs: 60_000,
    onRequest: () => closing.push(own.close()),
  });
  await expect(requestToken(own)).rejects.toThrow("fetch failed");
  await Promise.all(closing);
  await own.close();
  await expect(requestToken(own)).rejects.toThrow("fetch failed");
});
