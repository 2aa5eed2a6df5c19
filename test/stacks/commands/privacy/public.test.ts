// `npm run privacy -- public`: its files on the data of npm start, and what it refuses.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Cell, csvRows } from "../../../../shared/csv.ts";
import type { Dataset, DatasetInput } from "../../../../shared/dataset-schema.ts";
import { dimensionsOf } from "../../../../stacks/commands/privacy/public/dimensions.ts";
import { maxCells } from "../../../../stacks/commands/privacy/public/table.ts";
import { writePublicFile } from "../../../../stacks/commands/privacy/public.ts";
import { datasetOf, datasetOfKind } from "../../../factories/dataset-entries.ts";
import { startHttpServer } from "../../../support/http-server.ts";
import { useLocal } from "../../../support/local-adapters.ts";
import { command, filesIn, range, stageEnv, start, temporaryFolder } from "../../../support/npm-start.ts";
import { overwrite } from "../../../support/objects.ts";

const local = useLocal();
const records = z.array(z.record(z.string(), z.string()));
const csvRecords = (text: string) => records.parse(parse(text, { columns: true }));

describe("on the data of npm start", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const publicFile = (...args: string[]) => command("privacy", folder.path, ["public", ...args]).ended;
  const read = (file: string) => readFile(join(folder.path, file), "utf8");
  beforeAll(async () => {
    folder = await temporaryFolder();
    expect(await start(folder.path, ["--quiet", "--records", "3000", ...range]).ended).toMatchObject({
      code: 0,
    });
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  test("every published count is that of the published file, and at least k", async () => {
    const { code, stdout, stderr } = await publicFile(
      "--dimensions",
      "location,year,mode",
      "--out",
      "a/b.csv",
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^[\d,]+ combinations and subtotals: \d+ published, \d+ suppressed\.\n/);
    expect(stdout).toMatch(/\nCheck: passed\. .*\nWrote a\/b\.csv and a\/b-report\.md\.\n$/);
    const published = (await filesIn(join(folder.path, ".local/out")))["LibInsightQueryData.csv"] ?? "";
    const found = csvRecords(published).map((row) => ({
      location: row.Location || "(none)",
      year: row._start_date?.slice(0, 4),
      mode: row.mode || "(none)",
    }));
    const matches = (value: string | undefined, wanted: string | undefined) =>
      wanted === "all" || value === wanted;
    const lines = csvRecords(await read("a/b.csv"));
    expect(lines[0]).toEqual({
      location: "all",
      year: "all",
      mode: "all",
      records: String(found.length),
      status: "published",
    });
    for (const line of lines) {
      const real = found.filter(
        (row) =>
          matches(row.location, line.location) &&
          matches(row.year, line.year) &&
          matches(row.mode, line.mode),
      ).length;
      expect(real).toBeGreaterThan(0);
      if (line.status === "published") expect(real).toBeGreaterThanOrEqual(10);
      expect(line.records).toBe(line.status === "published" ? String(real) : "");
      expect(["published", "suppressed"]).toContain(line.status);
    }
    expect(lines.some(({ status }) => status === "suppressed")).toBe(true);
  });

  test("the report and the JSON have the numbers of the file, and the report only what follows from it", async () => {
    const { stdout } = await publicFile("--dimensions", "location,weekday", "--k", "8", "--json");
    const summary = z.record(z.string(), z.unknown()).parse(JSON.parse(stdout));
    const [file, reportFile] = z.tuple([z.string(), z.string()]).parse(summary.files);
    expect(file).toBe(".local/out/reference-transactions-public.csv");
    const lines = csvRecords(await read(file));
    const published = lines.filter(({ status }) => status === "published");
    const total = Number(lines[0]?.records);
    const inCombinations = published
      .filter(({ location, weekday }) => location !== "all" && weekday !== "all")
      .reduce((sum, line) => sum + Number(line.records), 0);
    expect(summary).toEqual({
      dataset: "reference-transactions",
      run: expect.stringMatching(/^reference-transactions-/),
      dimensions: ["location", "weekday"],
      k: 8,
      cells: lines.length,
      published: published.length,
      suppressed: lines.length - published.length,
      records: total,
      publishedPercent: Math.round((1_000 * inCombinations) / total) / 10,
      primary: expect.any(Number),
      complementary: lines.length - published.length - Number(summary.primary),
      files: [file, reportFile],
    });
    const report = await read(reportFile);
    expect(report).toContain(`| Least published count (k) | 8 |\n`);
    expect(report).toContain(`| Suppressed | ${summary.suppressed} |\n`);
    expect(report).toContain(`| Records in published combinations | ${summary.publishedPercent} % |\n`);
    expect(report).toContain("Check: passed.");
    expect(report).not.toMatch(/protect these|complementary/);
    const weekdays = lines.filter(({ location }) => location === "all").map(({ weekday }) => weekday);
    expect(weekdays.slice(0, 3)).toEqual(["all", "Monday", "Tuesday"]);
  });
});

const columns: DatasetInput["columns"] = [
  { name: "_start_date", type: "timestamp" },
  { name: "Desk", type: "text" },
  { name: "year", type: "integer" },
  { name: "Note", type: "text", personal: true },
  { name: "Patron", type: "text", privacy: "hash" },
  { name: "Age", type: "integer", privacy: "generalise", generalise: { bands: [0, 18] } },
  { name: "Group", type: "text", after: { months: 12, then: "drop" } },
  { name: "Topic", join: ["a", "b"] },
  { name: "End", type: "time" },
  { name: "Unused", drop: true },
];
const dataset: Dataset = { ...datasetOf(columns), roles: { location: "Desk" }, fiscalYearStart: 7 };
const undated: Dataset = datasetOf([{ name: "Desk", type: "text" }]);
const daily: Dataset = datasetOf([{ name: "Day", type: "date" }]);
const datedBy = (privacy: "drop" | "generalise") =>
  datasetOf([
    {
      name: "_start_date",
      type: "timestamp",
      privacy,
      ...(privacy === "generalise" && { generalise: "month" }),
    },
  ]);

test.each<[string, Dataset, string]>([
  ["Note", dataset, "does not keep this column in its de-identified file"],
  ["Patron", dataset, "does not keep this column in its de-identified file"],
  ["Age", dataset, "does not keep this column in its de-identified file"],
  ["Group", dataset, "does not keep this column in its de-identified file"],
  ["Topic", dataset, "joins free text in this column"],
  ["End", dataset, "has a date or time in this column"],
  ["_start_date", dataset, "has a date or time in this column"],
  ["_id", dataset, "has a different one in each record"],
  ["Unused", dataset, "declares no such column or role"],
  ["undeclared", dataset, "declares no such column or role"],
  ["mode", dataset, "declares no such column or role"],
  ["constructor", dataset, "declares no such column or role"],
  ["month", undated, "has no date that is not personal"],
  ["hour", daily, "has no time that is not personal"],
  ["year", datedBy("drop"), 'has privacy: "drop" for the date'],
  ["hour", datedBy("generalise"), 'has privacy: "generalise" for the date'],
  ["weekday", datedBy("generalise"), 'has privacy: "generalise" for the date'],
])("%s is refused", (name, entry, why) => {
  expect(() => dimensionsOf([name], entry)).toThrow(
    expect.objectContaining({
      name: "UsageError",
      message: expect.stringMatching(
        `^Cannot count by "${name}": test-dataset ${why}\\. Use location, .*\\.$`,
      ),
    }),
  );
});

test("a column twice and rows that are counts are refused", () => {
  expect(() => dimensionsOf(["location", "Desk"], dataset)).toThrow("location and Desk are the same column.");
  const gates = { ...datasetOfKind("gate-count"), roles: { quantity: "count" } };
  expect(() => dimensionsOf(["hour"], gates)).toThrow("The rows of test-dataset are counts already.");
});

test("a date that is made coarser may be counted by its coarse parts", () => {
  expect(dimensionsOf(["year", "fiscal_year", "month"], datedBy("generalise"))).toHaveLength(3);
});

const target = async (rows: Cell[][], metadata: Record<string, string> = {}) => {
  const data = local.store();
  await overwrite(data, dataset.publish.csv, csvRows(rows), {
    "run-id": "test-dataset-1a2b3c4d5e6f",
    "requested-at": "2024-03-15T12:00:00Z",
    ...metadata,
  });
  return { data: () => data, now: () => new Date("2024-04-01T00:00:00Z") };
};
const header = ["_id", "_start_date", "Desk"];
const rowsOf = (count: number, cells: (n: number) => Cell[]) => [
  header,
  ...Array.from({ length: count }, (_, n) => [n, ...cells(n)]),
];
const write = async (names: string[], k: number, rows: Cell[][], metadata?: Record<string, string>) => {
  await using folder = await temporaryFolder();
  const out = join(folder.path, "public.CSV");
  const common = { verb: "public", wait: false, json: false, dataset, k, out } as const;
  const stdout = await writePublicFile(
    { ...common, dimensions: dimensionsOf(names, dataset) },
    await target(rows, metadata),
  );
  const files = await filesIn(folder.path);
  return { stdout, csv: files["public.CSV"] ?? "", report: files["public-report.md"] ?? "" };
};

test("the parts of a date, and records without a date or an answer", async () => {
  const dates = ["2024-06-30 09:59:59", "2024-07-01 00:00:00", "not a date", null];
  const rows = rowsOf(8, (n) => [dates[n % 4] ?? null, n % 4 === 0 ? "Main" : null]);
  const parts = ["year", "fiscal_year", "month", "weekday"];
  const combination = (n: number, csv: string) =>
    csvRecords(csv).filter((line) => !parts.slice(0, n).some((name) => line[name] === "all"));
  const { csv } = await write(parts, 2, rows);
  expect(combination(4, csv).map((line) => Object.values(line))).toEqual([
    ["(none)", "(none)", "(none)", "(none)", "4", "published"],
    ["2024", "2024", "2024-06", "Sunday", "2", "published"],
    ["2024", "2025", "2024-07", "Monday", "2", "published"],
  ]);
  const { csv: hours } = await write(["hour", "location"], 2, rows);
  expect(hours).toBe(
    csvRows([
      ["hour", "location", "records", "status"],
      ["all", "all", 8, "published"],
      ["all", "(none)", 6, "published"],
      ["all", "Main", 2, "published"],
      ["(none)", "all", 4, "published"],
      ["(none)", "(none)", 4, "published"],
      ["00", "all", 2, "published"],
      ["00", "(none)", 2, "published"],
      ["09", "all", 2, "published"],
      ["09", "Main", 2, "published"],
    ]),
  );
});

test("a suppressed total is in no text", async () => {
  // No answer of the 5 records has other records, so the total would reveal their number.
  const rows = rowsOf(65, (n) =>
    n < 60 ? ["2024-01-01 10:00:00", "Main"] : ["2023-01-01 10:00:00", "East"],
  );
  const { csv, report, stdout } = await write(["location", "year"], 12, rows);
  expect(csv).toContain('"all","all",,"suppressed"\n');
  expect(csv).toContain('"Main","2024",60,"published"\n');
  expect(report).toContain("| Records | suppressed |\n| Records in published combinations | suppressed |");
  expect(stdout).toContain("The number of all records is suppressed.\n");
  expect(`${csv}${report}${stdout}`).not.toMatch(/\b(65|92\.3)\b/);
});

const failing: [string, string, string[], Cell[][], Record<string, string>?][] = [
  [
    "a file of another writer",
    "NothingPublished",
    ["location"],
    rowsOf(20, () => [null, "Main"]),
    { "run-id": "x" },
  ],
  [
    "a column that is not published yet",
    "ColumnNotPublished",
    ["year", "location"],
    [["_id", "_start_date"]],
  ],
  ["free text", "NoClosedField", ["location"], rowsOf(101, (n) => [null, `word ${n}`])],
  ["too many combinations", "TooManyCells", ["location"], rowsOf(maxCells + 1, (n) => [null, `word ${n}`])],
  ["an answer that reads as a subtotal", "AmbiguousAnswer", ["location"], rowsOf(20, () => [null, "all"])],
  ["small counts only", "NothingToPublish", ["location"], rowsOf(9, () => [null, "Main"])],
  ["no records", "NothingToPublish", ["location"], rowsOf(0, () => [])],
];
test.each(failing)("%s is an error that quotes no answer", async (_, name, dimensions, rows, metadata) => {
  const error = await write(dimensions, 10, rows, metadata).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ name, advice: expect.stringMatching(/\.$|\.\.\.$/) });
  expect(String(error)).not.toMatch(/word|Main/);
});

