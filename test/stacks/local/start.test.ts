// Tests `npm start` as a process: flags, exit codes, output and files.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type LibInsight, type LibInsightRecord, startLibInsight } from "../../../stacks/local/libinsight.ts";
import {
  type Ended,
  filesIn,
  libInsightEnv,
  pieceStarts,
  pinned,
  pinnedRecords,
  publishedIn,
  type Running,
  range,
  runReport,
  start,
  temporaryFolder,
} from "../../support/npm-start.ts";
import { parquetRecords } from "../../support/parquet-records.ts";

const simulated = ["--records", String(pinnedRecords), ...range];
const hasProc = existsSync("/proc/net/tcp");

/** Returns the addresses on which a process listens, as Linux spells them: `0100007F:1F90`. */
async function listenersOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch(() => []);
  const links = await Promise.all(descriptors.map((fd) => readlink(join(folder, fd)).catch(() => "")));
  const own = new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]));
  const tables = await Promise.all(["tcp", "tcp6"].map((table) => readFile(`/proc/net/${table}`, "utf8")));
  const sockets = tables.join("").split("\n");
  return sockets.flatMap((line) => {
    const [, address = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    return state === "0A" && own.has(inode) ? address : [];
  });
}

/** Waits until a process has ended. @returns its outcome and every address on which it listened */
async function watched(running: Running): Promise<Ended & { listeners: string[] }> {
  const listeners = new Set<string>();
  let hasEnded = false;
  const ending = running.ended.finally(() => {
    hasEnded = true;
  });
  while (hasProc && !hasEnded) {
    for (const address of await listenersOf(running.process.pid ?? 0)) listeners.add(address);
    await delay(20);
  }
  return { ...(await ending), listeners: [...listeners] };
}

/** Applies the predecessor's rules to a record as LibInsight sends it. */
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

