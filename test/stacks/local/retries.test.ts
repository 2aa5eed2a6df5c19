// Tests the output of `npm start` while it retries: the reason, the time of the next retry, and LibInsight's own message.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import type { LibInsightSettings } from "../../../stacks/local/libinsight.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { localSettings } from "../../../stacks/local/local-settings.ts";
import { barDisplay, lineDisplay, Progress } from "../../../stacks/local/progress.ts";
import { RunWatch } from "../../../stacks/local/watch.ts";
import { startWorkers } from "../../../stacks/local/workers.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { type HttpServer, sendJson, startHttpServer } from "../../support/http-server.ts";
import { clientOf } from "../../support/libinsight-client.ts";
import { libInsightEnv, start, temporaryFolder } from "../../support/npm-start.ts";
import { useFolder } from "../../support/temporary-folder.ts";
import { putRun } from "../../support/work-bucket.ts";

const run = runOf("retries");
const folder = useFolder();

describe("a retry that LibInsight delays by 15 minutes", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    onTestFinished(() => void vi.useRealTimers());
  });

  async function pass(minutes: number): Promise<void> {
    for (let seconds = 0; seconds < minutes * 60; seconds += 15) {
      await vi.advanceTimersByTimeAsync(15_000);
      for (let n = 0; n < 5; n++) await turn();
    }
  }

  test("does not end the run, which prints the time of the retry, but ten minutes without progress end it", async () => {
    const watch = new RunWatch(run.runId, defaultDataset);
    const progress = new Progress(run.runId);
    const local = await openLocal(folder, { inMemory: true });
    onTestFinished(local.close);
    await putRun(run, local.work);
    let requests = 0;
    const fetchPage = async () => {
      requests += 1;
      // From the second request on, it never responds.
      if (requests > 1) return new Promise<never>(() => {});
      throw new PipelineError("LibInsightRateLimited", {
        message: "LibInsight asked for fewer requests.",
        advice: "",
        kind: "rate-limited",
        retryAfterSeconds: 900,
      });
    };
    startWorkers({
      local,
      settings: localSettings({}),
      libInsight: clientOf(fetchPage),
      events: {
        onRetry: (_, retry) => {
          watch.onRetry(retry);
          progress.onRetry(retry);
        },
      },
    });
    await local.queues.fetcher.send(messageBody(taskOf(run)));
    const ended: unknown[] = [];
    const stopping = new AbortController();
    const end = watch.end(local, stopping.signal).then((outcome) => ended.push(outcome));
    const shown: string[] = [];
    await pass(1);
    const display = lineDisplay(progress, (line) => shown.push(line));
    display.update();
    await pass(1);
    display.update();
    const time = "\\d\\d:\\d\\d:\\d\\d";
    expect(shown).toEqual([
      expect.stringMatching(new RegExp(`^LibInsight asked for fewer requests, retry 1 of 4 at ${time}$`)),
      expect.stringMatching(new RegExp(`^fetched 0 .* pages?, 1 retry, waiting until ${time}$`)),
    ]);

    await pass(14);
    expect([requests, ended]).toEqual([2, []]);
    await pass(8);
    expect(ended).toEqual([]);
    await pass(2);
    expect(ended).toEqual([
      { state: "failed", reason: expect.stringContaining("no progress for ten minutes") },
    ]);
    stopping.abort();
    await end;
  });

  test("of another run does not prevent a run from stalling", async () => {
    const watch = new RunWatch(run.runId, defaultDataset);
    const local = await openLocal(folder, { inMemory: true });
    onTestFinished(local.close);
    watch.onRetry({ run: runOf("another").runId, delaySeconds: 900 });
    const end = watch.end(local, new AbortController().signal);
    await pass(11);
    expect(await end).toMatchObject({ state: "failed" });
  });
});

/** The range of the records. */
const may = ["--from", "2023-05-01", "--to", "2023-05-31"];

const marked = "\u001b[31mMARKED maintenance\u0007\nuntil \u202e06:00";

/** Starts a LibInsight whose first requests fail with a message. */
function failingLibInsight(failures: number): Promise<HttpServer> {
  let requests = 0;
  return startHttpServer(({ path }, response) => {
    if (path.endsWith("/token")) {
      sendJson(response, 200, { access_token: "t", token_type: "Bearer", expires_in: 3600 });
    } else if (requests++ < failures) {
      sendJson(response, 503, { type: "error", payload: { message: marked } });
    } else {
      const payload = { records: recordsOf(1, 20), total_pages: 1, total_records: 20, displayed_page: 1 };
      sendJson(response, 200, { type: "success", payload });
    }
  });
}

const envOf = ({ url }: HttpServer) =>
  libInsightEnv({ baseUrl: `${url}/v1.0`, clientId: "id", clientSecret: "secret" });

