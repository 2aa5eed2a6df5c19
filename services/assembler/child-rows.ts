// Fits the child rows of parts into the child files, and accounts for every answer of the published rows.
import type { ChildTable } from "../../shared/child-tables.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Part } from "../../shared/part.ts";
import type { RunResult } from "../../shared/run.ts";

const newline = 0x0a;

type Counts = Pick<NonNullable<RunResult["children"]>[number], "column" | "rows" | "records">;

export class ChildRows {
  /** The number of rows and of records with answers in each child file, so far. */
  readonly counts: Counts[];

  constructor(children: readonly ChildTable[]) {
    this.counts = children.map(({ column }) => ({ column, rows: 0, records: 0 }));
  }

  /**
   * Counts a part's rows and returns them for each child file, without those of duplicate rows.
   * @param skip indexes of rows that are duplicates of earlier ones
   * @throws PipelineError `AnswersMiscounted` if the part has other rows than it counts answers
   */
  add({ summary: { answers = [], page }, children }: Part, skip: readonly number[]): Uint8Array[] {
    return this.counts.map((counts) => {
      const index = answers.findIndex(({ column }) => column === counts.column);
      const given = answers[index]?.counts.map((count, row) => (skip.includes(row) ? -count : count)) ?? [];
      const rows = withoutSkipped(children[index] ?? new Uint8Array(), given);
      const kept = given.filter((count) => count > 0);
      const expected = kept.reduce((sum, count) => sum + count, 0);
      const found = linesIn(rows);
      if (index === -1 || found !== expected) throw miscounted(counts.column, { page, found, expected });
      counts.rows += found;
      counts.records += kept.length;
      return rows;
    });
  }
}

/** @param counts the number of lines of each row, negative for rows to leave out */
function withoutSkipped(rows: Uint8Array, counts: readonly number[]): Uint8Array {
  if (!counts.some((count) => count < 0)) return rows;
  const kept: Uint8Array[] = [];
  let start = 0;
  for (const count of counts) {
    const end = endOfLines(rows, start, Math.abs(count));
    if (count > 0) kept.push(rows.subarray(start, end));
    start = end;
  }
  return Buffer.concat([...kept, rows.subarray(start)]);
}

function endOfLines(rows: Uint8Array, start: number, lines: number): number {
  let end = start;
  // No text of a row has a line break (services/transformer/clean-text.ts).
  for (let line = 0; line < lines; line++) end = rows.indexOf(newline, end) + 1 || rows.length;
  return end;
}

function linesIn(rows: Uint8Array): number {
  let lines = 0;
  for (let at = rows.indexOf(newline); at !== -1; at = rows.indexOf(newline, at + 1)) lines += 1;
  return lines;
}

function miscounted(column: string, ids: { page: number; found: number; expected: number }): PipelineError {
  return new PipelineError("AnswersMiscounted", {
    message: `A part has ${ids.found} rows for the answers of the column "${column}" and counts ${ids.expected}. Nothing is published.`,
    advice: "Request the run again.",
    ids: { page: ids.page },
  });
}
