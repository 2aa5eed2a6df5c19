import { describe, expect, test } from "vitest";
import type { Checked } from "../../../../services/assembler/expectations/finding.ts";
import { expectationViolations, judge } from "../../../../services/assembler/expectations/judge.ts";
import { addDays } from "../../../../shared/dates.ts";
import { type Expectation, expectation, type Term } from "../../../../shared/expectations.ts";
import type { Profile } from "../../../../shared/profile.ts";
import type { ExpectationOutcome, RunResult } from "../../../../shared/run.ts";
import { dateOf, dayOf, type GeneratedRecord } from "./generated-library.ts";
import { WeeklyProfile } from "./weekly-profile.ts";

/** Question type, location, mode, minutes, topic and comment. */
type Cells = readonly (string | number)[];
const cells: Cells = ["Directional", "Desk", "In person", 5, "Maps", "a comment"];

/** The 1st of September 2025 was a Monday. */
const from = "2023-01-02";
const to = "2025-09-28";
const terms: Term[] = [2022, 2023, 2024, 2025].flatMap((year) => [
  { name: `Spring ${year}`, from: `${year}-01-15`, to: `${year}-05-10` },
  { name: `Fall ${year}`, from: `${year}-08-20`, to: `${year}-12-15` },
]);

/** Ten different rows a day, unless `ofDay` says otherwise for a date. */
function profileOf(ofDay: (date: string) => Cells[] = () => many(10), range = { from, to }): Profile {
  const [first, last] = [dayOf(range.from), dayOf(range.to)];
  const profile = new WeeklyProfile(first, last);
  const records: GeneratedRecord[] = [];
  for (let day = first; day <= last; day++)
    ofDay(dateOf(day)).forEach((own, minute) => {
      records.push({ day, minute, run: 0, cells: own });
    });
  profile.add(records);
  return profile.profile(last);
}

const many = (rows: number, own: Cells = cells) => Array.from({ length: rows }, () => own);
const during =
  (first: string, last: string, inside: Cells[], outside = many(10)) =>
  (date: string) =>
    date >= first && date <= last ? inside : outside;
const usual = profileOf();

type Given = Partial<Checked> & { settings?: object };
function outcomeOf(kind: Expectation["kind"], given: Given = {}): ExpectationOutcome {
  const { settings, ...checked } = given;
  const [outcome] = judge([expectation.parse({ kind, ...settings })], {
    dataset: { terms, fiscalYearStart: 7 },
    profile: usual,
    previous: usual,
    windows: [],
    ...checked,
  });
  if (!outcome) throw new Error("There is no outcome.");
  return outcome;
}
const unmet = (found: string, text: string) => ({ state: "unmet", found, text });
const met = (found: string) => ({ state: "met", found, text: "" });
const unknown = (text: string) => ({ state: "unknown", found: "", text });

describe("the newest record", () => {
  const endingOn = (date: string, end = to) => profileOf(during(from, date, many(1), []), { from, to: end });

  test.each([
    ["7 days before the end, in a term", endingOn("2025-09-21"), terms, met("7 days")],
    [
      "8 days before the end, in a term",
      endingOn("2025-09-20"),
      terms,
      unmet("8 days", "the newest record is of 2025-09-20, 8 days before the end of the range"),
    ],
    ["21 days before the end, between terms", endingOn("2025-06-07", "2025-06-28"), terms, met("21 days")],
    [
      "22 days before the end, between terms",
      endingOn("2025-06-06", "2025-06-28"),
      terms,
      unmet("22 days", "the newest record is of 2025-06-06, 22 days before the end of the range"),
    ],
    // Only 7 of the 20 days are in the term.
    ["before the term begins", endingOn("2025-08-06", "2025-08-26"), terms, met("20 days")],
    [
      "8 days into the term",
      endingOn("2025-08-06", "2025-08-27"),
      terms,
      unmet("21 days", "the newest record is of 2025-08-06, 21 days before the end of the range"),
    ],
    ["7 days before the end, without terms", endingOn("2025-06-07", "2025-06-14"), [], met("7 days")],
    [
      "8 days before the end, without terms",
      endingOn("2025-06-06", "2025-06-14"),
      [],
      unmet("8 days", "the newest record is of 2025-06-06, 8 days before the end of the range"),
    ],
    ["undated", { ...profileOf(() => []), rows: 1 }, terms, unmet("no dated record", "no record has a date")],
    ["missing", profileOf(() => []), terms, unknown("there are no rows")],
  ])("may be %s, or not", (_what, profile, terms, expected) => {
    expect(outcomeOf("newest", { profile, dataset: { terms, fiscalYearStart: 7 } })).toMatchObject(expected);
  });

  test("has limits of its own between terms only if there are terms", () => {
    const settings = { maxDays: 1, maxDaysBetweenTerms: 30 };
    expect(outcomeOf("newest", { settings }).title).toBe(
      "Newest record is at most 1 day old, or 30 days between terms",
    );
    expect(outcomeOf("newest", { settings, dataset: { terms: [], fiscalYearStart: 7 } })).toEqual({
      title: "Newest record is at most 1 day old",
      state: "met",
      holds: false,
      found: "0 days",
      limit: "1 day",
      text: "",
    });
  });
});

