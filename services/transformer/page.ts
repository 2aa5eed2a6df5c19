// One page of records becomes a part (as CSV and as JSON lines), its rejects, and a summary that accounts for
// every record. Pure functions.
import { type Cell, csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset.ts";
import type { PageSummary } from "../../shared/run.ts";
import { type Row, recordTransform } from "./record.ts";

export type TransformedPage = {
  csv: string;
  jsonl: string;
  /** JSON lines, empty where nothing was rejected. */
  rejects: string;
  summary: Pick<
    PageSummary,
    "records" | "ids" | "appended" | "rejects" | "furtherAnswers" | "mistyped" | "undeclared" | "filled"
  >;
};

export function transformPage(records: readonly unknown[], dataset: Dataset): TransformedPage {
  const transform = recordTransform(dataset);
  const rows: Row[] = [];
  const rejectLines: string[] = [];
  const rejects = new Map<string, number>();
  const furtherAnswers = new Map<string, number>();
  const mistyped = new Map<string, number>();
  const undeclared = new Map<string, number>();

  for (const record of records) {
    const outcome = transform(record);
    if ("reject" in outcome) {
      add(rejects, outcome.reject);
      rejectLines.push(`${JSON.stringify({ reason: outcome.reject, record })}\n`);
      continue;
    }
    rows.push(outcome.row);
    const { notes } = outcome.row;
    for (const [column, count] of notes.furtherAnswers) add(furtherAnswers, column, count);
    for (const column of notes.mistyped) add(mistyped, column);
    for (const field of notes.undeclared) add(undeclared, field);
  }

  // Sorted, so that the order does not depend on which record came first.
  const appended = [...new Set(rows.flatMap((row) => [...row.appended.keys()]))].sort();
  const headers = [...outputColumns(dataset.columns), ...appended];
  const cells = rows.map((row) => [...row.cells, ...appended.map((name) => row.appended.get(name) ?? null)]);
  return {
    csv: csvRows(cells),
    jsonl: cells.map((row) => jsonLine(headers, row)).join(""),
    rejects: rejectLines.join(""),
    summary: {
      records: records.length,
      ids: rows.map((row) => row.id),
      appended,
      rejects: Object.fromEntries(rejects),
      furtherAnswers: Object.fromEntries(furtherAnswers),
      mistyped: Object.fromEntries(mistyped),
      undeclared: Object.fromEntries(undeclared),
      filled: Object.fromEntries(filledColumns(headers, cells)),
    },
  };
}

/** How many rows have a value in each column; a column without any is left out. */
function filledColumns(headers: string[], rows: Cell[][]): Map<string, number> {
  const filled = new Map<string, number>();
  for (const row of rows) {
    headers.forEach((header, index) => {
      const cell = row[index];
      if (cell !== null && cell !== undefined && cell !== "") add(filled, header);
    });
  }
  return filled;
}

/** Written by hand because a column may be called `__proto__`. */
function jsonLine(headers: string[], row: Cell[]): string {
  const members = headers.map(
    (header, index) => `${JSON.stringify(header)}:${JSON.stringify(row[index] ?? null)}`,
  );
  return `{${members.join(",")}}\n`;
}

function add(counts: Map<string, number>, key: string, count = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + count);
}
