// Page summaries of the transformer.
import type { PageSummary } from "../../shared/run.ts";

/** Returns the summary of a page without rejects. */
export function summaryOf(page: number, ids: number[], given: Partial<PageSummary> = {}): PageSummary {
  return {
    ...{ from: "2021-01-01", to: "2021-12-31" },
    page,
    entry: "entry",
    outside: 0,
    totals: { totalPages: 1, totalRecords: ids.length },
    records: ids.length,
    ids,
    appended: [],
    rejects: {},
    furtherAnswers: {},
    mistyped: {},
    undeclared: {},
    filled: {},
    bytes: { csv: 0, jsonl: 0 },
    ...given,
  };
}
