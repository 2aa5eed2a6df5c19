// Counts a profile from one weekly run to the next, because counting five years for each of 260 runs would take an hour.
// A test compares it with the profile that RowProfile counts.
import { type Profile, profileWeeks } from "../../../../shared/profile.ts";
import { columns, dateOf, type GeneratedRecord } from "./generated-library.ts";

/** Without what expectations do not read: counts by hour and by fiscal year. */
export class WeeklyProfile {
  readonly #firstDay: number;
  /** The first week of the first run's profile. Weeks of a profile are a slice of the counts from there. */
  readonly #start: number;
  readonly #days: number[];
  readonly #repeats: number[];
  readonly #different: number[];
  readonly #weeks: number[];
  readonly #keys = new Map<string, number>();
  readonly #columns: ColumnCounts[];
  #rows = 0;

  constructor(firstDay: number, lastDay: number) {
    const length = lastDay - firstDay + 1;
    const weeks = profileWeeks + Math.ceil(length / 7) + 1;
    this.#firstDay = firstDay;
    this.#start = weekOf(firstDay) - profileWeeks;
    [this.#days, this.#repeats, this.#different] = [zeros(length), zeros(length), zeros(length)];
    this.#weeks = zeros(weeks);
    this.#columns = [
      { name: "_id", isClosed: false },
      { name: "_start_date", isClosed: false },
      ...columns,
    ].map((column) => ({ ...column, filled: 0, weeks: zeros(weeks), answers: new Map() }));
  }

  /** Adds records that were entered since the last run. */
  add(records: Iterable<GeneratedRecord>): void {
    for (const record of records) {
      const [day, week] = [record.day - this.#firstDay, weekOf(record.day) - this.#start];
      this.#rows += 1;
      increment(this.#days, day);
      increment(this.#weeks, week);
      const key = `${record.day} ${record.minute} ${record.cells.join("|")}`;
      const repeats = this.#keys.get(key) ?? 0;
      this.#keys.set(key, repeats + 1);
      if (repeats > 0) increment(this.#repeats, day);
      if (repeats === 1) increment(this.#different, day);
      this.#columns.forEach((column, index) => {
        const cell = index < 2 ? "any" : (record.cells[index - 2] ?? "");
        if (cell !== "") addCell(column, cell, week);
      });
    }
  }

  profile(lastDay: number): Profile {
    const length = lastDay - this.#firstDay + 1;
    const first = weekOf(lastDay) - profileWeeks + 1 - this.#start;
    const slice = (weeks: number[]) => weeks.slice(first, first + profileWeeks);
    return {
      from: dateOf(this.#firstDay),
      to: dateOf(lastDay),
      rows: this.#rows,
      undated: 0,
      days: this.#days.slice(0, length),
      firstWeek: dateOf((weekOf(lastDay) - profileWeeks + 1) * 7 + 4),
      weeks: slice(this.#weeks),
      hours: [],
      columns: this.#columns.map(({ name, filled, weeks, numbers, answers }) => ({
        name,
        filled,
        weeks: slice(weeks),
        ...(numbers && { numbers: { ...numbers } }),
        ...(answers.size > 0 && {
          answers: Array.from(answers, ([answer, own]) => ({
            answer: String(answer),
            rows: own.rows,
            thisYear: 0,
            lastYear: 0,
            weeks: slice(own.weeks),
          })),
        }),
      })),
      repeats: [{ days: this.#repeats.slice(0, length), different: this.#different.slice(0, length) }],
    };
  }
}

type ColumnCounts = {
  name: string;
  isClosed: boolean;
  filled: number;
  weeks: number[];
  numbers?: { least: number; greatest: number };
  answers: Map<string | number, { rows: number; weeks: number[] }>;
};

function addCell(column: ColumnCounts, cell: string | number, week: number): void {
  column.filled += 1;
  increment(column.weeks, week);
  if (typeof cell === "number") {
    const { least, greatest } = column.numbers ?? { least: cell, greatest: cell };
    column.numbers = { least: Math.min(least, cell), greatest: Math.max(greatest, cell) };
  }
  if (!column.isClosed) return;
  const answer = column.answers.get(cell) ?? { rows: 0, weeks: zeros(column.weeks.length) };
  column.answers.set(cell, answer);
  answer.rows += 1;
  increment(answer.weeks, week);
}

function weekOf(day: number): number {
  return Math.floor((day - 4) / 7);
}

function zeros(length: number): number[] {
  return new Array<number>(length).fill(0);
}

function increment(counts: number[], index: number): void {
  counts[index] = (counts[index] ?? 0) + 1;
}
