// `npm start` when it goes wrong: what its users read, the exit code, and the earlier files, which stay as they were.
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import {
  command,
  digest,
  filesIn,
  libInsightEnv,
  range,
  report,
  small,
  start,
  temporaryFolder,
} from "../../support/start.ts";

/** A folder in which a run was published. */
let published: string;
beforeAll(async () => {
  published = await mkdtemp(join(tmpdir(), "libinsight-published-"));
  expect(await start(published, ["--quiet", ...small]).ended).toMatchObject({ code: 0 });
});
afterAll(() => rm(published, { recursive: true, force: true }));

const wrong = [
  {
    what: "a wrong secret",
    settings: {},
    env: { LIBINSIGHT_CLIENT_SECRET: "wrong" },
    says: /client id or the client secret/,
  },
  {
    what: "a dataset that LibInsight does not have",
    settings: { datasetId: 7 },
    env: {},
    says: /does not know this dataset/,
  },
  {
    what: "a host that does not answer",
    settings: {},
    env: { LIBINSIGHT_BASE_URL: "http://127.0.0.1:2/v1.0" },
    says: /refused the connection/,
  },
  {
    what: "HTML instead of records",
    settings: { faults: [{ kind: "html", where: { endpoint: "data-grid" }, times: 50 }] },
    env: {},
    says: /HTML instead of records/,
  },
  {
    what: "broken JSON",
    settings: { faults: [{ kind: "broken-json", where: { endpoint: "data-grid" }, times: 50 }] },
    env: {},
    says: /broken JSON instead of records/,
  },
  {
    what: 'type "error" at status 200',
    settings: { faults: [{ kind: "error-at-200", where: { endpoint: "data-grid" }, times: 50 }] },
    env: {},
    says: /returned an error/,
  },
] as const;

test.for(wrong)(
  "$what ends in one plain sentence, exit 1, and leaves the earlier files",
  async ({ settings, env, says }) => {
    await using folder = await temporaryFolder();
    await cp(published, folder.path, { recursive: true });
    const before = await filesIn(join(folder.path, ".local/out"));
    await using server = await startLibInsight({
      ...settings,
      faults: "faults" in settings ? [...settings.faults] : [],
    });
    const { code, stdout, stderr } = await start(folder.path, ["--quiet", ...small], {
      ...libInsightEnv(server),
      ...env,
    }).ended;
    expect(stderr).toMatch(says);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(await filesIn(join(folder.path, ".local/out"))).toEqual(before);
  },
);

