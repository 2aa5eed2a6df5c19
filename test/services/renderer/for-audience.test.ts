// Reports for the readers of the de-identified file: they show no value of a column that this file does not keep.
import { expect, test } from "vitest";
import { shownTo } from "../../../services/renderer/for-audience.ts";
import { renderReport } from "../../../services/renderer/render.ts";
import type { Dataset, KeptColumn } from "../../../shared/dataset-schema.ts";
import type { ExpectationOutcome } from "../../../shared/run.ts";
import * as words from "../../../stacks/local/libinsight/vocabulary.ts";
import { reportDataset, reportStates } from "../../factories/library-history.ts";
import { resultOf } from "../../factories/results.ts";

const input = reportStates().published;

/** Returns the dataset with settings of some of its columns. */
function datasetWith(settings: Record<string, Partial<KeptColumn>>): Dataset {
  const columns = reportDataset.columns.map((column) =>
    "type" in column ? { ...column, ...settings[column.name] } : column,
  );
  return { ...reportDataset, columns };
}
const pageOf = (audience: "full" | "deidentified", dataset: Dataset) =>
  renderReport({ ...input, ...shownTo(audience, { dataset, result: input.result }) });

const coarse = datasetWith({
  Location: { privacy: "generalise", generalise: { groups: { Libraries: ["Newman"] } } },
  "Duration (in minutes)": { privacy: "generalise", generalise: { bands: [0, 15] } },
  who: { privacy: "drop" },
  affiliation: { privacy: "hash" },
  studio: { after: { months: 12, then: "drop" } },
});
const escaped = (text: string) => text.replaceAll("&", "&#38;");
const answers = {
  locations: words.locations.map(([{ name }]) => name),
  // "Unknown" is a state of an expectation too.
  patrons: words.patrons.map(([name]) => name).filter((name) => name !== "Unknown"),
  colleges: ["Liberal Arts and Human Sciences", "Agriculture and Life Sciences"],
  studios: ["3D Design"],
};
const shownIn = (page: string, names: string[]) =>
  names.filter((name) => page.includes(name) || page.includes(escaped(name)));

test("the report of the full file shows every closed field", () => {
  expect(shownTo("full", { dataset: coarse, result: input.result })).toEqual({
    dataset: coarse,
    result: input.result,
  });
  const page = pageOf("full", coarse);
  for (const names of Object.values(answers)) expect(shownIn(page, names)).not.toEqual([]);
  expect(page).toContain("Median duration");
});

test("the report of the de-identified file shows no answer of a column that it does not keep", () => {
  const page = pageOf("deidentified", coarse);
  for (const names of Object.values(answers)) expect(shownIn(page, names)).toEqual([]);
  expect(page).not.toContain("Median duration");
  expect(page).not.toContain("Top locations");
  expect(page).not.toContain("Annual statistics");
  // The mode and the question type are kept.
  expect(page).toContain("Question type by mode");
  for (const name of ["Location", "who", "affiliation", "studio", "Duration (in minutes)"])
    expect(page).toContain(`<th scope="row">${name} <small>personal</small></th>`);
  expect(page).toContain('<th scope="row">mode</th>');
});

test("a date that is generalized is in no count", () => {
  const byMonth = datasetWith({ _start_date: { privacy: "generalise", generalise: "month" } });
  const shown = shownTo("deidentified", { dataset: byMonth, result: input.result });
  const page = renderReport({ ...input, ...shown });
  const counts = ["Records per week", "Weekday and hour", "Change by date", "Week of"];
  expect(counts.filter((text) => page.includes(text))).toEqual([]);
  expect(counts.filter((text) => !pageOf("deidentified", reportDataset).includes(text))).toEqual([]);

  const month = { month: "2026-10", added: 9, edited: 0, deleted: 0, moved: 0 };
  const changes = { added: 9, edited: 0, deleted: 0, moved: 0, columns: {}, months: [month] };
  const result = resultOf({ changes });
  const months = (dataset: Dataset) => shownTo("deidentified", { dataset, result }).result.changes?.months;
  expect(months(byMonth)).toEqual([]);
  expect(months(reportDataset)).toEqual([month]);
});

test("texts that may name an answer of a hidden column are left out", () => {
  const long = "x".repeat(70);
  const columns = [...coarse.columns, { ...coarse.columns[0], name: long, personal: true } as KeptColumn];
  const outcome = (title: string, text = ""): ExpectationOutcome => ({
    ...{ title, text, state: "unmet", holds: true, found: "1 new answer", limit: "3" },
  });
  const kept = [outcome('Answers of "mode" are known'), outcome("Newest record is at most 7 days old")];
  const result = resultOf({
    expectations: [
      outcome('Answers of "Location" are known', '"Location" has a new answer: "Attic"'),
      outcome("No column loses values", '"who" has a value in 9% of the rows'),
      outcome(`Answers of "${"x".repeat(59)}…" are known`),
      ...kept,
    ],
    violations: [
      { kind: "expectation", text: '"Location" has a new answer: "Attic"' },
      { kind: "comparison", text: "rows fell" },
    ],
  });
  const shown = shownTo("deidentified", { dataset: { ...coarse, columns }, result }).result;
  expect(shown.expectations).toEqual(kept);
  expect(shown.violations).toEqual([
    { kind: "expectation", text: "a column that this report hides is affected" },
    { kind: "comparison", text: "rows fell" },
  ]);
  const without = resultOf({});
  expect(shownTo("deidentified", { dataset: coarse, result: without }).result).toEqual(without);
});

test("the entry is the full one otherwise", () => {
  const { dataset } = shownTo("deidentified", { dataset: coarse, result: input.result });
  const { columns, ...others } = dataset;
  const { columns: given, ...expected } = coarse;
  expect(others).toEqual({
    ...expected,
    roles: { questionType: "Question Type", mode: "mode" },
    statistics: undefined,
    undeclared: "ignore",
  });
  expect(columns.map(({ name }) => name)).toEqual(given.map(({ name }) => name));
  expect(columns.filter((column) => "drop" in column)).toEqual(given.filter((column) => "drop" in column));
});
