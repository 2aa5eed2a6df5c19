// Tests `npm start` when it fails or is stopped: its output, its exit code, and that the earlier files do not change.
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { type Local, openLocal } from "../../../shared/local/open-local.ts";
import { accounts } from "../../../stacks/commands/runs/run-account.ts";
import { seeded } from "../../../stacks/local/libinsight/random.ts";
import { type LibInsightSettings, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { sendJson, startHttpServer } from "../../support/http-server.ts";
import {
  command,
  digest,
  digestsIn,
  libInsightEnv,
  pinned,
  pinnedRecords,
  publishedIn,
  type Running,
  range,
  runReport,
  small,
  start,
  temporaryFolder,
} from "../../support/npm-start.ts";

const { csv, jsonl, results } = defaultDataset.publish;

/** Path of a folder with a published run. */
let published: string;
beforeAll(async () => {
  published = await mkdtemp(join(tmpdir(), "libinsight-published-"));
  expect(await start(published, ["--quiet", ...small]).ended).toMatchObject({ code: 0 });
});
afterAll(() => rm(published, { recursive: true, force: true }));

const onEveryPage = (kind: "html" | "broken-json" | "error-at-200"): LibInsightSettings => ({
  faults: [{ kind, where: { endpoint: "data-grid" }, times: 50 }],
});

test.for<{ what: string; settings?: LibInsightSettings; env?: Record<string, string>; message: RegExp }>([
  {
    what: "a wrong secret",
    env: { LIBINSIGHT_CLIENT_SECRET: "wrong" },
    message: /client id or the client secret/,
  },
  {
    what: "a dataset that LibInsight does not have",
    settings: { datasetId: 7 },
    message: /has no dataset with this id/,
  },
  {
    what: "a host that refuses connections",
    env: { LIBINSIGHT_BASE_URL: "http://127.0.0.1:2/v1.0" },
    message: /refused the connection/,
  },
  { what: "HTML instead of data", settings: onEveryPage("html"), message: /HTML instead of data/ },
  { what: "broken JSON", settings: onEveryPage("broken-json"), message: /broken JSON instead of data/ },
  { what: 'type "error" at status 200', settings: onEveryPage("error-at-200"), message: /returned an error/ },
])(
  "$what exits 1 with the run, the page and the command that continues it, and keeps the earlier files",
  async ({ settings = {}, env = {}, message }) => {
    await using folder = await temporaryFolder();
    await cp(published, folder.path, { recursive: true });
    await using server = await startLibInsight(settings);
    const { code, stdout, stderr } = await start(folder.path, ["--quiet", ...small], {
      ...libInsightEnv(server),
      ...env,
    }).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(message);
    // Every window fails, and several are fetched at once.
    expect(stderr).toMatch(
      /^.* Run (reference-transactions-\w+) stopped at window \d+, page 1; 0 pages are kept\. Fix the cause, then continue: npm run replay -- send --run \1 --wait\n$/,
    );
    expect(await digestsIn(folder.path)).toEqual(await digestsIn(published));
  },
);

test("a run that shrinks the data is held and keeps the earlier files; a run with given dates replaces them until a rollback", async () => {
  await using folder = await temporaryFolder();
  await start(folder.path, ["--quiet", "--records", "500"]).ended;
  const { "report.html": report, ...before } = await digestsIn(folder.path);
  const run = await readFile(join(folder.path, ".local/out/run.json"), "utf8");
  const { code, stdout, stderr } = await start(folder.path, ["--quiet", "--records", "300"]).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(
    /^The run is held and nothing is published: rows fell from 499 to 300 \(by 39.9.*\n\nLibInsight announced 300 records and sent 300: .*\nReport: \.local\/out\/report\.html\n$/,
  );
  const { "report.html": reportOfHeld, ...after } = await digestsIn(folder.path);
  expect(after).toEqual(before);
  expect(reportOfHeld).not.toBe(report);

  // A given date range may have few rows.
  const part = await start(folder.path, ["--quiet", "--records", "300", ...small]).ended;
  expect(part).toEqual({ code: 0, stdout: "", stderr: "" });

  // The query runs on the file that the rollback restores.
  const { runId } = runReport.parse(JSON.parse(run));
  const rollback = ["rollback", runId, "--reason", "September alone", "--yes", "--wait"];
  const back = await command("runs", folder.path, rollback).ended;
  expect(back).toMatchObject({ code: 0, stderr: "" });
  expect(back.stdout).toMatch(
    /^Restored \S+ \(499 rows, .*\) in place of \S+ \(\d+ rows, .*\.csv and .*\.jsonl\.\nEvery queue is empty; no dead letters are left\.\nCopied the live files to \.local\/out: /,
  );
  await using local = await opened(folder.path);
  expect(before).toMatchObject({
    "LibInsightQueryData.csv": digest(await local.data.getText(csv)),
    "LibInsightQueryData.jsonl": digest(await local.data.getText(jsonl)),
    "LibInsightQueryResults.csv": digest(await local.results.getText(results)),
  });
});

test.for<{ args: string[]; env?: Record<string, string>; message: RegExp }>([
  { args: ["--fast"], message: /^Unknown option '--fast'/ },
  {
    args: [],
    env: { LIBINSIGHT_CLIENT_ID: "only" },
    message: /^To collect .* also set LIBINSIGHT_BASE_URL and LIBINSIGHT_CLIENT_SECRET\./,
  },
])(
  "$args with $env prints one sentence and the help command, and exits 2",
  async ({ args, env = {}, message }) => {
    await using folder = await temporaryFolder();
    const { code, stdout, stderr } = await start(folder.path, args, env).ended;
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^.*\nRun "npm start -- --help"\.\n$/);
  },
);

/** Opens a folder's .local after its processes have ended. */
async function opened(folder: string): Promise<Local & AsyncDisposable> {
  const local = await openLocal(join(folder, ".local"));
  return { ...local, [Symbol.asyncDispose]: local.close };
}

/**
 * Expects that every run is published with the pinned bytes and no message is left.
 * @param runs the possible numbers of runs
 */
async function expectAllPublished(folder: string, runs: number[]): Promise<void> {
  await using local = await opened(folder);
  const { work, data, results: queried, queuePairs } = local;
  const found = await accounts({ work, now: () => new Date(), stalledAfterSeconds: 900, deadLetters: [] });
  expect(runs).toContain(found.length);
  expect(new Set(found.map(({ state }) => state))).toEqual(new Set(["published"]));
  // A run that was killed after it had published the file publishes it again.
  for (const { versionId } of await data.listVersions(csv, 10)) {
    const bytes = await Array.fromAsync(await data.stream(csv, versionId));
    expect(digest(Buffer.concat(bytes).toString())).toBe(pinned["LibInsightQueryData.csv"]);
  }
  expect(digest(await data.getText(jsonl))).toBe(pinned["LibInsightQueryData.jsonl"]);
  expect(digest(await queried.getText(results))).toBe(pinned["LibInsightQueryResults.csv"]);
  const queues = queuePairs.flatMap(({ source, deadLetters }) => [source, deadLetters]);
  expect(await Promise.all(queues.map((queue) => queue.count()))).toEqual(queues.map(() => 0));
}

/** Waits until a folder has a file or the process has ended. */
async function hasFile(folder: string, { process }: Running): Promise<void> {
  while (process.exitCode === null && (await readdir(folder).catch(() => [])).length === 0) await delay(2);
}

const random = seeded(9);
/** Kill after some page requests, or after the last one while files are assembled, queried or copied. */
const moments = [
  ...[0, 10, 20].map((first) => ({ page: Math.ceil(first + 10 * random()), file: "any" })),
  ...["data/libinsightdata-athena", "tmp", "results/published"].map((file) => ({ page: 32, file })),
].map((moment, n) => ({
  ...moment,
  delayMs: Math.floor(15 * random()),
  by: n % 2 === 0 ? "npm start" : "npm run runs -- list --wait",
}));

test.for(moments)(
  "a run that is killed after request $page, with $file file, is finished by $by with the same bytes",
  async ({ page, file, delayMs, by }) => {
    await using folder = await temporaryFolder();
    const reached = Promise.withResolvers<void>();
    let requests = 0;
    await using server = await startLibInsight({
      records: pinnedRecords,
      onRequest: ({ query }) => {
        if (query.page !== undefined && ++requests === page) reached.resolve();
      },
    });
    const env = libInsightEnv(server);
    const first = start(folder.path, ["--quiet", ...range], env);
    await reached.promise;
    if (file !== "any") await hasFile(join(folder.path, ".local", file), first);
    await delay(delayMs);
    first.process.kill("SIGKILL");
    await first.ended;

    if (by === "npm start") {
      const again = await start(folder.path, ["--quiet", ...range], env).ended;
      expect(again).toEqual({ code: 0, stdout: "", stderr: "" });
      expect(await publishedIn(folder.path)).toEqual(pinned);
      expect(await readdir(join(folder.path, ".local/out"))).toHaveLength(Object.keys(pinned).length + 5);
      // If the first process had published everything, the second one requests another run.
      await expectAllPublished(folder.path, file.startsWith("results") ? [1, 2] : [1]);
    } else {
      const listed = await command("runs", folder.path, ["list", "--wait"], env).ended;
      expect(listed).toMatchObject({ code: 0, stderr: "" });
      expect(listed.stdout).toMatch(
        /^Every queue is empty; no dead letters are left\.\nCopied the live files to .*\nrun +.*\nreference-transactions-\S+ +published, live /m,
      );
      expect(await publishedIn(folder.path)).toEqual(pinned);
      await expectAllPublished(folder.path, [1]);
    }
  },
);

test("a second process exits 1 and names the first; Ctrl-C stops the first, and a start with another source removes its run", async () => {
  await using folder = await temporaryFolder();
  const requested = Promise.withResolvers<void>();
  // This LibInsight never sends a page.
  const server = await startHttpServer(({ path }, response) => {
    if (path.endsWith("/token")) {
      sendJson(response, 200, { access_token: "t", token_type: "Bearer", expires_in: 3600 });
    } else requested.resolve();
  });
  const env = libInsightEnv({ baseUrl: `${server.url}/v1.0`, clientId: "id", clientSecret: "secret" });
  const first = start(folder.path, range, { ...env, npm_lifecycle_event: "start" });
  await requested.promise;

  const others = await Promise.all([
    start(folder.path, range).ended,
    command("runs", folder.path, ["list"]).ended,
  ]);
  for (const { code, stderr } of others) {
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^Another process uses .local: npm start, process ${first.process.pid}, since 20.*\\.\\n$`),
    );
  }

  first.process.kill("SIGINT");
  // The first process waits for its requests.
  await delay(100);
  await server.close();
  expect(await first.ended).toMatchObject({
    code: 130,
    stderr: "Stopped. The same npm start continues the run.\n",
  });
  const again = await start(folder.path, ["--quiet", "--records", String(pinnedRecords), ...range]).ended;
  expect(again).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await publishedIn(folder.path)).toEqual(pinned);
  await expectAllPublished(folder.path, [1]);
});
