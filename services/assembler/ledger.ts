// Counts what became a row, a duplicate or a reject, part by part in output order, and finds where the counts disagree
// with LibInsight's totals. It needs about one bit of memory for each row.
import type { DateRange, Recount } from "../../shared/kinds/kind.ts";
import type { Totals, Window } from "../../shared/messages.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type PageSummary, rejectedCount } from "../../shared/run.ts";
import { IdSet } from "./id-set.ts";

/** What became of a window's records. */
type WindowCounts = {
  /** What LibInsight announced with the pages. */
  totalRecords: number;
  pages: number;
  rows: number;
  duplicates: number;
  rejected: number;
  /** Missing if there are none. */
  forgotten?: number;
  /** Whether LibInsight has no second total of them. */
  unreconciled?: true;
};

/** A form has dozens of fields. Hundreds of undeclared ones mean that LibInsight sent something else. */
export const maxAppended = 300;
/** Distinct names in each map of counts. Further names are not counted, so that memory is bounded. */
const maxNames = 1_000;
const maxRepeated = 10_000;

export class Ledger {
  /** A text for each disagreement, by window number. */
  readonly disagreements = new Map<number, string[]>();
  /** A text for each period whose recount disagrees, by period number. */
  readonly periodDisagreements = new Map<number, string>();
  /** Numbers of the windows that have an `_id` twice, because their pages shifted while they were fetched. */
  readonly windowsWithDuplicates = new Set<number>();
  /** The `_id`s of duplicates, at most `maxRepeated`. */
  readonly repeated = new Set<number>();
  /** By window number. */
  readonly windows = new Map<number, WindowCounts>();
  records = 0;
  rows = 0;
  duplicates = 0;
  forgotten = 0;
  readonly rejects = new Map<string, number>();
  readonly furtherAnswers = new Map<string, number>();
  readonly mistyped = new Map<string, number>();
  readonly undeclared = new Map<string, number>();
  readonly filled = new Map<string, number>();
  readonly #appended = new Set<string>();
  readonly #seen = new IdSet();
  readonly #entry: string;
  /** Whether a page was transformed with another version of the dataset's entry, so its rows may have other columns. */
  mixesEntries = false;
  /** The window whose parts are being added. */
  #current: { window: Window; counts: WindowCounts; seen: IdSet; range?: OpenRange } | undefined;
  /** The sums of the windows since the last period. */
  #sinceRecount: { numbers: number[]; records: number; sum: number | undefined } = noRecords();

  /** @param entry fingerprint of the dataset's entry that must have transformed every page (shared/fingerprint.ts) */
  constructor(entry: string) {
    this.#entry = entry;
  }