test("a run that shrinks the data is held, says by how much, and leaves the earlier files; forced, it can be taken back", async () => {
  await using folder = await temporaryFolder();
  await start(folder.path, ["--quiet", "--records", "500"]).ended;
  const before = await filesIn(join(folder.path, ".local/out"));
  const { code, stdout, stderr } = await start(folder.path, ["--quiet", "--records", "300"]).ended;
  expect(stderr).toMatch(/^The run is held and nothing is published: rows fell from \d+ to \d+ \(by 40/);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(await filesIn(join(folder.path, ".local/out"))).toEqual(before);

  // Who names the dates means them.
  const part = await start(folder.path, ["--quiet", "--records", "300", ...small]).ended;
  expect(part).toEqual({ code: 0, stdout: "", stderr: "" });

  // The query's result follows the file that is put back.
  const { runId } = report.parse(JSON.parse(before["run.json"] ?? ""));
  const rollback = ["rollback", runId, "--reason", "September alone", "--yes", "--finish"];
  const back = await command("runs", folder.path, rollback).ended;
  expect(back).toMatchObject({ code: 0, stderr: "" });
  expect(back.stdout).toMatch(
    /^Put back \S+ \(500 rows, .*\) in place of \S+ \(\d+ rows, .*\.csv and .*\.jsonl\.\nEvery queue is empty; no dead letters are left\.\n$/,
  );
  // fauxqs keeps an object as a file with `.data` behind its key.
  const kept = (key: string) =>
    readFile(join(folder.path, ".local/s3/buckets", `libinsight-local-${key}.data`), "utf8");
  expect({
    csv: await kept("data/objects/libinsightdata-athena/LibInsightQueryData.csv"),
    jsonl: await kept("data/objects/libinsightdata-json/LibInsightQueryData.jsonl"),
    results: await kept("results/objects/published/LibInsightQueryResults.csv"),
  }).toEqual({
    csv: before["LibInsightQueryData.csv"],
    jsonl: before["LibInsightQueryData.jsonl"],
    results: before["LibInsightQueryResults.csv"],
  });
  // Four processes, one after the other.
}, 60_000);

const misused = [
  {
    args: ["--from", "2024-02-01", "--to", "2024-01-01"],
    env: {},
    says: /--from 2024-02-01 is after --to 2024-01-01/,
  },
  { args: ["--fast"], env: {}, says: /Unknown option '--fast'/ },
  {
    args: [],
    env: { LIBINSIGHT_CLIENT_ID: "only" },
    says: /set LIBINSIGHT_BASE_URL and LIBINSIGHT_CLIENT_SECRET too/,
  },
];

test.for(misused)("$args is one sentence and the usage, exit 2", async ({ args, env, says }) => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await start(folder.path, args, env).ended;
  expect(stderr).toMatch(says);
  expect(stderr).toContain("\n\nUsage: npm start -- [options]\n");
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test.for([
  { what: "the first request", request: 1 },
  { what: "the middle", request: 12 },
  { what: "the last page", request: 26 },
])(
  "killed at $request requests ($what) and started again, it finishes both runs with the same bytes",
  async ({ request }) => {
    await using undisturbed = await temporaryFolder();
    await using folder = await temporaryFolder();
    let reached: () => void = () => {};
    const moment = new Promise<void>((resolve) => {
      reached = resolve;
    });
    let requests = 0;
    await using server = await startLibInsight({
      records: 250,
      pageSize: 10,
      onRequest: ({ query }) => {
        if (query.page !== undefined && ++requests === request) reached();
      },
    });
    const running = start(folder.path, ["--quiet", ...range], libInsightEnv(server));
    await moment;
    running.process.kill("SIGKILL");
    expect((await running.ended).code).toBeNull();

    const [again, calm] = await Promise.all([
      start(folder.path, ["--quiet", ...range], libInsightEnv(server)).ended,
      start(undisturbed.path, ["--quiet", ...range], libInsightEnv(server)).ended,
    ]);
    expect([again, calm].map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ""],
      [0, ""],
    ]);
    const [files, expected] = await Promise.all([
      filesIn(join(folder.path, ".local/out")),
      filesIn(join(undisturbed.path, ".local/out")),
    ]);
    for (const name of [
      "LibInsightQueryData.csv",
      "LibInsightQueryData.jsonl",
      "LibInsightQueryResults.csv",
    ]) {
      expect(digest(files[name])).toBe(digest(expected[name]));
    }
    // fauxqs keeps an object as a file with `.data` behind its key.
    const kept = await readdir(join(folder.path, ".local/s3"), { recursive: true });
    const ofRuns = (file: string) =>
      kept.filter((path) => path.endsWith(`/${file}.data`) && path.includes("/runs/"));
    expect(ofRuns("run.json")).toHaveLength(2);
    expect(ofRuns("result.json")).toHaveLength(2);
  },
);

test("Ctrl-C stops it cleanly, and the next start finishes the run", async () => {
  await using folder = await temporaryFolder();
  let asked: () => void = () => {};
  const requested = new Promise<void>((resolve) => {
    asked = resolve;
  });
  await using server = await startLibInsight({
    latencyMs: 50,
    onRequest: ({ query }) => {
      if (query.page === "3") asked();
    },
  });
  const running = start(folder.path, range, libInsightEnv(server));
  await requested;
  running.process.kill("SIGINT");
  const { code, stderr } = await running.ended;
  expect({ code, stderr }).toEqual({
    code: 130,
    stderr: "Stopped. What was published before is untouched.\n",
  });
  const again = await start(folder.path, ["--json", ...range], libInsightEnv(server)).ended;
  expect(report.parse(JSON.parse(again.stdout))).toMatchObject({ state: "published", records: 10_300 });
});
