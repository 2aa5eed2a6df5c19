import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { transformPage } from "../../../services/transformer/page.ts";
import { columnType } from "../../../shared/column-types.ts";
import { type Dataset, outputColumns, sourceNames } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { rejectedCount } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { recordOf } from "../../factories/libinsight-records.ts";
import { parseCsv } from "../../support/transformed.ts";

const linesOf = (text: string) => text.split("\n").slice(0, -1);

test("keeps rows in order, counts their details, and keeps rejected records whole", () => {
  // Details of a rejected record are not counted.
  const noStart = { _start_date: "", Lost: "x", "Question Type": ["a", "b"], "Duration (in minutes)": "?" };
  const page = transformPage(
    [
      recordOf(3, { "Question Type": ["a", "b", "c"] }),
      recordOf(1, noStart),
      "not a record",
      recordOf(2, { "Question Type": ["a", "b"], "Duration (in minutes)": "long", Extra: 1 }),
      recordOf(3, { Another: "x", Extra: "y" }),
      recordOf(4, { _start_date: undefined }),
    ],
    defaultDataset,
  );
  expect(page.summary).toEqual({
    records: 6,
    ids: [3, 2, 3],
    appended: ["Another", "Extra"],
    rejects: { "missing _start_date": 2, "not a record": 1 },
    furtherAnswers: { "Question Type": 3 },
    mistyped: { "Duration (in minutes)": 1 },
    undeclared: { Extra: 2, Another: 1 },
    filled: expect.objectContaining({ _id: 3, _start_date: 3, Extra: 2, Another: 1 }),
  });
  // The appended columns are null if a record lacks the field.
  expect(parseCsv(page.csv).map((row) => [row[0], ...row.slice(-2)])).toEqual([
    ["3", null, null],
    ["2", null, "1"],
    ["3", "x", "y"],
  ]);
  expect(linesOf(page.rejects).map((line): unknown => JSON.parse(line))).toEqual([
    { reason: "missing _start_date", record: recordOf(1, noStart) },
    { reason: "not a record", record: "not a record" },
    { reason: "missing _start_date", record: recordOf(4, { _start_date: undefined }) },
  ]);
});

test("counts records that were left out of the page as rejects, with their reasons and ids", () => {
  const page = transformPage([recordOf(1), "not a record"], defaultDataset, [
    { index: 1, reason: "larger than 1 MiB", id: 7 },
    { index: 3, reason: "larger than 1 MiB" },
  ]);
  expect(page.summary).toMatchObject({
    records: 4,
    ids: [1],
    rejects: { "not a record": 1, "larger than 1 MiB": 2 },
  });
  expect(linesOf(page.rejects).map((line): unknown => JSON.parse(line))).toEqual([
    { reason: "not a record", record: "not a record" },
    { reason: "larger than 1 MiB", _id: 7 },
    { reason: "larger than 1 MiB" },
  ]);
});

test("counts the rows with a value by column, and leaves out columns without values", () => {
  const { filled } = transformPage(
    [
      recordOf(1, { mode: "", who: null, "Duration (in minutes)": 0, studio: [] }),
      recordOf(2, { mode: "Chat", who: undefined, "Duration (in minutes)": "", studio: [""] }),
    ],
    defaultDataset,
  ).summary;
  expect(filled).toMatchObject({ _id: 2, mode: 1, "Duration (in minutes)": 1 });
  expect(filled).not.toHaveProperty("who");
  expect(filled).not.toHaveProperty("studio");
});

// Any Unicode text with lone surrogates, and often with characters that would break a CSV.
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom('"', ",", "\n", "\r", "\\", "\t", "\u0000", "\u2028", "\ud83d", "a", "💥"),
  }),
);
const json = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  text,
  fc.array(text, { maxLength: 3 }),
  fc.constantFrom("", " ", null, "12", "1e5", "2023-05-01 09:30:00", `9${"0".repeat(400)}`, 2 ** 60, -0),
);
const columnTypes = columnType.options;

