// `npm start` as its users meet it: a process with flags, an exit code, what it prints, and the files it leaves.

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { expect, test } from "vitest";
import { z } from "zod";
import { type LibInsightRecord, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { libInsightEnv, start, temporaryFolder } from "../../support/start.ts";

const range = ["--from", "2021-12-02", "--to", "2024-12-01"];
const small = ["--from", "2023-09-01", "--to", "2023-09-30"];

const report = z.looseObject({
  state: z.string(),
  records: z.number(),
  rows: z.number(),
  duplicates: z.number(),
  rejects: z.record(z.string(), z.number()),
  furtherAnswers: z.record(z.string(), z.number()),
  undeclared: z.record(z.string(), z.number()),
  attempt: z.number(),
  windows: z.array(z.looseObject({ attempt: z.number(), totalRecords: z.number() })),
  columns: z.array(z.string()),
  files: z.record(z.string(), z.string()),
});

async function filesIn(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const)),
  );
}

function digest(text: string | undefined): string {
  return createHash("sha256")
    .update(text ?? "")
    .digest("hex");
}

/** The predecessor's rules, written once more and as plainly as can be, over records as LibInsight gives them. */
function expectedRow(record: LibInsightRecord): Record<string, string | number | null> | undefined {
  const text = (value: unknown): string | null => {
    if (value === undefined || value === null) return null;
    if (Array.isArray(value)) return value.length === 0 ? null : value.map((one) => text(one)).join("; ");
    return String(value)
      .replace(/[\n\r\v\f\u2028\u2029\u0085]+/g, " ")
      .replace(/\t/g, " ")
      .replace(/\p{Cc}/gu, "");
  };
  const first = (value: unknown): unknown => (Array.isArray(value) ? value[0] : value);
  const number = (value: unknown): number | null => (value === "" || value == null ? null : Number(value));
  if (!record._start_date) return undefined;
  const topics = [record.research, record.topic].map(text);
  return {
    _id: Number(record._id),
    _start_date: text(record._start_date),
    "Question Type": text(first(record["Question Type"])),
    "Duration (in minutes)": number(record["Duration (in minutes)"]),
    "Comments/Notes": text(record["Comments/Notes"]),
    Location: text(record.Location),
    who: text(record.who),
    mode: text(record.mode),
    answeredBy: text(record.answeredBy),
    classroom: text(record.classroom),
    employee: text(record.employee),
    studio: text(record.studio),
    affiliation: text(record.affiliation),
    Research_Topic: topics.every((topic) => topic === null)
      ? null
      : topics.map((topic) => topic ?? "").join(""),
  };
}

test("publishes every usable record of the simulated LibInsight by the predecessor's rules", async () => {
  await using server = await startLibInsight();
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await start(folder.path, ["--json", ...range], libInsightEnv(server))
    .ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });

  const run = report.parse(JSON.parse(stdout));
  const files = await filesIn(join(folder.path, ".local/out"));
  expect(Object.keys(files)).toEqual([
    "LibInsightQueryData.csv",
    "LibInsightQueryData.jsonl",
    "LibInsightQueryResults.csv",
    "run.json",
  ]);
  expect(JSON.parse(files["run.json"] ?? "")).toEqual(JSON.parse(stdout));

  const records = [...server.records()];
  const rows = records.map(expectedRow).filter((row) => row !== undefined);
  const byId = new Map(rows.map((row) => [row._id, row]));
  const lines = (files["LibInsightQueryData.jsonl"] ?? "")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(rows.length);
  for (const line of lines) expect(line).toEqual(byId.get(line._id));

  expect(run).toMatchObject({
    state: "published",
    records: 10_300,
    rows: rows.length,
    duplicates: 0,
    attempt: 1,
  });
  expect(run.rejects).toEqual({ "no _start_date": records.length - rows.length });
  expect(run.furtherAnswers["Question Type"]).toBeGreaterThan(0);
  expect(run.columns).toEqual(Object.keys(rows[0] ?? {}));

  // The CSV, by another reader, holds what the JSON lines hold; so does the query's result, in which all is text.
  const csv = parse(files["LibInsightQueryData.csv"] ?? "", {
    columns: true,
    cast: (value, { quoting, header }) => (quoting || header ? value : value === "" ? null : Number(value)),
  });
  expect(csv).toEqual(lines);
  const results = parse(files["LibInsightQueryResults.csv"] ?? "").slice(1);
  expect(results).toEqual(
    lines.map((line) => Object.values(line).map((value) => (value === null ? "" : String(value)))),
  );
});

