// Adds up the outcome of every record of a run, page by page in output order, and finds what does not agree with
// LibInsight's own totals. It keeps about a bit a row.
import type { Totals, Window } from "../../shared/messages.ts";
import type { PageSummary } from "../../shared/run.ts";
import { IdSet } from "./id-set.ts";

export type WindowAccount = {
  window: Window;
  attempt: number;
  /** As announced on page 1, before the others were fetched. */
  totals: Totals;
  /** As announced after all pages of the run were transformed. */
  recounted: Totals;
};

/** A form has some dozens of fields. Hundreds of undeclared ones mean that something else arrived. */
export const maxAppended = 300;
/** Names of fields that are counted; further ones are not, so that names take a bounded memory. */
const maxNames = 1_000;

export class Ledger {
  /** One sentence for each thing that does not agree, by window number. */
  readonly disagreements = new Map<number, string[]>();
  /** Windows in which an `_id` occurs twice: pages that shifted while they were read look like this. */
  readonly windowsWithDuplicates = new Set<number>();
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
  /** Whether a page was transformed by another entry, so that its rows have other columns. */
  mixesEntries = false;
  /** The window whose pages are being added. */
  #current: { account: WindowAccount; seen: IdSet; records: number; pages: number } | undefined;

  /** @param entry of the dataset's entry (shared/fingerprint.ts) by which every page has to be transformed */
  constructor(entry: string) {
    this.#entry = entry;
  }

  /** Headers of all undeclared columns, sorted. Where there are too many, one more than `maxAppended`. */
  get appended(): string[] {
    return [...this.#appended].sort();
  }

  /** Begins a window: its pages follow in their order. */
  beginWindow(account: WindowAccount): void {
    this.#current = { account, seen: new IdSet(), records: 0, pages: 0 };
  }

  /** @returns the indexes of the page's rows that are duplicates of earlier ones */
  addPage(summary: PageSummary): number[] {
    const current = this.#current;
    if (!current) throw new Error("A page belongs to a window that was not begun.");
    const { window, totals } = current.account;
    current.pages += 1;
    current.records += summary.records;
    if (summary.page !== current.pages) this.#disagree(window, `page ${current.pages} is missing`);
    if (
      summary.totals.totalRecords !== totals.totalRecords ||
      summary.totals.totalPages !== totals.totalPages
    ) {
      this.#disagree(
        window,
        `LibInsight announced ${totals.totalRecords} records on page 1 and ${summary.totals.totalRecords} on page ${summary.page}`,
      );
    }
    if (summary.entry !== this.#entry) {
      this.mixesEntries = true;
      this.#disagree(window, `page ${summary.page} was transformed by an earlier entry of the dataset`);
    }
    if (summary.outside > 0) {
      this.#disagree(
        window,
        `page ${summary.page} has ${summary.outside} of ${summary.records} records with a date outside this range`,
      );
    }
    const rejected = Object.values(summary.rejects).reduce((sum, count) => sum + count, 0);
    if (summary.ids.length + rejected !== summary.records) {
      this.#disagree(
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
    addCounts(this.rejects, summary.rejects);
    addCounts(this.furtherAnswers, summary.furtherAnswers);
    addCounts(this.mistyped, summary.mistyped);
    addCounts(this.undeclared, summary.undeclared);
    addCounts(this.filled, summary.filled);
    for (const header of summary.appended) if (this.#appended.size <= maxAppended) this.#appended.add(header);
    return skip;
  }

  /** Compares what the window's pages held with what LibInsight announced. */
  endWindow(): void {
    if (!this.#current) throw new Error("No window was begun.");
    const { account, records } = this.#current;
    const { window, totals, recounted } = account;
    if (records !== totals.totalRecords) {
      this.#disagree(window, `LibInsight announced ${totals.totalRecords} records and gave ${records}`);
    }
    if (recounted.totalRecords !== totals.totalRecords) {
      this.#disagree(
        window,
        `LibInsight announced ${totals.totalRecords} records at first and ${recounted.totalRecords} after all were read`,
      );
    }
    this.#current = undefined;
  }

  #disagree(window: Window, what: string): void {
    const sentences = this.disagreements.get(window.number) ?? [];
    // The first few are enough; a window of many pages would repeat itself.
    if (sentences.length < 3) sentences.push(`${window.from} to ${window.to}: ${what}`);
    this.disagreements.set(window.number, sentences);
  }
}

function addCounts(to: Map<string, number>, from: Record<string, number>): void {
  for (const [key, count] of Object.entries(from)) {
    if (to.size < maxNames || to.has(key)) to.set(key, (to.get(key) ?? 0) + count);
  }
}
