// Counts what became a row, a duplicate or a reject, page by page in output order, and finds where the counts disagree
// with LibInsight's totals. It needs about one bit of memory for each row.
import type { Recount } from "../../shared/kinds/kind.ts";
import type { Totals, Window } from "../../shared/messages.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type PageSummary, rejectedCount } from "../../shared/run.ts";
import { IdSet } from "./id-set.ts";

/** What became of a window's records. */
type WindowCounts = {
  rows: number;
  duplicates: number;
  rejected: number;
  /** Whether LibInsight has no second total of them. */
  unreconciled?: true;
};

export type CountedWindow = {
  window: Window;
  attempt: number;
  /** The totals that page 1 announced. */
  totals: Totals;
  /** What LibInsight counted after all pages of the run were transformed. */
  recounted: Recount;
};

/** A form has dozens of fields. Hundreds of undeclared ones mean that LibInsight sent something else. */
export const maxAppended = 300;
/** Distinct names in each map of counts. Further names are not counted, so that memory is bounded. */
const maxNames = 1_000;

export class Ledger {
  /** A text for each disagreement, by window number. */
  readonly disagreements = new Map<number, string[]>();
  /** Numbers of the windows that have an `_id` twice, because their pages shifted while they were fetched. */
  readonly windowsWithDuplicates = new Set<number>();
  /** By window number. */
  readonly windows = new Map<number, WindowCounts>();
  records = 0;
  rows = 0;
  duplicates = 0;
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
  /** The window whose pages are being added. */
  #current:
    | { counted: CountedWindow; counts: WindowCounts; seen: IdSet; records: number; pages: number }
    | undefined;

  /** @param entry fingerprint of the dataset's entry that must have transformed every page (shared/fingerprint.ts) */
  constructor(entry: string) {
    this.#entry = entry;
  }

  /** Headers of the undeclared columns, sorted: all of them, or one more than `maxAppended` if there are too many. */
  get appended(): string[] {
    return [...this.#appended].sort();
  }

  /** Begins a window, whose pages follow in order. */
  beginWindow(counted: CountedWindow): void {
    const counts: WindowCounts = { rows: 0, duplicates: 0, rejected: 0 };
    this.windows.set(counted.window.number, counts);
    this.#current = { counted, counts, seen: new IdSet(), records: 0, pages: 0 };
  }

  /** @returns the indexes of the page's rows that are duplicates of earlier ones */
  addPage(summary: PageSummary): number[] {
    const current = this.#current;
    if (!current) throw new Error("A page belongs to a window that was not begun.");
    const { window, totals } = current.counted;
    current.pages += 1;
    current.records += summary.records;
    if (summary.page !== current.pages) this.#addDisagreement(window, `page ${current.pages} is missing`);
    if (
      summary.totals.totalRecords !== totals.totalRecords ||
      summary.totals.totalPages !== totals.totalPages
    ) {
      this.#addDisagreement(
        window,
        `LibInsight announced ${totalsText(totals)} on page 1 and ${totalsText(summary.totals)} on page ${summary.page}`,
      );
    }
    if (summary.entry !== this.#entry) {
      this.mixesEntries = true;
      this.#addDisagreement(
        window,
        `page ${summary.page} was transformed with another version of the dataset's entry`,
      );
    }
    if (summary.outside > 0) {
      this.#addDisagreement(
        window,
        `page ${summary.page} has dates outside this range in ${summary.outside} of ${summary.records} records`,
      );
    }
    const rejected = rejectedCount(summary);
    if (summary.ids.length + rejected !== summary.records) {
      this.#addDisagreement(
        window,
        `page ${summary.page} had ${summary.records} records but ${summary.ids.length} rows and ${rejected} rejects`,
      );
    }
    const skip: number[] = [];
    summary.ids.forEach((id, index) => {
      if (!current.seen.add(id)) this.windowsWithDuplicates.add(window.number);
      if (!this.#seen.add(id)) skip.push(index);
    });
    this.records += summary.records;
    this.duplicates += skip.length;
    this.rows += summary.ids.length - skip.length;
    current.counts.rows += summary.ids.length - skip.length;
    current.counts.duplicates += skip.length;
    current.counts.rejected += rejected;
    addCounts(this.rejects, summary.rejects);
    addCounts(this.furtherAnswers, summary.furtherAnswers);
    addCounts(this.mistyped, summary.mistyped);
    addCounts(this.undeclared, summary.undeclared);
    addCounts(this.filled, summary.filled);
    for (const header of summary.appended) if (this.#appended.size <= maxAppended) this.#appended.add(header);
    return skip;
  }

  /** Compares the number of records with LibInsight's totals. */
  endWindow(): void {
    if (!this.#current) throw new Error("No window was begun.");
    const { counted, counts, records } = this.#current;
    const { window, totals, recounted } = counted;
    if (records !== totals.totalRecords) {
      this.#addDisagreement(
        window,
        `LibInsight announced ${quantity(totals.totalRecords, "record")} and sent ${count(records)}`,
      );
    }
    if (recounted.totalRecords !== undefined && recounted.totalRecords !== totals.totalRecords) {
      this.#addDisagreement(
        window,
        `LibInsight announced ${quantity(totals.totalRecords, "record")} at first and ${count(recounted.totalRecords)} in the recount`,
      );
    }
    if (recounted.sum !== undefined && recounted.sum !== totals.sum) {
      this.#addDisagreement(
        window,
        `the records add up to ${count(totals.sum ?? 0)}, and LibInsight's total is ${count(recounted.sum)}`,
      );
    }
    if (recounted.totalRecords === undefined && recounted.sum === undefined) counts.unreconciled = true;
    this.#current = undefined;
  }

  #addDisagreement(window: Window, what: string): void {
    const texts = this.disagreements.get(window.number) ?? [];
    // Three are enough, because many pages may disagree in the same way.
    if (texts.length < 3) texts.push(`${window.from} to ${window.to}: ${what}`);
    this.disagreements.set(window.number, texts);
  }
}

function totalsText({ totalPages, totalRecords }: Totals): string {
  return `${quantity(totalRecords, "record")} in ${quantity(totalPages, "page")}`;
}

function addCounts(to: Map<string, number>, from: Record<string, number>): void {
  for (const [key, count] of Object.entries(from)) {
    if (to.size < maxNames || to.has(key)) to.set(key, (to.get(key) ?? 0) + count);
  }
}