describe("windows", () => {
  const windows = (...given: [from: string, to: string, records: number][]): RunResult["windows"] =>
    given.map(([from, to, totalRecords]) => ({ from, to, totalRecords, attempt: 1, pages: 1 }));

  test.each([
    [
      "empty at first",
      windows(["2021-01-01", "2021-12-31", 0], ["2022-01-01", "2022-12-31", 5]),
      met("0 empty windows"),
    ],
    [
      "all empty",
      windows(["2021-01-01", "2021-12-31", 0], ["2022-01-01", "2022-12-31", 0]),
      met("0 empty windows"),
    ],
    [
      "empty and short",
      windows(["2021-01-01", "2021-12-31", 9], ["2022-01-01", "2022-01-27", 0]),
      met("0 empty windows"),
    ],
    [
      "empty after a full one",
      windows(["2021-01-01", "2021-12-31", 9], ["2022-01-01", "2022-01-28", 0]),
      unmet(
        "1 empty window",
        "LibInsight has no records for 2022-01-01 to 2022-01-28, but for earlier dates",
      ),
    ],
    [
      "empty after a full and an empty one",
      windows(
        ["2021-01-01", "2021-12-31", 9],
        ["2022-01-01", "2022-12-31", 0],
        ["2023-01-01", "2023-12-31", 0],
      ),
      unmet(
        "2 empty windows",
        "LibInsight has no records for 2022-01-01 to 2022-12-31, 2023-01-01 to 2023-12-31, but for earlier dates",
      ),
    ],
    [
      "empty weeks, of which four make a gap",
      windows(
        ["2024-01-01", "2024-01-07", 9],
        ["2024-01-08", "2024-01-14", 0],
        ["2024-01-15", "2024-01-21", 9],
        ...["2024-01-22", "2024-01-29", "2024-02-05", "2024-02-12", "2024-02-19"].map(
          (from): [string, string, number] => [from, addDays(from, 6), 0],
        ),
      ),
      unmet(
        "1 empty window",
        "LibInsight has no records for 2024-01-22 to 2024-02-25, but for earlier dates",
      ),
    ],
  ])("that are %s", (_what, windows, expected) => {
    expect(outcomeOf("windows", { windows })).toMatchObject(expected);
  });
});

describe("rows", () => {
  const shrunk = (rows: number) => profileOf(during("2024-06-01", "2024-12-31", many(rows)));

  test.each([
    ["as before", usual, {}, met("0% in all years")],
    [
      "that shrink by the limit",
      { ...usual, rows: 9_009 },
      { maxShrinkPercent: 10 },
      { state: "met", found: "-10% in all years" },
    ],
    ["that grow by the limit", { ...usual, rows: 11_011 }, {}, { state: "met", found: "+10% in all years" }],
    // 214 days of 366: 10% fewer rows are 5.8% of the year.
    [
      "that shrink beyond the limit in a year",
      shrunk(9),
      {},
      unmet(
        "-5.8% in 2024",
        "rows changed since the last publication: 2024 from 3,660 to 3,446 rows, fiscal year 2025 from 3,650 to 3,466 rows",
      ),
    ],
    [
      "that grow beyond the limit in a year",
      shrunk(12),
      {},
      unmet(
        "+11.7% in 2024",
        "rows changed since the last publication: 2024 from 3,660 to 4,088 rows, fiscal year 2025 from 3,650 to 4,018 rows",
      ),
    ],
  ])("%s", (_what, profile, settings, expected) => {
    expect(outcomeOf("rows", { profile, settings })).toMatchObject(expected);
  });
});

