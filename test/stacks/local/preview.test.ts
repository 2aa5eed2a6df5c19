// Tests the preview of the published data in a terminal of a given width.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dictionaryOf } from "../../../stacks/commands/dictionary/columns-of-dataset.ts";
import { widthOf } from "../../../stacks/commands/text-table.ts";
import { preview } from "../../../stacks/local/preview.ts";
import type { FirstRows } from "../../../stacks/local/views.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", meaning: "When the desk opened, local time, to the minute or so" },
  { name: "Note", type: "text", personal: true, meaning: "Free text" },
  { name: "Minutes", type: "number" },
]);
const dictionary = dictionaryOf(dataset, ["_id", "Opened At", "Note", "Minutes", "New *field*"]);
const columns = ["_id", "opened_at", "note", "minutes", "new_field"];
const typed: FirstRows = {
  view: "test_dataset_typed",
  columns,
  rows: [
    ["1", "2023-05-01 09:30:00.000", "MARKED", "5.0", "MARKED"],
    ["2", null, null, "", null],
  ],
};
const real = { file: "d.md", width: 80, simulated: false };
const analysis: FirstRows = { view: "test_dataset_analysis", columns: ["_id"], rows: [["1"]] };

test("shows each row as a column, hides personal and undeclared values, and shows a null as blank", () => {
  const shown = preview([typed, analysis], dictionary, { ...real, file: "out/dictionary.md" });
  expect(shown).toMatchInlineSnapshot(`
    "test_dataset_typed, every column with its type: the first 2 rows

      _id        1                        2
      opened_at  2023-05-01 09:30:00.000
      note       (personal)               (personal)
      minutes    5.0
      new_field  (not declared)           (not declared)

    test_dataset_analysis, what Tableau reads: the first row

      _id  1

    Columns, described in full in out/dictionary.md

      column     type       meaning
      _id        integer    (no description yet)
      opened_at  timestamp  When the desk opened, local time, to the minute or so
      note       text       (personal) Free text
      minutes    number     (no description yet)
      new_field  text       (not declared in shared/library.ts)"
  `);
});

test("shows undeclared columns of the simulation, but no personal ones", () => {
  const text = preview([typed], dictionary, { ...real, simulated: true });
  expect(text).toMatch(/^ {2}new_field {2}MARKED$/m);
  expect(text).toMatch(/^ {2}note {7}\(personal\) +\(personal\)$/m);
  expect(text.match(/MARKED/g)).toHaveLength(1);
});

test("hides columns that the dictionary lacks, and shows a part of the date with the name of a personal column", () => {
  const personalYear = datasetOf([
    { name: "Opened", type: "timestamp" },
    { name: "year", type: "text", personal: true },
  ]);
  const names = ["_id", "opened", "year_2", "year", "stranger"];
  const rows = [["1", "2023-05-01 09:30:00.000", "MARKED", "2023", "MARKED"]];
  const views = [typed, analysis].map(({ view }) => ({ view, columns: names, rows }));
  const text = preview(views, dictionaryOf(personalYear), real);
  expect(text.match(/^ {2}(year|year_2|stranger) .*/gm)?.slice(0, 3)).toEqual([
    expect.stringMatching(/year_2 +\(personal\)/),
    expect.stringMatching(/year +2023/),
    expect.stringMatching(/stranger +\(not declared\)/),
  ]);
  expect(text).not.toContain("MARKED");
});

test("shows one line for a view without rows and for one that failed", () => {
  const views: FirstRows[] = [
    { view: "test_dataset_typed", columns, rows: [] },
    { view: "test_dataset_analysis", failed: "StatementFailed, query 7" },
  ];
  expect(preview(views, dictionary, real).split("\n\n").slice(0, 3)).toEqual([
    "test_dataset_typed, every column with its type: no rows",
    expect.stringMatching(/^test_dataset_analysis, what Tableau reads: .* \(StatementFailed, query 7\)$/),
    "Columns, described in full in d.md",
  ]);
});

test("shows the first forty of hundreds of columns", () => {
  const headers = ["_id", ...Array.from({ length: 300 }, (_, n) => `Field ${n}`)];
  const wide = dictionaryOf(dataset, headers);
  const view = { ...typed, columns: wide.columns.map(({ name }) => name), rows: [headers] };
  const text = preview([view], wide, { ...real, width: 100 });
  expect(text.match(/^ {2}field_\d+/gm)).toHaveLength(2 * 39);
  expect(text.match(/^ {2}\.\.\. and 261 more columns$/gm)).toHaveLength(2);
});

describe("with arbitrary text in a cell, a label or a meaning", () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom("\u001b[2J", ..."\r\n\t\u0007\u009b\u202e\u2066漢é", "🎉", "👩‍💻"),
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    ),
    maxLength: 60,
  });

  test("the preview moves no cursor, reverses no line, and is no wider than the terminal", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(text, { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
        text,
        fc.integer({ min: 80, max: 120 }),
        (cells, label, width) => {
          const entry = dictionaryOf(dataset, ["_id", "Opened At", "Note", "Minutes", `${label}.`]);
          const names = entry.columns.map(({ name }) => name);
          const view = {
            view: "test_dataset_typed",
            columns: names,
            rows: cells.map((row) => [...row, label]),
          };
          const meanings = entry.columns.map((column) => ({ ...column, meaning: label }));
          const lines = preview([view], { ...entry, columns: meanings }, { ...real, width }).split("\n");
          expect(lines).toHaveLength(2 + 5 + 1 + 3 + 5);
          for (const line of lines) {
            expect(line).not.toMatch(/[\p{Cc}\u202A-\u202E\u2066-\u2069]/u);
            expect(widthOf(line)).toBeLessThanOrEqual(width);
          }
        },
      ),
    );
  });

  test.each([
    ["plain", 5],
    ["é", 1],
    ["e\u0301", 1],
    ["漢字", 4],
    ["🎉", 2],
    ["👩‍💻", 2],
    ["❤️", 2],
    ["", 0],
  ])("%j takes %i columns of a terminal", (shown, width) => {
    expect(widthOf(shown)).toBe(width);
  });
});
