// Invents the counts of two runs a week apart, with many small ones, without making their rows.

import type { ReportInput } from "../../services/renderer/render.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addDays, daysBetween, mondayOf } from "../../shared/dates.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import { type Profile, profileWeeks } from "../../shared/profile.ts";
import { between, pick, type Random, seeded } from "../../stacks/local/libinsight/random.ts";
import { reportDataset } from "./library-history.ts";
import { resultOf } from "./results.ts";

const from = "2022-03-02";
const types = ["Directional", "Printing", "Reference", "Policy"];
const modes = ["In person", "Chat", "Phone"];
const dataset: Dataset = {
  ...reportDataset,
  statistics: {
    kinds: {
      ...{ consultation: [], "walk-in consultation": [], equipment: [], service: ["Printing"] },
      ...{ reference: ["Reference"], directional: ["Directional", "Policy"] },
    },
    modes: { "in person": ["In person"], virtual: ["Chat", "Phone"] },
    instruction: ["Studio"],
  },
};
const places = ["Main", "Art", "Online", "North", "Studio"];

/** Small counts, and some that are large enough to hide them among. */
function anyCount(random: Random): number {
  return pick(random, [
    0,
    0,
    between(random, 1, 4),
    between(random, 1, 4),
    between(random, 5, 30),
    between(random, 30, 300),
  ]);
}

function anyDays(random: Random, to: string): number[] {
  const days: number[] = [];
  for (let date = from; date <= to; date = addDays(date, 1)) {
    const week = Math.floor(daysBetween(mondayOf(from), date) / 7);
    // Every fifth week is quiet.
    const most = week % 5 === 2 ? pick(random, [0, 0, 0, 1, 1]) : 9;
    days.push(between(random, 0, most));
  }
  return days;
}

function anyProfile(random: Random, to: string, days: number[]): Profile {
  const rows = days.reduce((sum, count) => sum + count, 0);
  const weeks = new Array<number>(profileWeeks).fill(0);
  const answer = (name: string) => ({
    answer: name,
    rows: 1_000,
    thisYear: anyCount(random),
    lastYear: anyCount(random),
    weeks,
  });
  const closed = (name: string, names: string[]) => ({
    name,
    filled: rows - between(random, 0, 9),
    weeks,
    answers: names.map(answer),
  });
  const fiscalYear = Number(to.slice(0, 4)) + (to.slice(5) >= "07" ? 1 : 0);
  return {
    ...{ from, to, rows, undated: 0, days, weeks },
    firstWeek: addDays(mondayOf(to), -7 * (profileWeeks - 1)),
    hours: Array.from({ length: 7 }, () => Array.from({ length: 24 }, () => anyCount(random))),
    columns: [
      { name: "_id", filled: rows, weeks },
      { name: "studio", filled: between(random, 0, 6), weeks },
      closed("Question Type", types),
      closed("mode", modes),
      closed("Location", places),
      closed("who", places),
    ],
    pairs: [fiscalYear, fiscalYear - 1].flatMap((year) =>
      [...types, null].flatMap((questionType) =>
        [...modes, null].map((mode) => ({
          fiscalYear: year,
          questionType,
          mode,
          rows: anyCount(random),
          instruction: 0,
          minutes: 0,
        })),
      ),
    ),
  };
}

/** Returns the profiles of two runs a week apart. Few days change between them. */
export function anyProfiles(seed: number): [last: Profile, next: Profile] {
  const random = seeded(seed);
  const to = addDays("2024-08-04", 7 * between(random, 0, 60));
  const days = anyDays(random, to);
  const before = days
    .slice(0, -7)
    .map((count) => (random() < 0.02 ? Math.max(count + between(random, -3, 1), 0) : count));
  return [anyProfile(random, addDays(to, -7), before), anyProfile(random, to, days)];
}

/** Returns the inputs of the reports of two runs, which follow from their profiles only. */
export function inputsOf([last, next]: readonly [Profile, Profile]): [ReportInput, ReportInput] {
  const first = inputOf(last, undefined);
  return [first, inputOf(next, last)];
}

/** Returns the inputs of the reports of gates that have these counts of visits. The rows are the same in all of them. */
export function visitInputsOf(profiles: readonly [Profile, Profile]): [ReportInput, ReportInput] {
  const [last, next] = profiles;
  const [first, second] = inputsOf([withVisits(last), withVisits(next)]);
  return [
    { ...first, dataset: gates },
    { ...second, dataset: gates },
  ];
}

const { statistics: _none, ...withoutStatistics } = dataset;
const gates: Dataset = {
  ...withoutStatistics,
  kind: "gate-count",
  roles: { location: "Location", quantity: "Duration (in minutes)" },
};

function withVisits({ pairs: _none, ...profile }: Profile): Profile {
  const { rows, undated, days, weeks, hours } = profile;
  const perDay = 120;
  const ofRows = {
    rows: perDay * days.length,
    undated: 0,
    days: days.map(() => perDay),
    weeks: weeks.map(() => 7 * perDay),
    hours: hours.map((day) => day.map(() => 260)),
  };
  const columns = profile.columns.map(({ answers, ...column }) => ({
    ...column,
    filled: ofRows.rows,
    ...(answers && {
      answers: answers.map(({ answer, ...quantity }) => ({
        ...{ answer, rows: 1_000, thisYear: 500, lastYear: 500, weeks: quantity.weeks },
        quantity,
      })),
    }),
  }));
  return { ...profile, ...ofRows, quantity: { rows, undated, days, weeks, hours }, columns };
}

function inputOf(profile: Profile, previous: Profile | undefined): ReportInput {
  const time = (to: string) => `${addDays(to, 1)}T11:00:00Z`;
  const windows = kinds.records.periods({ from: profile.from, to: profile.to }).map(({ from, to }) => {
    const start = daysBetween(profile.from, from);
    const rows = profile.days
      .slice(start, daysBetween(profile.from, to) + 1)
      .reduce((sum, count) => sum + count, 0);
    return {
      from,
      to,
      attempt: 1,
      pages: Math.ceil(rows / 100),
      totalRecords: rows,
      rows,
      duplicates: 0,
      rejected: 0,
    };
  });
  const result = resultOf({
    ...{
      from: profile.from,
      to: profile.to,
      windows,
      records: profile.rows,
      rows: profile.rows,
      duplicates: 0,
      rejects: {},
    },
    ...{ requestedAt: time(profile.to), finishedAt: time(profile.to) },
  });
  const { previous: _none, ...first } = result;
  return {
    ...{ dataset, profile, previous, live: undefined, nextRunAt: undefined },
    result: previous
      ? { ...result, previous: { rows: previous.rows, requestedAt: time(previous.to) } }
      : first,
  };
}
