// Counts the rows of a file while it is written (shared/profile.ts). It needs memory for the counts only.
import { csvFieldText, endOfField } from "../../shared/csv.ts";
import { type Dataset, holdsSeveral } from "../../shared/dataset-schema.ts";
import {
  addDays,
  addYears,
  daysBetween,
  fiscalYearOf,
  mondayOf,
  startOfFiscalYear,
} from "../../shared/dates.ts";
import {
  dateColumn,
  maxAnswers,
  maxPairs,
  type Profile,
  type ProfiledColumn,
  profileWeeks,
  timeColumn,
} from "../../shared/profile.ts";
import { classesOf, classifier } from "../../shared/statistics/classes.ts";
import { hashOf, RowHashes } from "./repeats.ts";

/** Distinct cells that are remembered for each column, because a cell may hold several answers. */
const maxCells = 2_000;
/** A longer text is not an answer of a closed field. */
const maxAnswerLength = 200;
const hoursDays = 364;
const quote = 0x22;
/** Other values of a date column are texts. */
const timestamp = /^"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}"$/;
const dateOnly = /^"\d{4}-\d{2}-\d{2}"$/;
/** A greater number is no quantity of an hour or a record. Sums of ten million rows are safe integers. */
const maxQuantity = 100_000_000;

type AnswerCounts = { rows: number; thisYear: number; lastYear: number; weeks: Float64Array };
/** Without a quantity the dataset has none. */
type Answer = AnswerCounts & { quantity: AnswerCounts | undefined };
/** With the question type and mode as fields of the CSV. */
type Pair = {
  fiscalYear: number | null;
  questionType: string;
  mode: string;
  rows: number;
  instruction: number;
  minutes: number;
};
/** The indexes of the columns of the pairs; -1 without one. */
type Roles = { questionType: number; mode: number; location: number; minutes: number };
/** What every row of a day has in common. */
type Day = {
  index: number;
  /** Negative before the first of the profile's weeks. */
  week: number;
  /** From Monday, 0. Undefined if the day is not one of the last 364. */
  weekday: number | undefined;
  isThisYear: boolean;
  isLastYear: boolean;
  fiscalYear: number;
};

class ColumnCounts {
  readonly weeks = new Uint32Array(profileWeeks);
  filled = 0;
  least = Number.POSITIVE_INFINITY;
  greatest = Number.NEGATIVE_INFINITY;
  /** Undefined if the column is personal, or has too many answers. */
  answers: Map<string, Answer> | undefined;
  readonly #cells = new Map<string, Answer[]>();
  readonly #holdsSeveral: boolean;
  readonly #hasQuantity: boolean;

  constructor({
    hasAnswers,
    several,
    hasQuantity,
  }: Record<"hasAnswers" | "several" | "hasQuantity", boolean>) {
    if (hasAnswers) this.answers = new Map();
    this.#holdsSeveral = several;
    this.#hasQuantity = hasQuantity;
  }

  /** Counts a cell that is not empty. @param quantity of the row */
  add(text: string, start: number, end: number, day: Day | undefined, quantity: number): void {
    this.filled += 1;
    if (day && day.week >= 0) this.weeks[day.week] = (this.weeks[day.week] ?? 0) + 1;
    // Only numbers are unquoted.
    if (text.charCodeAt(start) !== quote) {
      const number = Number(text.slice(start, end));
      if (number < this.least) this.least = number;
      if (number > this.greatest) this.greatest = number;
    }
    if (!this.answers) return;
    for (const answer of this.#answersOf(text.slice(start, end), this.answers)) {
      addTo(answer, day, 1);
      if (answer.quantity) addTo(answer.quantity, day, quantity);
    }
  }