describe("rows are compared", () => {
  const day = (date: string) => dayOf(date) - dayOf(from);
  /** Adds rows to a day. */
  const adding = (date: string, more: number, profile = usual): Profile => ({
    ...profile,
    rows: profile.rows + more,
    days: profile.days.with(day(date), (profile.days[day(date)] ?? 0) + more),
  });
  const none = profileOf(during("2023-01-02", "2023-12-31", []));
  const july = { dataset: { terms, fiscalYearStart: 7 } };

  test.each<[what: string, Given, object]>([
    // 30 days of 2023 and of the fiscal year 2024.
    [
      "on the days that were published only",
      { previous: profileOf(undefined, { from: "2023-02-01", to: "2025-09-20" }) },
      met("0% in all years"),
    ],
    [
      "if their date is none",
      { profile: { ...usual, rows: usual.rows + 5_000 } },
      { state: "unmet", found: "+50% in all years" },
    ],
    [
      "from ten rows on in a small file",
      {
        profile: { ...none, rows: 29, days: none.days.map((_, n) => (n === day("2023-03-01") ? 29 : 0)) },
        previous: { ...none, rows: 20, days: none.days.map((_, n) => (n === day("2023-03-01") ? 20 : 0)) },
      },
      met("+45% in all years"),
    ],
    [
      "even if a year had none",
      { profile: adding("2023-03-01", 10, none), previous: none },
      unmet(
        "+0.2% in all years",
        "rows changed since the last publication: 2023 from 0 to 10 rows, fiscal year 2023 from 0 to 10 rows",
      ),
    ],
    [
      "unless a year had fewer than 10 more",
      { profile: adding("2023-03-01", 9, none), previous: none },
      { state: "met" },
    ],
    [
      "in calendar years only if the fiscal year is one",
      { profile: adding("2023-03-01", 2_000), dataset: { terms, fiscalYearStart: 1 } },
      unmet(
        "+54.9% in 2023",
        "rows changed since the last publication: all years from 10,010 to 12,010 rows, 2023 from 3,640 to 5,640 rows",
      ),
    ],
    [
      "but not in a year of less than eight weeks",
      {
        profile: adding("2025-08-05", 60),
        previous: profileOf(undefined, { from, to: "2025-08-24" }),
        ...july,
      },
      met("+2.5% in 2025"),
    ],
    [
      "but not in all if all are less than eight weeks",
      {
        profile: adding("2023-02-01", 60),
        previous: profileOf(undefined, { from, to: "2023-02-25" }),
      },
      met("0% in all years"),
    ],
    [
      "in all if all are eight weeks",
      {
        profile: adding("2023-02-01", 60),
        previous: profileOf(undefined, { from, to: "2023-02-26" }),
        dataset: { terms, fiscalYearStart: 1 },
      },
      unmet(
        "+10.7% in all years",
        "rows changed since the last publication: all years from 560 to 620 rows, 2023 from 560 to 620 rows",
      ),
    ],
    [
      "in a year of eight weeks",
      {
        profile: adding("2025-08-05", 60),
        previous: profileOf(undefined, { from, to: "2025-08-25" }),
        ...july,
      },
      unmet(
        "+10.7% in fiscal year 2026",
        "rows changed since the last publication: fiscal year 2026 from 560 to 620 rows",
      ),
    ],
    [
      "from the first day of a fiscal year to the last",
      {
        profile: adding("2024-07-01", 400, adding("2024-06-30", 400)),
        settings: { maxGrowthPercent: 10.9 },
        ...july,
      },
      unmet(
        "+21.9% in 2024",
        "rows changed since the last publication: 2024 from 3,660 to 4,460 rows, fiscal year 2024 from 3,660 to 4,060 rows, fiscal year 2025 from 3,650 to 4,050 rows",
      ),
    ],
  ])("%s", (_what, given, expected) => {
    expect(outcomeOf("rows", given)).toMatchObject(expected);
  });
});

