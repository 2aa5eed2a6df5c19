// Transforms a page of records into rows (as CSV and as JSON lines), rejects, and a summary that accounts for every
// record. Pure functions.
import { childTables } from "../../shared/child-tables.ts";
import { type Cell, csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { jsonLines } from "../../shared/json-lines.ts";
import type { PageMessage } from "../../shared/messages.ts";
import type { PageSummary } from "../../shared/run.ts";
import { type Row, recordTransform } from "./record.ts";

export type TransformedPage = {
  csv: string;
  jsonl: string;
  /** The rows of each child table as CSV. */
  children: string[];
  /** JSON lines; empty if nothing was rejected. */
  rejects: string;
  summary: Pick<
    PageSummary,
    | "records"
    | "ids"
    | "appended"
    | "rejects"
    | "furtherAnswers"
    | "mistyped"
    | "undeclared"
    | "filled"
    | "answers"
  >;
};

/** @param leftOut records of the page that exceed the size limits and are not in `records`; each is a reject */
export function transformPage(
  records: readonly unknown[],
  dataset: Dataset,
  leftOut: NonNullable<PageMessage["leftOut"]> = [],
): TransformedPage {
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
    if (!notes) continue;
    for (const [column, count] of notes.furtherAnswers) add(furtherAnswers, column, count);
    for (const column of notes.mistyped) add(mistyped, column);
    for (const field of notes.undeclared) add(undeclared, field);
  }

  for (const { reason, id } of leftOut) {
    add(rejects, reason);
    rejectLines.push(`${JSON.stringify({ reason, _id: id })}\n`);
  }

  // Sorted, so that the order does not depend on the order of the records.
  const found = new Set<string>();
  for (const row of rows) for (const header of row.appended.keys()) found.add(header);
  const appended = [...found].sort();
  const headers = [...outputColumns(dataset.columns), ...appended];
  const cells = rows.map((row) =>
    appended.length === 0
      ? row.cells
      : [...row.cells, ...appended.map((name) => row.appended.get(name) ?? null)],
  );
  const answers = childTables(dataset).map(({ column }, n) => ({
    column,
    given: rows.map((row) => row.answers?.[n] ?? []),
  }));
  return {
    csv: csvRows(cells),
    jsonl: jsonLines(headers, cells),
    children: answers.map(({ given }) => csvRows(rows.flatMap(({ id }, row) => childRows(id, given[row])))),
    rejects: rejectLines.join(""),
    summary: {
      records: records.length + leftOut.length,
      ids: rows.map((row) => row.id),
      appended,
      rejects: Object.fromEntries(rejects),
      furtherAnswers: Object.fromEntries(furtherAnswers),
      mistyped: Object.fromEntries(mistyped),
      undeclared: Object.fromEntries(undeclared),
      filled: filledColumns(headers, cells),
      ...(answers.length > 0 && {
        answers: answers.map(({ column, given }) => ({ column, counts: given.map(({ length }) => length) })),
      }),
    },
  };
}

function childRows(id: number, answers: readonly string[] = []): Cell[][] {
  return answers.map((answer, index) => [id, index + 1, answer]);
}

/** Returns the number of rows with a value, by column. Columns without values are left out. */
function filledColumns(headers: readonly string[], rows: readonly Cell[][]): Record<string, number> {
  const counts = new Uint32Array(headers.length);
  for (const row of rows) {
    for (let column = 0; column < headers.length; column++) {
      const cell = row[column];
      if (cell !== null && cell !== undefined && cell !== "") counts[column] = (counts[column] ?? 0) + 1;
    }
  }
  const filled = headers.map((header, column) => [header, counts[column] ?? 0] as const);
  return Object.fromEntries(filled.filter(([, count]) => count > 0));
}

function add(counts: Map<string, number>, key: string, count = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + count);
}
