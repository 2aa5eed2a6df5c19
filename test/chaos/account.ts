// What a run has to say of itself, from what LibInsight answered to it: the sums of its pages, which windows do not agree,
// and what the guard has to find. A second, plain writing of the assembler's rules.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Totals, Window } from "../../shared/messages.ts";
import type { RunResult } from "../../shared/run.ts";
import { type Counts, declaredHeaders, fileOf, type Judged, judge, type Table } from "./oracle.ts";
import type { Answer, Recount } from "./witness.ts";

/** A page, and the entry of the dataset by which its part was made. */
export type PageRead = Answer & { entry: Dataset };
/** A window as one attempt at a run read it. */
export type WindowRead = { window: Window; totals: Totals; pages: readonly PageRead[] };
/** All windows, and what LibInsight announced for each when all of them were read; nothing where it was not asked. */
export type AttemptRead = { windows: readonly WindowRead[]; recounts: readonly (Recount | undefined)[] };

/** What is wrong with a run, and what a sentence about it has to quote. */
export type Violation = { kind: RunResult["violations"][number]["kind"]; quotes: readonly string[] };

export type Account = {
  file: Table;
  records: number;
  duplicates: number;
  rejects: Counts;
  furtherAnswers: Counts;
  mistyped: Counts;
  undeclared: Counts;
  /** By header: rows that have a value, duplicates included. */
  filled: Counts;
  /** By window number: each thing that does not agree. */
  disagreements: Map<number, Violation[]>;
};

/** @param entry by which the run was assembled */
export function accountOf({ windows, recounts }: AttemptRead, entry: Dataset): Account {
  const read = windows.flatMap(({ pages }) => pages);
  const pages = read.map(({ records, entry }) => judge(records, entry));
  const sum = (of: (page: Judged) => Counts) => {
    const counts: Counts = new Map();
    for (const page of pages) for (const [name, n] of of(page)) counts.set(name, (counts.get(name) ?? 0) + n);
    return counts;
  };
  const { duplicates, ...file } = fileOf(pages, entry);
  const disagreements = windows.map(
    (window, n) => [window.window.number, disagreementsIn(window, recounts[n]?.totals, entry)] as const,
  );
  return {
    file,
    duplicates,
    records: recordsIn(read),
    rejects: sum(({ rejects }) => countsOf(rejects.map(({ reason }) => reason))),
    furtherAnswers: sum((page) => page.furtherAnswers),
    mistyped: sum((page) => page.mistyped),
    undeclared: sum((page) => page.undeclared),
    filled: countsOf(read.flatMap(filledHeaders)),
    disagreements: new Map(disagreements.filter(([, found]) => found.length > 0)),
  };
}

export function countsOf(names: readonly string[]): Counts {
  return new Map([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));
}

function recordsIn(pages: readonly Answer[]): number {
  return pages.reduce((all, { records }) => all + records.length, 0);
}

/** The header of every cell that has a value. */
function filledHeaders({ records, entry }: PageRead): string[] {
  const headers = declaredHeaders(entry);
  return judge(records, entry).rows.flatMap(({ declared, undeclared }) => {
    const cells = [...declared.map((cell, n) => [headers[n] ?? "", cell] as const), ...undeclared];
    return cells.filter(([, cell]) => cell !== null && cell !== "").map(([header]) => header);
  });
}

function disagreementsIn(
  { window, totals, pages }: WindowRead,
  recounted: Totals | undefined,
  entry: Dataset,
): Violation[] {
  const { from, to, number } = window;
  const { totalPages, totalRecords } = totals;
  const found: Violation[] = [];
  const add = (...quotes: string[]) => {
    found.push({ kind: "disagreement", quotes: [`${from} to ${to}`, ...quotes] });
  };
  for (const { page, totals: own, records, entry: its } of pages) {
    if (own.totalRecords !== totalRecords || own.totalPages !== totalPages)
      add(
        `${totalRecords} records in ${totalPages} pages on page 1`,
        `${own.totalRecords} records in ${own.totalPages} pages on page ${page}`,
      );
    if (its !== entry) add(`page ${page} was transformed with another version`);
    const days = records.map(({ _start_date: date }) => String(date).slice(0, 10));
    const outside = days.filter((day) => day < from || day > to).length;
    if (outside > 0) add(`page ${page} has`, "outside", `${outside} of ${records.length} records`);
  }
  const records = recordsIn(pages);
  if (records !== totalRecords) add(`${totalRecords} records and sent ${records}`);
  if (recounted && recounted.totalRecords !== totalRecords)
    add(`${totalRecords} records at first and ${recounted.totalRecords} in the recount`);
  const ids = pages.flatMap((page) => judge(page.records, page.entry).rows.map(({ id }) => id));
  if (new Set(ids).size < ids.length)
    found.push({ kind: "disagreement", quotes: [`window ${number}`, "twice"] });
  return found;
}

/** What was published when a run was assembled, as far as it can be known; `filled` is unknown without a result. */
export type Baseline = { rows: number; filled?: Record<string, number> | undefined };

/** What the guard has to find, beside disagreements. */
export function guardViolations(
  account: Account,
  { guard, columns }: Dataset,
  baseline?: Baseline,
): Violation[] {
  const { file, records, filled, mistyped } = account;
  const rows = file.rows.length;
  const found: Violation[] = [];
  const add = (kind: Violation["kind"], ...quotes: string[]) => {
    found.push({ kind, quotes });
  };
  if (rows === 0 && baseline?.rows !== 0) add("empty", `0 rows from ${records} records`);
  const rejected = [...account.rejects.values()].reduce((sum, n) => sum + n, 0);
  if (records > 0 && (100 * rejected) / records > guard.maxRejectPercent)
    add("quality", `${rejected} of ${records} records were rejected`);
  for (const { name } of columns) {
    const wrong = mistyped.get(name) ?? 0;
    const values = filled.get(name) ?? 0;
    if (values > 0 && (100 * wrong) / values > guard.maxMistypedPercent)
      add("quality", `${wrong} of ${values} values of "${name}"`);
  }
  const before = baseline?.rows ?? 0;
  if (before > 0 && (100 * (before - rows)) / before > guard.maxShrinkPercent)
    add("comparison", `rows fell from ${before} to ${rows}`);
  for (const column of columns) {
    const had = baseline?.filled?.[column.name];
    if (!("drop" in column) && had && rows > 0 && !filled.get(column.name))
      add("comparison", `"${column.name}" has no values`, `${had} published rows`);
  }
  return found;
}
