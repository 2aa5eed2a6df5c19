// `npm run stats`: what it prints, and its queries, on the data of npm start and against a stage's Athena.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { PipelineError } from "../../../shared/errors.ts";
import type { QueryEngine, Rows } from "../../../shared/ports.ts";
import { surveys } from "../../../shared/statistics/surveys.ts";
import { worksheetOf } from "../../../shared/statistics/worksheet.ts";
import { fillWorksheet } from "../../../stacks/commands/stats/fill-worksheet.ts";
import { maxIds, PublishedRows } from "../../../stacks/commands/stats/published-rows.ts";
import { worksheetCsv, worksheetText } from "../../../stacks/commands/stats/worksheet-text.ts";
import { sendJson, startHttpServer } from "../../support/http-server.ts";
import { command, filesIn, small, stageEnv, start, temporaryFolder } from "../../support/npm-start.ts";
import { statisticsDataset } from "../../support/statistics-dataset.ts";

const dataset = statisticsDataset({ fiscalYearStart: 11 });
const surveyNamed = (name: string) => surveys.filter((survey) => survey.name === name);
const [acrl2022 = surveys[0]] = surveyNamed("acrl-2022");
const year = { fiscalYear: 2024, mode: "Chat", rows: 1_234 };
const sheetOf = (survey = acrl2022) => {
  if (!survey) throw new Error("There is no survey.");
  return worksheetOf({
    survey,
    dataset,
    counts: [
      { ...year, questionType: "Quick Reference" },
      { ...year, questionType: 'Studio / "Maker" Equipment', mode: null, rows: 1 },
      { ...year, questionType: "Directional", mode: "In person", rows: 2 },
      { ...year, questionType: null, rows: 3 },
      { ...year, questionType: null, fiscalYear: null, rows: 4 },
    ],
    fiscalYear: 2024,
    recorded: { from: "2023-11-02", to: "2024-10-31" },
  });
};

test("the text has the lines, the rest, and what of the definition was seen, in 80 columns", () => {
  const text = worksheetText(sheetOf());
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
  expect(text).toMatchInlineSnapshot(`
    "ACRL Academic Library Trends and Statistics, definitions revised on March 3,
    2022
    test-dataset, fiscal year 2024: 2023-11-01 to 2024-10-31
    For the survey of 2025, not of 2024.
    Period: The latest 12 months that end before October 1 of the survey's year.
    Read for 2015 in ACRL Insider and for 2018 in a library's copy.
    The records begin on 2023-11-02, after the year does.
    Counted: all published records of the year, none scaled from a sample.
    The counts are exact, for the survey. Do not publish small ones.

    line           number  records  in person  virtual  no mode
    transactions   64        1,235          0    1,234        1
    consultations  65            0          0        0        0
    excluded                     2          2        0        0
    unanswered                   3          0        3        0
    all                      1,240          2    1,237        1

    transactions: Transactions (64)
      Contacts in which staff know, use, recommend, interpret or teach information
      sources, including equipment and software for academic projects. Any medium,
      such as chat. A contact that is also directional counts once; a directional
      contact does not count.
      Counts: Quick Reference | Studio / "Maker" Equipment
      Official text not seen; read in the copy of Spokane Community College Library,
      revised on March 3, 2022.
      The number is that of an undated copy with this text; the form of 2022 was not
      seen.
      https://libguides.scc.spokane.edu/acrlrefdefinitions
      https://guides.cuny.edu/c.php?g=1102005&p=8035781
      https://apps.pcj.edu/library-statistics/

    consultations: Consultations (65)
      Help that is often scheduled, away from a class or a service point, and that
      needs preparation or experience. Any medium. A referred walk-up may count,
      however short.
      Counts: no answer of this year
      Official text not seen; read in the copies of Spokane Community College
      Library and Lincoln Memorial University.
      The number is that of an undated copy with this text; the form of 2022 was not
      seen.
      https://libguides.scc.spokane.edu/acrlrefdefinitions
      https://library.lmunet.edu/internal/home
      https://apps.pcj.edu/library-statistics/

    excluded
      Directional: 2 records; the definition leaves directional contacts out

    unanswered
      No question type: nothing says what was asked, so no line counts these
      records.

    4 records without a date are in no year.
    "
  `);
});

test("a line whose official text was seen says so, and one without an answer of the year", () => {
  const [arl] = surveyNamed("arl-2013");
  const text = worksheetText(sheetOf(arl));
  expect(text).toContain("Official text seen: ARL Statistics 2006-2007, 2008-2009 and 2013-2014");
  expect(worksheetText(sheetOf())).toContain("Counts: no answer of this year");
});

