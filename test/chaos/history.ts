// Records what happened in a plan, in order: LibInsight's responses, the writes, and the dataset entry of each. The verdict
// (verdict.ts) checks the runs against it.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { PageAddress } from "../../shared/keys.ts";
import type { Recount as PeriodTotal } from "../../shared/kinds/kind.ts";
import type { Totals } from "../../shared/messages.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import type { LibInsightRecord } from "../../stacks/local/libinsight.ts";

export type PageResponse = {
  page: number;
  records: readonly LibInsightRecord[];
  totals: Totals;
  /** What the response says if it was to a request that counts a period again. */
  recount: PeriodTotal;
  /** The index of the state of LibInsight's records that the response was made from. */
  state: number;
  /** Whether a fault changed the totals. */
  isMiscounted: boolean;
};
export type Recount = Pick<PageResponse, "recount" | "state" | "isMiscounted">;
/** What an attempt of a run counts: a period by its number, or the ranges in which it searches changed windows. */
export type Counting = { runId: string; attempt: number; what: number | "search" };
/** A call of a handler: when it began, and the dataset entry that was deployed then. */
export type Call = { service: string; begun: number; entry: Dataset };
/** `version` counts the writes of this key, from 1. */
export type Write = { moment: number; bucket: string; key: string; version: number; call: Call };

export class History {
  /** The deployed dataset entry. */
  entry: Dataset;
  readonly entries: Dataset[];
  /** LibInsight's records at the start and after each change. */
  readonly states: (readonly LibInsightRecord[])[] = [];
  /** Oldest first. */
  readonly writes: Write[] = [];
  /** The last response that LibInsight gave to a request for a page; undefined after an error. */
  lastResponse: PageResponse | undefined;
  /** The moment of the last request to refresh Tableau. */
  lastRefresh = 0;
  readonly #expired: { moment: number; key: string }[] = [];
  readonly #responses = new Map<string, PageResponse[]>();
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

  recordRefresh(): void {
    this.#moments += 1;
    this.lastRefresh = this.#moments;
  }

  startCall(service: string): Call {
    this.#moments += 1;
    return { service, begun: this.#moments, entry: this.entry };
  }

  /** Records that a fetcher took LibInsight's last response for a page. A page that no longer exists counts as empty. */
  recordResponse(address: PageAddress): void {
    if (!this.lastResponse) throw new Error("A fetcher took a page that LibInsight did not send.");
    const { page, records } = this.lastResponse;
    const response = {
      ...this.lastResponse,
      page: address.page,
      records: page === address.page ? records : [],
    };
    this.#responses.set(nameOf(address), [...this.responses(address), response]);
  }

  /** Records that a fetcher counted a range for an attempt of a run. E-resources take no request for it. */
  recordRecount(counting: Counting): void {
    const uncounted = { recount: {}, state: this.states.length - 1, isMiscounted: false };
    const counted = this.entry.kind === "e-resources" ? uncounted : this.lastResponse;
    if (!counted) throw new Error("A fetcher counted a range that LibInsight did not send.");
    const { runId, attempt, what } = counting;
    this.#recounts.set(`${runId} ${attempt} ${what}`, [...this.recounts(counting), counted]);
  }

  /** Returns the responses for what was counted, oldest first. */
  recounts({ runId, attempt, what }: Counting): readonly Recount[] {
    return this.#recounts.get(`${runId} ${attempt} ${what}`) ?? [];
  }

  /** Returns the responses for a page of an attempt, oldest first. Its message may be delivered several times. */
  responses(address: PageAddress): readonly PageResponse[] {
    return this.#responses.get(nameOf(address)) ?? [];
  }

  recordWrite({ bucket }: Pick<ObjectStore, "bucket">, key: string, call: Call): void {
    this.#moments += 1;
    const version = this.writesOf(bucket, key).length + 1;
    this.writes.push({ moment: this.#moments, bucket, key, version, call });
  }

  recordExpiry(key: string): void {
    this.#moments += 1;
    this.#expired.push({ moment: this.#moments, key });
  }

  /** Returns whether the work bucket had an object at a moment. */
  had({ bucket }: Pick<ObjectStore, "bucket">, key: string, moment: number): boolean {
    const last = (events: readonly { moment: number }[]) =>
      events.filter((event) => event.moment < moment).at(-1)?.moment ?? 0;
    return last(this.writesOf(bucket, key)) > last(this.#expired.filter((each) => each.key === key));
  }

  /** Returns the writes of one key, oldest first. */
  writesOf(bucket: string, key: string): Write[] {
    return this.writes.filter((write) => write.bucket === bucket && write.key === key);
  }
}

/** Page 1 of a day is the response that said that the day has more pages. */
function nameOf({ runId, window, attempt, from, to, page }: PageAddress): string {
  return `${runId} ${window} ${attempt} ${from} ${to} ${page}`;
}
