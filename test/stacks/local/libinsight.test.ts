import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type LoggedRequest, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { askToken, basic, bearer, bearerIn, send, signIn, window, windows } from "./libinsight-client.ts";

describe("token", () => {
  test("is given for HTTP Basic, with its lifetime in seconds", async () => {
    await using server = await startLibInsight({ records: 1, tokenSeconds: 1234 });
    const answer = await askToken(server);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ token_type: "Bearer", expires_in: 1234 });
  });

  test("is given for a form body, and opens the dataset", async () => {
    await using server = await startLibInsight({ records: 1 });
    const answer = await send(`${server.baseUrl}/oauth/token`, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_id: server.clientId,
        client_secret: server.clientSecret,
      }),
    });
    const authorization = await bearerIn(answer);
    const fields = await send(`${server.baseUrl}/custom-dataset/28364/fields`, {
      headers: { authorization },
    });
    expect(fields.status).toBe(200);
  });

  test.each([
    ["a wrong secret", basic("simulated-client", "wrong")],
    ["a wrong id", basic("wrong", "simulated-secret")],
    ["Basic without a colon", `Basic ${Buffer.from("simulated-client").toString("base64")}`],
    ["another scheme", "Digest x"],
  ])("is refused for %s", async (_, authorization) => {
    await using server = await startLibInsight({ records: 1 });
    const answer = await askToken(server, authorization);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ error: "invalid_client" });
  });

  test("is refused for another grant", async () => {
    await using server = await startLibInsight({ records: 1 });
    const answer = await send(`${server.baseUrl}/oauth/token`, {
      method: "POST",
      headers: { authorization: basic(server.clientId, server.clientSecret) },
      body: new URLSearchParams({ grant_type: "password" }),
    });
    expect(answer.status).toBe(400);
  });

  test("is given for the credentials that were set, and for no others", async () => {
    const credentials = { clientId: "42", clientSecret: "with:colon" };
    await using server = await startLibInsight({ records: 1, credentials });
    expect((await askToken(server)).status).toBe(200);
    expect((await askToken(server, basic("simulated-client", "simulated-secret"))).status).toBe(401);
  });

  test("opens nothing when it is missing, unknown or expired", async () => {
    let now = 0;
    await using server = await startLibInsight({ records: 1, tokenSeconds: 60, now: () => now });
    const fields = async (headers: Record<string, string>) => {
      return (await send(`${server.baseUrl}/custom-dataset/28364/fields`, { headers })).status;
    };
    const authorization = await bearer(server);
    expect(await fields({})).toBe(401);
    expect(await fields({ authorization: "Bearer unknown" })).toBe(401);
    now = 59_999;
    expect(await fields({ authorization })).toBe(200);
    now = 60_000;
    expect(await fields({ authorization })).toBe(401);
    expect(await fields({ authorization: await bearer(server) })).toBe(200);
  });
});

describe("data-grid", () => {
  test("holds every record once in three one-year windows", async () => {
    await using server = await startLibInsight();
    const client = await signIn(server);
    const totals = [];
    const ids = new Set<unknown>();
    for (const range of windows) {
      const { total_records } = await client.page(range);
      const records = await client.all(range);
      expect(records).toHaveLength(total_records);
      totals.push(total_records);
      for (const { _id } of records) ids.add(_id);
    }
    expect(totals.reduce((sum, total) => sum + total)).toBe(10_300);
    expect(ids.size).toBe(10_300);
  });

  test("pages are full but for the last, and tell the same totals", async () => {
    await using server = await startLibInsight({ records: 1_000, pageSize: 40 });
    const client = await signIn(server);
    const first = await client.page();
    const last = await client.page({ page: first.total_pages });
    expect(first.records).toHaveLength(40);
    expect(first.displayed_page).toBe(1);
    expect(last).toMatchObject({
      displayed_page: first.total_pages,
      total_pages: first.total_pages,
      total_records: first.total_records,
    });
    expect(last.records).toHaveLength(first.total_records - 40 * (first.total_pages - 1));
  });

  test("is oldest first with sort=asc, newest first by default", async () => {
    await using server = await startLibInsight({ records: 900 });
    const client = await signIn(server);
    const ascending = await client.all();
    const times = ascending.flatMap(({ _start_date: at }) => (typeof at === "string" && at ? [at] : []));
    expect(times.length).toBeGreaterThan(250);
    expect(times).toEqual(times.toSorted());
    expect(await client.all({ sort: "desc" })).toEqual(ascending.toReversed());
    const byDefault = await client.get(
      `/custom-dataset/28364/data-grid?${new URLSearchParams({ ...window, request_id: "16" })}`,
    );
    expect(await byDefault.json()).toEqual(await (await client.ask({ sort: "desc" })).json());
  });

  test("includes both ends of the range", async () => {
    await using server = await startLibInsight({ records: 0 });
    for (const [n, at] of [
      "2024-02-28 23:59:59",
      "2024-02-29 00:00:00",
      "2024-03-01 23:59:59",
      "2024-03-02 00:00:00",
    ].entries()) {
      server.add({ _id: n, _start_date: at });
    }
    const client = await signIn(server);
    const { records } = await client.page({ from: "2024-02-29", to: "2024-03-01" });
    expect(records.map(({ _id }) => _id)).toEqual([1, 2]);
  });

  test("an empty range is an empty first page", async () => {
    await using server = await startLibInsight();
    const client = await signIn(server);
    expect(await client.page({ from: "2019-01-01", to: "2019-12-31" })).toEqual({
      records: [],
      total_pages: 0,
      total_records: 0,
      displayed_page: 1,
    });
  });

  test.each([
    ["more than one year", { from: "2023-01-01", to: "2024-01-01" }],
    ["from after to", { from: "2024-01-02", to: "2024-01-01" }],
    ["a day that is not in the calendar", { from: "2023-02-29" }],
    ["a date with a time", { to: "2024-12-01 00:00:00" }],
    ["a page beyond the last", { page: 999 }],
    ["page 0", { page: 0 }],
    ["an unknown sort", { sort: "up" }],
    ["an unknown parameter", { size: 1000 }],
    ["another request_id", { request_id: 17 }],
  ])("answers %s with an error at status 200", async (_, parameters) => {
    await using server = await startLibInsight({ records: 200 });
    const client = await signIn(server);
    const answer = await client.ask(parameters);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ type: "error" });
  });

  test("a whole leap year is one query", async () => {
    await using server = await startLibInsight({ records: 200 });
    const client = await signIn(server);
    await client.page({ from: "2024-01-01", to: "2024-12-31" });
  });

  test("a newer site wants no request_id", async () => {
    await using server = await startLibInsight({ records: 200, requestId: null });
    const client = await signIn(server);
    const query = new URLSearchParams(window);
    const answer = await client.get(`/custom-dataset/28364/data-grid?${query}`);
    expect(await answer.json()).toMatchObject({ type: "success" });
  });

  test("another dataset is not found", async () => {
    await using server = await startLibInsight({ records: 1 });
    const client = await signIn(server);
    const answer = await client.get("/custom-dataset/1/data-grid?from=2024-01-01&to=2024-01-02");
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ type: "error" });
  });
});

