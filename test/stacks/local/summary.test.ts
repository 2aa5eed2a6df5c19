// Tests the summary of `npm start`.
import { expect, test } from "vitest";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { type RunReport, summary } from "../../../stacks/local/summary.ts";
import { firstResultOf } from "../../factories/results.ts";

const { mode: _empty, ...filled } = Object.fromEntries(
  outputColumns(defaultDataset.columns).map((column) => [column, 10_412]),
);
const report: RunReport = {
  ...firstResultOf({
    requestedAt: "2026-11-23T11:00:00Z",
    finishedAt: "2026-11-23T11:00:03.000Z",
    to: "2023-12-01",
    attempt: 2,
    windows: [
      { from: "2021-12-02", to: "2022-12-01", attempt: 1, pages: 50, totalRecords: 5_000 },
      { from: "2022-12-02", to: "2023-12-01", attempt: 2, pages: 55, totalRecords: 5_417 },
    ],
    furtherAnswers: { "Question Type": 12 },
    mistyped: { "Duration (in minutes)": 3 },
    filled: { ...filled, "Duration (in minutes)": 9_000 },
    undeclared: { "New field": 7 },
    columns: ["_id", "_start_date", "New field"],
  }),
  work: { bucket: "work", prefix: "runs/reference-transactions-93d95e4fb5a2/" },
  query: { queryExecutionId: "q", bucket: "results", key: "published/r.csv" },
  athena: { database: "d", table: "b", parquet: "b_parquet", typed: "b_typed", analysis: "b_analysis" },
  files: {
    csv: "out/b.csv",
    jsonl: "out/b.jsonl",
    parquet: "out/b.parquet",
    deidentified: "out/b-deidentified.csv",
    results: "out/r.csv",
    report: "out/report.html",
    dictionary: "out/dictionary.md",
    run: "out/run.json",
  },
  seconds: 41.04,
};

test("the summary counts the answers in child files, and names the files", () => {
  const children = [{ column: "Topics", rows: 1_234, records: 801, key: "k", etag: "e", bytes: 1 }];
  const text = summary({ ...report, children, files: { ...report.files, children: ["out/b-topics.csv"] } });
  expect(text).toContain("answers        Topics: 1,234 answers of 801 records\n");
  expect(text).toContain("out/b.parquet\n                 out/b-topics.csv\n");
});

test("the summary has the message that a stage emails, every count, and the files", () => {
  expect(summary(report)).toMatchInlineSnapshot(`
    "Published 10,412 rows, 3 rejected, 2 duplicates, in 3 s.

      run            reference-transactions-93d95e4fb5a2
      range          2021-12-02 to 2023-12-01, 2 windows
      records in     10,417
      published      10,412 rows
      duplicates     2
      rejected       3 (invalid _start_date: 1, missing _start_date: 2)
      fetched again  1 of 2 windows: the totals did not match
      extra answers  Question Type: 12 (only the first is kept)
      kept as text   not of the column's type: Duration (in minutes): 3 of 9,000
      no values      "mode"; check the labels in shared/library.ts
      undeclared     New field: 7; declare them in shared/library.ts
      columns        3: _id, _start_date, New field
      files          out/b.csv
                     out/b.jsonl
                     out/b.parquet
                     out/b-deidentified.csv
                     out/r.csv
                     out/dictionary.md
                     out/run.json"
  `);
});

test("the summary omits counts of zero", () => {
  const calm = summary({
    ...report,
    windows: report.windows.map((window) => ({ ...window, attempt: 1 })),
    rejects: {},
    furtherAnswers: {},
    mistyped: {},
    filled: { ...filled, mode: 1 },
    undeclared: {},
  });
  expect(calm).toMatch(/^ {2}rejected +0$/m);
  expect(calm).not.toMatch(/forced|fetched again|extra answers|kept as text|no values|undeclared/);
});

test("the summary of a forced run has the reason and the violations", () => {
  const violations: RunReport["violations"] = [{ kind: "comparison", text: 'the column "mode" vanished' }];
  const forced = { ...report, force: "--rename", violations };
  expect(summary(forced)).toMatch(/^ {2}forced +the column "mode" vanished \(--rename\)$/m);
});