describe("a run on the simulation, and one on a LibInsight with faults", () => {
  type Folder = Awaited<ReturnType<typeof temporaryFolder>>;
  let folders: { regular: Folder; faulty: Folder };
  let server: LibInsight;
  let regular: Awaited<ReturnType<typeof watched>>;
  let faulty: Awaited<ReturnType<typeof watched>>;
  beforeAll(async () => {
    folders = { regular: await temporaryFolder(), faulty: await temporaryFolder() };
    server = await startLibInsight({
      records: pinnedRecords,
      tokenSeconds: 1,
      latencyMs: 5,
      faults: [
        { kind: "status", status: 500, times: 2 },
        { kind: "html", where: { endpoint: "data-grid", from: pieceStarts[0] }, times: 2 },
        { kind: "rate-limited", retryAfter: 0, where: { from: pieceStarts[1] }, times: 2 },
        { kind: "rate-limited", where: { from: pieceStarts[2] } },
        { kind: "broken-json", where: { from: pieceStarts[3] } },
        { kind: "error-at-200", where: { from: pieceStarts[4] }, times: 3 },
        { kind: "reset", where: { from: pieceStarts[5] } },
        { kind: "cut-body", where: { from: pieceStarts[6] } },
        { kind: "unauthorized", where: { from: pieceStarts[7] } },
        { kind: "status", status: 503, where: { endpoint: "token" } },
      ],
    });
    [regular, faulty] = await Promise.all([
      watched(start(folders.regular.path, ["--quiet", ...simulated])),
      watched(start(folders.faulty.path, ["--json", ...range], libInsightEnv(server))),
    ]);
  });
  afterAll(async () => {
    await server.close();
    for (const folder of Object.values(folders)) await folder[Symbol.asyncDispose]();
  });

  test("both publish the pinned bytes", async () => {
    expect([regular.code, faulty.code, faulty.stderr]).toEqual([0, 0, ""]);
    expect(await publishedIn(folders.regular.path)).toEqual(pinned);
    expect(await publishedIn(folders.faulty.path)).toEqual(pinned);
    expect(server.requests.filter(({ status }) => status === 429)).toHaveLength(3);
  });

  test("--quiet prints nothing", () => {
    expect([regular.stdout, regular.stderr]).toEqual(["", ""]);
  });

  test("every usable record is published by the predecessor's rules, and counted", async () => {
    const run = runReport.parse(JSON.parse(faulty.stdout));
    const files = await filesIn(join(folders.faulty.path, ".local/out"));
    const others = [
      "LibInsightQueryData-deidentified.csv",
      "LibInsightQueryData.parquet",
      "dictionary.md",
      "report.html",
      "run.json",
    ];
    expect(Object.keys(files)).toEqual([...Object.keys(pinned), ...others].sort());
    expect(files["report.html"]).toMatch(/^<!doctype html>/i);
    expect(run.files.report).toBe(".local/out/report.html");
    expect(JSON.parse(files["run.json"] ?? "")).toEqual(JSON.parse(faulty.stdout));
    expect(run.athena).toEqual({
      database: "libinsightdatabase",
      table: "libinsightdata",
      parquet: "libinsightdata_parquet",
      typed: "libinsightdata_typed",
      analysis: "libinsightdata_analysis",
      measures: "libinsightdata_measures",
      changes: "libinsightdata_changes",
      history: "libinsightdata_history",
      asKnown: "libinsightdata_as_known",
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
      records: pinnedRecords,
      rows: rows.length,
      duplicates: 0,
      attempt: 1,
      rejects: { "missing _start_date": records.length - rows.length },
      columns: Object.keys(rows[0] ?? {}),
    });
    expect(run.furtherAnswers["Question Type"]).toBeGreaterThan(0);

    // An independent parser finds the same values in the CSV, and in the query's result, which has only text.
    const csv = parse(files["LibInsightQueryData.csv"] ?? "", {
      columns: true,
      cast: (value, { quoting, header }) => (quoting || header ? value : value === "" ? null : Number(value)),
    });
    expect(csv).toEqual(lines);
    const parquet = await readFile(join(folders.faulty.path, ".local/out/LibInsightQueryData.parquet"));
    const typed = (await parquetRecords(parquet)).map((row) => Object.values(row).map(plainValue));
    expect(typed).toEqual(lines.map((line) => Object.values(line)));
    expect(parse(files["LibInsightQueryResults.csv"] ?? "").slice(1)).toEqual(
      lines.map((line) => Object.values(line).map((value) => (value === null ? "" : String(value)))),
    );
  });

  test(".local is open to this user alone", async () => {
    expect((await stat(join(folders.regular.path, ".local"))).mode & 0o777).toBe(0o700);
  });

  // The test reads listening sockets from /proc, which only Linux has.
  test.runIf(hasProc)("only the simulation listens, on one port of 127.0.0.1", () => {
    expect(regular.listeners).toEqual([expect.stringMatching(/^0100007F:/)]);
    expect(faulty.listeners).toEqual([]);
  });
});

test("a record that is added during the run is published once, after its window is fetched again, and an undeclared field is appended", async () => {
  await using folder = await temporaryFolder();
  let counted = 0;
  await using server = await startLibInsight({
    records: 900,
    addedField: { name: "New\nField", options: ["yes", "no"], since: "2023-06-01" },
    onRequest: ({ query }) => {
      if (query.from !== "2022-12-02" || query.to !== "2023-12-01") return;
      counted += 1;
      // The second request for the whole period is its recount, after all pages.
      if (counted !== 2) return;
      server.add({ _id: 1, _start_date: "2022-12-02 00:00:01", "Question Type": ["Late entry"] });
    },
  });
  const { code, stdout } = await start(folder.path, ["--json", ...range], libInsightEnv(server)).ended;
  const run = runReport.parse(JSON.parse(stdout));
  expect([code, run.records]).toEqual([0, 901]);
  expect(run.windows.map(({ attempt }) => attempt)).toEqual([1, 2, 1]);
  expect(run.columns.at(-1)).toBe("New Field");
  expect(run.undeclared["New Field"]).toBeGreaterThan(0);

  const files = await filesIn(join(folder.path, ".local/out"));
  const rows = z
    .array(z.record(z.string(), z.string()))
    .parse(parse(files["LibInsightQueryData.csv"] ?? "", { columns: true }));
  expect(rows.filter(({ _id }) => _id === "1")).toHaveLength(1);
  expect(new Set(rows.map((row) => row["New Field"]))).toEqual(new Set(["", "yes", "no"]));
  expect(files["LibInsightQueryResults.csv"]).toMatch(/^"_id",.*,"new_field"\n/);
  expect(files["dictionary.md"]).toMatch(/^\| `new_field` \| New Field \| text \| .*not declared/m);
});