test("on a stage the command only reads the published file", async () => {
  await using folder = await temporaryFolder();
  const operations: string[] = [];
  const { url } = await startHttpServer(({ method, path }, response) => {
    operations.push(`${method} ${path.split("?")[0]}`);
    response.writeHead(200, {
      etag: '"1"',
      "last-modified": "Mon, 01 Jul 2024 10:00:00 GMT",
      "x-amz-meta-run-id": "reference-transactions-1a2b3c4d5e6f",
      "x-amz-meta-requested-at": "2024-07-01T09:00:00.000Z",
    });
    response.end(
      method === "HEAD"
        ? undefined
        : csvRows([["_id", "mode"], ...Array.from({ length: 12 }, (_, n) => [n, "Chat"])]),
    );
  });
  const args = ["public", "--dimensions", "mode", "--out", "public.csv"];
  const environment = stageEnv(url, { DATA_BUCKET: "data" });
  const { code, stderr } = await command("privacy", folder.path, args, environment).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect((await filesIn(folder.path))["public.csv"]).toBe(
    csvRows([
      ["mode", "records", "status"],
      ["all", 12, "published"],
      ["Chat", 12, "published"],
    ]),
  );
  expect(operations.filter((operation) => !/^(HEAD|GET) /.test(operation))).toEqual([]);
});

test("without a published file the command says how to get one", async () => {
  await using folder = await temporaryFolder();
  await command("runs", folder.path, ["list"]).ended;
  const { openLocal } = await import("../../../../shared/local/open-local.ts");
  await (await openLocal(join(folder.path, ".local"))).close();
  const args = ["public", "--dimensions", "location"];
  const { code, stderr } = await command("privacy", folder.path, args).ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^The dataset has no file that a run published\. Run npm start, or select a stage/);
});