  #answersOf(field: string, answers: Map<string, Answer>): Answer[] {
    const known = this.#cells.get(field);
    if (known) return known;
    const text = textOf(field);
    const names = this.#holdsSeveral ? new Set(text.split("; ")) : [text];
    const found: Answer[] = [];
    for (const name of names) {
      const answer = answers.get(name) ?? {
        ...noCounts(),
        quantity: this.#hasQuantity ? noCounts() : undefined,
      };
      answers.set(name, answer);
      found.push(answer);
    }
    this.#cells.set(field, found);
    if (answers.size <= maxAnswers && this.#cells.size <= maxCells && text.length <= maxAnswerLength)
      return found;
    this.answers = undefined;
    this.#cells.clear();
    return [];
  }

  profile(name: string): ProfiledColumn {
    const { answers, filled, least, greatest } = this;
    return {
      name,
      filled,
      weeks: [...this.weeks],
      ...(least <= greatest && { numbers: { least, greatest } }),
      ...(answers && {
        answers: Array.from(answers, ([answer, { quantity, ...counts }]) => ({
          answer,
          ...counts,
          weeks: [...counts.weeks],
          ...(quantity && { quantity: { ...quantity, weeks: [...quantity.weeks] } }),
        })).sort((a, b) => b.rows - a.rows || (a.answer < b.answer ? -1 : 1)),
      }),
    };
  }
}

function noCounts(): AnswerCounts {
  return { rows: 0, thisYear: 0, lastYear: 0, weeks: new Float64Array(profileWeeks) };
}

function addTo(counts: AnswerCounts, day: Day | undefined, amount: number): void {
  counts.rows += amount;
  if (!day) return;
  if (day.week >= 0) counts.weeks[day.week] = (counts.weeks[day.week] ?? 0) + amount;
  if (day.isThisYear) counts.thisYear += amount;
  if (day.isLastYear) counts.lastYear += amount;
}

/** Counts rows, or sums up their quantity, by day, week and hour. */
class DatedCounts {
  rows = 0;
  undated = 0;
  readonly #days: Float64Array;
  readonly #weeks = new Float64Array(profileWeeks);
  readonly #hours = Array.from({ length: 7 }, () => new Float64Array(24));

  constructor(days: number) {
    this.#days = new Float64Array(days);
  }

  /** @param hour undefined if the date has no time */
  add(day: Day | undefined, hour: number | undefined, amount: number): void {
    this.rows += amount;
    if (!day) {
      this.undated += amount;
      return;
    }
    const { index, week, weekday } = day;
    this.#days[index] = (this.#days[index] ?? 0) + amount;
    if (week >= 0) this.#weeks[week] = (this.#weeks[week] ?? 0) + amount;
    const hours = weekday === undefined ? undefined : this.#hours[weekday];
    if (hours && hour !== undefined && hour < hours.length) hours[hour] = (hours[hour] ?? 0) + amount;
  }

