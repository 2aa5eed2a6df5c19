// Generates libraries and five years of their records, without faults: other sizes, terms, habits and noise than those of
// the simulated LibInsight, so that the rules of expectations are not tuned on what proves them.
import type { Term } from "../../../../shared/expectations.ts";

const dayMs = 24 * 60 * 60_000;
export const dateOf = (day: number) => new Date(day * dayMs).toISOString().slice(0, 10);
export const dayOf = (date: string) => Date.parse(date) / dayMs;

export type GeneratedRecord = {
  day: number;
  minute: number;
  /** The run by which it was entered, from 0. */
  run: number;
  /** One of `columns`, in their order. Empty if the field is. */
  cells: readonly (string | number)[];
};
export type GeneratedLibrary = {
  weekly: number;
  terms: Term[];
  firstDay: number;
  /** The last day of each weekly run. */
  runs: number[];
  records: GeneratedRecord[];
};

/** The columns after `_id` and `_start_date`. */
export const columns = [
  { name: "Question Type", isClosed: true },
  { name: "Location", isClosed: true },
  { name: "mode", isClosed: true },
  { name: "Minutes", isClosed: true },
  { name: "Topic", isClosed: true },
  { name: "Comments", isClosed: false },
];
const years = 5;

export type Random = () => number;

/** Mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function poisson(random: Random, mean: number): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  let [n, product] = [0, random()];
  for (const limit = Math.exp(-mean); product > limit; n++) product *= random();
  return n;
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** The greater the index, the smaller the share. */
function pick(random: Random, weights: readonly number[]): number {
  let at = random() * weights.reduce((sum, weight) => sum + weight, 0);
  return Math.max(
    0,
    weights.findIndex((weight) => {
      at -= weight;
      return at < 0;
    }),
  );
}

/** Each term's first day varies by up to five days between years. */
function termsOf(random: Random, firstYear: number): { terms: Term[]; breakWeeks: Set<number> } {
  const shift = Math.floor(random() * 28) - 14;
  const kinds = [
    // Semesters with and without a summer term, trimesters, quarters: the first day of the year and the length in weeks.
    [
      ["Spring", 18, 16],
      ["Fall", 234, 16],
    ],
    [
      ["Spring", 18, 16],
      ["Summer", 148, 10],
      ["Fall", 234, 16],
    ],
    [
      ["Winter", 8, 13],
      ["Summer", 124, 13],
      ["Fall", 246, 13],
    ],
    [
      ["Winter", 5, 11],
      ["Spring", 89, 11],
      ["Summer", 173, 9],
      ["Fall", 264, 12],
    ],
  ] as const;
  const terms: Term[] = [];
  const breakWeeks = new Set<number>();
  const kind = kinds[Math.floor(random() * kinds.length)] ?? kinds[0];
  const breakWeek = 5 + Math.floor(random() * 4);
  for (let year = firstYear; year <= firstYear + years + 1; year++) {
    for (const [name, dayOfYear, weeks] of kind) {
      const from = Date.UTC(year, 0, dayOfYear + shift + Math.floor(random() * 6)) / dayMs;
      const monday = from - ((((from - 4) % 7) + 7) % 7);
      terms.push({ name: `${name} ${year}`, from: dateOf(monday), to: dateOf(monday + weeks * 7 - 3) });
      // The break moves by a week in some years.
      if (weeks > 12) breakWeeks.add(monday + 7 * (breakWeek + (random() < 0.3 ? 1 : 0)));
    }
  }
  return { terms, breakWeeks };
}

