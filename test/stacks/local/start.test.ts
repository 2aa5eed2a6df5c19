// `npm start` as its users meet it: a process with flags, an exit code, what it prints, and the files it leaves.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { expect, test } from "vitest";
import { z } from "zod";
import { type LibInsightRecord, startLibInsight } from "../../../stacks/local/libinsight.ts";
import {
  digest,
  filesIn,
  libInsightEnv,
  range,
  report,
  small,
  start,
  temporaryFolder,
} from "../../support/start.ts";

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
    "dictionary.md",
    "run.json",
  ]);
  expect(JSON.parse(files["run.json"] ?? "")).toEqual(JSON.parse(stdout));
  expect(run.athena).toEqual({
    database: "libinsightdatabase",
    table: "libinsightdata",
    typed: "libinsightdata_typed",
    analysis: "libinsightdata_analysis",
  });

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
  // No log line, no metric: nothing at all.
  for (const { stdout, stderr } of [first, second]) expect([stdout, stderr]).toEqual(["", ""]);
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
  expect(files["dictionary.md"]).toMatch(/^\| `new_field` \| New Field \| text \| .*not declared/m);
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
  expect(second.stdout).toMatch(/^Dead letters: 1\. LibInsight responded with status 503\./m);
  expect(second.stdout).toMatch(/^ {2}fetch, window 1, page 1: LibInsightServerError$/m);
  expect(second.stdout).toMatch(/^Replayed 1, as this does: npm run replay -- send --run reference-/m);
  expect(second.stdout).toMatch(/^ {2}published +10,287 rows$/m);
  const csv = "LibInsightQueryData.csv";
  expect(digest((await filesIn(join(stormy.path, ".local/out")))[csv])).toBe(
    digest((await filesIn(join(calm.path, ".local/out")))[csv]),
  );
});

test("without a terminal it prints plain lines, a summary, the views' first rows and what the columns mean", async () => {
  await using folder = await temporaryFolder();
  const { stdout } = await start(folder.path, small).ended;
  expect(stdout).not.toContain("\u001b");
  expect(stdout).toMatch(/^Collecting reference-transactions from the simulated LibInsight/);
  for (const line of [
    /^transformed \d+ pages$/m,
    /^Published \d+ rows, 1 rejected, no duplicates, in \d+ s\. Athena follows\.$/m,
    /^ {2}records in +\d/m,
    /^ {2}published +\d+ rows$/m,
    /^ {2}time +\d/m,
    /^libinsightdata_typed, every column with its type: the first 3 rows$/m,
    /^ {2}_start_date +(2023-09-\d\d \d\d:\d\d:\d\d\.000 *){3}$/m,
    /^ {2}comments_notes +\(personal\) +\(personal\) +\(personal\)$/m,
    /^libinsightdata_analysis, what Tableau reads: the first 3 rows$/m,
    /^ {2}fiscal_year +2024 +2024 +2024$/m,
    /^ {2}question_type +Question Type +text +Kind of question/m,
  ]) {
    expect(stdout).toMatch(line);
  }
  const [, shown = ""] = stdout.split(/^(?=libinsightdata_typed, )/m);
  expect(shown.match(/^ {2}employee .*/gm)).toEqual([
    expect.stringMatching(/^ {2}employee +\(personal\) +\(personal\) +\(personal\)$/),
    expect.stringMatching(/^ {2}employee +employee +text +\(personal\)/),
  ]);
  expect(Math.max(...shown.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
});