test.each<[Expectation["kind"], object, title: string, limit: string]>([
  ["windows", {}, "No window is empty after one with records", "none"],
  ["filled", {}, "The share of rows with a value in each column falls by at most 10 points", "10 points"],
  [
    "filled",
    { columns: ["mode", "Topic"] },
    'The share of rows with a value in "mode", "Topic" falls by at most 10 points',
    "10 points",
  ],
  [
    "rows",
    {},
    "Rows of earlier days shrink by at most 5% and grow by at most 10%, in all and in each year",
    "-5% to +10%",
  ],
  ["answers", { column: "mode" }, 'Answers of "mode" are known', "1 known answer"],
  ["range", { column: "Minutes", max: 9 }, 'Numbers of "Minutes" are at most 9', "at most 9"],
  ["range", { column: "Minutes", min: 1 }, 'Numbers of "Minutes" are at least 1', "at least 1"],
  ["unique", {}, "At most 30% of a day's rows are repeated under another _id", "30%"],
  ["volume", {}, "Rows of the last week are within 50% of the same week of the term a year ago", "50%"],
  ["silent", { column: "mode" }, 'No answer of "mode" is silent for 3 weeks', "3 weeks"],
  ["silent", { column: "mode", weeks: 1 }, 'No answer of "mode" is silent for 1 week', "1 week"],
])("%s with %o has a title and a limit", (kind, settings, title, limit) => {
  expect(outcomeOf(kind, { settings })).toMatchObject({ title, limit, state: "met", holds: false });
});

describe("the share of filled rows", () => {
  /** "Topic" is empty in some of the rows of each day. */
  const filling = (topics: number, since = from, until = to) =>
    profileOf(
      during(
        since,
        until,
        many(10).map((row, n) => (n < topics ? row : row.with(4, ""))),
      ),
    );

  test.each([
    ["is the same", usual, {}, met("no fall")],
    ["falls by the limit", filling(9), {}, met('10 points in "Topic"')],
    ["rises", filling(9), { previous: filling(2) }, met("no fall")],
    [
      "falls beyond the limit in the file",
      filling(8),
      {},
      unmet(
        '20 points in "Topic"',
        '"Topic" has a value in 80% of the rows, in the last publication in 100%',
      ),
    ],
    [
      "falls beyond the limit in the last week",
      filling(5, "2025-09-22"),
      { previous: { missing: "no file was published before" } },
      unmet(
        '50 points in "Topic"',
        '"Topic" has a value in 50% of the rows of the week from 2025-09-22, usually in 100%',
      ),
    ],
    [
      "falls by half, the limit",
      filling(5),
      { settings: { maxFallPoints: 50 } },
      met('50 points in "Topic"'),
    ],
    [
      "falls in a column that the last publication did not have",
      filling(5),
      { previous: { ...usual, columns: [] } },
      met("no fall"),
    ],
    ["is none in the last week", profileOf(during("2025-09-22", to, [])), {}, met("no fall")],
    ["is none in the last publication", usual, { previous: profileOf(() => []) }, met("no fall")],
    ["is none in the file", profileOf(() => []), {}, met("no fall")],
    ["falls in other columns", filling(5), { settings: { columns: ["Location"] } }, met("no fall")],
  ])("%s", (_what, profile, given, expected) => {
    expect(outcomeOf("filled", { profile, ...given })).toMatchObject(expected);
  });

  test("in the last week is compared with the 26 weeks before", () => {
    // Only the first and the last of these have values, and the week before them, which does not count.
    const weeks = usual.weeks.map((rows, n) => ([2, 27, 28].includes(usual.weeks.length - n) ? rows : 0));
    const columns = usual.columns.map((column) => (column.name === "Topic" ? { ...column, weeks } : column));
    expect(outcomeOf("filled", { profile: { ...usual, columns } })).toMatchObject({
      state: "met",
      found: '7.7 points in "Topic"',
    });
  });

  test("may fall by chance in a small file", () => {
    const small = (filled: number): Profile => ({
      ...usual,
      rows: 10,
      columns: [{ name: "Topic", filled, weeks: [] }],
    });
    const given = (filled: number) => ({ profile: small(filled), previous: small(10) });
    expect(outcomeOf("filled", given(8))).toMatchObject(met('20 points in "Topic"'));
    expect(outcomeOf("filled", given(0))).toMatchObject({ state: "unmet", found: '100 points in "Topic"' });
  });

  test("may fall by chance in a week with few rows", () => {
    const few = (rows: number, topics: number) =>
      profileOf((date) => {
        const day = dayOf(date) % 7;
        const own = day === 4 ? many(rows) : [];
        return date >= "2025-09-22" ? own.map((row, n) => (n < topics ? row : row.with(4, ""))) : own;
      });
    expect(outcomeOf("filled", { profile: few(4, 3) })).toMatchObject({
      state: "met",
      found: '25 points in "Topic"',
    });
    expect(outcomeOf("filled", { profile: few(40, 20) })).toMatchObject({ state: "unmet" });
  });

  test("is unknown against the last publication if there is none", () => {
    const previous = { missing: "no file was published before" };
    expect(outcomeOf("filled", { previous })).toMatchObject({
      state: "unknown",
      found: "no fall",
      text: "no file was published before",
    });
  });
});

