// The counts from which the responses of a kind are made, day by day. A test reads them to compare sums, and changes them
// between two requests. Nothing is kept in memory but the changed counts.
import { addDays } from "../../../../shared/dates.ts";
import { PipelineError } from "../../../../shared/errors.ts";

export type Ledger<Entry> = {
  /** Returns the counts of some days, both inclusive; by default of all. */
  entries(from?: string, to?: string): Generator<Entry>;
  /** Changes the count of an entry. @throws PipelineError `NoSuchCount` */
  setCount(entry: { date: string }, count: number): void;
};

/** @param entriesOf returns the generated counts of a day */
export function ledger<Entry extends { date: string; count: number }>(
  { firstDay, lastDay }: { firstDay: string; lastDay: string },
  entriesOf: (date: string) => Entry[],
): Ledger<Entry> {
  const changed = new Map<string, number>();
  function* entries(from = firstDay, to = lastDay): Generator<Entry> {
    const last = to < lastDay ? to : lastDay;
    for (let date = from > firstDay ? from : firstDay; date <= last; date = addDays(date, 1)) {
      for (const entry of entriesOf(date)) {
        const count = changed.size > 0 ? changed.get(keyOf(entry)) : undefined;
        yield count === undefined ? entry : { ...entry, count };
      }
    }
  }
  return {
    entries,
    setCount(entry, count) {
      const key = keyOf(entry);
      if (!entriesOf(entry.date).some((other) => keyOf(other) === key)) {
        throw new PipelineError("NoSuchCount", {
          message: "The simulated dataset has no such count.",
          advice: "Use an entry from `counts()` or `uses()`.",
        });
      }
      changed.set(key, count);
    },
  };
}

/** Returns everything of an entry but its count. */
function keyOf(entry: object): string {
  return JSON.stringify({ ...entry, count: undefined });
}