test("the CSV has a row for each line and for the rest, with the same numbers", () => {
  const rows = z
    .array(z.record(z.string(), z.string()))
    .parse(parse(worksheetCsv(sheetOf()), { columns: true }));
  expect(
    rows.map(({ line, number, records, in_person, virtual, no_mode }) => [
      line,
      number,
      records,
      in_person,
      virtual,
      no_mode,
    ]),
  ).toEqual([
    ["transactions", "64", "1235", "0", "1234", "1"],
    ["consultations", "65", "0", "0", "0", "0"],
    ["excluded", "", "2", "2", "0", "0"],
    ["unanswered", "", "3", "0", "3", "0"],
    ["all", "", "1240", "2", "1237", "1"],
  ]);
  expect(rows[0]).toMatchObject({
    survey: "acrl-2022",
    dataset: "test-dataset",
    fiscal_year: "2024",
    survey_year: "2025",
    from: "2023-11-01",
    to: "2024-10-31",
    question_types: 'Quick Reference | Studio / "Maker" Equipment',
    official_text: expect.stringMatching(/^not seen; read in /),
    method: expect.stringMatching(/^counted: /),
    notes: "The records begin on 2023-11-02, after the year does",
  });
});

describe("queries", () => {
  const rowsOf = (respond: (sql: string) => string[][] | Error) => {
    const asked: string[] = [];
    const engine: Pick<QueryEngine, "database" | "firstRows"> = {
      database: "library",
      async firstRows(sql, folder, max): Promise<Rows> {
        asked.push(`${folder} ${max} ${sql}`);
        const rows = respond(sql);
        if (rows instanceof Error) throw rows;
        return { columns: [], rows };
      },
    };
    return { asked, rows: new PublishedRows(dataset, engine, new Map([["mode", "mode_2"]])) };
  };

  test("read the analysts' view by its names on the stage, into the analysts' folder", async () => {
    const { asked, rows } = rowsOf(() => []);
    await rows.years();
    await rows.counts(2024);
    await expect(rows.ids(2024, ["It's"], 2)).rejects.toMatchObject({ name: "PublishedFileReplaced" });
    expect(asked.map((text) => text.replaceAll("\n", " "))).toEqual([
      'tableau 999 SELECT "fiscal_year", count(*), CAST(min("_start_date") AS varchar), CAST(max("_start_date") AS varchar) FROM "library"."test_dataset_analysis" GROUP BY 1 ORDER BY 1',
      'tableau 999 SELECT "question_type", "mode_2", count(*) FROM "library"."test_dataset_analysis" WHERE "fiscal_year" = 2024 GROUP BY 1, 2 ORDER BY 1, 2',
      `tableau 999 SELECT "_id" FROM "library"."test_dataset_analysis" WHERE "fiscal_year" = 2024 AND "question_type" IN ('It''s') ORDER BY 1 LIMIT 999`,
    ]);
  });

  test("fail with a sentence about the command instead of the athena service", async () => {
    const failure = new PipelineError("StatementFailed", { message: "", advice: "", ids: { query: "q1" } });
    await expect(rowsOf(() => failure).rows.years()).rejects.toMatchObject({
      name: "QueryFailed",
      sentence: expect.stringMatching(
        /^A query on "library"\."test_dataset_analysis" failed \(StatementFailed\)\. Repeat the command\. .*query q1/,
      ),
    });
    await expect(rowsOf(() => new TypeError("x")).rows.years()).rejects.toThrow(TypeError);
  });

  test("refuse columns that are no closed fields, and more IDs than their limit", async () => {
    const many = Array.from({ length: 999 }, (_, index) => [String(index), "Chat", "1"]);
    await expect(rowsOf(() => many).rows.counts(2024)).rejects.toMatchObject({ name: "TooManyAnswers" });
    const { asked, rows } = rowsOf(() => []);
    await expect(rows.ids(2024, ["a"], maxIds + 1)).rejects.toMatchObject({
      name: "TooManyIds",
      message: "The line has 99,901 records, and --ids prints at most 99,900.",
    });
    expect(asked).toEqual([]);
  });

  test("a file that is replaced between two queries gives an error instead of two files' numbers", async () => {
    const { rows } = rowsOf((sql) =>
      sql.includes("min(")
        ? [["2024", "3", "2023-11-01 10:00:00.000", "2024-10-31 10:00:00.000"]]
        : [["Quick Reference", "Chat", "2"]],
    );
    if (!acrl2022) throw new Error("There is no survey.");
    await expect(
      fillWorksheet({ survey: acrl2022, dataset, fiscalYear: 2024 }, rows, new Date()),
    ).rejects.toMatchObject({ name: "PublishedFileReplaced" });
  });

  test("a dataset without roles or without a date has no statistics", () => {
    const engine = { database: "library", firstRows: async () => ({ columns: [], rows: [] }) };
    const undated = { ...dataset, columns: dataset.columns.filter(({ name }) => name !== "_start_date") };
    for (const entry of [{ ...dataset, roles: {} }, undated])
      expect(() => new PublishedRows(entry, engine, undefined)).toThrow(
        expect.objectContaining({ name: "StatisticsNotDeclared" }),
      );
  });
});