/** Returns a history without faults. @param seed gives the same history again */
export function generatedLibrary(seed: number): GeneratedLibrary {
  const random = randomOf(Math.imul(seed + 1, 0x9e3779b1));
  const between = (least: number, greatest: number) => least + (greatest - least) * random();
  const weekly = Math.exp(between(Math.log(20), Math.log(400)));
  const firstYear = 2014 + Math.floor(random() * 8);
  const firstDay = Date.UTC(firstYear, Math.floor(random() * 12), 1 + Math.floor(random() * 28)) / dayMs;
  const { terms, breakWeeks } = termsOf(random, firstYear - 1);
  const growth = between(-0.15, 0.25);
  const [summer, breaks] = [between(0.35, 0.75), between(0.15, 0.5)];
  const [peak, spring] = [between(1.1, 1.6), between(0.2, 0.6)];
  const [weekNoise, dayNoise] = [between(0.03, 0.12), between(0.05, 0.25)];
  const weekdays = [1, 1.1, 1.1, 1, 0.8, between(0, 0.4), between(0, 0.6)];
  const late = random() < 0.5 ? 0 : between(0, 0.1);
  const batches = random() < 0.5 ? 0 : between(0, 0.04);

  const locations = Array.from({ length: 2 + Math.floor(random() * 7) }, (_, index) => ({
    weight: (1 / (index + 1) ** between(0.8, 1.8)) * between(0.8, 1.2),
    // Some branches close in the summer.
    summer: index > 0 && random() < 0.2 ? 0 : between(0.6, 1.4),
    growth: between(-0.1, 0.1),
    topics: between(0.1, 0.8),
  }));
  const questionTypes = Array.from({ length: 4 + Math.floor(random() * 5) }, (_, index) => 1 / (index + 1));
  const modes = Array.from({ length: 3 + Math.floor(random() * 3) }, (_, index) => 1 / (index + 1) ** 1.5);
  const filled = {
    type: between(0.97, 1),
    location: between(0.97, 1),
    mode: between(0.9, 1),
    minutes: between(0.7, 1),
    comments: between(0.2, 0.8),
  };

  const termDays = new Map<number, number>();
  for (const term of terms) {
    const [first, last] = [dayOf(term.from), dayOf(term.to)];
    const isSummer = term.name.startsWith("Summer");
    for (let day = first; day <= last; day++)
      termDays.set(day, isSummer ? summer : day > last - 14 ? peak : 1);
    for (let day = last + 1; day <= last + 2; day++) termDays.set(day, 1);
  }

  const lastDay = firstDay + Math.round(years * 365.25);
  const firstSunday = firstDay + 6 - ((((firstDay - 4) % 7) + 7) % 7);
  const runs: number[] = [];
  for (let sunday = firstSunday; sunday <= lastDay; sunday += 7) runs.push(sunday);
  const records: GeneratedRecord[] = [];
  let noise = 1;
  let comment = 0;
  for (const [run, sunday] of runs.entries()) {
    noise = Math.exp(weekNoise * normal(random));
    // New habits, about one a year: an answer is chosen more or less often, a field is filled in more or less often.
    if (random() < 1 / 52) {
      const list = random() < 0.5 ? modes : questionTypes;
      const index = Math.floor(random() * list.length);
      list[index] = (list[index] ?? 1) * between(0.6, 1.6);
      filled.comments = Math.min(0.95, Math.max(0.1, filled.comments + between(-0.08, 0.08)));
      filled.minutes = Math.min(1, Math.max(0.5, filled.minutes + between(-0.08, 0.08)));
    }
    for (let day = Math.max(firstDay, sunday - 6); day <= sunday; day++) {
      const date = dateOf(day);
      const isClosed =
        date.slice(5) >= "12-24" || date.slice(5) <= "01-01" || ["07-04", "11-11"].includes(date.slice(5));
      if (isClosed) continue;
      const month = Number(date.slice(5, 7));
      const isSummer = month >= 6 && month <= 8;
      const isBreakWeek = breakWeeks.has(sunday - 6);
      const season = (termDays.get(day) ?? breaks) * (isBreakWeek ? spring : 1);
      const inYears = (day - firstDay) / 365.25;
      const weights = locations.map(
        (place) => place.weight * (1 + place.growth) ** inYears * (isSummer ? place.summer : 1),
      );
      const open =
        weights.reduce((sum, w) => sum + w, 0) / locations.reduce((sum, place) => sum + place.weight, 0);
      const mean =
        (weekly / 5) *
        (weekdays[(day - 4) % 7] ?? 1) *
        season *
        noise *
        (1 + growth) ** inYears *
        Math.min(1, open) *
        Math.exp(dayNoise * normal(random));
      for (let n = poisson(random, mean); n > 0; n--) {
        const location = pick(random, weights);
        const record: GeneratedRecord = {
          day,
          minute: 8 * 60 + Math.floor(random() * 720),
          run: random() < late ? run + 1 : run,
          cells: [
            random() < filled.type ? `Type ${pick(random, questionTypes)}` : "",
            random() < filled.location ? `Place ${location}` : "",
            random() < filled.mode ? `Mode ${pick(random, modes)}` : "",
            random() < filled.minutes ? Math.floor(random() ** 2 * 60) : "",
            random() < (locations[location]?.topics ?? 0) ? `Topic ${Math.floor(random() * 12)}` : "",
            random() < filled.comments ? `comment ${comment++}` : "",
          ],
        };
        records.push(record);
        // Staff enter a tally as equal records.
        while (random() < batches) records.push(record);
      }
    }
  }
  return { weekly, terms, firstDay, runs, records };
}
