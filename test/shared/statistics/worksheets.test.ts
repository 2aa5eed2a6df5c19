// Worksheets that were counted by hand (worksheets.json), from a profile and from queries on the published file, with the
// records of each line; and the sum of every worksheet.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { annualStatistics } from "../../../shared/statistics/annual.ts";
import type { Kind } from "../../../shared/statistics/rules.ts";
import { surveys } from "../../../shared/statistics/surveys.ts";
import { type Count, type Tally, type Worksheet, worksheetOf } from "../../../shared/statistics/worksheet.ts";
import { fillWorksheet, idsOf } from "../../../stacks/commands/stats/fill-worksheet.ts";
import { profileOf, publishRows, type Row, statisticsDataset } from "../../support/statistics-dataset.ts";

const row = z.tuple([z.string(), z.nullable(z.string()), z.nullable(z.string()), z.number().optional()]);
const fixture = z.strictObject({
  name: z.string(),
  survey: z.string(),
  fiscalYearStart: z.number().default(7),
  /** Whether a cell of Question Type has all answers. */
  several: z.boolean().default(false),
  rows: z.array(row),
  /** The IDs of each line's records, which are the places of the rows, and its records: all, in person, virtual, no mode. */
  lines: z
    .record(z.string(), z.strictObject({ ids: z.array(z.number()), tally: z.array(z.number()) }))
    .optional(),
  /** The IDs of some lines. The other lines are empty. */
  ids: z.record(z.string(), z.array(z.number())).optional(),
  period: z.string().optional(),
  surveyYear: z.nullable(z.number()).default(2024),
  undated: z.number().default(0),
  notes: z.array(z.string()).optional(),
  error: z.string().optional(),
});
const fixtures = z
  .array(fixture)
  .parse(JSON.parse(readFileSync("test/shared/statistics/worksheets.json", "utf8")));
const fiscalYear = 2024;
const now = new Date("2026-11-28T12:00:00Z");

const surveyNamed = (name: string) => {
  const found = surveys.find((survey) => survey.name === name);
  if (!found) throw new Error(`There is no survey ${name}.`);
  return found;
};
const numbersOf = ({ rows, inPerson, virtual, noMode }: Tally) => [rows, inPerson, virtual, noMode];

/** Returns the records of every place of a worksheet. */
function talliesOf({ lines, excluded, unanswered }: Worksheet): Record<string, number[]> {
  return {
    ...Object.fromEntries(lines.map(({ name, tally }) => [name, numbersOf(tally)])),
    excluded: numbersOf(excluded.tally),
    unanswered: numbersOf(unanswered),
  };
}

/** Returns the first and the last day with a record. */
function recordedIn(rows: readonly Row[]): { from: string; to: string } {
  const days = rows.map(([date]) => date.slice(0, 10)).filter((day) => !Number.isNaN(Date.parse(day)));
  return { from: days.toSorted()[0] ?? "", to: days.toSorted().at(-1) ?? "" };
}

test("there are at least 30 worksheets, of every survey", () => {
  expect(fixtures.length).toBeGreaterThanOrEqual(30);
  expect(new Set(fixtures.map(({ survey }) => survey))).toEqual(new Set(surveys.map(({ name }) => name)));
});

describe.each(fixtures)("$name", (given) => {
  const { rows, lines, ids, period, surveyYear, undated, notes, error } = given;
  const dataset = statisticsDataset(given);
  const survey = surveyNamed(given.survey);
  const fromProfile = () =>
    worksheetOf({
      survey,
      dataset,
      counts: profileOf(dataset, rows).pairs ?? [],
      fiscalYear,
      recorded: recordedIn(rows),
    });

  function expectWorksheet(worksheet: Worksheet): void {
    const found = talliesOf(worksheet);
    if (lines)
      expect(found).toEqual(
        Object.fromEntries(Object.entries(lines).map(([name, { tally }]) => [name, tally])),
      );
    for (const [name, [count]] of Object.entries(found))
      expect(count).toBe((lines?.[name]?.ids ?? ids?.[name] ?? []).length);
    if (period !== undefined) expect(`${worksheet.from} to ${worksheet.to}`).toBe(period);
    expect(worksheet).toMatchObject({ fiscalYear, undated });
    expect(worksheet.surveyYear ?? null).toBe(surveyYear);
    if (notes) expect(worksheet.notes).toEqual(notes);
  }

  test("from a profile", () => {
    if (error === undefined) expectWorksheet(fromProfile());
    else expect(fromProfile).toThrow(expect.objectContaining({ message: error }));
  });

  test("from the published file, with the records of each line", async () => {
    const { published } = await publishRows(dataset, rows);
    const filled = fillWorksheet({ survey, dataset, fiscalYear }, published, now);
    if (error !== undefined) {
      await expect(filled).rejects.toThrow(expect.objectContaining({ message: error }));
      return;
    }
    const worksheet = await filled;
    expectWorksheet(worksheet);
    for (const name of Object.keys(talliesOf(worksheet))) {
      const expected = lines?.[name]?.ids ?? ids?.[name] ?? [];
      expect([name, await idsOf(worksheet, name, published)]).toEqual([name, expected.map(String)]);
    }
  });
});