describe("repeated rows", () => {
  const day = usual.days.length - 3;
  /** @param different rows that are repeated, each once */
  const repeating = (different: number, columns?: string[], rows = 10): Profile => ({
    ...usual,
    days: usual.days.with(day, rows + different),
    repeats: [
      {
        ...(columns && { columns }),
        days: usual.days.map(() => 0).with(day, different),
        different: usual.days.map(() => 0).with(day, different),
      },
    ],
  });

  test.each([
    [
      "of a doubled day",
      repeating(10),
      usual,
      {},
      "rows are repeated under another _id on 2025-09-26 (10 of 10 rows)",
    ],
    [
      "beyond the limit",
      repeating(4),
      usual,
      {},
      "rows are repeated under another _id on 2025-09-26 (4 of 10 rows)",
    ],
    [
      "in named columns",
      repeating(10, ["Location"]),
      usual,
      { columns: ["Location"] },
      "rows are repeated under another _id on 2025-09-26 (10 of 10 rows)",
    ],
    [
      "on a day that was published with fewer",
      repeating(10),
      repeating(9),
      {},
      "rows are repeated under another _id on 2025-09-26 (10 of 10 rows)",
    ],
    [
      "if nothing was published",
      repeating(10),
      { missing: "" },
      {},
      "rows are repeated under another _id on 2025-09-26 (10 of 10 rows)",
    ],
  ])("%s are found", (_what, profile, previous, settings, text) => {
    expect(outcomeOf("unique", { profile, previous, settings })).toMatchObject({ state: "unmet", text });
  });

  test.each([
    ["up to the limit", repeating(6, undefined, 20), usual, {}],
    ["that are fewer than four", repeating(3), usual, { maxPercent: 1 }],
    ["that were published before", repeating(10), repeating(10), {}],
    [
      "that a publication of fewer days had",
      repeating(10),
      {
        ...usual,
        from: "2023-01-12",
        days: usual.days.slice(10),
        repeats: repeating(10).repeats?.map(({ days, different }) => ({
          days: days.slice(10),
          different: different.slice(10),
        })),
      },
      {},
    ],
    ["in other columns", repeating(10, ["Location"]), usual, {}],
  ])("%s are not", (_what, profile, previous, settings) => {
    expect(outcomeOf("unique", { profile, previous, settings })).toMatchObject({ state: "met", text: "" });
  });

  test("are usual where staff enter equal rows every day", () => {
    const half = usual.days.map(() => 5);
    const profile = { ...usual, days: usual.days.map(() => 15), repeats: [{ days: half, different: half }] };
    expect(outcomeOf("unique", { profile })).toMatchObject({ state: "met", found: "50% on a new day" });
  });
});

