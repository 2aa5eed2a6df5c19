// Stores the records of the server: the generated ones, and those that a test adds, edits or removes between two pages.
import { PipelineError } from "../../../../../shared/errors.ts";
import type { GeneratedRecords, LibInsightRecord } from "../../generate-records.ts";
import { localSeconds, secondsPerDay, startOfDay } from "../../local-time.ts";

const noRecords: GeneratedRecords = { count: 0, startOf: () => 0, idOf: () => 0, record: () => ({}) };

export type RecordStore = {
  /** Returns all records, oldest first. */
  records(): Generator<LibInsightRecord>;
  /** Returns the records of a range of days, both inclusive. */
  select(from: string, to: string): Selection;
  /**
   * Adds a record after those of the same second.
   * @param at `YYYY-MM-DD HH:MM:SS`, the time for `select`; required if the record has no valid `_start_date`
   * @throws PipelineError `BadSimulatedRecord` if there is no such time
   */
  add(record: LibInsightRecord, at?: string): void;
  /**
   * Replaces the record by `change(record)`, and moves it if its `_start_date` has changed.
   * @throws PipelineError `NoSuchRecord`
   */
  edit(id: number, change: (record: LibInsightRecord) => LibInsightRecord): void;
  /** @throws PipelineError `NoSuchRecord` */
  remove(id: number): void;
};

type Selection = {
  total: number;
  /** Returns the n-th to the m-th record, from 0 and without the m-th. */
  slice(order: "asc" | "desc", n: number, m: number): LibInsightRecord[];
};

export function recordStore(generated: GeneratedRecords = noRecords): RecordStore {
  // A record's number is its index among the generated records or, from `count` on, among the other records.
  const others: { start: number; record: LibInsightRecord }[] = [];
  const byStart = Array.from({ length: generated.count }, (_, number) => number);

  const startOf = (number: number) => others[number - generated.count]?.start ?? generated.startOf(number);
  const record = (number: number) => others[number - generated.count]?.record ?? generated.record(number);
  const idOf = (number: number) => others[number - generated.count]?.record._id ?? generated.idOf(number);

  /** Returns how many records start before the time. */
  function countBefore(time: number): number {
    let low = 0;
    let high = byStart.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (startOf(byStart[middle] ?? 0) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function insert(start: number, added: LibInsightRecord): void {
    others.push({ start, record: added });
    byStart.splice(countBefore(start + 1), 0, generated.count + others.length - 1);
  }

  function find(id: number): { place: number; number: number } {
    const place = byStart.findIndex((number) => idOf(number) === id);
    const number = byStart[place];
    if (number !== undefined) return { place, number };
    throw new PipelineError("NoSuchRecord", {
      message: "The simulated dataset has no such record.",
      advice: "Use an `_id` from `records()`.",
      ids: { id },
    });
  }

  return {
    *records() {
      for (const number of byStart) yield record(number);
    },
    select(from, to) {
      const first = countBefore(startOfDay(from));
      const end = countBefore(startOfDay(to) + secondsPerDay);
      const total = end - first;
      return {
        total,
        slice(order, n, m) {
          const last = Math.min(m, total);
          if (order === "asc") return byStart.slice(first + n, first + last).map(record);
          return byStart
            .slice(end - last, end - Math.min(n, last))
            .reverse()
            .map(record);
        },
      };
    },
    add(added, at) {
      const start = localSeconds(at ?? added._start_date);
      if (start === undefined) {
        throw new PipelineError("BadSimulatedRecord", {
          message: "The record needs a time by which queries select it.",
          advice: "Give it a `_start_date`, or pass a time to `add`, as YYYY-MM-DD HH:MM:SS.",
        });
      }
      insert(start, added);
    },
    edit(id, change) {
      const { place, number } = find(id);
      const before = startOf(number);
      const changed = change(record(number));
      const start = localSeconds(changed._start_date) ?? before;
      if (start === before) {
        others.push({ start, record: changed });
        byStart[place] = generated.count + others.length - 1;
      } else {
        byStart.splice(place, 1);
        insert(start, changed);
      }
    },
    remove(id) {
      byStart.splice(find(id).place, 1);
    },
  };
}