const fieldsAnswer = z.object({ payload: z.object({ fields: z.array(z.unknown()) }) });

test("fields names what the form asks, an added field included", async () => {
  const addedField = { name: "Wait Time", options: ["none", "long"] as [string, ...string[]] };
  await using server = await startLibInsight({ records: 1, addedField });
  const client = await signIn(server);
  const answer = await client.get("/custom-dataset/28364/fields");
  const { fields } = fieldsAnswer.parse(await answer.json()).payload;
  expect(fields).toHaveLength(17);
  expect(fields).toContainEqual({
    id: 17,
    name: "Wait Time",
    type: "select",
    options: ["none", "long"],
  });
});

test.each([
  ["GET", "/oauth/token", 405],
  ["POST", "/custom-dataset/28364/fields", 405],
  ["GET", "/nowhere", 404],
])("%s %s is answered with %i", async (method, path, status) => {
  await using server = await startLibInsight({ records: 1 });
  expect((await send(`${server.baseUrl}${path}`, { method })).status).toBe(status);
});

test("records can be added, edited and removed between two pages", async () => {
  const changes: (() => void)[] = [];
  const beforeAnswer = ({ path }: LoggedRequest) => {
    if (path.endsWith("data-grid")) changes.shift()?.();
  };
  await using server = await startLibInsight({ records: 900, onRequest: beforeAnswer });
  const client = await signIn(server);
  const before = await client.page();
  const [first, second] = before.records;
  const nothing = () => {};
  changes.push(nothing, () => {
    server.add({ _id: 1, _start_date: "2024-12-01 23:59:59", who: ["late"] });
    server.edit(Number(first?._id), (record) => ({ ...record, who: ["edited"] }));
    server.remove(Number(second?._id));
  });
  const untouched = await client.page();
  expect(untouched).toEqual(before);
  const after = await client.all();
  expect(after).toHaveLength(before.total_records);
  expect(after[0]).toEqual({ ...first, who: ["edited"] });
  expect(after.some(({ _id }) => _id === second?._id)).toBe(false);
  expect(after.at(-1)).toEqual({ _id: 1, _start_date: "2024-12-01 23:59:59", who: ["late"] });
  expect([...server.records()]).toHaveLength(900);
});

test("a record moves with its start date, and one without is selected by the time it was added with", async () => {
  await using server = await startLibInsight({ records: 0 });
  server.add({ _id: 1, _start_date: "2024-01-01 10:00:00" });
  server.add({ _id: 2 }, "2024-01-01 11:00:00");
  server.edit(1, (record) => ({ ...record, _start_date: "2024-01-02 10:00:00" }));
  const client = await signIn(server);
  const ids = async (day: string) =>
    (await client.page({ from: day, to: day })).records.map(({ _id }) => _id);
  expect(await ids("2024-01-01")).toEqual([2]);
  expect(await ids("2024-01-02")).toEqual([1]);
  expect(() => server.add({ _id: 3 })).toThrow("needs a time");
  expect(() => server.remove(4)).toThrow("no such record");
});

test("the log of requests holds what was asked and answered, and no secret", async () => {
  await using server = await startLibInsight({ records: 200 });
  const client = await signIn(server);
  await client.page();
  await send(`${server.baseUrl}/oauth/token?client_secret=${server.clientSecret}`, { method: "POST" });
  expect(server.requests).toEqual([
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

test("settings that can't be used are told by name", async () => {
  await expect(startLibInsight({ records: -1, pageSize: 0 })).rejects.toThrow(/records.*pageSize/s);
});

test("a port that is taken is told", async () => {
  await using server = await startLibInsight({ records: 1 });
  const port = Number(new URL(server.baseUrl).port);
  await expect(startLibInsight({ records: 1, port })).rejects.toMatchObject({
    name: "PortNotFree",
    ids: { port },
  });
});

test("close() ends a waiting request, frees the port and may be called again", async () => {
  const server = await startLibInsight({
    records: 1,
    latencyMs: 60_000,
    onRequest: () => closing.push(server.close()),
  });
  const closing: Promise<void>[] = [];
  await expect(askToken(server)).rejects.toThrow("fetch failed");
  await Promise.all(closing);
  await server.close();
  await expect(askToken(server)).rejects.toThrow("fetch failed");
});