test("a run without records is held and publishes nothing but its report", async () => {
  await using folder = await temporaryFolder();
  const empty = ["--quiet", "--from", "2022-12-24", "--to", "2023-01-02"];
  const { code, stderr } = await start(folder.path, empty).ended;
  expect(code).toBe(1);
  expect(stderr).toContain("the run has 0 rows from 0 records, and no file is published yet");
  expect(stderr.trimEnd().split("\n").at(-1)).toBe("Report: .local/out/report.html");
  const files = await filesIn(join(folder.path, ".local/out"));
  expect(Object.keys(files)).toEqual(["report.html"]);
  expect(files["report.html"]).toMatch(/held/i);
});

// Only Linux has this `script`, which runs a command on a terminal.
describe.skipIf(process.platform !== "linux" || spawnSync("script", ["--version"]).error)(
  "on a terminal of 80 columns",
  () => {
    /** Returns what npm start prints. */
    async function shownOn(term: string): Promise<string> {
      await using folder = await temporaryFolder();
      const program = join(import.meta.dirname, "../../support/start.mjs");
      const { status, stdout } = spawnSync(
        "script",
        ["-qec", `stty cols 80; "${process.execPath}" "${program}" --records 1100`, "/dev/null"],
        {
          cwd: folder.path,
          env: { PATH: process.env.PATH, HOME: folder.path, TERM: term },
          encoding: "utf8",
          timeout: 60_000,
        },
      );
      expect(status).toBe(0);
      return stdout;
    }

    /** Expects that the terminal breaks no line. */
    function expectNarrow(shown: string): void {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: cursor movements begin with an escape character.
      const lines = shown.replace(/\u001b\[[?\d;]*[A-Za-z]/g, "\n").split(/[\r\n]+/);
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    }

    test("npm start shows a bar for each stage, and lines that fit", async () => {
      const shown = await shownOn("xterm");
      for (const stage of ["fetched", "transformed", "assembled", "queried"])
        expect(shown).toMatch(new RegExp(`  ${stage} +█+ \\d+/\\d+ \\w+ +done`));
      expect(shown).toMatch(/^ {2}columns {8}14: _id, .*,\r\n {17}\S/m);
      expect(shown).toContain("  records in     1,100\r\n");
      expectNarrow(shown);
    });

    test("npm start moves no cursor if the terminal is dumb", async () => {
      const shown = await shownOn("dumb");
      expect(shown).not.toContain("\u001b");
      expectNarrow(shown);
    });
  },
);

test("--faults replays its dead letters and publishes the same bytes, and a pipe gets progress, summary, first rows and columns", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await start(folder.path, ["--faults", "7", ...simulated]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(await publishedIn(folder.path)).toEqual(pinned);

  expect(stdout).not.toContain("\u001b");
  expect(stdout.trimEnd().split("\n").at(-1)).toBe("Report: .local/out/report.html");
  for (const line of [
    /^Collecting reference-transactions, 2021-12-02 to 2024-12-01\nSource: the simulated LibInsight\n/,
    /^Dead letters: 1\. LibInsight responded with status 503\./m,
    /^ {2}fetcher, window 1, page 1: LibInsightServerError$/m,
    /^Replayed 1\. The command that does it: npm run replay -- send --run reference-/m,
    /^transformed 50 pages$/m,
    /^Published 2,9\d\d rows, \d+ rejected, no duplicates, in \d+ s\./m,
    /^ {2}records in +3,000$/m,
    /^ {2}published +2,9\d\d rows$/m,
    /^libinsightdata_typed, every column with its type: the first 3 rows$/m,
    /^ {2}_start_date +(2021-12-\d\d \d\d:\d\d:\d\d\.000 *){3}$/m,
    /^ {2}comments_notes +\(personal\) +\(personal\) +\(personal\)$/m,
    /^libinsightdata_analysis, what Tableau reads: the first 3 rows$/m,
    /^ {2}fiscal_year +2022 +2022 +2022$/m,
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

/** Returns a value of Parquet as the JSON lines have it. */
function plainValue(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString().slice(0, 19).replace("T", " ");
  return typeof value === "bigint" ? Number(value) : value;
}