const questionTypes = Object.values(statisticsDataset({ several: true }).statistics?.kinds ?? {}).flat();
const modesOfRows = [null, "In person", "Chat", "E-mail", "Phone", "Zoom", "Chat; In person"];
const questionType = fc.oneof(
  fc.constant(null),
  fc.subarray(questionTypes, { minLength: 1, maxLength: 3 }).map((answers) => answers.join("; ")),
);

test("for any counts and any survey, every record of the year is in one line, in excluded or in unanswered", () => {
  const count = fc.record({
    fiscalYear: fc.constantFrom(2023, 2024, 2025, null),
    questionType,
    mode: fc.constantFrom(...modesOfRows),
    rows: fc.integer({ min: 1, max: 1_000_000 }),
  });
  const place = fc.nat(2);
  // Any mapping of kinds to the survey's lines, not only the survey's own.
  const mapping = fc.record({
    consultation: place,
    "walk-in consultation": place,
    reference: place,
    equipment: place,
    service: place,
    directional: place,
  });
  fc.assert(
    fc.property(
      fc.array(count, { minLength: 1, maxLength: 60 }),
      fc.constantFrom(...surveys),
      mapping,
      (counts, survey, places) => {
        const placeOf = (kind: Kind) => Object.keys(survey.lines)[places[kind]] ?? { excluded: "a test" };
        const mapped = {
          ...survey,
          kinds: {
            consultation: placeOf("consultation"),
            "walk-in consultation": placeOf("walk-in consultation"),
            reference: placeOf("reference"),
            equipment: placeOf("equipment"),
            service: placeOf("service"),
            directional: placeOf("directional"),
          },
        };
        const all: Count[] = [...counts, { fiscalYear, questionType: null, mode: null, rows: 1 }];
        const sheet = worksheetOf({
          survey: mapped,
          dataset: statisticsDataset({ several: true }),
          counts: all,
          fiscalYear,
          recorded: { from: "2023-07-01", to: "2024-06-30" },
        });
        const expected = all
          .filter((count) => count.fiscalYear === fiscalYear)
          .reduce((sum, { rows }) => sum + rows, 0);
        const tallies = Object.values(talliesOf(sheet));
        expect(tallies.reduce((sum, [rows = 0]) => sum + rows, 0)).toBe(expected);
        expect(sheet.all.rows).toBe(expected);
        for (const [rows, ...modes] of tallies) expect(modes.reduce((sum, part) => sum + part, 0)).toBe(rows);
        expect(sheet.undated).toBe(
          all.filter((count) => count.fiscalYear === null).reduce((sum, { rows }) => sum + rows, 0),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test("every record ID of the year is in exactly one place, also where a line has more than a query returns", async () => {
  const dataset = statisticsDataset({ several: true });
  const samples = fc.sample(fc.tuple(questionType, fc.constantFrom(...modesOfRows)), {
    numRuns: 2_600,
    seed: 7,
  });
  const rows = samples.map(
    ([type, mode], index): Row => [
      index % 13 === 0 ? "2022-03-01 10:00:00" : "2024-03-01 10:00:00",
      // More than 999 records of one line.
      index % 2 === 0 ? "Quick Reference" : type,
      mode,
    ],
  );
  const { published } = await publishRows(dataset, rows);
  for (const survey of surveys) {
    const worksheet = await fillWorksheet({ survey, dataset, fiscalYear }, published, now);
    const places = await Promise.all(
      Object.keys(talliesOf(worksheet)).map((name) => idsOf(worksheet, name, published)),
    );
    const expected = rows.flatMap(([date], index) => (date.startsWith("2024") ? [index + 1] : []));
    expect(
      places
        .flat()
        .map(Number)
        .toSorted((a, b) => a - b),
    ).toEqual(expected);
    expect(worksheet.all.rows).toBe(expected.length);
  }
});

describe("the year that a worksheet is filled for by default", () => {
  const dataset = statisticsDataset();
  const filled = async (rows: readonly Row[], at: string) => {
    const { published } = await publishRows(dataset, rows);
    return fillWorksheet(
      { survey: surveyNamed("acrl-2022"), dataset, fiscalYear: undefined },
      published,
      new Date(at),
    );
  };
  const rows: Row[] = ["2023-09-01", "2024-09-01", "2025-09-01", "2026-09-01"].map((day) => [
    `${day} 10:00:00`,
    "Quick Reference",
    "Chat",
  ]);

  test("is the latest one that is over in the dataset's time zone", async () => {
    // July 1 begins in New York at 04:00 UTC.
    expect((await filled(rows, "2026-07-01T03:59:00Z")).fiscalYear).toBe(2025);
    expect((await filled(rows, "2026-07-01T04:01:00Z")).fiscalYear).toBe(2026);
  });

  test("has records", async () => {
    const worksheet = await filled(rows.slice(0, 1), "2026-11-28T12:00:00Z");
    expect(worksheet).toMatchObject({
      fiscalYear: 2024,
      notes: [
        "The records begin on 2023-09-01, after the year does",
        "The records end on 2023-09-01, before the year does",
      ],
    });
  });

  test("is an error if no year is over", async () => {
    await expect(filled(rows.slice(3), "2026-11-28T12:00:00Z")).rejects.toThrow(
      "The published file has no record of fiscal year 2026. It has records of 2027.",
    );
  });
});

test("a dataset that declares no statistics has no worksheet", () => {
  const { statistics: _, ...dataset } = statisticsDataset();
  const [survey] = surveys;
  expect(() =>
    worksheetOf({
      survey: survey ?? surveyNamed(""),
      dataset,
      counts: [],
      fiscalYear,
      recorded: { from: "", to: "" },
    }),
  ).toThrow(expect.objectContaining({ name: "StatisticsNotDeclared" }));
});

describe("the annual statistics of a profile", () => {
  const dataset = statisticsDataset();
  const rows: Row[] = [
    ["2024-09-01 10:00:00", "Quick Reference", "Chat", 5],
    ["2024-09-02 10:00:00", "Research Consultation", "In person", 30, "Classroom"],
    ["2025-06-30 10:00:00", null, null, null],
    ["2025-07-01 10:00:00", "Quick Reference", "In person", 2],
    ["2025-07-01 11:00:00", "Directional", "In person", 1.5, "Desk"],
    ["2023-09-01 10:00:00", "Gardening", "In person", 9],
  ];

  test("have this year up to the run's last day, the last complete year, and its worksheet", () => {
    const found = annualStatistics(dataset, profileOf(dataset, rows));
    expect(found).toMatchObject({
      thisYear: { fiscalYear: 2026, from: "2025-07-01", to: "2026-06-30" },
      lastYear: { fiscalYear: 2025, from: "2024-07-01", to: "2025-06-30" },
      worksheet: { fiscalYear: 2025, all: { rows: 3 }, unanswered: { rows: 1 } },
    });
    expect(found?.measures.map(({ name, thisYear, lastYear }) => [name, thisYear, lastYear])).toEqual([
      ["records", 2, 3],
      ["transactions", 1, 1],
      ["consultations", 0, 1],
      ["directional", 1, 0],
      ["instruction", 0, 1],
      ["minutes", 3.5, 35],
      ["coverage", 100, 66.7],
    ]);
  });

  test("have a problem instead of a worksheet that cannot be filled", () => {
    const { worksheet, measures } = annualStatistics(dataset, profileOf(dataset, rows.slice(3, 5))) ?? {};
    expect(worksheet).toEqual({
      problem: "The published file has no record of fiscal year 2025. It has records of 2026.",
    });
    expect(measures?.map(({ lastYear }) => lastYear)).toEqual(Array(7).fill(undefined));
  });

  test("are missing without declared statistics, without pairs and without dated records", () => {
    const profile = profileOf(dataset, rows);
    const { statistics: _, ...undeclared } = dataset;
    const { pairs: __, ...withoutPairs } = profile;
    expect(annualStatistics(undeclared, profile)).toBeUndefined();
    expect(annualStatistics(dataset, withoutPairs)).toBeUndefined();
    expect(annualStatistics(dataset, profileOf(dataset, [["soon", null, null]]))).toBeUndefined();
  });
});
