// The annual statistics in the report equal the worksheet and the measures, as exactly as small counts allow.
import { expect, it } from "vitest";
import { type ReportInput, renderReport } from "../../../services/renderer/render.ts";
import { annualStatistics } from "../../../shared/statistics/annual.ts";
import { simulatedReport } from "../../factories/library-history.ts";

const { input } = simulatedReport();

/** Returns the numbers of a row of the section, or undefined without such a row. */
function rowOf(title: string, given: ReportInput = input): string[] | undefined {
  const section = sectionOf(given);
  const row = section.split("<tr>").find((html) => html.startsWith(`<th scope="row">${title}<`));
  const cells = row?.matchAll(/<td[^>]*>(.*?)<\/td>/g);
  return cells && Array.from(cells, ([, cell = ""]) => cell.replace(/<[^>]*>/g, ""));
}

function sectionOf(given: ReportInput): string {
  return /<section id="statistics".*?<\/section>/s.exec(renderReport(given))?.[0] ?? "";
}

/** Returns the input with every count of a pair changed. */
function withPairs(change: (rows: number) => number): ReportInput {
  const { profile } = input;
  const pairs = profile?.pairs?.map((pair) => ({ ...pair, rows: change(pair.rows) }));
  return { ...input, profile: profile && { ...profile, pairs } };
}

function statisticsOf({ dataset, profile }: ReportInput) {
  const found = profile && annualStatistics(dataset, profile);
  if (!found || "problem" in found.worksheet) throw new Error("The worksheet is not filled.");
  return { ...found, worksheet: found.worksheet };
}

it("states the exact lines if no count is small", () => {
  const large = withPairs((rows) => 10 * rows);
  const { worksheet } = statisticsOf(large);
  for (const { title, tally } of worksheet.lines) {
    const { inPerson, virtual, noMode, rows } = tally;
    const expected = [inPerson, virtual, noMode, rows].map((n) => n.toLocaleString("en-US"));
    expect(rowOf(title, large)).toEqual(expected);
  }
  const [worksheetTable = ""] = sectionOf(large).split("</table>");
  expect(worksheetTable).not.toMatch(/~|&lt;/);
});

it("rounds the lines and measures beside small counts", () => {
  const { worksheet, measures } = statisticsOf(input);
  const near = (text: string | undefined, n: number) => {
    const shown = Number(text?.replace(/[~,]/g, ""));
    expect(text).toMatch(/^~/);
    expect(Math.abs(shown - n)).toBeLessThanOrEqual(25);
  };
  for (const { title, tally } of worksheet.lines) near(rowOf(title)?.at(-1), tally.rows);
  for (const { name, title, thisYear } of measures)
    if (["directional", "minutes"].includes(name)) near(rowOf(title)?.[0], thisYear);
  expect(rowOf("Coverage")).toEqual([expect.stringMatching(/^9\d%$/)]);
});

it("names an answer without a kind instead of a number", () => {
  const { dataset } = input;
  const { statistics } = dataset;
  if (!statistics) throw new Error("The dataset declares no statistics.");
  const kinds = { ...statistics.kinds, consultation: ["Another"] };
  const section = sectionOf({ ...input, dataset: { ...dataset, statistics: { ...statistics, kinds } } });
  expect(section).toContain("worksheet of fiscal year 2024 is not filled");
  expect(section).toContain("Research Consultation");
});

it("is left out if the dataset declares no statistics", () => {
  const { statistics: _none, ...dataset } = input.dataset;
  expect(sectionOf({ ...input, dataset })).toBe("");
});
