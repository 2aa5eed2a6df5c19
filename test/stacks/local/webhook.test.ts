// `npm start` with a webhook: the message of the run is posted over HTTPS, and a failure is printed without the URL.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startTlsFor } from "../../support/forward-proxy.ts";
import { startHttpServer } from "../../support/http-server.ts";
import { small, start, temporaryFolder } from "../../support/npm-start.ts";

const certificate = join(import.meta.dirname, "../../support/localhost.pem");

/** Runs `npm start` with a webhook that responds with this status. */
async function startWithWebhook(status: number) {
  await using folder = await temporaryFolder();
  const server = await startHttpServer((_, response) => void response.writeHead(status).end());
  const url = `${await startTlsFor(Number(new URL(server.url).port))}/services/PlantedToken`;
  const ended = await start(folder.path, small, {
    ALERTS_WEBHOOK_URL: url,
    NODE_EXTRA_CA_CERTS: certificate,
    POWERTOOLS_LOG_LEVEL: "DEBUG",
  }).ended;
  expect(ended.stdout + ended.stderr).not.toContain("PlantedToken");
  const messages = await readFile(join(folder.path, ".local/messages.txt"), "utf8");
  return { ended, messages, bodies: server.requests.map(({ body }): unknown => JSON.parse(body)) };
}

test("the message of a run is posted once, with the text of messages.txt", async () => {
  const { ended, messages, bodies } = await startWithWebhook(200);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  expect(bodies).toEqual([
    { text: expect.stringMatching(/^LibInsight local: .* published \d+ rows\n\nPublished/) },
  ]);
  expect(messages.match(/ published \d+ rows$/gm)).toHaveLength(1);
});

test("a webhook that refuses the message does not fail the run", async () => {
  const { ended, messages } = await startWithWebhook(404);
  expect(ended).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^Webhook refused the request with status 404\./),
  });
  expect(messages.match(/ published \d+ rows$/gm)).toHaveLength(1);
});

test("a webhook that is not an https URL fails at startup", async () => {
  await using folder = await temporaryFolder();
  const { code, stderr } = await start(folder.path, small, { ALERTS_WEBHOOK_URL: "http://PlantedHost" })
    .ended;
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^The secret ALERTS_WEBHOOK_URL is not an https URL\./),
  ]);
  expect(stderr).not.toContain("PlantedHost");
});
