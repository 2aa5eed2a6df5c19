// Outcomes of runs: published, with few changes since the previous week.
import type { RunResult } from "../../shared/run.ts";

export function resultOf(given: Partial<RunResult> = {}): RunResult {
  return {
    runId: "reference-transactions-93d95e4fb5a2",
    dataset: "reference-transactions",
    state: "published",
    violations: [],
    from: "2021-12-02",
    to: "2026-11-22",
    requestedAt: "2026-11-23T11:00:00Z",
    finishedAt: "2026-11-23T11:00:41.321Z",
    attempt: 1,
    windows: [
      { from: "2021-12-02", to: "2022-12-01", attempt: 1, pages: 50, totalRecords: 5_000 },
      { from: "2022-12-02", to: "2023-12-01", attempt: 1, pages: 55, totalRecords: 5_417 },
    ],
    records: 10_417,
    rows: 10_412,
    previous: { rows: 10_280, requestedAt: "2026-11-16T11:00:00Z" },
    duplicates: 2,
    rejects: { "invalid _start_date": 1, "missing _start_date": 2 },
    furtherAnswers: {},
    mistyped: {},
    undeclared: {},
    filled: { _id: 10_412, _start_date: 10_412 },
    columns: ["_id", "_start_date"],
    entry: "0123456789abcdef",
    published: {
      bucket: "data",
      csv: { key: "a/b.csv", etag: '"1"', bytes: 1 },
      jsonl: { key: "c/b.jsonl", etag: '"2"', bytes: 2 },
    },
    ...given,
  };
}

/** Returns the outcome of a first run, without a previous file. */
export function firstResultOf(given: Partial<RunResult> = {}): RunResult {
  const { previous: _unknown, ...result } = resultOf(given);
  return result;
}
