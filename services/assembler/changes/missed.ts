// Counts what a full run finds in windows that the publication before it had reused instead of fetching them.
import { addDays, daysBetween } from "../../../shared/dates.ts";
import type { KeptIndex, RefreshResult } from "../../../shared/kept.ts";

export class MissedChanges {
  /** When the window of each day was fetched, without the days that the publication itself had fetched. */
  readonly #fetchedAt = new Map<string, string>();
  readonly #to: string;
  #changes = 0;
  #since: string | undefined;
  #oldestDay: string | undefined;

  /** @param index of the publication before. It has some thousand days. */
  constructor({ runId, to, windows }: Pick<KeptIndex, "runId" | "to" | "windows">) {
    this.#to = to;
    for (const window of windows) {
      if (window.runId === runId) continue;
      for (let day = window.from; day <= window.to; day = addDays(day, 1))
        this.#fetchedAt.set(day, window.at);
    }
  }

  /** Adds a changed row by its day. */
  add(day: string | undefined): void {
    const at = day === undefined ? undefined : this.#fetchedAt.get(day);
    if (day === undefined || at === undefined) return;
    this.#changes += 1;
    if (this.#since === undefined || at < this.#since) this.#since = at;
    if (this.#oldestDay === undefined || day < this.#oldestDay) this.#oldestDay = day;
  }

  result(): RefreshResult["missed"] {
    if (this.#since === undefined || this.#oldestDay === undefined) return undefined;
    const adviceDays = Math.max(daysBetween(this.#oldestDay, this.#to), 1);
    return { changes: this.#changes, since: this.#since, adviceDays };
  }
}
