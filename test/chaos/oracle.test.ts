// Tests the oracle's rules: with examples, and against the transformer on random records.
import fc from "fast-check";
import { expect, test } from "vitest";
import { transformPage } from "../../services/transformer/page.ts";
import type { Dataset, DatasetInput } from "../../shared/dataset-schema.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { difference, expectedPage, fileOf, readCsv, readJsonLines, readRows } from "./oracle.ts";

const columns: DatasetInput["columns"] = [
  { name: "Kind", labels: ["Type"], type: "text", answers: "first" },
  { name: "Minutes", type: "number" },
  { name: "At", type: "timestamp", required: true },
  { name: "Secret", drop: true },
  { name: "Both", join: ["One", "Two"], with: "-" },
];
const entry = datasetOf(columns);
const at = "2024-02-29 10:00:00";

test("the oracle applies the entry's rules to rows, rejects and counts", () => {
  const first = expectedPage(
    [
      {
        _id: 1,
        At: "2024-02-29T10:00",
        Type: ["a\r\nb", "c"],
        Minutes: " 7.50 ",
        Secret: "x",
        One: "1",
        Two: "",
      },
      { _id: 1, At: at, Kind: "", Minutes: "many", New: [], Both: 3 },
      { _id: 2, At: "2023-02-29 10:00:00" },
    ],
    entry,
  );
  const second = expectedPage(
    [{ _id: "3", At: at, Kind: { a: 1 }, Minutes: null, New: 5 }, { At: at }, 7],
    entry,
  );
  expect(fileOf([first, second], entry)).toEqual({
    children: new Map(),
    header: ["_id", "Kind", "Minutes", "At", "Both", "Both (2)", "New"],
    rows: [
      [1, "a b", 7.5, at, "1-", null, null],
      [3, '{"a":1}', null, at, null, null, 5],
    ],
    duplicates: 1,
  });
  expect([first, second].flatMap(({ rejects }) => rejects.map(({ reason }) => reason))).toEqual([
    "invalid At",
    "missing _id",
    "not a record",
  ]);
  expect(first).toMatchObject({
    furtherAnswers: new Map([["Kind", 1]]),
    mistyped: new Map([["Minutes", 1]]),
    undeclared: new Map([
      ["New", 1],
      ["Both (2)", 1],
    ]),
  });
});

test("the oracle detects a wrong or malformed file", () => {
  const right = { header: ["a", "b"], rows: [["x", 1]] };
  expect(difference(readCsv('"a","b"\n"x",1\n'), right)).toBeUndefined();
  expect(difference(readJsonLines('{"a":"x","b":1}\n'), right)).toBeUndefined();
  for (const csv of ['"a","b"\n', '"b","a"\n"x",1\n', '"a","b"\n"x","1"\n', '"a","b"\n"x",\n'])
    expect(difference(readCsv(csv), right)).toBeDefined();
  for (const csv of ['"a","b"\nx,1\n', '"a","b"\n"x",1', '"a","b"\n"x",1,2\n', '"a","b"\r\n"x",1\r\n'])
    expect(() => readCsv(csv)).toThrow();
  for (const lines of ['{"b":1,"a":"x"}\n', '{"a":"x","b":null}\n'])
    expect(difference(readJsonLines(lines), right)).toBeDefined();
  for (const lines of ['{"a":"x","b":1}', '{"a":"x","b":1}\n{"b":1,"a":"x"}\n'])
    expect(() => readJsonLines(lines)).toThrow();
});

const label = fc.constantFrom(
  "_id",
  "Kind",
  "Type",
  "Minutes",
  "At",
  "Secret",
  "One",
  "Two",
  "Both",
  "New",
  "",
);
const value = fc.oneof(
  fc.constantFrom("", " ", "12", "+1.50", "1e3", at, "2024-02-29T10:00", "2023-02-29 10:00:00"),
  fc.constantFrom("a\r\nb", "\ttab", "\u2028\n", "\ud800", "\u0000\n\u0007", 'say "so", \\'),
  fc.string({ unit: "binary", maxLength: 5 }),
  fc.oneof(fc.integer({ min: -2, max: 9 }), fc.double({ min: -1e6, max: 1e6, noNaN: true })),
  fc.oneof(fc.boolean(), fc.constant(null)),
);
const nested = fc.oneof(
  value,
  fc.array(fc.oneof(value, fc.array(value, { maxLength: 2 })), { maxLength: 3 }),
);
const records = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: fc.dictionary(label, nested, { maxKeys: 9 }) },
    { weight: 1, arbitrary: value },
  ),
  { maxLength: 5 },
);

test("the oracle and the transformer agree on any record", () => {
  const undeclared = fc.constantFrom<Dataset["undeclared"][]>("append", "ignore", "reject");
  fc.assert(
    fc.property(records, undeclared, (made, mode) => {
      const dataset = datasetOf(columns, mode);
      const parsed: unknown[] = JSON.parse(JSON.stringify(made));
      const page = expectedPage(parsed, dataset);
      const { csv, jsonl, rejects, summary } = transformPage(parsed, dataset);
      const own = { ...page, rows: page.rows.map((row, n) => ({ ...row, id: n })) };
      const file = fileOf([own], dataset);
      expect(readRows(csv)).toEqual(file.rows);
      expect(difference(readJsonLines(jsonl), file)).toBeUndefined();
      expect(summary.ids).toEqual(page.rows.map(({ id }) => id));
      expect(rejects).toBe(page.rejects.map((reject) => `${JSON.stringify(reject)}\n`).join(""));
      for (const counts of ["furtherAnswers", "mistyped", "undeclared"] as const)
        expect(summary[counts]).toEqual(Object.fromEntries(page[counts]));
    }),
    { numRuns: 500 },
  );
});
