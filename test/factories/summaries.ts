// Page summaries as the transformer leaves them.
import type { PageSummary } from "../../shared/run.ts";

/** A page whose records all became rows. */
export function summaryOf(page: number, ids: number[], given: Partial<PageSummary> = {}): PageSummary {
  return {
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
