import { expect, test } from "vitest";
import { type RunReport, summary } from "../../../stacks/local/report.ts";

const report: RunReport = {
  runId: "reference-transactions-0123456789ab",
  dataset: "reference-transactions",
  state: "published",
  from: "2021-12-02",
  to: "2023-12-01",
  requestedAt: "2026-11-23T11:00:00Z",
  finishedAt: "2026-11-23T11:00:03.000Z",
  attempt: 2,
  windows: [
    { from: "2021-12-02", to: "2022-12-01", attempt: 1, pages: 50, totalRecords: 5_000 },
    { from: "2022-12-02", to: "2023-12-01", attempt: 2, pages: 55, totalRecords: 5_417 },
  ],
  records: 10_417,
  rows: 10_412,
  duplicates: 2,
  rejects: { "unusable _start_date": 1, "no _start_date": 2 },
  furtherAnswers: { "Question Type": 12 },
  mistyped: { "Duration (in minutes)": 3 },
  undeclared: { "New field": 7 },
  filled: { _id: 10_412, _start_date: 10_412, "New field": 7 },
  violations: [],
  columns: ["_id", "_start_date", "New field"],
  published: {
    bucket: "data",
    csv: { key: "a/b.csv", etag: '"1"', bytes: 1 },
    jsonl: { key: "c/b.jsonl", etag: '"2"', bytes: 2 },
  },
  work: { bucket: "work", prefix: "runs/reference-transactions-0123456789ab/" },
  query: { queryExecutionId: "q", bucket: "results", key: "published/r.csv" },
  athena: { database: "d", table: "b", typed: "b_typed", analysis: "b_analysis" },
  files: {
    csv: "out/b.csv",
    jsonl: "out/b.jsonl",
    results: "out/r.csv",
    dictionary: "out/dictionary.md",
    run: "out/run.json",
  },
  seconds: 41.04,
};

test("says every count, and what was noticed", () => {
  expect(summary(report)).toMatchInlineSnapshot(`
    "Published 10,412 rows, 3 rejected, 2 duplicates, in 3 s. Athena follows.

      run           reference-transactions-0123456789ab
      range         2021-12-02 to 2023-12-01, 2 windows
      records in    10,417
      published     10,412 rows
      duplicates    2
      rejected      3 (no _start_date: 2, unusable _start_date: 1)
      fetched again 1 of 2 windows, whose numbers did not agree at first
      more answers  not kept beyond the first: Question Type: 12
      kept as text  not of the column's type: Duration (in minutes): 3
      undeclared    New field: 7; declare them in shared/datasets.ts
      columns       3: _id, _start_date, New field
      time          41.0 s
      files         out/b.csv
                    out/b.jsonl
                    out/r.csv
                    out/dictionary.md
                    out/run.json"
  `);
});

test("says nothing of what did not happen", () => {
  const calm = summary({
    ...report,
    windows: report.windows.map((window) => ({ ...window, attempt: 1 })),
    rejects: {},
    furtherAnswers: {},
    mistyped: {},
    undeclared: {},
  });
  expect(calm).toMatch(/^ {2}rejected +0$/m);
  expect(calm).not.toMatch(/fetched again|more answers|kept as text|undeclared/);
});