describe("answers", () => {
  const withModes = (...modes: string[]) => profileOf(() => modes.map((mode) => cells.with(2, mode)));
  const settings = { column: "mode" };
  const long = "x".repeat(61);

  test.each([
    ["of the last publication are known", usual, usual, settings, met("0 new answers")],
    [
      "that are new have names",
      withModes("In person", "Fax", "Telex", "A", "B", "C", long),
      usual,
      settings,
      unmet("6 new answers", `"mode" has new answers: "Fax", "Telex", "A", "B", "C" and 1 more`),
    ],
    [
      "are cut if they are long",
      withModes("In person", long),
      usual,
      settings,
      unmet("1 new answer", `"mode" has a new answer: "${"x".repeat(59)}…"`),
    ],
    [
      "that are five have names, also of 60 characters",
      withModes("A", "B", "C", "D", "x".repeat(60)),
      usual,
      settings,
      unmet("5 new answers", `"mode" has new answers: "A", "B", "C", "D", "${"x".repeat(60)}"`),
    ],
    [
      "of an open field are unknown, even if the entry names some",
      usual,
      usual,
      { column: "Comments", accepted: ["Thanks"] },
      unknown('"Comments" has too many different answers for a closed field'),
    ],
    [
      "that the entry names are known",
      usual,
      { missing: "expired" },
      { ...settings, accepted: ["In person"] },
      met("0 new answers"),
    ],
    [
      "that the entry does not name are new",
      usual,
      usual,
      { ...settings, accepted: ["Chat"] },
      unmet("1 new answer", '"mode" has a new answer: "In person"'),
    ],
    [
      "are unknown without a last publication",
      usual,
      { missing: "expired" },
      settings,
      { ...unknown("expired"), limit: "known answers" },
    ],
    [
      "are unknown in the first year",
      usual,
      profileOf(undefined, { from: "2024-09-30", to: "2025-09-27" }),
      settings,
      unknown("the last publication has less than a year"),
    ],
    [
      "are known after a year",
      usual,
      profileOf(undefined, { from: "2024-09-30", to: "2025-09-28" }),
      settings,
      met("0 new answers"),
    ],
    [
      "of an open field are unknown",
      usual,
      usual,
      { column: "Comments" },
      unknown('"Comments" has too many different answers for a closed field'),
    ],
  ])("%s", (_what, profile, previous, settings, expected) => {
    expect(outcomeOf("answers", { profile, previous, settings })).toMatchObject(expected);
  });
});

test.each([
  [{ min: 5, max: 5 }, met("5 to 5")],
  [{ min: 6 }, unmet("5 to 5", 'numbers of "Minutes" are 5 to 5')],
  [{ max: 4 }, unmet("5 to 5", 'numbers of "Minutes" are 5 to 5')],
  [{ max: 5 }, met("5 to 5")],
])("numbers are within %o", (limits, expected) => {
  expect(outcomeOf("range", { settings: { column: "Minutes", ...limits } })).toMatchObject(expected);
});

test("a range says its limits, and a column without numbers is within them", () => {
  expect(outcomeOf("range", { settings: { column: "mode", min: 0, max: 1_440 } })).toEqual({
    title: 'Numbers of "mode" are at least 0 and at most 1,440',
    state: "met",
    holds: false,
    found: "no numbers",
    limit: "at least 0 and at most 1,440",
    text: "",
  });
});

describe("the volume of the last week", () => {
  const withWeek = (rows: number, back = 1): Profile => ({ ...usual, weeks: usual.weeks.with(-back, rows) });
  const week = "the week from 2025-09-22 has";
  const since = "rows; the same weeks a year ago, with the growth since, suggest";

  test.each([
    ["half as large", withWeek(35), met("35 rows")],
    ["far smaller", withWeek(20), unmet("20 rows", `${week} 20 ${since} 70 to 70`)],
    ["far larger", withWeek(150), unmet("150 rows", `${week} 150 ${since} 70 to 70`)],
    ["half as large again", withWeek(105), met("105 rows")],
    // The last Sunday is the 28th, so the week before is the last complete one.
    [
      "incomplete",
      { ...profileOf(undefined, { from, to: "2025-09-27" }), weeks: withWeek(9, 2).weeks.with(-1, 0) },
      unmet("9 rows", `the week from 2025-09-15 has 9 ${since} 70 to 70`),
    ],
    ["small in a small library", profileOf((date) => (dayOf(date) % 7 === 4 ? many(2) : [])), met("2 rows")],
  ])("may be %s, or not", (_what, profile, expected) => {
    expect(outcomeOf("volume", { profile })).toMatchObject(expected);
  });

  test.each([
    [399, "unmet"],
    [400, "met"],
    [3_000, "met"],
    [3_001, "unmet"],
  ])(
    "of %i rows is compared with the least and the greatest of three weeks, twice as large",
    (rows, state) => {
      // The weeks around the same week of the fall of 2024, and the eight weeks before the last one.
      const lastYear = new Map([
        [76, 400],
        [77, 700],
        [78, 1_000],
      ]);
      const weeks = usual.weeks.map((_, n) => lastYear.get(n) ?? (n < 121 ? 700 : n < 128 ? 1_400 : 800));
      const outcome = outcomeOf("volume", { profile: { ...usual, weeks: weeks.with(-1, rows) } });
      expect(outcome.state).toBe(state);
      if (state === "unmet") expect(outcome.text).toMatch(/suggest 800 to 2,000$/);
    },
  );

  test.each([
    [26, "unmet"],
    [27, "met"],
    [133, "met"],
    [134, "unmet"],
  ])("of %i rows instead of 70 may be chance, or not", (rows, state) => {
    const settings = { maxChangePercent: 10 };
    expect(outcomeOf("volume", { profile: withWeek(rows), settings }).state).toBe(state);
  });

  test("grows with the weeks before", () => {
    const grown = { ...usual, weeks: usual.weeks.map((rows, n) => (n >= 121 ? rows * 3 : rows)) };
    expect(outcomeOf("volume", { profile: grown })).toMatchObject(met("210 rows"));
  });

  test.each([
    [
      "the range has no full year before the last weeks",
      profileOf(undefined, { from: "2024-07-29", to }),
      terms,
    ],
    [
      "there are no rows in the 8 weeks before, now or a year ago",
      profileOf(during("2025-07-28", "2025-09-21", [])),
      terms,
    ],
    [
      "there are no rows in the 8 weeks before, now or a year ago",
      profileOf(during("2024-07-22", "2024-09-29", [])),
      terms,
    ],
    [
      "the last term in shared/library.ts ended on 2025-04-30; add the later ones",
      usual,
      [{ name: "a", from: "2025-01-02", to: "2025-04-30" }],
    ],
  ])("is unknown because %s", (text, profile, terms) => {
    expect(outcomeOf("volume", { profile, dataset: { terms, fiscalYearStart: 7 } })).toMatchObject(
      unknown(text),
    );
  });
});