describe("on the data of npm start", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const stats = (...args: string[]) => command("stats", folder.path, args).ended;
  beforeAll(async () => {
    folder = await temporaryFolder();
    expect(await start(folder.path, ["--quiet", "--records", "3000", ...small]).ended).toMatchObject({
      code: 0,
    });
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  test("every record is in one place, in the text, in the CSV and by its ID", async () => {
    const { code, stdout, stderr } = await stats("--survey", "acrl-2022", "--out", "year/acrl.csv");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^reference-transactions, fiscal year 2024: 2023-07-01 to 2024-06-30\nFor the survey of 2024\.$/m,
    );
    expect(stdout).toMatch(/\nWrote year\/acrl\.csv\.\n$/);
    const csv = await readFile(join(folder.path, "year/acrl.csv"), "utf8");
    expect((await stats("--survey", "acrl-2022", "--format", "csv")).stdout).toBe(csv);
    const rows = z.array(z.record(z.string(), z.string())).parse(parse(csv, { columns: true }));
    const published = (await filesIn(join(folder.path, ".local/out")))["LibInsightQueryData.csv"] ?? "";
    const expected = z.array(z.record(z.string(), z.string())).parse(parse(published, { columns: true }));
    const ids: string[] = [];
    for (const place of ["transactions", "consultations", "excluded", "unanswered"]) {
      const found = (await stats("--survey", "acrl-2022", "--ids", place)).stdout.split("\n").filter(Boolean);
      expect([place, rows.find(({ line }) => line === place)?.records]).toEqual([
        place,
        String(found.length),
      ]);
      ids.push(...found);
    }
    expect(ids.toSorted()).toEqual(expected.map(({ _id }) => _id).toSorted());
  });

  test("a year without records is one sentence, exit 1", async () => {
    expect(await stats("--survey", "acrl-2022", "--fiscal-year", "2020")).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "The published file has no record of fiscal year 2020. It has records of 2024. Choose one of its years with --fiscal-year, or request a run that covers the year. (dataset reference-transactions)\n",
    });
  });
});

test("without a published file the command says how to get one", async () => {
  await using folder = await temporaryFolder();
  await command("runs", folder.path, ["list"]).ended;
  const { openLocal } = await import("../../../shared/local/open-local.ts");
  await (await openLocal(join(folder.path, ".local"))).close();
  const { code, stderr } = await command("stats", folder.path, ["--survey", "acrl-2022"]).ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^The dataset has no published file\. Run npm start, or select a stage: npx sst shell /,
  );
});

test("on a stage the command queries in the analysts' workgroup and changes nothing", async () => {
  await using folder = await temporaryFolder();
  const started: unknown[] = [];
  const results = [
    [
      ["fiscal_year", "n", "min", "max"],
      ["2024", "3", "2023-07-01 10:00:00.000", "2024-06-30 10:00:00.000"],
    ],
    [
      ["question_type", "mode_2", "n"],
      ["Quick Reference", "Chat", "2"],
      ["", "", "1"],
    ],
  ];
  const operations = new Set<string>();
  const { url } = await startHttpServer(({ path, headers, body, method }, response) => {
    const target = String(headers["x-amz-target"] ?? `${method} ${path.split("?")[0]}`);
    operations.add(target);
    if (target.endsWith(".StartQueryExecution")) {
      started.push(JSON.parse(body));
      return sendJson(response, 200, { QueryExecutionId: `query-${started.length}` });
    }
    if (target.endsWith(".GetQueryExecution"))
      return sendJson(response, 200, { QueryExecution: { Status: { State: "SUCCEEDED" } } });
    if (target.endsWith(".GetQueryResults")) {
      const rows = (results[started.length - 1] ?? []).map((cells) => ({
        Data: cells.map((VarCharValue) => ({ VarCharValue })),
      }));
      return sendJson(response, 200, { ResultSet: { Rows: rows } });
    }
    if (path.includes("/names/"))
      return sendJson(response, 200, { names: [{ header: "mode", name: "mode_2" }] });
    response.writeHead(200, { etag: '"1"', "last-modified": "Mon, 01 Jul 2024 10:00:00 GMT" }).end();
  });
  const variables = {
    DATA_BUCKET: "data",
    RESULTS_BUCKET: "results",
    ATHENA_DATABASE: "libinsight_ada",
    ANALYSTS_WORKGROUP: "libinsight-ada-analysts",
  };
  const { code, stdout, stderr } = await command(
    "stats",
    folder.path,
    ["--survey", "arl-2013", "--fiscal-year", "2024"],
    stageEnv(url, variables),
  ).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^reference-transactions +16 +2 +0 +2 +0$/m);
  expect(started).toEqual(
    [/min\("_start_date"\)/, /"mode_2", count/].map((sql) =>
      expect.objectContaining({
        QueryString: expect.stringMatching(sql),
        WorkGroup: "libinsight-ada-analysts",
        ResultConfiguration: { OutputLocation: "s3://results/tableau/" },
      }),
    ),
  );
  // No object is written, and no table or view is changed.
  expect([...operations].filter((name) => /^(PUT|POST|DELETE) |Glue/.test(name))).toEqual([]);
});
