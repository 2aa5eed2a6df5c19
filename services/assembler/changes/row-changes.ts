// Says what happened to a row between two publications, and counts it. Pure functions and counts.
import { csvFieldText, splitCsvRow } from "../../../shared/csv.ts";
import type { FileChanges } from "../../../shared/run.ts";
import type { Row, RowPair } from "./merge-rows.ts";
import type { MissedChanges } from "./missed.ts";

/**
 * - `moved`: another day in the column with the row's date, and perhaps other edits
 * - `edited`: other values in columns that both files have
 * - `reordered`: the same row, at another place among the rows that did not change
 * - `restated`: the same values, but the file got or lost columns, or writes the values in another way
 */
export type ChangeKind = "added" | "edited" | "moved" | "deleted" | "reordered" | "restated";

export type RowChange = {
  kind: ChangeKind;
  /** The place in the new file, from 1. Undefined for a deleted row. */
  place: number | undefined;
  /** The row as it is now, or as it was if it is deleted, without "\n". */
  line: string;
  fields: readonly string[];
  /** The headers of the columns with other values. */
  columns: readonly string[];
  /** The day of its date, or undefined if it has none. */
  day: string | undefined;
};

/** @param dateHeader of the column with the row's date */
export type Headers = { before: readonly string[]; now: readonly string[]; dateHeader: string | undefined };

/** Returns a function that says what happened to a row. */
export function rowChanges({ before, now, dateHeader }: Headers): (pair: RowPair) => RowChange {
  const common = now.flatMap((header, index) => {
    const other = before.indexOf(header);
    return other === -1 ? [] : [{ header, index, other }];
  });
  const isSameHeader = sameHeaders(before, now);
  const [dateBefore, dateNow] = [before, now].map((headers) => headers.indexOf(dateHeader ?? ""));
  return ({ before: rowBefore, now: rowNow }) => {
    if (!rowBefore) return changeOf("added", readOf(rowNow), dateNow);
    const earlier = readOf(rowBefore);
    if (!rowNow) return changeOf("deleted", earlier, dateBefore);
    const read = readOf(rowNow);
    const columns = common
      .filter(({ index, other }) => hasOtherText(read.fields[index], earlier.fields[other]))
      .map(({ header }) => header);
    const hasMoved =
      dateHeader !== undefined &&
      columns.includes(dateHeader) &&
      dayOf(earlier.fields, dateBefore) !== dayOf(read.fields, dateNow);
    const isSame = isSameHeader && read.line === earlier.line;
    const kind = hasMoved ? "moved" : columns.length > 0 ? "edited" : isSame ? "reordered" : "restated";
    return changeOf(kind, read, dateNow, columns);
  };
}

export function sameHeaders(before: readonly string[], now: readonly string[]): boolean {
  return before.length === now.length && before.every((header, index) => header === now[index]);
}

type ReadRow = Pick<RowChange, "line" | "fields"> & { place: number };

function readOf({ line, place }: Row): ReadRow {
  const text = Buffer.from(line, "latin1").toString("utf8");
  return { line: text, fields: splitCsvRow(text), place };
}

/** Fields may differ in their quotes only. */
function hasOtherText(field: string | undefined, other: string | undefined): boolean {
  return field !== other && textOf(field) !== textOf(other);
}

function textOf(field: string | undefined): string {
  return csvFieldText(field ?? "");
}

function dayOf(fields: readonly string[], dateAt: number | undefined): string | undefined {
  return /^\d{4}-\d{2}-\d{2}(?!\d)/.exec(textOf(fields[dateAt ?? -1]))?.[0];
}

function changeOf(
  kind: ChangeKind,
  { line, fields, place }: ReadRow,
  dateAt: number | undefined,
  columns: string[] = [],
): RowChange {
  const day = dayOf(fields, dateAt);
  return { kind, place: kind === "deleted" ? undefined : place, line, fields, columns, day };
}

type Counts = Pick<FileChanges, "added" | "edited" | "deleted" | "moved">;
const noCounts = (): Counts => ({ added: 0, edited: 0, deleted: 0, moved: 0 });

/** Counts changes by kind, column and month. A file has a few hundred columns, and months within the run's dates. */
export class ChangeCounts {
  readonly #all = noCounts();
  readonly #columns = new Map<string, number>();
  readonly #months = new Map<string | null, Counts>();
  readonly #missed: MissedChanges | undefined;

  /** @param missed counts the changes of some days, if the run looks for them */
  constructor(missed?: MissedChanges) {
    this.#missed = missed;
  }

  add({ kind, columns, day }: RowChange): void {
    if (kind === "reordered" || kind === "restated") return;
    this.#missed?.add(day);
    const month = day?.slice(0, "YYYY-MM".length) ?? null;
    const ofMonth = this.#months.get(month) ?? noCounts();
    this.#months.set(month, ofMonth);
    this.#all[kind] += 1;
    ofMonth[kind] += 1;
    for (const column of columns) this.#columns.set(column, (this.#columns.get(column) ?? 0) + 1);
  }

  /** Returns the counts, with the newest month first. */
  result(): Counts & Pick<FileChanges, "columns" | "months"> {
    return {
      ...this.#all,
      columns: Object.fromEntries(this.#columns),
      months: Array.from(this.#months, ([month, counts]) => ({ month, ...counts })).sort((a, b) =>
        (a.month ?? "") < (b.month ?? "") ? 1 : -1,
      ),
    };
  }
}
