// Posts to a webhook over HTTP on this machine: the formats of Slack and Teams, retries, and errors without the webhook's URL.
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { PipelineError } from "../../shared/errors.ts";
import { loggable } from "../../shared/logger.ts";
import type { Notification } from "../../shared/ports.ts";
import { isTeams, payloadOf, webhookNotifier } from "../../shared/webhook.ts";
import { startTcpServer } from "../support/forward-proxy.ts";
import { startHttpServer } from "../support/http-server.ts";
import { stoppedClock } from "../support/stopped-clock.ts";

const message: Notification = {
  subject: "LibInsight ada: run failed",
  body: "Columns <a> & b\nsecond line\n",
};
const secretPath = "/services/PlantedPath/PlantedToken?sig=PlantedSignature%2F";
const planted = ["PlantedPath", "PlantedToken", "PlantedSignature"];

type Reply = { status: number; headers?: Record<string, string> };

/** Starts a server that gives these responses, the last one again and again. */
async function startWebhook(...replies: Reply[]) {
  const server = await startHttpServer((_, response) => {
    const { status, headers = {} } = replies[Math.min(server.requests.length, replies.length) - 1] ?? {
      status: 200,
    };
    response.writeHead(status, headers).end("PlantedPath");
  });
  const clock = stoppedClock();
  const post = webhookNotifier(() => new URL(server.url + secretPath), { clock });
  return { server, clock, post: () => failureOf(post(message)) };
}

/** Returns the error of a call. @throws Error if the error or its log fields contain a part of the URL */
async function failureOf(call: Promise<void>): Promise<PipelineError | undefined> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) return undefined;
  if (!(error instanceof PipelineError)) throw new Error("Not an error of the pipeline.");
  const shown = inspect([error, loggable(error), error.stack], { depth: null, showHidden: true });
  for (const part of planted) expect(shown).not.toContain(part);
  return error;
}

test("a message is one POST of JSON to the whole URL", async () => {
  const { server, post, clock } = await startWebhook({ status: 200 });
  expect(await post()).toBeUndefined();
  expect(server.requests).toMatchObject([
    { method: "POST", path: secretPath, headers: { "content-type": "application/json" } },
  ]);
  expect(JSON.parse(server.requests[0]?.body ?? "")).toEqual({
    text: "LibInsight ada: run failed\n\nColumns &lt;a&gt; &amp; b\nsecond line",
  });
  expect(clock.slept).toEqual([]);
});

test("nothing is posted without a URL", async () => {
  expect(await failureOf(webhookNotifier(() => undefined)(message))).toBeUndefined();
});

test.each([
  ["https://hooks.slack.com/services/T/B/x", false],
  ["https://prod-15.uksouth.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sig=x", true],
  ["https://0a1b.09.environment.api.powerplatform.com:443/powerautomate/automations/direct/x", true],
  ["https://api.powerautomate.com/webhook/x", true],
  ["https://logic.azure.com.example.edu/x", false],
  ["https://chat.example.edu/hooks/x", false],
])("whether %s gets the format of Teams: %s", (url, expected) => {
  expect(isTeams(new URL(url))).toBe(expected);
});

test("Teams gets an adaptive card, with an empty line for each line break", () => {
  expect(payloadOf(message, true)).toEqual({
    type: "message",
    attachments: [
      {
        contentType: "application/vnd.microsoft.card.adaptive",
        contentUrl: null,
        content: {
          $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
          type: "AdaptiveCard",
          version: "1.2",
          body: [
            { type: "TextBlock", wrap: true, weight: "Bolder", text: message.subject },
            { type: "TextBlock", wrap: true, text: "Columns <a> & b\n\nsecond line" },
          ],
        },
      },
    ],
  });
});