const anyDataset: fc.Arbitrary<Dataset> = fc.oneof(
  fc.constant(defaultDataset),
  fc
    .constantFrom<Dataset["undeclared"][]>("append", "ignore", "reject")
    .map((undeclared) =>
      datasetOf(
        [
          ...columnTypes.map((type) => ({ name: `all ${type}`, type })),
          ...columnTypes.map((type) => ({ name: `first ${type}`, type, answers: "first" as const })),
          { name: "renamed", type: "number", labels: ["earlier", "once"] },
          { name: "dropped", drop: true },
          { name: "joined", join: ["one", "two"], with: "; " },
        ],
        undeclared,
      ),
    ),
);

function anyRecord(dataset: Dataset): fc.Arbitrary<unknown> {
  const declared = dataset.columns.flatMap(sourceNames);
  // Without backslashes: JSON.parse of Node 24.21 (V8 13.6) reads the key "\"" as "\\" if an earlier object of the same
  // shape had a key "\\".
  const label = text.filter((name) => !name.includes("\\"));
  const field = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...declared, ...outputColumns(dataset.columns)) },
    { weight: 1, arbitrary: fc.oneof(label, fc.constantFrom("__proto__", "constructor", "", "7")) },
  );
  const usable = fc.constant<[string, unknown][]>([["_start_date", "2023-05-01 09:30:00"]]);
  const fields = fc.array(fc.tuple(field, json), { maxLength: 12 });
  const record = fc
    .tuple(fc.oneof(fc.nat(5), json), fc.oneof(usable, fc.constant<[string, unknown][]>([])), fields)
    .map(([id, start, others]) => {
      // Parsed from JSON, as LibInsight's records are. Only this way can a record have the key `__proto__`.
      const members = new Map<string, unknown>([...others, ["_id", id], ...start]);
      const written = [...members].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
      const parsed: unknown = JSON.parse(`{${written.join(",")}}`);
      return parsed;
    });
  return fc.oneof({ weight: 9, arbitrary: record }, { weight: 1, arbitrary: json });
}

const pages = anyDataset.chain((dataset) =>
  fc.record({ dataset: fc.constant(dataset), records: fc.array(anyRecord(dataset), { maxLength: 8 }) }),
);

test("makes of any record a reject, or one line with all columns as CSV and as JSON, and always the same bytes", () => {
  fc.assert(
    fc.property(pages, ({ dataset, records }) => {
      const given = JSON.stringify(records);
      const page = transformPage(records, dataset);
      expect(JSON.stringify(records)).toBe(given);
      const { summary, rejects, csv, jsonl } = page;
      const rejected = rejectedCount(summary);
      expect(summary.records).toBe(records.length);
      expect(summary.ids.length + rejected).toBe(records.length);
      expect(linesOf(rejects)).toHaveLength(rejected);
      const headers = [...outputColumns(dataset.columns), ...summary.appended];
      expect(new Set(headers).size).toBe(headers.length);
      const rows = parseCsv(csv);
      expect(rows.map(([id]) => Number(id))).toEqual(summary.ids);
      expect(linesOf(csv)).toHaveLength(rows.length);
      for (const row of rows) expect(row).toHaveLength(headers.length);
      for (const field of [...headers, ...rows.flat()]) {
        expect(field ?? "").not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029]/u);
      }
      expect(linesOf(jsonl)).toHaveLength(rows.length);
      linesOf(jsonl).forEach((line, index) => {
        // In a Map, `__proto__` is a key like any other.
        const members = new Map<string, unknown>(Object.entries(JSON.parse(line)));
        expect([...members.keys()].sort()).toEqual([...headers].sort());
        const values = headers.map((header) => members.get(header));
        expect(rows[index]).toEqual(values.map((value) => (value === null ? null : String(value))));
        // In both formats, numbers are unquoted and texts are quoted.
        const written = values.map((value) =>
          typeof value === "string" ? `"${value.replaceAll('"', '""')}"` : String(value ?? ""),
        );
        expect(linesOf(csv)[index]).toBe(written.join(","));
      });
      const again = z.array(z.unknown()).parse(JSON.parse(JSON.stringify(records)));
      expect(transformPage(again, dataset)).toEqual(page);
    }),
    { numRuns: 500 },
  );
});

test("orders declared columns independently of the order of a record's fields", () => {
  const reversed = Object.fromEntries(Object.entries(recordOf(1)).reverse());
  expect(transformPage([reversed], defaultDataset)).toEqual(transformPage([recordOf(1)], defaultDataset));
});
