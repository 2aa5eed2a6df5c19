// Page summaries as the transformer leaves them.
import type { PageSummary } from "../../shared/run.ts";

/** A page whose records all became rows, unless told otherwise. */
export function summaryOf(page: number, ids: number[], given: Partial<PageSummary> = {}): PageSummary {
  return {
    page,
    totals: { totalPages: 1, totalRecords: ids.length },
    records: ids.length,
    ids,
    appended: [],
    rejects: {},
    furtherAnswers: {},
    mistyped: {},
    undeclared: {},
    filled: {},
    etags: { csv: `"csv-${page}"`, jsonl: `"jsonl-${page}"` },
    ...given,
  };
}