test("any text is well-formed JSON within the limits of Slack and Teams, and a text that is cut says so", () => {
  const slack = z.object({ text: z.string().max(40_000) });
  const part = fc.string({ unit: "binary", maxLength: 50 });
  const mixed = fc
    .oneof(part, fc.constantFrom("&", "<", ">", "\n", "\u0000", "\ud800", "😀", "é"))
    .chain((unit) => fc.nat({ max: 9_000 }).map((times) => unit.repeat(times).slice(0, 9_000)));
  fc.assert(
    fc.property(mixed, mixed, (subject, body) => {
      const { text } = slack.parse(payloadOf({ subject, body }, false));
      expect(text.replace(/&(amp|lt|gt);/g, "")).not.toMatch(/[&<>]/);
      const card = JSON.stringify(payloadOf({ subject, body }, true));
      expect(Buffer.byteLength(card)).toBeLessThanOrEqual(28 * 1024);
      for (const json of [JSON.stringify({ text }), card]) {
        expect(json.isWellFormed() && !/\\ud[89a-f]/i.test(json)).toBe(true);
        if (body.trimEnd().length > 4_000) expect(json).toContain("the email has the rest");
      }
    }),
    { numRuns: 300 },
  );
});

test("the URL is in no error, whatever the status, and only a passing failure is retried, twice", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 200, max: 599 }), async (status) => {
      // A redirect names another path of the same server, which must get no request.
      const { server, clock, post } = await startWebhook({ status, headers: { location: "/elsewhere" } });
      const error = await post();
      const isPassing = status >= 500 || [408, 425, 429].includes(status);
      expect([status, server.requests.length]).toEqual([status, isPassing ? 3 : 1]);
      expect(server.requests.filter(({ path }) => path !== secretPath)).toEqual([]);
      expect(error === undefined).toBe(status < 300);
      if (error) expect([error.kind === "terminal", error.advice === ""]).toEqual([!isPassing, false]);
      expect(clock.slept.every((ms, n) => ms >= 125 * 2 ** n && ms <= 250 * 2 ** n)).toBe(true);
    }),
    { numRuns: 60, examples: [[204], [301], [307], [400], [403], [404], [407], [408], [410], [429], [500]] },
  );
}, 30_000);

test("a passing failure is followed by success, after the wait that the service asks for", async () => {
  const { server, clock, post } = await startWebhook(
    { status: 429, headers: { "retry-after": "3" } },
    { status: 202 },
  );
  expect(await post()).toBeUndefined();
  expect([server.requests.length, clock.slept]).toEqual([2, [3_000]]);
});

test("a service that asks for a long wait is not asked again", async () => {
  const { server, clock, post } = await startWebhook({ status: 429, headers: { "retry-after": "60" } });
  expect(await post()).toMatchObject({ name: "WebhookRateLimited" });
  expect([server.requests.length, clock.slept]).toEqual([1, []]);
});

test.each([
  ["a host that does not exist", async () => "http://nowhere.invalid", "WebhookUnreachable"],
  ["a port without a server", async () => "http://127.0.0.1:9", "WebhookUnreachable"],
  ["no response", async () => `http://127.0.0.1:${await startTcpServer(() => {})}`, "WebhookTimeout"],
  [
    "a closed connection",
    async () => `http://127.0.0.1:${await startTcpServer((socket) => socket.destroy())}`,
    "WebhookConnectionLost",
  ],
  [
    "a response that is not HTTP",
    async () => `http://127.0.0.1:${await startTcpServer((socket) => socket.end(`${planted}\r\n\r\n`))}`,
    "WebhookUnreachable",
  ],
  [
    "a server without TLS",
    async () =>
      `https://127.0.0.1:${await startTcpServer((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"))}`,
    "WebhookUnreachable",
  ],
])("the URL is in no error after %s", async (_, origin, name) => {
  const url = new URL((await origin()) + secretPath);
  const post = webhookNotifier(() => url, { clock: stoppedClock(), timeoutMs: 200 });
  expect(await failureOf(post(message))).toMatchObject({ name, kind: "transient" });
});
