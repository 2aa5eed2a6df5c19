// No report gives a count from 1 to 4 away, nor do two in a row. The proof: for each hidden count and each of the four values
// there is other data in which it has that value, and of which both reports have the same bytes. So whatever a reader
// calculates from them is as right for one value as for the other.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { renderReport } from "../../../services/renderer/render.ts";
import { isSmall, protect, rounded, totalOf, withoutSmall } from "../../../services/renderer/small-counts.ts";
import { daysBetween, mondayOf } from "../../../shared/dates.ts";
import type { Profile } from "../../../shared/profile.ts";
import { anyProfiles, inputsOf, visitInputsOf } from "../../factories/profiles.ts";

const values = [1, 2, 3, 4];
const counts = fc.array(fc.oneof(fc.nat(4), fc.nat(30), fc.nat(500)), { minLength: 1, maxLength: 60 });

describe("protect", () => {
  it("shows the same for every value of a hidden count, if a shown or another hidden one makes up for it", () => {
    fc.assert(
      fc.property(counts, (all) => {
        const candidates = all.map((_, index) => index);
        const shown = protect(all, candidates);
        if (!shown) return;
        const reference = shown.findIndex(({ kind }) => kind === "about");
        for (const [index, count] of all.entries()) {
          if (!isSmall(count)) continue;
          for (const value of values) {
            // The rounded count makes up for it, or the other hidden ones do.
            const others = candidates.filter((other) => other !== index && isSmall(all[other] ?? 0));
            const twins = [[reference], others].map((make) => exchanged(all, index, value, make));
            expect(twins.some((twin) => same(protect(twin, candidates), shown))).toBe(true);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("rounds a count near to what it is", () => {
    fc.assert(
      fc.property(counts, (all) => {
        const shown =
          protect(
            all,
            all.map((_, index) => index),
          ) ?? [];
        for (const [index, cell] of shown.entries())
          if (cell.kind === "about") expect(Math.abs(cell.n - (all[index] ?? 0))).toBeLessThanOrEqual(16);
          else if (cell.kind === "exact") expect(cell.n).toBe(all[index]);
      }),
    );
  });

  it("shows nothing if no count is large enough to hide the small ones", () => {
    expect(protect([3, 0, 19], [0, 1, 2])).toBeUndefined();
    expect(protect([3, 0, 5], [])).toBeUndefined();
    expect(protect([0, 0, 5], [])).toEqual([0, 0, 5].map((n) => ({ kind: "exact", n })));
    expect(protect([3, 24, 300], [1, 2])).toEqual([
      { kind: "hidden" },
      { kind: "about", n: 20 },
      { kind: "exact", n: 300 },
    ]);
  });
});

it("rounds totals beside hidden counts to tens, and counts those as two and a half", () => {
  expect(totalOf([{ kind: "exact", n: 87 }, { kind: "hidden" }])).toEqual({ kind: "about", n: 90 });
  expect(
    totalOf([
      { kind: "exact", n: 87 },
      { kind: "exact", n: 1 },
    ]),
  ).toEqual({ kind: "exact", n: 88 });
  expect(
    [0, 1, 4, 5, 7, 8, 42, 43].map(rounded).map((cell) => (cell.kind === "hidden" ? "<5" : cell.n)),
  ).toEqual([0, "<5", "<5", 5, 5, 10, 40, 45]);
});

it("hides small counts in sentences about rows", () => {
  expect(withoutSmall("4 rows, 14 rows, 1.3 rows, 1 record, 3 of 5 windows")).toBe(
    "<5 rows, 14 rows, 1.3 rows, <5 record, 3 of 5 windows",
  );
});

/** Returns counts with the same sum: one has another value, and others make up for it. Hidden ones stay hidden. */
function exchanged(
  all: readonly number[],
  index: number,
  value: number,
  others: readonly number[],
): number[] {
  const twin = all.with(index, value);
  let left = (all[index] ?? 0) - value;
  for (const other of others) {
    const count = all[other] ?? 0;
    const [least, most] = isSmall(count) ? [1, 4] : [0, Number.POSITIVE_INFINITY];
    twin[other] = Math.min(Math.max(count + left, least), most);
    left -= (twin[other] ?? 0) - count;
  }
  return twin;
}

type Profiles = readonly [last: Profile, next: Profile];
type Cell = { n: number };

/** Counts of a profile, and the caption of the table that shows them. */
const breakdowns: { what: string; caption: string; cells: (profile: Profile) => Cell[] }[] = [
  ...["Location", "who"].flatMap((name) =>
    (["thisYear", "lastYear"] as const).map((year) => ({
      what: `${name}, ${year}`,
      caption: `Records by ${name === "who" ? name : "location"}<`,
      cells: ({ columns }: Profile) =>
        (columns.find((column) => column.name === name)?.answers ?? []).map((answer) => cellOf(answer, year)),
    })),
  ),
  ...[
    { what: "question type and mode, this year", before: 0, caption: "Records by question type and mode<" },
    { what: "the annual statistics of last year", before: 1, caption: "<caption>ACRL" },
  ].map(({ what, before, caption }) => ({
    what,
    caption,
    cells: ({ pairs = [] }: Profile) => {
      const fiscalYear = Math.max(...pairs.map((pair) => pair.fiscalYear ?? 0)) - before;
      return pairs.filter((pair) => pair.fiscalYear === fiscalYear).map((pair) => cellOf(pair, "rows"));
    },
  })),
  {
    what: "hour",
    caption: "Records by hour and weekday<",
    cells: ({ hours }) => hours.flatMap((day) => day.map((_, hour) => cellOf(day, hour))),
  },
];

function cellOf<K extends PropertyKey>(counts: Record<K, number>, key: K): Cell {
  return {
    get n() {
      return counts[key];
    },
    set n(value) {
      counts[key] = value;
    },
  };
}

const records = { noun: "Record", inputs: inputsOf, seeds: 40 };
/** The same counts as visits of gates. */
const visits = { noun: "Visit", inputs: visitInputsOf, seeds: 20 };

describe.each([records, visits])(
  "two reports of $noun counts in a row have the same bytes for every value of a hidden count",
  (counted) => {
    const seeds = Array.from({ length: counted.seeds }, (_, index) => index + 1);
    const { noun } = counted;
    const reportsOf = (profiles: Profiles) => counted.inputs(profiles).map(renderReport);
    const shown = breakdowns.flatMap(({ caption, ...breakdown }) => {
      const ofRows = /mode|statistics/.test(breakdown.what);
      return counted === visits && ofRows ? [] : [{ ...breakdown, caption: caption.replace("Record", noun) }];
    });

    it.each(shown)("of $what", ({ caption, cells }) => {
      let hidden = 0;
      for (const seed of seeds) {
        const profiles = anyProfiles(seed);
        const reports = reportsOf(profiles);
        for (const run of [0, 1] as const) {
          const counts = cells(profiles[run]).map(({ n }) => n);
          const index = counts.findIndex((count, at) => isSmall(count) && at >= seed % counts.length);
          const count = counts[index];
          if (count === undefined || !reports[run]?.includes(caption)) continue;
          // Counts that are too small to be shown at all may have any other small values.
          const tooFew = structuredClone(profiles);
          for (const cell of cells(tooFew[run])) cell.n = 1;
          if (same(reportsOf(tooFew), reports)) continue;
          hidden += 1;
          for (const value of values) {
            // Another count makes up for it, so that every exact total stays, or the other hidden ones and another do.
            const others = counts.flatMap((other, at) => (isSmall(other) && at !== index ? [at] : []));
            const isPossible = counts.some((shown, other) => {
              if (other === index || shown === 0) return false;
              return [[other], [...others, other]].some((make) => {
                const twin = structuredClone(profiles);
                const all = exchanged(counts, index, value, make);
                for (const [at, cell] of cells(twin[run]).entries()) cell.n = all[at] ?? 0;
                return sum(all) === sum(counts) && same(reportsOf(twin), reports);
              });
            });
            expect(isPossible, `${value} instead of ${count}, seed ${seed}, run ${run}`).toBe(true);
          }
        }
      }
      expect(hidden).toBeGreaterThan(counted.seeds / 3);
    });

    it.each(counted === records ? ["with a value", "without a value"] : [])(
      "of a column's records %s",
      (which) => {
        const reports = values.map((count) => {
          const profiles = anyProfiles(2);
          for (const { columns, rows } of profiles)
            for (const column of columns)
              if (column.name === "studio") column.filled = which === "with a value" ? count : rows - count;
          return JSON.stringify(reportsOf(profiles));
        });
        expect(new Set(reports).size).toBe(1);
      },
    );

    it("of a week", () => {
      let hidden = 0;
      for (const seed of seeds) {
        const profiles = anyProfiles(seed);
        const reports = reportsOf(profiles);
        for (const run of [0, 1] as const) {
          if (!reports[run]?.includes(`${noun}s per week, rounded`)) continue;
          const weeks = weeksOf(profiles[run]).filter(
            ({ start }) => start > profiles[run].days.length - 7 * 80,
          );
          const week = weeks.find(({ rows }, at) => isSmall(rows) && at >= seed % 20);
          if (!week) continue;
          hidden += 1;
          for (const value of values) {
            const isPossible = [[run], [0, 1] as const].some((runs) =>
              weeks.some((other) => {
                const twin = structuredClone(profiles);
                const moved = runs.every((changed) =>
                  move(twin[changed].days, week, other, value - week.rows),
                );
                return moved && same(reportsOf(twin), reports);
              }),
            );
            expect(isPossible, `${value} instead of ${week.rows}, seed ${seed}, run ${run}`).toBe(true);
          }
        }
      }
      expect(hidden).toBeGreaterThan(counted.seeds / 3);
    });
  },
);

type Week = { start: number; rows: number };

function weeksOf({ from, days }: Profile): Week[] {
  const first = daysBetween(from, mondayOf(from)) + 7;
  return Array.from({ length: Math.floor((days.length - first) / 7) }, (_, index) => {
    const start = first + 7 * index;
    return { start, rows: sum(days.slice(start, start + 7)) };
  });
}

/** Moves records from one week to another; a negative number moves them back. Returns whether there are enough. */
function move(days: number[], to: Week, from: Week, by: number): boolean {
  if (to.start === from.start) return by === 0;
  const [more, less] = by > 0 ? [to, from] : [from, to];
  for (let left = Math.abs(by); left > 0; left--) {
    const day = days.findIndex((rows, index) => index >= less.start && index < less.start + 7 && rows > 0);
    if (day === -1) return false;
    days[day] = (days[day] ?? 0) - 1;
    days[more.start] = (days[more.start] ?? 0) + 1;
  }
  return true;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