test("the same records give the same bytes, whatever the run's path: retries, a lost token, one page at a time", async () => {
  await using calm = await temporaryFolder();
  await using stormy = await temporaryFolder();
  await using server = await startLibInsight({
    tokenSeconds: 1,
    latencyMs: 5,
    faults: [
      { kind: "status", status: 500, times: 2 },
      { kind: "html", where: { endpoint: "data-grid", page: 2 }, times: 2 },
      { kind: "rate-limited", retryAfter: 0, where: { page: 3 }, times: 2 },
      { kind: "rate-limited", where: { page: 4 } },
      { kind: "broken-json", where: { page: 5 } },
      { kind: "error-at-200", where: { page: 6 }, times: 3 },
      { kind: "reset", where: { page: 7 } },
      { kind: "cut-body", where: { page: 8 } },
      { kind: "unauthorized", where: { page: 9 } },
      { kind: "status", status: 503, where: { endpoint: "token" } },
    ],
  });
  const [first, second] = await Promise.all([
    start(calm.path, ["--quiet", ...range]).ended,
    start(stormy.path, ["--quiet", ...range], libInsightEnv(server)).ended,
  ]);
  expect([first.code, second.code]).toEqual([0, 0]);
  expect([first.stdout, first.stderr]).toEqual(["", ""]);
  const [calmFiles, stormyFiles] = await Promise.all([
    filesIn(join(calm.path, ".local/out")),
    filesIn(join(stormy.path, ".local/out")),
  ]);
  for (const name of ["LibInsightQueryData.csv", "LibInsightQueryData.jsonl", "LibInsightQueryResults.csv"]) {
    expect(digest(stormyFiles[name])).toBe(digest(calmFiles[name]));
  }
  expect(server.requests.filter(({ status }) => status === 429)).toHaveLength(3);
});

test("a record added while pages are read is not missed: that window is fetched again, and only that one", async () => {
  await using folder = await temporaryFolder();
  let added = false;
  await using server = await startLibInsight({
    records: 900,
    onRequest: ({ query }) => {
      if (added || query.from !== "2022-12-02" || query.page !== "2") return;
      added = true;
      server.add({ _id: 1, _start_date: "2022-12-02 00:00:01", "Question Type": ["Late entry"] });
    },
  });
  const { code, stdout } = await start(folder.path, ["--json", ...range], libInsightEnv(server)).ended;
  const run = report.parse(JSON.parse(stdout));
  expect(code).toBe(0);
  expect(run.records).toBe(901);
  expect(run.windows.map(({ attempt }) => attempt)).toEqual([1, 2, 1]);
  const csv = await readFile(join(folder.path, ".local/out/LibInsightQueryData.csv"), "utf8");
  expect(csv.split("\n").filter((line) => line.startsWith("1,"))).toHaveLength(1);
});

