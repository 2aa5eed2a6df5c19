// Each fault as a real HTTP client sees it.
import { expect, test } from "vitest";
import { z } from "zod";
import { type FaultSetting, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { askToken, signIn } from "./libinsight-client.ts";

const records = 400;

async function withFault(...faults: FaultSetting[]) {
  const server = await startLibInsight({ records });
  const client = await signIn(server);
  server.fail(...faults);
  return { server, client, [Symbol.asyncDispose]: () => server.close() };
}

test("status: this one, once", async () => {
  await using given = await withFault({ kind: "status", status: 503 });
  expect((await given.client.ask()).status).toBe(503);
  expect((await given.client.ask()).status).toBe(200);
});

test.each([
  [2, "2"],
  ["Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"],
  [undefined, null],
])("rate-limited: 429 with Retry-After %s", async (retryAfter, header) => {
  await using given = await withFault({ kind: "rate-limited", retryAfter });
  const answer = await given.client.ask();
  expect(answer.status).toBe(429);
  expect(answer.headers.get("retry-after")).toBe(header);
});

test("html: a page for people at status 200", async () => {
  await using given = await withFault({ kind: "html" });
  const answer = await given.client.ask();
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toContain("text/html");
  expect(await answer.text()).toContain("<html>");
});

test("broken-json: a whole answer that does not parse", async () => {
  await using given = await withFault({ kind: "broken-json" });
  const answer = await given.client.ask();
  expect(answer.status).toBe(200);
  const text = await answer.text();
  expect(text).toContain('"type":"success"');
  expect(() => JSON.parse(text)).toThrow(SyntaxError);
});

test.each([
  [undefined, { message: "Simulated error." }],
  ["text", "text"],
  [[], []],
  [null, null],
])("error-at-200: with the payload %j", async (payload, expected) => {
  await using given = await withFault({ kind: "error-at-200", payload });
  const answer = await given.client.ask();
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ type: "error", payload: expected });
});

const gridPage = z.object({
  payload: z.object({ records: z.array(z.object({ _id: z.number() })), total_records: z.number() }),
});

test("hang: no answer until the server is closed", async () => {
  await using given = await withFault({ kind: "hang" });
  const answer = given.client.ask().then(
    () => "answered",
    (error: unknown) => String(error),
  );
  // A request after the hanging one is answered: it hangs alone.
  expect((await given.client.ask({ page: 2 })).status).toBe(200);
  await given.server.close();
  // The server ended it, not the client's own timeout.
  expect(await answer).toBe("TypeError: fetch failed");
  const [, hanging] = given.server.requests;
  expect(hanging).not.toHaveProperty("status");
});

test("reset: the connection ends without an answer", async () => {
  await using given = await withFault({ kind: "reset" });
  await expect(given.client.ask()).rejects.toThrow("fetch failed");
  expect((await given.client.ask()).status).toBe(200);
});

test("cut-body: the connection ends within the body", async () => {
  await using given = await withFault({ kind: "cut-body" });
  const answer = await given.client.ask();
  expect(answer.status).toBe(200);
  await expect(answer.text()).rejects.toThrow("terminated");
});

test.each([
  { kind: "too-few", records: 99, distinct: 99, total: 0 },
  { kind: "too-many", records: 101, distinct: 100, total: 0 },
  { kind: "repeated", records: 100, distinct: 99, total: 0 },
  { kind: "other-total", records: 100, distinct: 100, total: 1 },
] as const)("$kind: a page that looks whole and is not", async ({ kind, records, distinct, total }) => {
  await using given = await withFault({ kind });
  const page = async () => gridPage.parse(await (await given.client.ask()).json()).payload;
  const spoiled = await page();
  const honest = await page();
  expect(spoiled.records).toHaveLength(records);
  expect(new Set(spoiled.records.map(({ _id }) => _id)).size).toBe(distinct);
  expect(spoiled.total_records - honest.total_records).toBe(total);
});

test("unauthorized: the token is refused from then on, a new one is not", async () => {
  await using given = await withFault({ kind: "unauthorized", where: { page: 2 } });
  expect((await given.client.ask({ page: 2 })).status).toBe(401);
  expect((await given.client.ask({ page: 1 })).status).toBe(401);
  const renewed = await signIn(given.server);
  expect((await renewed.ask({ page: 2 })).status).toBe(200);
});

test("a fault waits for the request it is meant for", async () => {
  await using given = await withFault(
    { kind: "status", status: 500, where: { endpoint: "token" } },
    { kind: "status", status: 501, where: { endpoint: "data-grid", page: 2 } },
    { kind: "status", status: 502, where: { from: "2023-12-03", page: 1 } },
    { kind: "status", status: 503, where: { endpoint: "fields" } },
  );
  const { client, server } = given;
  expect((await client.ask({ page: 1 })).status).toBe(200);
  expect((await client.ask({ page: 2 })).status).toBe(501);
  expect((await client.ask({ from: "2023-12-03" })).status).toBe(502);
  expect((await client.get("/custom-dataset/28364/fields")).status).toBe(503);
  expect((await askToken(server)).status).toBe(500);
  expect((await askToken(server)).status).toBe(200);
});

test("faults are used up in their order, each as often as it says", async () => {
  await using server = await startLibInsight({
    records,
    faults: [
      { kind: "status", status: 500, where: { endpoint: "data-grid" }, times: 2 },
      { kind: "status", status: 502, where: { endpoint: "data-grid" } },
    ],
  });
  const client = await signIn(server);
  const statuses = [];
  for (let n = 0; n < 4; n++) statuses.push((await client.ask()).status);
  expect(statuses).toEqual([500, 500, 502, 200]);
});
