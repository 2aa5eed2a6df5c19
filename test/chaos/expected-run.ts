// Computes the expected result of a run from LibInsight's responses: its counts, the windows that disagree, and the guard
// violations. It implements the assembler's rules a second time, without its code.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import type { Window } from "../../shared/messages.ts";
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
/** What one request returned, or the pages of a day that does not fit one page. */
export type RangeRead = DateRange & { pages: readonly PageRead[] };
/** A window as one attempt of a run read it. If it is `reused`, an earlier run read it. */
export type WindowRead = { window: Window; ranges: readonly RangeRead[]; reused?: Reused };
/** `lacksParts`: whether kept parts have expired. */
type Reused = { runId: string; at: string; lacksParts: boolean };
/** A period, and its recount after all windows were read; undefined if it was not recounted. */
export type PeriodRead = { period: Window; recount: Recount | undefined };
/** All windows and periods of an attempt. */
export type AttemptRead = { windows: readonly WindowRead[]; periods: readonly PeriodRead[] };

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
  /** The disagreements in the counts of each window, by its number. */
  disagreements: Map<number, Violation[]>;
  /** The recounts that disagree, by the number of the period. */
  recounts: Map<number, Violation[]>;
};

/** @param entry the dataset entry that the run was assembled with */
export function expectedRun({ windows, periods }: AttemptRead, entry: Dataset): ExpectedRun {
  const read = windows.flatMap(pagesOf);
  const pages = read.map(({ records, entry }) => expectedPage(records, entry));
  const sum = (of: (page: ExpectedPage) => Counts) => {
    const counts: Counts = new Map();
    for (const page of pages) for (const [name, n] of of(page)) counts.set(name, (counts.get(name) ?? 0) + n);
    return counts;
  };
  const { duplicates, children, ...file } = fileOf(pages, entry);
  const ids = windows.flatMap(idsIn);
  const seen = new Set<number>();
  const repeated = new Set(ids.filter((id) => seen.size === seen.add(id).size));
  const named = (found: readonly (readonly [Window, Violation[]])[]) =>
    new Map(found.flatMap(([{ number }, all]) => (all.length > 0 ? [[number, all] as const] : [])));
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
    disagreements: named(windows.map((each) => [each.window, disagreementsIn(each, entry, repeated)])),
    recounts: named(periods.map((each) => [each.period, recountProblems(each, windows)])),
  };
}

export function pagesOf({ ranges }: WindowRead): readonly PageRead[] {
  return ranges.flatMap(({ pages }) => pages);
}

/** Returns the windows of a period. */
export function windowsIn<W extends { window: DateRange }>(
  { period }: { period: DateRange },
  windows: readonly W[],
): W[] {
  return windows.filter(({ window }) => window.from >= period.from && window.to <= period.to);
}

/** Returns what LibInsight announced with the pages of a window. */
export function announcedIn({ ranges }: WindowRead): { totalRecords: number; sum: number } {
  const totals = ranges.flatMap(({ pages }) => pages[0]?.totals ?? []);
  return {
    totalRecords: totals.reduce((all, { totalRecords }) => all + totalRecords, 0),
    sum: totals.reduce((all, { sum = 0 }) => all + sum, 0),
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

function idsIn(window: WindowRead): number[] {
  return pagesOf(window).flatMap((page) => expectedPage(page.records, page.entry).rows.map(({ id }) => id));
}

/** @param repeated ids that the run has more than once */
function disagreementsIn(read: WindowRead, entry: Dataset, repeated: ReadonlySet<number>): Violation[] {
  const { window, ranges, reused } = read;
  const found: Violation[] = [];
  for (const { from, to, pages } of ranges) {
    const add = (...quotes: string[]) => {
      found.push({ kind: "disagreement", quotes: [`${from} to ${to}`, ...quotes] });
    };
    const { totalPages, totalRecords } = pages[0]?.totals ?? { totalPages: 0, totalRecords: 0 };
    for (const { page, totals, records, entry: pageEntry } of pages) {
      if (totals.totalRecords !== totalRecords || totals.totalPages !== totalPages)
        add(
          `${numbered(totalRecords, "record")} in ${numbered(totalPages, "page")} on page 1`,
          `${numbered(totals.totalRecords, "record")} in ${numbered(totals.totalPages, "page")} on page ${page}`,
        );
      if (pageEntry !== entry) add(`page ${page} was transformed with another version`);
      const days = records.map((record) => String(record[dateFields[entry.kind]]).slice(0, 10));
      const outside = days.filter((day) => day < from || day > to).length;
      if (outside > 0) add(`page ${page} has`, "outside", `${outside} of ${records.length} records`);
    }
    const records = recordsIn(pages);
    if (records !== totalRecords) add(`${numbered(totalRecords, "record")} and sent ${records}`);
  }
  const ids = idsIn(read);
  const add = (...quotes: string[]) => {
    found.push({ kind: "disagreement", quotes });
  };
  if (new Set(ids).size < ids.length) add(`window ${window.number}`, "twice");
  const range = `${window.from} to ${window.to}`;
  if (reused?.lacksParts) add(range, "a part of an earlier run does not exist any more");
  if (reused && ids.some((id) => repeated.has(id))) add(range, "is in another window now");
  return found;
}

/** Compares the recount of a period with what LibInsight announced with the pages of its windows. */
function recountProblems(read: PeriodRead, windows: readonly WindowRead[]): Violation[] {
  const { from, to } = read.period;
  const announced = windowsIn(read, windows).map(announcedIn);
  const total = announced.reduce((all, { totalRecords }) => all + totalRecords, 0);
  const sum = announced.reduce((all, each) => all + each.sum, 0);
  const { totalRecords: counted = total, sum: countedSum = sum } = read.recount?.recount ?? {};
  const found: string[][] = [];
  if (counted !== total) found.push([`${numbered(total, "record")} at first and ${counted} in the recount`]);
  if (countedSum !== sum) found.push([`add up to ${grouped(sum)}`, `total is ${grouped(countedSum)}`]);
  return found.map((quotes) => ({ kind: "disagreement", quotes: [`${from} to ${to}`, ...quotes] }));
}

function grouped(n: number): string {
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
