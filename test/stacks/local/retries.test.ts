// What `npm start` says while it retries: the reason, when the next try is, and what LibInsight itself said.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { setImmediate as turn } from "node:timers/promises";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import { localSettings } from "../../../stacks/local/local-settings.ts";
import { bars, lines, Progress } from "../../../stacks/local/progress.ts";
import { RunWatch } from "../../../stacks/local/watch.ts";
import { startWorkers } from "../../../stacks/local/workers.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { type HttpServer, sendJson, startHttpServer } from "../../support/http-server.ts";
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

  test("does not end the run, which says until when it waits; ten minutes later without progress do", async () => {
    const watch = new RunWatch(run.runId, defaultDataset);
    const progress = new Progress(run.runId);
    const local = await openLocal(folder, { inMemory: true });
    onTestFinished(local.close);
    await putRun(run, local.work);
    let asked = 0;
    const fetchPage = async () => {
      asked += 1;
      // Then it never responds.
      if (asked > 1) return new Promise<never>(() => {});
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
      libInsight: { fetchPage },
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
    const display = lines(progress, (line) => shown.push(line));
    display.update();
    await pass(1);
    display.update();
    const time = "\\d\\d:\\d\\d:\\d\\d";
    expect(shown).toEqual([
      expect.stringMatching(new RegExp(`^LibInsight asked for fewer requests, retry 1 of 4 at ${time}$`)),
      expect.stringMatching(new RegExp(`^fetched 0 .* \\(1 message retried\\), waiting until ${time}$`)),
    ]);

    await pass(14);
    expect([asked, ended]).toEqual([2, []]);
    await pass(8);
    expect(ended).toEqual([]);
    await pass(2);
    expect(ended).toEqual([
      { state: "failed", reason: expect.stringContaining("no progress for ten minutes") },
    ]);
    stopping.abort();
    await end;
  });

  test("of another run does not keep a run from being reported as stalled", async () => {
    const watch = new RunWatch(run.runId, defaultDataset);
    const local = await openLocal(folder, { inMemory: true });
    onTestFinished(local.close);
    watch.onRetry({ run: runOf("another").runId, delaySeconds: 900 });
    const end = watch.end(local, new AbortController().signal);
    await pass(11);
    expect(await end).toMatchObject({ state: "failed" });
  });
});

/** The month of the records. */
const may = ["--from", "2023-05-01", "--to", "2023-05-31"];

const marked = "\u001b[31mMARKED maintenance\u0007\nuntil \u202e06:00";

/** A LibInsight whose first pages fail with a text of its own. */
function failingLibInsight(failures: number): Promise<HttpServer> {
  let asked = 0;
  return startHttpServer(({ path }, response) => {
    if (path.endsWith("/token")) {
      sendJson(response, 200, { access_token: "t", token_type: "Bearer", expires_in: 3600 });
    } else if (asked++ < failures) {
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

test("npm start says why it retries, and what LibInsight said, which is in no log, file or error", async () => {
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

test.each(["--quiet", "--json"])("with %s it says neither, also where the run fails", async (flag) => {
  await using ownFolder = await temporaryFolder();
  const server = await failingLibInsight(100);
  const { code, stdout, stderr } = await start(ownFolder.path, [flag, ...may], envOf(server)).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^LibInsight responded with status 503\. .* --wait\n$/);
  expect(stderr).not.toContain("MARKED");
  expect(await everythingBelow(join(ownFolder.path, ".local"))).not.toContain("MARKED");
});

test("the bars show the notes above them, each once, and whole where it is longer than the terminal is wide", async () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 40 });
  const output = text(terminal);
  const progress = new Progress(run.runId);
  const display = await bars(progress, terminal);
  const error = new PipelineError("Down", { message: "LibInsight refused the connection.", advice: "" });
  for (let n = 0; n < 8; n++) progress.onRetry({ error, receives: 2, delaySeconds: 2 });
  progress.note(`LibInsight says: ${"long ".repeat(39)}end`);
  display.update();
  display.stop();
  terminal.end();
  const shown = await output;
  expect(shown.match(/refused the connection, retry 2 of 4 in 2 s/g)).toHaveLength(1);
  expect(shown).toMatch(/LibInsight says: (long ){39}end/);
  expect(shown).toContain("(8 messages retried)");
});