/** Returns the text of every file below a folder. */
async function everythingBelow(path: string): Promise<string> {
  const files = await readdir(path, { recursive: true, withFileTypes: true });
  const texts = files
    .filter((file) => file.isFile())
    .map((file) => readFile(join(file.parentPath, file.name), "latin1"));
  return (await Promise.all(texts)).join("\n");
}

test("npm start prints why it retries and LibInsight's message, which is in no log, file or error", async () => {
  await using ownFolder = await temporaryFolder();
  const server = await failingLibInsight(2);
  const env = { ...envOf(server), POWERTOOLS_LOG_LEVEL: "INFO" };
  const { code, stdout, stderr } = await start(ownFolder.path, may, env).ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^LibInsight responded with status 503, retry 1 of 4 in 0 s$/m);
  expect(stdout).toMatch(/^LibInsight responded with status 503, retry 2 of 4 in 0 s$/m);
  expect(stdout).toMatch(/^LibInsight says: \[31mMARKED maintenance until 06:00$/m);
  const logged = stdout.split("\n").filter((line) => line.startsWith("{"));
  expect(logged.length).toBeGreaterThan(3);
  expect([...logged, stderr].join("\n")).not.toContain("MARKED");
  expect(await everythingBelow(join(ownFolder.path, ".local"))).not.toContain("MARKED");
});

test.each<[problem: string, settings: LibInsightSettings | undefined, note: RegExp]>([
  [
    "a refused connection",
    undefined,
    /^LibInsight's host or the proxy refused the connection, retry 1 of 4/m,
  ],
  [
    "a wrong dataset number, reported at status 200",
    {
      faults: [
        {
          kind: "error-at-200",
          payload: { message: "No such dataset." },
          where: { endpoint: "data-grid" },
          times: 99,
        },
      ],
    },
    /^LibInsight says: No such dataset\.$/m,
  ],
  [
    "a missing response",
    { faults: [{ kind: "hang", times: 99 }] },
    /^LibInsight has not responded for 3 s; a request fails after 25 s$/m,
  ],
])("npm start prints %s before its first retry, and goes on", async (_, settings, note) => {
  await using ownFolder = await temporaryFolder();
  await using server = await startLibInsight(settings);
  const env = { ...libInsightEnv(server), RETRY_BASE_SECONDS: "30" };
  if (!settings) env.LIBINSIGHT_BASE_URL = "http://127.0.0.1:2/v1.0";
  const running = start(ownFolder.path, may, env);
  let shown = "";
  running.process.stdout?.on("data", (chunk) => {
    shown += String(chunk);
  });
  // The first retry is after 30 seconds.
  await vi.waitUntil(() => note.test(shown), { timeout: 25_000, interval: 20 });
  expect(running.process.exitCode, shown).toBeNull();
  running.process.kill("SIGKILL");
  await running.ended;
});

test.each(["--quiet", "--json"])(
  "with %s a failed run prints its error alone, without LibInsight's message",
  async (flag) => {
    await using ownFolder = await temporaryFolder();
    const server = await failingLibInsight(100);
    const { code, stdout, stderr } = await start(ownFolder.path, [flag, ...may], envOf(server)).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^LibInsight responded with status 503\. .* --wait\n$/);
    expect(stderr).not.toContain("MARKED");
    expect(await everythingBelow(join(ownFolder.path, ".local"))).not.toContain("MARKED");
  },
);

test("the bars show notes above them, once each, and break long ones between words", async () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 40 });
  const output = text(terminal);
  const progress = new Progress(run.runId);
  const display = await barDisplay(progress, terminal);
  const error = new PipelineError("Down", { message: "LibInsight refused the connection.", advice: "" });
  for (let n = 0; n < 8; n++) progress.onRetry({ error, receives: 2, delaySeconds: 2 });
  progress.note(`LibInsight says: ${"long ".repeat(39)}end`);
  display.update();
  display.stop();
  terminal.end();
  const shown = await output;
  expect(shown.match(/refused the connection, retry\s2 of 4 in 2 s/g)).toHaveLength(1);
  expect(shown).toMatch(/LibInsight says: (long\s){39}end/);
  expect(shown).toContain("8 retries");
});

test("a note, which erases the bars, is followed by all of them", async () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  const output = text(terminal);
  const progress = new Progress(run.runId);
  const display = await barDisplay(progress, terminal);
  // The bars are drawn ten times a second.
  await delay(200);
  progress.note("A note.");
  display.update();
  display.stop();
  terminal.end();
  const shown = await output;
  const after = shown.slice(shown.indexOf("A note."));
  for (const stage of ["fetched", "transformed", "assembled", "queried"]) expect(after).toContain(stage);
});
