// Adds up what became of every record of a run, page by page in output order, and finds what does not agree with
// LibInsight's own totals. It keeps some hundred bytes a page and about a bit a row.
import type { Totals, Window } from "../../shared/messages.ts";
import type { PageSummary } from "../../shared/run.ts";
import { IdSet } from "./id-set.ts";

/** A transformed page, as the assembler copies it. */
export type PartPlan = {
  window: number;
  attempt: number;
  page: number;
  etags: PageSummary["etags"];
  appended: string[];
  /** Indexes of rows that are duplicates of earlier ones. */
  skip: number[];
};

export type WindowAccount = { window: Window; attempt: number; totals: Totals };

export class Ledger {
  readonly parts: PartPlan[] = [];
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

  /** Headers of all undeclared columns, sorted. */
  get appended(): string[] {
    return [...this.#appended].sort();
  }

  /** @param summaries the window's pages in their order */
  async addWindow(account: WindowAccount, summaries: AsyncIterable<PageSummary>): Promise<void> {
    const { window, attempt, totals } = account;
    const seenHere = new IdSet();
    let records = 0;
    let pages = 0;
    for await (const summary of summaries) {
      pages += 1;
      records += summary.records;
      if (summary.page !== pages) this.#disagree(window, `page ${pages} is missing`);
      if (
        summary.totals.totalRecords !== totals.totalRecords ||
        summary.totals.totalPages !== totals.totalPages
      ) {
        this.#disagree(
          window,
          `LibInsight announced ${totals.totalRecords} records on page 1 and ${summary.totals.totalRecords} on page ${summary.page}`,
        );
      }
      const rejected = Object.values(summary.rejects).reduce((sum, count) => sum + count, 0);
      if (summary.ids.length + rejected !== summary.records) {
        this.#disagree(
          window,
          `page ${summary.page} had ${summary.records} records but ${summary.ids.length} rows and ${rejected} rejects`,
        );
      }
      this.#addPage(summary, window, attempt, seenHere);
    }
    if (records !== totals.totalRecords) {
      this.#disagree(window, `LibInsight announced ${totals.totalRecords} records and gave ${records}`);
    }
    this.records += records;
  }

  #addPage(summary: PageSummary, window: Window, attempt: number, seenHere: IdSet): void {
    const skip: number[] = [];
    summary.ids.forEach((id, index) => {
      if (!seenHere.add(id)) this.windowsWithDuplicates.add(window.number);
      if (!this.#seen.add(id)) skip.push(index);
    });
    this.duplicates += skip.length;
    this.rows += summary.ids.length - skip.length;
    addCounts(this.rejects, summary.rejects);
    addCounts(this.furtherAnswers, summary.furtherAnswers);
    addCounts(this.mistyped, summary.mistyped);
    addCounts(this.undeclared, summary.undeclared);
    addCounts(this.filled, summary.filled);
    for (const header of summary.appended) this.#appended.add(header);
    const { page, etags, appended } = summary;
    this.parts.push({ window: window.number, attempt, page, etags, appended, skip });
  }

  #disagree(window: Window, what: string): void {
    const sentences = this.disagreements.get(window.number) ?? [];
    // The first few say it; a window of many pages would repeat itself.
    if (sentences.length < 3) sentences.push(`${window.from} to ${window.to}: ${what}`);
    this.disagreements.set(window.number, sentences);
  }
}

function addCounts(to: Map<string, number>, from: Record<string, number>): void {
  for (const [key, count] of Object.entries(from)) to.set(key, (to.get(key) ?? 0) + count);
}
