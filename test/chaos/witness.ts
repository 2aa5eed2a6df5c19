// What really happened in a plan, in its order: what LibInsight answered to whom, what was written and by which entry of
// the dataset. The verdict (verdict.ts) judges the runs by it.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { AttemptAddress, PageAddress } from "../../shared/keys.ts";
import type { Totals } from "../../shared/messages.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import type { LibInsightRecord } from "../../stacks/local/libinsight.ts";

export type Answer = {
  page: number;
  records: readonly LibInsightRecord[];
  totals: Totals;
  /** Which state of LibInsight's records it was taken from, from 0. */
  state: number;
};
export type Recount = Pick<Answer, "totals" | "state">;
/** A call of a handler: when it began, and the dataset's entry that was deployed then. */
export type Call = { service: string; begun: number; entry: Dataset };
/** `version` counts the writes of this key, from 1. */
export type Write = { moment: number; bucket: string; key: string; version: number; by: Call };

export class Witness {
  /** The dataset's entry that is deployed. */
  entry: Dataset;
  readonly entries: Dataset[];
  /** LibInsight's records as they were at first, and after each change. */
  readonly states: (readonly LibInsightRecord[])[] = [];
  /** Oldest first. */
  readonly writes: Write[] = [];
  /** The last answer that LibInsight gave to a request for a page; undefined after an error. */
  answered: Answer | undefined;
  /** When Tableau was last asked to refresh. */
  lastRefresh = 0;
  readonly #answers = new Map<string, Answer[]>();
  readonly #recounts = new Map<string, Recount[]>();
  #moments = 0;

  constructor(entry: Dataset) {
    this.entry = entry;
    this.entries = [entry];
  }

  deploy(entry: Dataset): void {
    this.entry = entry;
    this.entries.push(entry);
  }

  refreshed(): void {
    this.#moments += 1;
    this.lastRefresh = this.#moments;
  }

  begin(service: string): Call {
    this.#moments += 1;
    return { service, begun: this.#moments, entry: this.entry };
  }

  /** A fetcher takes LibInsight's last answer for a page. A page that is no longer there is taken for an empty one. */
  took(address: PageAddress): void {
    if (!this.answered) throw new Error("A page was fetched that LibInsight did not answer.");
    const { page, records } = this.answered;
    const answer = { ...this.answered, page: address.page, records: page === address.page ? records : [] };
    this.#answers.set(nameOf(address), [...this.answers(address), answer]);
  }

  /** A fetcher counts a window again for an attempt at a run. */
  recounted(address: AttemptAddress): void {
    if (!this.answered) throw new Error("A window was counted that LibInsight did not answer.");
    const name = nameOf({ ...address, page: 0 });
    this.#recounts.set(name, [...this.recounts(address), this.answered]);
  }

  recounts(address: AttemptAddress): readonly Recount[] {
    return this.#recounts.get(nameOf({ ...address, page: 0 })) ?? [];
  }

  /** All that LibInsight answered for a page of an attempt, oldest first: its message may have come several times. */
  answers(address: PageAddress): readonly Answer[] {
    return this.#answers.get(nameOf(address)) ?? [];
  }

  wrote({ bucket }: Pick<ObjectStore, "bucket">, key: string, by: Call): void {
    this.#moments += 1;
    const version = this.writesOf(bucket, key).length + 1;
    this.writes.push({ moment: this.#moments, bucket, key, version, by });
  }

  /** The writes of one key, oldest first. */
  writesOf(bucket: string, key: string): Write[] {
    return this.writes.filter((write) => write.bucket === bucket && write.key === key);
  }
}

function nameOf({ runId, window, attempt, page }: PageAddress): string {
  return `${runId} ${window} ${attempt} ${page}`;
}