  counts() {
    const { rows, undated } = this;
    const hours = this.#hours.map((hours) => [...hours]);
    return { rows, undated, days: [...this.#days], weeks: [...this.#weeks], hours };
  }
}

/** Rows that equal another row in these columns. */
type Repeats = {
  /** All expectations share one table of hashes. */
  seed: number;
  columns: string[] | undefined;
  indexes: number[];
  days: Uint32Array;
  different: Uint32Array;
};

export class RowProfile {
  readonly #range: Pick<Profile, "from" | "to">;
  readonly #firstWeek: string;
  readonly #dayOf = new Map<string, Day>();
  readonly #columns: { name: string; index: number; counts: ColumnCounts }[];
  readonly #date: number;
  readonly #datePattern: RegExp;
  readonly #roles: Roles | undefined;
  /** Returns whether a location is that of a class session. */
  readonly #isInstruction: (location: string) => boolean;
  readonly #pairs: Pair[] = [];
  /** The same pairs by fiscal year, question type and mode. */
  readonly #pairOf = new Map<number | null, Map<string, Map<string, Pair>>>();
  /** The beginning and the end of each field of the current row. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #dated: DatedCounts;
  /** The index of the column with the dataset's quantity; -1 without one. */
  readonly #quantity: number;
  readonly #quantities: DatedCounts;
  readonly #repeats: Repeats[];
  #hashes: RowHashes | undefined;

  /**
   * @param range of the run; every dated row is in it
   * @param headers of the rows that are added
   */
  constructor(dataset: Dataset, range: Pick<Profile, "from" | "to">, headers: readonly string[]) {
    const { from, to } = range;
    this.#range = { from, to };
    this.#firstWeek = addDays(mondayOf(to), -7 * (profileWeeks - 1));
    this.#quantity = headers.indexOf(dataset.roles.quantity ?? "");
    this.#columns = dataset.columns.flatMap((column) => {
      const index = headers.indexOf(column.name);
      if ("drop" in column || index === -1) return [];
      const isOpen = "type" in column && ["timestamp", "date", "time"].includes(column.type);
      const hasAnswers = !column.personal && !isOpen && column.name !== "_id";
      const several = holdsSeveral(column);
      const counts = new ColumnCounts({ hasAnswers, several, hasQuantity: this.#quantity >= 0 });
      return [{ name: column.name, index, counts }];
    });
    this.#starts = new Uint32Array(headers.length);
    this.#ends = new Uint32Array(headers.length);
    const time = timeColumn(dataset);
    this.#date = headers.indexOf(dateColumn(dataset) ?? "");
    this.#datePattern = time === undefined ? dateOnly : timestamp;
    const { questionType, mode, location = "", minutes = "" } = dataset.roles;
    this.#isInstruction = instructionTest(dataset);
    if (questionType !== undefined && mode !== undefined) {
      this.#roles = {
        questionType: headers.indexOf(questionType),
        mode: headers.indexOf(mode),
        location: headers.indexOf(location),
        minutes: headers.indexOf(minutes),
      };
    }
    const start = startOfFiscalYear(to, dataset.fiscalYearStart);
    const [lastStart, lastEnd] = [addYears(start, -1), addYears(to, -1)];
    const daysBefore = daysBetween(this.#firstWeek, from);
    const length = daysBetween(from, to) + 1;
    this.#dated = new DatedCounts(length);
    this.#quantities = new DatedCounts(length);
    this.#repeats = dataset.expectations
      .filter((expected) => expected.kind === "unique")
      .map(({ columns }, seed) => ({
        seed,
        columns,
        indexes: headers.flatMap((header, index) =>
          (columns?.includes(header) ?? header !== "_id") ? [index] : [],
        ),
        days: new Uint32Array(length),
        different: new Uint32Array(length),
      }));
    for (let index = 0, day = from; index < length; index++, day = addDays(day, 1)) {
      this.#dayOf.set(day, {
        index,
        week: Math.floor((daysBefore + index) / 7),
        weekday: index < length - hoursDays ? undefined : (((daysBefore + index) % 7) + 7) % 7,
        isThisYear: day >= start,
        isLastYear: day >= lastStart && day <= lastEnd,
        fiscalYear: fiscalYearOf(day, dataset.fiscalYearStart),
      });
    }
  }

  /** Adds the rows of a CSV without its header. Each row is one line. */
  add(csv: Uint8Array): void {
    // One character for each byte, which is twice as fast. `textOf` decodes the texts that are kept.
    const text = Buffer.from(csv.buffer, csv.byteOffset, csv.byteLength).toString("latin1");
    for (let at = 0; at < text.length; ) {
      let field = 0;
      for (; field < this.#ends.length; field++) {
        this.#starts[field] = at;
        at = endOfField(text, at);
        this.#ends[field] = at;
        // Skips the comma or the line break.
        at += 1;
      }
      this.#addRow(text);
    }
  }

  #field(text: string, index: number): string {
    return index === -1 ? "" : text.slice(this.#starts[index], this.#ends[index]);
  }