describe("the volume of the last week is known", () => {
  test.each<[what: string, Profile, Term[]]>([
    ["from a year before the eight weeks", profileOf(undefined, { from: "2024-07-22", to }), terms],
    ["until 150 days after the last term", usual, [{ name: "a", from: "2025-01-02", to: "2025-05-01" }]],
    ["without terms", usual, []],
  ])("%s", (_what, profile, terms) => {
    expect(outcomeOf("volume", { profile, dataset: { terms, fiscalYearStart: 7 } })).toMatchObject(
      met("70 rows"),
    );
  });
});

describe("an answer", () => {
  const settings = { column: "Location" };
  /** Two of ten rows are of the annex, except during the silence. */
  const silence = (since: string, until = to, own = 2) =>
    profileOf((date) =>
      many(10).map((row, n) => (n < own && !(date >= since && date <= until) ? row.with(1, "Annex") : row)),
    );

  test.each([
    [
      "is silent for three weeks",
      silence("2025-09-08"),
      unmet("1 silent answer", '"Location" has no rows with "Annex" since 2025-09-08'),
    ],
    ["is silent for less", silence("2025-09-09"), met("0 silent answers")],
    ["has always been silent", silence("2020-01-01"), met("0 silent answers")],
    [
      "is silent at that time of the year",
      {
        ...silence("2025-09-08"),
        columns: silence("2025-09-08").columns.map((column) => ({
          ...column,
          answers: column.answers?.map((answer) =>
            // The same three weeks of the fall of 2024, which began a week earlier.
            ({
              ...answer,
              weeks: answer.weeks.map((rows, n) => (answer.answer === "Annex" && n < 80 ? 0 : rows)),
            }),
          ),
        })),
      },
      met("0 silent answers"),
    ],
  ])("%s", (_what, profile, expected) => {
    expect(outcomeOf("silent", { profile, settings })).toMatchObject(expected);
  });

  test.each([
    [
      "the range has no full year before the last weeks",
      profileOf(undefined, { from: "2024-09-23", to }),
      "Location",
    ],
    ['"Comments" has too many different answers', usual, "Comments"],
  ])("is unknown because %s", (text, profile, column) => {
    expect(outcomeOf("silent", { profile, settings: { column } })).toMatchObject(unknown(text));
  });

  test("is known if the range begins with the same weeks of the last year", () => {
    const profile = profileOf(undefined, { from: "2024-09-09", to });
    expect(outcomeOf("silent", { profile, settings })).toMatchObject(met("0 silent answers"));
  });

  /** @param rowsOf the rows of the annex in a week. 1 is the last week, of 70 rows as all weeks. */
  const withAnnex = (rowsOf: (back: number) => number): Profile => {
    const weeks = usual.weeks.map((_, n) => rowsOf(usual.weeks.length - n));
    const answers = [{ answer: "Annex", rows: 0, thisYear: 0, lastYear: 0, weeks }];
    const columns = usual.columns.map((column) =>
      column.name === "Location" ? { ...column, answers } : column,
    );
    return { ...usual, columns };
  };
  /** Rows in the 26 weeks before the silence, in the same three weeks a year ago, and in the weeks that are not compared. */
  const annex =
    (usually: number, lastYear: readonly number[], otherwise = 0) =>
    (back: number) => {
      if (back <= 3) return 0;
      return back <= 29 ? usually : (lastYear[back - 53] ?? otherwise);
    };

  test.each([
    ["usually has too few rows", annex(3, [9, 9, 9], 70), 3, "met"],
    ["usually has enough rows", annex(4, [9, 9, 9]), 3, "unmet"],
    [
      "has them in the first and in the last of the usual weeks",
      (back: number) => ([4, 29].includes(back) ? 50 : annex(0, [9, 9, 9])(back)),
      3,
      "unmet",
    ],
    ["had too few rows a year ago", annex(9, [2, 2, 2], 70), 3, "met"],
    ["had enough rows a year ago", annex(9, [3, 3, 3]), 3, "unmet"],
    ["had rows in one of the three weeks a year ago", annex(9, [0, 60, 0]), 3, "met"],
    ["had rows in two of the three weeks a year ago", annex(9, [0, 30, 30]), 3, "unmet"],
    ["had rows in one of the two weeks a year ago", annex(9, [0, 60]), 2, "met"],
  ])("that %s is silent, or not", (_what, rowsOf, weeks, state) => {
    const given = { profile: withAnnex(rowsOf), settings: { ...settings, weeks } };
    expect(outcomeOf("silent", given).state).toBe(state);
  });
});

