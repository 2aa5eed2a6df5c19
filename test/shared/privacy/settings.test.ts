import { expect, test } from "vitest";
import { type Dataset, type DatasetInput, defineDatasets } from "../../../shared/dataset-schema.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import { allEntries, deidentified, entryFor, isDeidentified } from "../../../shared/privacy/deidentified.ts";

type Columns = DatasetInput["columns"];

const base: DatasetInput = {
  name: "desk",
  libinsightId: 7,
  firstDate: "2024-02-29",
  timeZone: "Europe/Berlin",
  columns: [
    { name: "_id", type: "integer", required: true },
    { name: "_start_date", type: "timestamp", required: true },
  ],
  undeclared: "append",
  publish: {
    csv: "desk-csv/desk.csv",
    jsonl: "desk-jsonl/desk.jsonl",
    results: "published/desk.csv",
    queryResults: "desk-queries",
    table: "desk",
  },
};

function entryOf(columns: Columns, more: Partial<DatasetInput> = {}): Dataset {
  return defineDatasets([{ ...base, columns: [...base.columns, ...columns], ...more }])[0];
}

function problemOf(columns: Columns, more: Partial<DatasetInput> = {}): string {
  try {
    entryOf(columns, more);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "no error";
}

test("free text that declares nothing is personal, and no other column", () => {
  const { columns } = entryOf(
    [
      { name: "Notes", type: "text" },
      { name: "Joined", join: ["a", "b"] },
      { name: "Shown", type: "text", personal: false },
      { name: "Kept", type: "text", privacy: "keep" },
      { name: "Chosen", type: "text", answers: "first" },
      { name: "Mode", type: "text" },
      { name: "Desk", type: "text" },
      { name: "Minutes", type: "number" },
    ],
    { roles: { mode: "Mode" }, expectations: [{ kind: "answers", column: "Desk" }] },
  );
  const personal = columns.filter((column) => "personal" in column && column.personal);
  expect(personal.map(({ name }) => name)).toEqual(["Notes", "Joined"]);
});

test("the de-identified file has neither personal nor dropped columns, and coarser types where values are coarser", () => {
  const dataset = entryOf(
    [
      { name: "Notes", type: "text", personal: true },
      { name: "Topic", type: "text", privacy: "redact", meaning: "What it was about" },
      { name: "By", type: "text", personal: true, privacy: "hash" },
      { name: "Number", type: "integer", privacy: "hash" },
      { name: "Day", type: "timestamp", privacy: "generalise", generalise: "week" },
      { name: "Seen", type: "timestamp", generalise: "month", after: { months: 12, then: "generalise" } },
      { name: "Minutes", type: "integer", privacy: "generalise", generalise: { bands: [0, 15] } },
      {
        name: "Desk",
        type: "text",
        answers: "rows",
        privacy: "generalise",
        generalise: { groups: { Libraries: ["Newman"] } },
      },
      { name: "Both", join: ["a", "b"], privacy: "keep" },
      { name: "Code", type: "text", privacy: "drop" },
      { name: "old", drop: true },
    ],
    { roles: { location: "Desk", minutes: "Minutes" } },
  );
  const entry = deidentified(dataset);
  const shown = entry.columns.map((column) => "type" in column && [column.name, column.type, column.meaning]);
  expect(shown).toEqual([
    ["_id", "integer", undefined],
    ["_start_date", "timestamp", undefined],
    ["Topic", "text", "What it was about (redacted)"],
    ["By", "text", "(pseudonym)"],
    ["Number", "text", "(pseudonym)"],
    ["Day", "date", "(generalized)"],
    ["Seen", "timestamp", undefined],
    ["Minutes", "integer", "(generalized)"],
    ["Desk", "text", "(generalized)"],
    ["Both", "text", undefined],
  ]);
  expect(entry).toMatchObject({
    name: "desk-deidentified",
    undeclared: "ignore",
    roles: {},
    expectations: [],
    publish: {
      csv: "desk-csv-deidentified/desk-deidentified.csv",
      jsonl: "desk-jsonl-deidentified/desk-deidentified.jsonl",
      results: "published-deidentified/desk-deidentified.csv",
      table: "desk_deidentified",
    },
  });
  for (const column of entry.columns) {
    expect(column).toMatchObject({ personal: false, labels: [], required: column.name === "_id" });
    expect("answers" in column && column.answers).toBe("all");
  }
});

test("roles and statistics stay where the de-identified file has the same values", () => {
  const columns: Columns = [
    { name: "Kind", type: "text", answers: "first" },
    { name: "Mode", type: "text", privacy: "keep" },
    { name: "Desk", type: "text", privacy: "keep" },
  ];
  const more: Partial<DatasetInput> = {
    roles: { questionType: "Kind", mode: "Mode", location: "Desk" },
    statistics: { kinds: { reference: ["Question"] }, modes: { virtual: ["Chat"] }, instruction: ["Class"] },
  };
  const same = deidentified(entryOf(columns, more));
  expect(same.roles).toEqual(more.roles);
  expect(same.statistics).toMatchObject({ instruction: ["Class"] });
  for (const [index, role] of (["questionType", "mode", "location"] as const).entries()) {
    const changed = columns.map((column, n) =>
      n === index ? { ...column, privacy: "hash" as const } : column,
    );
    const { roles, statistics } = deidentified(entryOf(changed, more));
    expect(roles[role]).toBeUndefined();
    expect(Object.keys(roles)).toHaveLength(2);
    expect(statistics).toBeUndefined();
  }
  expect(deidentified(entryOf(columns)).columns[2]).toMatchObject({ answers: "first" });
});

test("an audience has its entry, and only that of the de-identified file is one", () => {
  const dataset = entryOf([]);
  const entry = deidentified(dataset);
  expect(entryFor("full", dataset)).toBe(dataset);
  expect(entryFor("deidentified", dataset)).toEqual(entry);
  expect(allEntries([dataset])).toEqual([dataset, entry]);
  expect([dataset.name, entry.name].map(isDeidentified)).toEqual([false, true]);
});

test("the settings of the de-identified file do not change the full file's fingerprint", () => {
  const plain = entryOf([{ name: "Notes", type: "text", personal: true }]);
  const settings = { privacy: "redact", after: { months: 1, then: "drop" } } as const;
  const set = entryOf([{ name: "Notes", type: "text", personal: true, ...settings }]);
  const renamed = entryOf([{ name: "Note", type: "text", personal: true }]);
  expect(fingerprintOf(set)).toBe(fingerprintOf(plain));
  expect(fingerprintOf(renamed)).not.toBe(fingerprintOf(plain));
});

test("another dataset cannot take the name, keys or table of a de-identified file", () => {
  const other = (name: string, table: string, csv: string): DatasetInput => {
    const publish = { jsonl: "other-jsonl/o.jsonl", results: "published/o.csv", queryResults: "other" };
    return { ...base, name, publish: { ...publish, table, csv } };
  };
  const define = (second: DatasetInput) => () => defineDatasets([base, second]);
  expect(define(other("desk-deidentified", "other", "other/o.csv"))).toThrow(/another name/);
  expect(define(other("other", "desk_deidentified", "other/o.csv"))).toThrow(/table/);
  expect(define(other("other", "other", "desk-csv-deidentified/o.csv"))).toThrow(/another folder/);
  expect(define(other("other", "other", "other/o.csv"))).not.toThrow();
});

const notes = { name: "Notes", type: "text" } as const;
const minutes = { name: "Minutes", type: "number" } as const;
const groups = { groups: { Libraries: ["Newman"] } };

test.each<[what: string, columns: Columns, problem: string]>([
  ["a date without how", [{ name: "Day", type: "date", privacy: "generalise" }], "set how"],
  ["how without what", [{ name: "Day", type: "date", generalise: "week" }], 'set privacy: "generalise"'],
  ["a week of a text", [{ ...notes, privacy: "generalise", generalise: "week" }], "type timestamp or date"],
  ["groups of a number", [{ ...minutes, privacy: "generalise", generalise: groups }], "of type text"],
  [
    "bands of a text",
    [{ ...notes, privacy: "generalise", generalise: { bands: [1] } }],
    "type number or integer",
  ],
  [
    "unsorted bands",
    [{ ...minutes, privacy: "generalise", generalise: { bands: [2, 1] } }],
    "sort the bands",
  ],
  ["equal bands", [{ ...minutes, privacy: "generalise", generalise: { bands: [1, 1] } }], "sort the bands"],
  [
    "an answer in two groups",
    [{ ...notes, privacy: "generalise", generalise: { groups: { A: ["x"], B: ["x"] } } }],
    "name each answer in one group",
  ],
  [
    "a group whose name is two lines",
    [{ ...notes, privacy: "generalise", generalise: { groups: { "A\nB": ["x"] } } }],
    'use "week", "month"',
  ],
  ["a redacted number", [{ ...minutes, privacy: "redact" }], "type text"],
  ["a number that is redacted later", [{ ...minutes, after: { months: 1, then: "redact" } }], "type text"],
  [
    "a dropped column with after",
    [{ ...notes, privacy: "drop", after: { months: 1, then: "drop" } }],
    "remove it",
  ],
  [
    "a personal column with after",
    [{ ...notes, personal: true, after: { months: 1, then: "redact" } }],
    "remove it, or set another privacy",
  ],
  ["no months", [{ ...notes, privacy: "keep", after: { months: 0, then: "drop" } }], "after.months"],
])("%s is refused", (_what, columns, problem) => {
  expect(problemOf(columns)).toContain(problem);
});

test("the column that identifies a record stays as it is", () => {
  const id = (more: object): Columns => [{ name: "_id", type: "integer", required: true, ...more }];
  const refused = 'use "keep" without after';
  expect(problemOf([], { columns: id({ privacy: "hash" }) })).toContain(refused);
  expect(problemOf([], { columns: id({ personal: true }) })).toContain(refused);
  expect(problemOf([], { columns: id({ privacy: "keep" }) })).toBe("no error");
});

test("retention needs a date column that is not personal", () => {
  const columns = (date: object): Columns => [
    { name: "_id", type: "integer", required: true },
    { name: "Day", type: "date", ...date },
    { ...notes, privacy: "keep", after: { months: 1, then: "drop" } },
  ];
  expect(problemOf([], { columns: columns({}) })).toBe("no error");
  expect(problemOf([], { columns: columns({ personal: true }) })).toContain("no date column");
});

test("redaction takes names from published columns and ids by regular expressions", () => {
  const redaction = { nameColumns: ["Notes"], ids: ["\\b9\\d{8}\\b"] };
  expect(problemOf([notes], { redaction })).toBe("no error");
  expect(problemOf([], { redaction })).toContain('use published columns instead of "Notes"');
  expect(problemOf([], { redaction: { ids: ["("] } })).toContain("use a regular expression");
});