test("a field that nobody declared is appended and reported", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({
    records: 900,
    addedField: { name: "New\nField", options: ["yes", "no"], since: "2023-06-01" },
  });
  const { stdout } = await start(folder.path, ["--json", ...range], libInsightEnv(server)).ended;
  const run = report.parse(JSON.parse(stdout));
  expect(run.columns.at(-1)).toBe("New Field");
  expect(run.undeclared["New Field"]).toBeGreaterThan(0);
  const files = await filesIn(join(folder.path, ".local/out"));
  const rows = parse(files["LibInsightQueryData.csv"] ?? "", { columns: true });
  expect(new Set(rows.map((row) => z.record(z.string(), z.string()).parse(row)["New Field"]))).toEqual(
    new Set(["", "yes", "no"]),
  );
  expect(files["LibInsightQueryResults.csv"]).toMatch(/^"_id",.*,"new_field"\n/);
});

test("a range that holds nothing gives a file with only its header", async () => {
  await using folder = await temporaryFolder();
  const { code, stderr } = await start(folder.path, ["--quiet", "--from", "2025-01-01", "--to", "2025-01-31"])
    .ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const files = await filesIn(join(folder.path, ".local/out"));
  expect(files["LibInsightQueryData.csv"]).toMatch(/^"_id","_start_date",.*"Research_Topic"\n$/);
  expect(files["LibInsightQueryData.jsonl"]).toBe("");
  expect(files["LibInsightQueryResults.csv"]?.trimEnd().split("\n")).toHaveLength(1);
});

test("--faults tells the story: faults, the dead letters, their replay, and the same bytes in the end", async () => {
  await using calm = await temporaryFolder();
  await using stormy = await temporaryFolder();
  const [first, second] = await Promise.all([
    start(calm.path, ["--quiet", ...range]).ended,
    start(stormy.path, ["--faults", "7", ...range]).ended,
  ]);
  expect([first.code, second.code, second.stderr]).toEqual([0, 0, ""]);
  expect(second.stdout).toMatch(/^Dead letters: 1\. LibInsight answered with status 503\./m);
  expect(second.stdout).toMatch(/^ {2}fetch, window 1, page 1: LibInsightServerError$/m);
  expect(second.stdout).toMatch(/^Replayed 1, as this does: npm run replay -- send --run reference-/m);
  expect(second.stdout).toMatch(/^ {2}published +10,287 rows$/m);
  const csv = "LibInsightQueryData.csv";
  expect(digest((await filesIn(join(stormy.path, ".local/out")))[csv])).toBe(
    digest((await filesIn(join(calm.path, ".local/out")))[csv]),
  );
});

test("without a terminal it prints plain lines and a summary", async () => {
  await using folder = await temporaryFolder();
  const { stdout } = await start(folder.path, small).ended;
  expect(stdout).not.toContain("\u001b");
  expect(stdout).toMatch(/^Collecting reference-transactions from the simulated LibInsight/);
  for (const line of [
    /^transformed \d+ pages$/m,
    /^ {2}records in +\d/m,
    /^ {2}published +\d+ rows$/m,
    /^ {2}time +\d/m,
  ]) {
    expect(stdout).toMatch(line);
  }
});

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
    env: { LIBINSIGHT_BASE_URL: "http://127.0.0.1:9/v1.0" },
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
    says: /answered with an error/,
  },
] as const;

test.for(wrong)(
  "$what ends in one plain sentence, exit 1, and leaves the earlier files",
  async ({ settings, env, says }) => {
    await using folder = await temporaryFolder();
    await start(folder.path, ["--quiet", ...small]).ended;
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

test("a run that shrinks the data is held, says by how much, and leaves the earlier files", async () => {
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
});

const misused = [
  {
    args: ["--from", "2024-02-01", "--to", "2024-01-01"],
    env: {},
    says: /--from 2024-02-01 is after --to 2024-01-01/,
  },
  { args: ["--to", "2023-02-30"], env: {}, says: /--to 2023-02-30 can't be used/ },
  { args: ["--dataset", "gate-counts"], env: {}, says: /no dataset "gate-counts".*reference-transactions/ },
  { args: ["--records", "many"], env: {}, says: /--records many can't be used/ },
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
  expect(stderr).toContain("npm start -- [--dataset NAME]");
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