test.each<[Expectation["kind"], found: string, from: string, to: string]>([
  ["rows", "", "2023-01-03", to],
  ["rows", "", from, "2025-09-27"],
  ["filled", "no fall", "2023-01-03", to],
])("a range that lacks published days is not compared: %s", (kind, found, from, to) => {
  const profile = profileOf(undefined, { from, to });
  expect(outcomeOf(kind, { profile })).toMatchObject({
    state: "unknown",
    found,
    text: `the run's range, ${from} to ${to}, does not contain that of the last publication, 2023-01-02 to 2025-09-28`,
  });
});

test("only unmet expectations with the action hold are violations", () => {
  const outcome = (given: Partial<ExpectationOutcome>): ExpectationOutcome => ({
    title: "",
    state: "unmet",
    holds: true,
    found: "",
    limit: "",
    text: "a reason",
    ...given,
  });
  const outcomes = [
    outcome({}),
    outcome({ holds: false }),
    outcome({ state: "unknown" }),
    outcome({ state: "met" }),
  ];
  expect(expectationViolations(outcomes)).toEqual([{ kind: "expectation", text: "a reason" }]);
  expect(outcomeOf("newest", { settings: { action: "hold" } }).holds).toBe(true);
});

describe("a dataset with a quantity is judged by it", () => {
  const nouns = { row: "hourly count", amount: "visit" };
  const { rows, undated, days, weeks, hours } = usual;
  /** The rows go on, but what they count ends. */
  const ending = (lastDays: number): Profile => ({
    ...usual,
    quantity: {
      ...{ rows, undated, hours },
      days: days.map((count, index) => (index < days.length - lastDays ? count : 0)),
      weeks: weeks.map((count, index) => (index < weeks.length - lastDays / 7 ? count : 0)),
    },
  });

  test("by the newest visit", () => {
    const outcome = outcomeOf("newest", { profile: ending(14), nouns });
    expect(outcome).toMatchObject({
      state: "unmet",
      text: expect.stringMatching(/^the newest visit is of .*, 14 days before/),
    });
    expect(outcome.title).toMatch(/^Newest visit is at most 7 days old/);
    expect(outcomeOf("newest", { profile: usual, nouns }).title).toMatch(/^Newest hourly count is at most/);
  });

  test("by the visits of the last week", () => {
    const outcome = outcomeOf("volume", { profile: ending(14), nouns });
    expect(outcome).toMatchObject({
      state: "unmet",
      found: "0 visits",
      text: expect.stringContaining(" has 0 visits; "),
    });
    expect(outcome.title).toMatch(/^Visits of the last week/);
    expect(outcomeOf("volume", { profile: ending(0), nouns })).toMatchObject({ state: "met" });
  });
});
