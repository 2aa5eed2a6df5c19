// Tests the simulation's calendar against dates from calendars, and its rules for any year.
import fc from "fast-check";
import { expect, test } from "vitest";
import { addDays } from "../../../shared/dates.ts";
import { seasonOf, termsOf } from "../../../stacks/local/libinsight/academic-year.ts";

/** By hand: Martin Luther King Day, the first Monday from August 20 on, and Thanksgiving. */
const years = `2021-01-18 2021-08-23 2021-11-25
2022-01-17 2022-08-22 2022-11-24
2023-01-16 2023-08-21 2023-11-23
2024-01-15 2024-08-26 2024-11-28
2025-01-20 2025-08-25 2025-11-27
2026-01-19 2026-08-24 2026-11-26
2027-01-18 2027-08-23 2027-11-25
2028-01-17 2028-08-21 2028-11-23
2029-01-15 2029-08-20 2029-11-22
2030-01-21 2030-08-26 2030-11-28`;

test.each(years.split("\n").map((line) => line.split(" ")))(
  "after the holiday %s the spring term begins, on %s the fall term, and %s is closed",
  (holiday = "", begins = "", thanksgiving = "") => {
    const [spring, summer, fall] = termsOf(Number(holiday.slice(0, 4)));
    expect([spring.from, fall.from]).toEqual([addDays(holiday, 1), begins]);
    expect(fall.to).toBe(addDays(thanksgiving, 20));
    expect([seasonOf(holiday), seasonOf(thanksgiving)]).toEqual(["closed", "closed"]);
    expect([seasonOf(spring.from), seasonOf(summer.from), seasonOf(fall.from)]).toEqual([
      "term",
      "summer",
      "term",
    ]);
  },
);

test("terms have a name and dates", () => {
  expect(termsOf(2026)).toEqual([
    { name: "Spring 2026", from: "2026-01-20", to: "2026-05-13" },
    { name: "Summer 2026", from: "2026-05-25", to: "2026-08-14" },
    { name: "Fall 2026", from: "2026-08-24", to: "2026-12-16" },
  ]);
});

test("a year has breaks, exams and closed days", () => {
  const days = Array.from({ length: 365 }, (_, day) => addDays("2023-01-01", day));
  const changes = days.flatMap((day, n) => {
    return seasonOf(day) === seasonOf(days[n - 1] ?? "2022-12-20") ? [] : [`${day} ${seasonOf(day)}`];
  });
  expect(changes).toEqual([
    "2023-01-01 closed",
    "2023-01-03 break",
    "2023-01-16 closed",
    "2023-01-17 term",
    "2023-03-04 break",
    "2023-03-13 term",
    "2023-04-24 peak",
    "2023-05-11 break",
    "2023-05-22 summer",
    "2023-07-04 closed",
    "2023-07-05 summer",
    "2023-08-12 break",
    "2023-08-21 term",
    "2023-11-18 break",
    "2023-11-23 closed",
    "2023-11-26 peak",
    "2023-12-14 break",
    "2023-12-24 closed",
  ]);
});

test("in every year terms do not overlap, end with exams, and leave the holidays closed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1970, max: 2200 }), (year) => {
      const dates = termsOf(year).flatMap(({ from, to }) => [from, to]);
      expect(dates).toEqual(dates.toSorted());
      const [spring, summer, fall] = termsOf(year);
      expect([spring.to, summer.to, fall.to].map(seasonOf)).toEqual(["peak", "summer", "peak"]);
      for (const day of ["01-01", "01-02", "07-04", "12-24", "12-25", "12-31"])
        expect(seasonOf(`${year}-${day}`)).toBe("closed");
      const march = Array.from({ length: 31 }, (_, day) => addDays(`${year}-03-01`, day));
      expect(march.filter((day) => seasonOf(day) === "break")).toHaveLength(9);
    }),
  );
});