  /** Headers of the undeclared columns, sorted: all of them, or one more than `maxAppended` if there are too many. */
  get appended(): string[] {
    return [...this.#appended].sort();
  }

  /** Begins a window, whose parts follow in order. */
  beginWindow(window: Window): void {
    const counts: WindowCounts = { totalRecords: 0, pages: 0, rows: 0, duplicates: 0, rejected: 0 };
    this.windows.set(window.number, counts);
    this.#current = { window, counts, seen: new IdSet() };
  }

  /** @returns the indexes of the part's rows that are duplicates of earlier ones */
  addPart(summary: PageSummary): number[] {
    const current = this.#current;
    if (!current) throw new Error("A part belongs to a window that was not begun.");
    const { window, counts } = current;
    if (current.range?.from !== summary.from) {
      this.#endRange();
      current.range = { from: summary.from, to: summary.to, totals: summary.totals, records: 0, pages: 0 };
    }
    const { range } = current;
    range.pages += 1;
    range.records += summary.records;
    const { totals } = range;
    if (summary.page !== range.pages) this.#addDisagreement(window, range, `page ${range.pages} is missing`);
    if (
      summary.totals.totalRecords !== totals.totalRecords ||
      summary.totals.totalPages !== totals.totalPages
    ) {
      this.#addDisagreement(
        window,
        range,
        `LibInsight announced ${totalsText(totals)} on page 1 and ${totalsText(summary.totals)} on page ${summary.page}`,
      );
    }
    if (summary.entry !== this.#entry) {
      this.mixesEntries = true;
      this.#addDisagreement(
        window,
        range,
        `page ${summary.page} was transformed with another version of the dataset's entry`,
      );
    }
    if (summary.outside > 0) {
      this.#addDisagreement(
        window,
        range,
        `page ${summary.page} has dates outside this range in ${summary.outside} of ${summary.records} records`,
      );
    }
    const rejected = rejectedCount(summary);
    const { forgotten = [] } = summary;
    if (summary.ids.length + rejected + forgotten.length !== summary.records) {
      this.#addDisagreement(
        window,
        range,
        `page ${summary.page} had ${summary.records} records but ${summary.ids.length} rows and ${rejected} rejects`,
      );
    }
    for (const id of forgotten)
      if (id !== null && !current.seen.add(id)) this.windowsWithDuplicates.add(window.number);
    const skip: number[] = [];
    summary.ids.forEach((id, index) => {
      if (!current.seen.add(id)) this.windowsWithDuplicates.add(window.number);
      if (this.#seen.add(id)) return;
      skip.push(index);
      if (this.repeated.size < maxRepeated) this.repeated.add(id);
    });
    this.records += summary.records;
    this.duplicates += skip.length;
    this.rows += summary.ids.length - skip.length;
    counts.pages += 1;
    counts.rows += summary.ids.length - skip.length;
    counts.duplicates += skip.length;
    counts.rejected += rejected;
    if (forgotten.length > 0) counts.forgotten = (counts.forgotten ?? 0) + forgotten.length;
    this.forgotten += forgotten.length;
    addCounts(this.rejects, summary.rejects);
    addCounts(this.furtherAnswers, summary.furtherAnswers);
    addCounts(this.mistyped, summary.mistyped);
    addCounts(this.undeclared, summary.undeclared);
    addCounts(this.filled, summary.filled);
    for (const header of summary.appended) if (this.#appended.size <= maxAppended) this.#appended.add(header);
    return skip;
  }

  /** Adds a disagreement of a whole window. */
  disagree(window: Window, what: string): void {
    this.#addDisagreement(window, window, what);
  }

  endWindow(): void {
    if (!this.#current) throw new Error("No window was begun.");
    this.#endRange();
    const { window, counts } = this.#current;
    this.#sinceRecount.numbers.push(window.number);
    this.#sinceRecount.records += counts.totalRecords;
    this.#current = undefined;
  }

  /** Compares the number of a range's records with what LibInsight announced. */
  #endRange(): void {
    const { window, counts, range } = this.#current ?? {};
    if (!window || !counts || !range) return;
    const { totals, records } = range;
    counts.totalRecords += totals.totalRecords;
    if (totals.sum !== undefined) this.#sinceRecount.sum = (this.#sinceRecount.sum ?? 0) + totals.sum;
    if (records === totals.totalRecords) return;
    this.#addDisagreement(
      window,
      range,
      `LibInsight announced ${quantity(totals.totalRecords, "record")} and sent ${count(records)}`,
    );
  }

  /** Compares the records of the windows since the last period with the period's recount. */
  endPeriod(period: Window, recounted: Recount): void {
    const { numbers, records, sum = 0 } = this.#sinceRecount;
    this.#sinceRecount = noRecords();
    const texts: string[] = [];
    if (recounted.totalRecords !== undefined && recounted.totalRecords !== records) {
      texts.push(
        `LibInsight announced ${quantity(records, "record")} at first and ${count(recounted.totalRecords)} in the recount`,
      );
    }
    if (recounted.sum !== undefined && recounted.sum !== sum)
      texts.push(`the records add up to ${count(sum)}, and LibInsight's total is ${count(recounted.sum)}`);
    if (texts.length > 0)
      this.periodDisagreements.set(period.number, `${period.from} to ${period.to}: ${texts.join("; ")}`);
    if (recounted.totalRecords !== undefined || recounted.sum !== undefined) return;
    for (const number of numbers) {
      const counts = this.windows.get(number);
      if (counts) counts.unreconciled = true;
    }
  }

  #addDisagreement(window: Window, { from, to }: DateRange, what: string): void {
    const texts = this.disagreements.get(window.number) ?? [];
    // Three are enough, because many pages may disagree in the same way.
    if (texts.length < 3) texts.push(`${from} to ${to}: ${what}`);
    this.disagreements.set(window.number, texts);
  }
}

/** A range whose parts are being added. */
type OpenRange = DateRange & { totals: Totals; records: number; pages: number };

function noRecords(): { numbers: number[]; records: number; sum: number | undefined } {
  return { numbers: [], records: 0, sum: undefined };
}

function totalsText({ totalPages, totalRecords }: Totals): string {
  return `${quantity(totalRecords, "record")} in ${quantity(totalPages, "page")}`;
}

function addCounts(to: Map<string, number>, from: Record<string, number>): void {
  for (const [key, count] of Object.entries(from)) {
    if (to.size < maxNames || to.has(key)) to.set(key, (to.get(key) ?? 0) + count);
  }
}
