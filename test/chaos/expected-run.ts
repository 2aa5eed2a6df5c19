// Computes the expected result of a run from LibInsight's responses: its counts, the windows that disagree, and the guard
// violations. It implements the assembler's rules a second time, without its code.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Totals, Window } from "../../shared/messages.ts";
import type { RunResult } from "../../shared/run.ts";
import type { PageResponse, Recount } from "./history.ts";
import {
  type Counts,
  declaredHeaders,
  type ExpectedPage,
  expectedPage,
  fileOf,
  type Table,
} from "./oracle.ts";
import { dateFields } from "./statistic-rows.ts";

/** A page, and the dataset entry that its part was made with. */
export type PageRead = PageResponse & { entry: Dataset };
/** A window as one attempt of a run read it. */
export type WindowRead = { window: Window; totals: Totals; pages: readonly PageRead[] };
/** All windows of an attempt, and the recount of each after all of them were read; undefined if it was not recounted. */
export type AttemptRead = { windows: readonly WindowRead[]; recounts: readonly (Recount | undefined)[] };

/** A guard violation, and the texts that its sentence must quote. */
export type Violation = { kind: RunResult["violations"][number]["kind"]; quotes: readonly string[] };

export type ExpectedRun = {
  file: Table;
  /** The child files by column. */
  children: Map<string, Table>;
  records: number;
  duplicates: number;
  rejects: Counts;
  furtherAnswers: Counts;
  mistyped: Counts;
  undeclared: Counts;
  /** Rows with a value by header, duplicates included. */
  filled: Counts;
  /** The disagreements of each window, by its number. */
  disagreements: Map<number, Violation[]>;
};

/** @param entry the dataset entry that the run was assembled with */
export function expectedRun({ windows, recounts }: AttemptRead, entry: Dataset): ExpectedRun {
  const read = windows.flatMap(({ pages }) => pages);
  const pages = read.map(({ records, entry }) => expectedPage(records, entry));
  const sum = (of: (page: ExpectedPage) => Counts) => {
    const counts: Counts = new Map();
    for (const page of pages) for (const [name, n] of of(page)) counts.set(name, (counts.get(name) ?? 0) + n);
    return counts;
  };
  const { duplicates, children, ...file } = fileOf(pages, entry);
  const disagreements = windows.map(
    (window, n) => [window.window.number, disagreementsIn(window, recounts[n]?.recount, entry)] as const,
  );
  return {
    file,
    children,
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

function countsOf(names: readonly string[]): Counts {
  return new Map([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));
}

function recordsIn(pages: readonly PageResponse[]): number {
  return pages.reduce((all, { records }) => all + records.length, 0);
}

/** Returns the header of every cell that has a value. */
function filledHeaders({ records, entry }: PageRead): string[] {
  const headers = declaredHeaders(entry);
  return expectedPage(records, entry).rows.flatMap(({ declared, undeclared }) => {
    const cells = [...declared.map((cell, n) => [headers[n] ?? "", cell] as const), ...undeclared];
    return cells.filter(([, cell]) => cell !== null && cell !== "").map(([header]) => header);
  });
}

function disagreementsIn(
  { window, totals, pages }: WindowRead,
  recounted: Recount["recount"] | undefined,
  entry: Dataset,
): Violation[] {
  const { from, to, number } = window;
  const { totalPages, totalRecords } = totals;
  const found: Violation[] = [];
  const add = (...quotes: string[]) => {
    found.push({ kind: "disagreement", quotes: [`${from} to ${to}`, ...quotes] });
  };
  for (const { page, totals: pageTotals, records, entry: pageEntry } of pages) {
    if (pageTotals.totalRecords !== totalRecords || pageTotals.totalPages !== totalPages)
      add(
        `${numbered(totalRecords, "record")} in ${numbered(totalPages, "page")} on page 1`,
        `${numbered(pageTotals.totalRecords, "record")} in ${numbered(pageTotals.totalPages, "page")} on page ${page}`,
      );
    if (pageEntry !== entry) add(`page ${page} was transformed with another version`);
    const days = records.map((record) => String(record[dateFields[entry.kind]]).slice(0, 10));
    const outside = days.filter((day) => day < from || day > to).length;
    if (outside > 0) add(`page ${page} has`, "outside", `${outside} of ${records.length} records`);
  }
  const records = recordsIn(pages);
  if (records !== totalRecords) add(`${numbered(totalRecords, "record")} and sent ${records}`);
  if (recounted?.totalRecords !== undefined && recounted.totalRecords !== totalRecords)
    add(`${numbered(totalRecords, "record")} at first and ${recounted.totalRecords} in the recount`);
  if (recounted?.sum !== undefined && recounted.sum !== totals.sum)
    add(`add up to ${grouped(totals.sum)}`, `total is ${grouped(recounted.sum)}`);
  const ids = pages.flatMap((page) => expectedPage(page.records, page.entry).rows.map(({ id }) => id));
  if (new Set(ids).size < ids.length)
    found.push({ kind: "disagreement", quotes: [`window ${number}`, "twice"] });
  return found;
}

function grouped(n: number | undefined): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

function numbered(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** The file that was published when a run was assembled. `filled` is unknown if its run has no result yet. */
export type Baseline = { rows: number; filled?: Record<string, number> | undefined };

/** Returns the expected guard violations other than disagreements. */
export function guardViolations(
  expected: ExpectedRun,
  { guard, columns }: Dataset,
  baseline?: Baseline,
): Violation[] {
  const { file, records, filled, mistyped } = expected;
  const rows = file.rows.length;
  const found: Violation[] = [];
  const add = (kind: Violation["kind"], ...quotes: string[]) => {
    found.push({ kind, quotes });
  };
  if (rows === 0 && baseline?.rows !== 0) add("empty", `0 rows from ${records} record`);
  const rejected = [...expected.rejects.values()].reduce((sum, n) => sum + n, 0);
  if (records > 0 && (100 * rejected) / records > guard.maxRejectPercent)
    add("quality", `${rejected} of ${records} record`, "rejected");
  for (const { name } of columns) {
    const wrong = mistyped.get(name) ?? 0;
    const values = filled.get(name) ?? 0;
    if (values > 0 && (100 * wrong) / values > guard.maxMistypedPercent)
      add("quality", `${wrong} of ${values} value`, `of "${name}"`);
  }
  const before = baseline?.rows ?? 0;
  if (before > 0 && (100 * (before - rows)) / before > guard.maxShrinkPercent)
    add("comparison", `rows fell from ${before} to ${rows}`);
  for (const column of columns) {
    const had = baseline?.filled?.[column.name];
    if (!("drop" in column) && had && rows > 0 && !filled.get(column.name))
      add("comparison", `"${column.name}" has no values`, `${had} published row`);
  }
  return found;
}
