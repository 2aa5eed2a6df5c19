import { describe, expect, test } from "vitest";
import {
  completeWeeks,
  mondayOfWeek,
  sameWeekLastYear,
  sumOf,
  termDays,
  weekOf,
} from "../../../../services/assembler/expectations/weeks.ts";
import type { Term } from "../../../../shared/expectations.ts";
import type { Profile } from "../../../../shared/profile.ts";

const term = (name: string, from: string, to: string): Term => ({ name, from, to });

test.each([
  ["1970-01-05", 0],
  ["1970-01-11", 0],
  ["1970-01-12", 1],
  ["1970-01-04", -1],
  ["2026-11-22", 2967],
  ["2026-11-23", 2968],
])("%s is in week %i", (date, week) => {
  expect(weekOf(date)).toBe(week);
  expect(mondayOfWeek(week) <= date && date < mondayOfWeek(week + 1)).toBe(true);
});

describe("the same week a year ago", () => {
  // The fall of 2026 begins a week earlier than that of 2025, and the spring of 2025 is a week shorter than that of 2026.
  const terms = [
    term("Spring 2025", "2025-01-21", "2025-05-07"),
    term("Fall 2025", "2025-08-25", "2025-12-17"),
    term("Spring 2026", "2026-01-20", "2026-05-22"),
    term("Fall 2026", "2026-08-17", "2026-12-09"),
    term("Winter 2027", "2027-01-04", "2027-01-15"),
    term("Spring 2027", "2027-01-19", "2027-05-12"),
    term("Summer 2027", "2027-06-07", "2027-07-16"),
  ];
  test.each([
    ["the first week of a term", "2026-08-17", "2025-08-25"],
    ["the last week of a term", "2026-12-07", "2025-12-15"],
    // A term may begin within a week.
    ["a week in which a term begins", "2026-01-19", "2025-01-20"],
    ["a week after the end of an earlier term", "2026-05-11", "2025-05-12"],
    ["two weeks after the end of an earlier term", "2026-05-18", "2025-05-19"],
    ["a break", "2026-07-06", "2025-07-07"],
    ["a week of a break that was a week of a term", "2026-12-14", "2025-12-22"],
    ["a term near one of the last year", "2027-01-04", "2026-01-19"],
    ["a term nearer to that one", "2027-01-25", "2026-01-26"],
    ["a term that is new", "2027-06-07", "2026-06-08"],
    ["a time before the terms", "2024-03-04", "2023-03-06"],
  ])("of %s", (_what, week, same) => {
    expect(mondayOfWeek(sameWeekLastYear(weekOf(week), terms))).toBe(same);
  });

  test("is 52 weeks ago if every near week was one of a term", () => {
    const long = [term("All 2025", "2025-01-01", "2025-12-31")];
    expect(weekOf("2026-07-06") - sameWeekLastYear(weekOf("2026-07-06"), long)).toBe(52);
  });
});

test.each<[what: string, week: string, same: string, Term[]]>([
  [
    "of a break is the one before a term that began then",
    "2026-08-24",
    "2025-08-18",
    [term("Fall 2025", "2025-08-25", "2025-12-17")],
  ],
  [
    "of a term is that of one that began four weeks earlier",
    "2026-02-02",
    "2025-01-06",
    [term("A", "2025-01-06", "2025-04-30"), term("B", "2026-02-02", "2026-05-30")],
  ],
  [
    "of a term is not that of one that began five weeks earlier",
    "2026-02-09",
    "2025-02-10",
    [term("A", "2025-01-06", "2025-04-30"), term("B", "2026-02-09", "2026-05-30")],
  ],
  [
    "of a term is that of the nearest of two",
    "2027-01-25",
    "2026-01-26",
    [
      term("Winter 2026", "2026-01-05", "2026-01-16"),
      term("Spring 2026", "2026-01-20", "2026-05-22"),
      term("Spring 2027", "2027-01-19", "2027-05-12"),
    ],
  ],
  [
    "of a longer term is the first after the earlier one",
    "2026-12-14",
    "2025-12-22",
    [term("A", "2025-08-25", "2025-12-17"), term("B", "2026-08-17", "2026-12-30")],
  ],
  [
    "of a longer term is then 52 weeks ago",
    "2026-12-21",
    "2025-12-22",
    [term("A", "2025-08-25", "2025-12-17"), term("B", "2026-08-17", "2026-12-30")],
  ],
])("the same week %s", (_what, week, same, terms) => {
  expect(mondayOfWeek(sameWeekLastYear(weekOf(week), terms))).toBe(same);
});

describe("the complete weeks of a profile", () => {
  const weeksOf = (from: string, to: string, firstWeek = "2024-06-03") => {
    const given: Profile = {
      from,
      to,
      firstWeek,
      rows: 0,
      undated: 0,
      days: [],
      weeks: [],
      hours: [],
      columns: [],
    };
    const { first, last } = completeWeeks(given);
    return [mondayOfWeek(first), mondayOfWeek(last)];
  };
  test.each([
    ["2025-09-01", "2025-09-28", "2025-09-01", "2025-09-22"],
    ["2025-09-02", "2025-09-27", "2025-09-08", "2025-09-15"],
    ["2025-09-07", "2025-09-29", "2025-09-08", "2025-09-22"],
    ["2020-01-01", "2025-09-28", "2024-06-03", "2025-09-22"],
  ])("from %s to %s", (from, to, first, last) => {
    expect(weeksOf(from, to)).toEqual([first, last]);
  });

  test("are summed, and a week outside the profile has no rows", () => {
    const given = { firstWeek: "2025-09-01" } as const;
    const week = weekOf("2025-09-01");
    const sum = (first: number, last?: number) =>
      sumOf(
        [1, 2, 4],
        { ...given, from: "", to: "", rows: 0, undated: 0, days: [], weeks: [], hours: [], columns: [] },
        first,
        last,
      );
    expect([sum(week), sum(week, week + 1), sum(week - 1, week + 5), sum(week + 3)]).toEqual([1, 3, 7, 0]);
  });
});

test.each([
  ["before a term", "2025-08-01", "2025-08-24", 0],
  ["to the first day of a term", "2025-08-01", "2025-08-25", 1],
  ["within a term", "2025-09-01", "2025-09-08", 7],
  ["over a break", "2025-12-16", "2026-01-21", 3],
  ["without a day", "2025-09-08", "2025-09-08", 0],
])("term days %s", (_what, after, to, days) => {
  const terms = [
    term("Fall 2025", "2025-08-25", "2025-12-17"),
    term("Spring 2026", "2026-01-20", "2026-05-13"),
  ];
  expect(termDays(after, to, terms)).toBe(days);
});

test("every day counts without terms", () => {
  expect(termDays("2025-08-01", "2025-08-24", [])).toBe(23);
});