  /** Returns a field, or an empty text if it is null or an empty text. */
  #answer(text: string, index: number): string {
    const field = this.#field(text, index);
    return field === '""' ? "" : field;
  }

  #addRow(text: string): void {
    const date = this.#field(text, this.#date);
    const day = this.#datePattern.test(date) ? this.#dayOf.get(date.slice(1, 11)) : undefined;
    const hour = this.#datePattern === timestamp ? Number(date.slice(12, 14)) : undefined;
    const quantity = this.#quantityOf(text);
    this.#dated.add(day, hour, 1);
    if (this.#quantity >= 0) this.#quantities.add(day, hour, quantity);
    if (day) this.#addRepeats(text, day);
    for (const { index, counts } of this.#columns) {
      const [start = 0, end = 0] = [this.#starts[index], this.#ends[index]];
      // Neither null, an empty field, nor an empty text, "".
      const isFilled = end - start > 2 || (end > start && text.charCodeAt(start) !== quote);
      if (isFilled) counts.add(text, start, end, day, quantity);
    }
    if (this.#roles) this.#addPair(text, day, this.#roles);
  }

  /** Returns 0 for what is not a quantity: a text, or a number below 0. */
  #quantityOf(text: string): number {
    const quantity = Number(this.#field(text, this.#quantity));
    return quantity > 0 && quantity <= maxQuantity ? quantity : 0;
  }

  #addRepeats(text: string, { index }: Day): void {
    for (const { seed, indexes, days, different } of this.#repeats) {
      let hash = seed;
      for (const field of indexes)
        hash = hashOf(text, this.#starts[field] ?? 0, this.#ends[field] ?? 0, hash);
      this.#hashes ??= new RowHashes();
      const found = this.#hashes.add(hash);
      if (found === "new") continue;
      days[index] = (days[index] ?? 0) + 1;
      if (found === "repeat") different[index] = (different[index] ?? 0) + 1;
    }
  }

  #addPair(text: string, day: Day | undefined, roles: Roles): void {
    // One more than the maximum shows that there are too many.
    if (this.#pairs.length > maxPairs) return;
    const questionType = this.#answer(text, roles.questionType);
    const mode = this.#answer(text, roles.mode);
    const fiscalYear = day?.fiscalYear ?? null;
    const byType = getOrAdd(this.#pairOf, fiscalYear, () => new Map<string, Map<string, Pair>>());
    const byMode = getOrAdd(byType, questionType, () => new Map<string, Pair>());
    const pair = getOrAdd(byMode, mode, () => {
      const added = { fiscalYear, questionType, mode, rows: 0, instruction: 0, minutes: 0 };
      this.#pairs.push(added);
      return added;
    });
    pair.rows += 1;
    if (this.#isInstruction(this.#field(text, roles.location))) pair.instruction += 1;
    const minutes = this.#field(text, roles.minutes);
    if (!minutes.startsWith('"')) pair.minutes += Number(minutes);
  }

  profile(): Profile {
    const hasPairs = this.#roles !== undefined && this.#pairs.length <= maxPairs;
    return {
      ...this.#range,
      ...this.#dated.counts(),
      firstWeek: this.#firstWeek,
      ...(this.#quantity >= 0 && { quantity: this.#quantities.counts() }),
      columns: this.#columns.map(({ name, counts }) => counts.profile(name)),
      ...(hasPairs && {
        pairs: this.#pairs.map((pair) => ({
          ...pair,
          questionType: textOf(pair.questionType) || null,
          mode: textOf(pair.mode) || null,
        })),
      }),
      ...(this.#repeats.length > 0 && {
        repeats: this.#repeats.map(({ columns, days, different }) => ({
          ...(columns && { columns }),
          days: [...days],
          different: [...different],
        })),
      }),
    };
  }
}

/** Returns a function that returns whether a field of the location's column has an answer of `statistics.instruction`. */
function instructionTest(dataset: Dataset): (field: string) => boolean {
  const { instruction } = classesOf(dataset);
  if (!instruction) return () => false;
  const classify = classifier(instruction);
  const known = new Map<string, boolean>();
  return (field) => {
    const found = known.get(field);
    if (found !== undefined) return found;
    const isInstruction = classify(textOf(field) || null).found !== null;
    if (known.size < maxCells) known.set(field, isInstruction);
    return isInstruction;
  };
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

/** Returns the text of a field that was read with one character for each byte. */
function textOf(field: string): string {
  return csvFieldText(Buffer.from(field, "latin1").toString("utf8"));
}
