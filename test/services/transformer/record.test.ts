// The rules for one record: those of the default dataset, on which its readers rely, then those that any entry can set.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { transformPage } from "../../../services/transformer/page.ts";
import { columnType } from "../../../shared/column-types.ts";
import type { DatasetInput } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { recordOf } from "../../factories/libinsight-records.ts";
import { rejectOf, rowOf } from "../../support/transformed.ts";

const note = { name: "note", type: "text" } as const;

describe("reference-transactions", () => {
  test("drops _entered_by, walkins, scans and reformat without counting them as undeclared", () => {
    const { values, summary } = rowOf(recordOf(1, { walkins: 3, scans: "9", reformat: 1 }));
    for (const field of ["_entered_by", "walkins", "scans", "reformat"])
      expect(values).not.toHaveProperty(field);
    expect(summary.undeclared).toEqual({});
  });

  test.each([
    { answers: ["Research", "Technical", "Policy"], further: { "Question Type": 2 } },
    { answers: ["", null, "Research", " ", "Policy"], further: { "Question Type": 1 } },
    { answers: ["Research"], further: {} },
  ])(
    "keeps the first answer of Question Type that is not blank of $answers, and counts the others",
    (given) => {
      const { values, summary } = rowOf(recordOf(1, { "Question Type": given.answers }));
      expect(values["Question Type"]).toBe("Research");
      expect(summary.furtherAnswers).toEqual(given.further);
    },
  );

  test.each([
    { research: "Art ", topic: "History", joined: "Art History" },
    { research: ["Art"], topic: ["History"], joined: "ArtHistory" },
    { research: "", topic: ["History"], joined: "History" },
    { research: ["Art"], topic: [], joined: "Art" },
    { research: ["Art", "Music"], topic: ["History", "Law"], joined: "Art; MusicHistory; Law" },
    { research: "", topic: "", joined: "" },
    { research: [], topic: "", joined: "" },
    { research: undefined, topic: null, joined: null },
    { research: [], topic: [""], joined: null },
  ])("joins research $research and topic $topic to Research_Topic $joined", ({ research, topic, joined }) => {
    const { values } = rowOf(recordOf(1, { research, topic }));
    expect(values.Research_Topic).toBe(joined);
    expect(values).not.toHaveProperty("research");
    expect(values).not.toHaveProperty("topic");
  });

  test.each([["yesterday"], ["2023-02-30 10:00:00"], ["2023-02-29 10:00"], [20230501], [{}], [["a", "b"]]])(
    "rejects a record whose _start_date is %j",
    (value) => {
      expect(rejectOf(recordOf(1, { _start_date: value }))).toBe("invalid _start_date");
    },
  );
});

describe("a text column", () => {
  test("makes every column null whose field the record lacks", () => {
    const { values } = rowOf({ _id: 1, _start_date: "2023-05-01 09:30:00" });
    expect(new Set(Object.values(values).slice(2))).toEqual(new Set([null]));
  });

  test.each([
    { value: undefined, text: null },
    { value: null, text: null },
    { value: "", text: "" },
    { value: [], text: null },
    { value: ["one"], text: "one" },
    { value: ["one", "two"], text: "one; two" },
    { value: ["one", "", null, "two"], text: "one; two" },
    { value: ["", null, "  "], text: null },
    { value: [["a", "b"], "c"], text: "a; b; c" },
    { value: [[""], "c"], text: "; c" },
    { value: 12, text: "12" },
    { value: -0.5, text: "-0.5" },
    { value: true, text: "true" },
    { value: false, text: "false" },
    { value: { a: [1, "x"] }, text: '{"a":[1,"x"]}' },
    { value: [{ a: 1 }, 2], text: '{"a":1}; 2' },
    { value: { note: "line\nbreak" }, text: '{"note":"line\\nbreak"}' },
    { value: "back\\slash \\n", text: "back\\slash \\n" },
    { value: "\none\r\n\u2028\v\f\u0085\u2029two\n", text: " one two " },
    { value: "💥 \ud83d pair \udca5\u0000", text: "💥  pair " },
    { value: "  two  spaces, 👩‍🔬 donâ€™t Straße 図書館", text: "  two  spaces, 👩‍🔬 donâ€™t Straße 図書館" },
  ])("makes the text $text of the value $value", ({ value, text }) => {
    expect(rowOf(recordOf(1, { mode: value })).values.mode).toBe(text);
  });
});

test.each([
  ...[undefined, null, "", [], [""], [null]].map((value) => ({ value, types: columnType.options })),
  { value: "  ", types: ["integer", "number", "timestamp"] as const },
  { value: "\u0000", types: ["text"] as const },
])(
  "makes the blank value $value null unless the column is text, and rejects the record if the column is required",
  (given) => {
    const { value, types } = given;
    for (const type of types) {
      const { values, summary } = rowOf({ _id: 1, field: value }, datasetOf([{ name: "field", type }]));
      if (type !== "text") expect(values.field).toBeNull();
      expect(summary.mistyped).toEqual({});
      expect(rejectOf({ _id: 1, field: value }, datasetOf([{ name: "field", type, required: true }]))).toBe(
        "missing field",
      );
    }
    if (value !== "\u0000" && value !== "  ")
      expect(rejectOf(recordOf(1, { _id: value }))).toBe("missing _id");
  },
);

test.each<[DatasetInput["columns"][number], unknown, unknown]>([
  [{ name: "field", type: "text", required: true }, ["x"], undefined],
  [{ name: "field", type: "number", required: true }, 0, "many"],
  [{ name: "field", type: "timestamp", required: true }, "2023-05-01 09:30", "soon"],
])(
  "accepts the required field %j with the value %j, and rejects the record with the value %j",
  (column, right, wrong) => {
    expect(rejectOf({ _id: 1, field: right }, datasetOf([column]))).toBeUndefined();
    if (wrong) expect(rejectOf({ _id: 1, field: wrong }, datasetOf([column]))).toBe("invalid field");
  },
);

test("counts no further answers for a column that keeps all", () => {
  const dataset = datasetOf([{ ...note, answers: "all" }]);
  const { values, summary } = rowOf({ _id: 1, note: ["a", "b"] }, dataset);
  expect(values.note).toBe("a; b");
  expect(summary.furtherAnswers).toEqual({});
});

describe("a number column", () => {
  const duration = (value: unknown) => {
    const { values, summary } = rowOf(recordOf(1, { "Duration (in minutes)": value }));
    return { value: values["Duration (in minutes)"], mistyped: summary.mistyped };
  };
  const right = (value: number | null) => ({ value, mistyped: {} });
  const kept = (value: unknown) => ({ value, mistyped: { "Duration (in minutes)": 1 } });

  test.each([
    [7, 7],
    [7.5, 7.5],
    [0, 0],
    [-3, -3],
    ["7", 7],
    ["7.50", 7.5],
    [" 7 ", 7],
    ["+7", 7],
    ["-7.25", -7.25],
    ["007", 7],
    ["1e3", 1000],
    [["15"], 15],
    [[15], 15],
  ])("converts %j to the number %j", (value, number) => {
    expect(duration(value)).toEqual(right(number));
  });

  test.each([
    ["about 5", "about 5"],
    ["5 min", "5 min"],
    ["1,5", "1,5"],
    ["0x10", "0x10"],
    [".5", ".5"],
    ["NaN", "NaN"],
    ["Infinity", "Infinity"],
    [true, "true"],
    [{ minutes: 5 }, '{"minutes":5}'],
    [["5", "10"], "5; 10"],
  ])("keeps %j, which is not a number, as text and counts it", (value, text) => {
    expect(duration(value)).toEqual(kept(text));
  });

  test("keeps every digit of a text that is too long for a number, and counts it", () => {
    const digits = "12345678901234567890";
    expect(duration(digits)).toEqual(kept(digits));
    expect(duration(`1${"0".repeat(400)}`)).toEqual(kept(`1${"0".repeat(400)}`));
  });

  test("counts a value with a fraction as mistyped in an integer column", () => {
    const dataset = datasetOf([{ name: "count", type: "integer" }]);
    expect(rowOf({ _id: 1, count: "3" }, dataset).values.count).toBe(3);
    expect(rowOf({ _id: 1, count: 3.0 }, dataset).values.count).toBe(3);
    for (const given of ["3.5", 3.5, [3.5]]) {
      const { values, summary } = rowOf({ _id: 1, count: given }, dataset);
      expect(values.count).toBe([given].flat()[0]);
      expect(summary.mistyped).toEqual({ count: 1 });
    }
  });
});

describe("a number that JavaScript cannot represent", () => {
  const digits = "12345678901234567890.5";

  test("keeps the digits as text in text and undeclared columns, alone, among answers and in nested values", () => {
    const raw = JSON.rawJSON(digits);
    const record = { _id: 1, note: raw, other: [raw, "a"], deep: { x: [raw] }, both: raw };
    const { values, csv, summary } = rowOf(record, datasetOf([note, { name: "join", join: ["both"] }]));
    expect(values).toEqual({
      ...{ _id: 1, note: digits, join: digits },
      ...{ deep: `{"x":[${digits}]}`, other: `${digits}; a` },
    });
    expect(csv).toContain(`"${digits}"`);
    expect(rowOf({ _id: 1, Extra: raw }, datasetOf([])).csv).toBe(`1,"${digits}"\n`);
    expect(summary.mistyped).toEqual({});
  });

  test.each(["integer", "number", "timestamp", "date", "time", "boolean"] as const)(
    "counts the number as mistyped in a column of type %s and keeps its digits",
    (type) => {
      for (const text of [digits, "9007199254740993", "-1e400", "1E400", "0.123456789012345678"]) {
        const { values, summary } = rowOf(
          { _id: 1, x: JSON.rawJSON(text) },
          datasetOf([{ name: "x", type }]),
        );
        expect(values.x).toBe(text);
        expect(summary).toMatchObject({ mistyped: { x: 1 }, filled: { x: 1 } });
      }
    },
  );

  test("rejects a record with such an _id, and keeps its digits in the reject", () => {
    const record = { _id: JSON.rawJSON("9007199254740993"), note: JSON.rawJSON(digits) };
    const { rejects, summary } = transformPage([record, JSON.rawJSON("1e400")], datasetOf([note]));
    expect(summary.rejects).toEqual({ "invalid _id": 1, "not a record": 1 });
    expect(rejects).toBe(
      `{"reason":"invalid _id","record":{"_id":9007199254740993,"note":${digits}}}\n{"reason":"not a record","record":1e400}\n`,
    );
  });
});

test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])(
  "keeps %d as text, and counts it as mistyped in a number column",
  (value) => {
    const dataset = datasetOf([{ name: "n", type: "number" }, note]);
    const { values, csv, summary } = rowOf({ _id: 1, n: value, note: value, Extra: value }, dataset);
    const name = String(value);
    expect(values).toEqual({ _id: 1, n: name, note: name, Extra: name });
    expect(csv).toBe(`1,"${name}","${name}","${name}"\n`);
    expect(summary).toMatchObject({ mistyped: { n: 1 }, filled: { n: 1, note: 1, Extra: 1 } });
  },
);

describe("a column with a type", () => {
  const x = (column: Partial<DatasetInput["columns"][number]>, value: unknown) => {
    const { csv, summary } = rowOf({ _id: 1, x: value }, datasetOf([{ name: "x", type: "text", ...column }]));
    return { cell: csv.slice(2, -1), mistyped: summary.mistyped.x ?? 0 };
  };

  test.each([
    [{ type: "date" }, " 2024-02-29", '"2024-02-29"'],
    [{ type: "time" }, "2:30 pm", '"14:30:00"'],
    [{ type: "time" }, "12:00 AM", '"00:00:00"'],
    [{ type: "time" }, "23:59:58", '"23:59:58"'],
    [{ type: "boolean" }, true, '"true"'],
    [{ type: "boolean" }, "No", '"false"'],
    [{ type: "boolean" }, 1, '"true"'],
    [{ type: "boolean" }, ["yes"], '"true"'],
    [{ type: "number", unit: "min" }, "45 min", "45"],
    [{ type: "number", unit: "Min." }, "4.5MIN.", "4.5"],
    [{ type: "number", unit: "min" }, "45", "45"],
    [{ type: "integer", unit: "%" }, "-5 %", "-5"],
  ] as const)("column %j converts %j to %s", (column, value, cell) => {
    expect(x(column, value)).toEqual({ cell, mistyped: 0 });
  });

  test.each([
    [{ type: "date" }, "2023-02-29"],
    [{ type: "date" }, "2024-02-29 10:00:00"],
    [{ type: "time" }, "2:30"],
    [{ type: "time" }, "24:00"],
    [{ type: "boolean" }, "maybe"],
    [{ type: "boolean" }, "2"],
    [{ type: "number" }, "45 min"],
    [{ type: "number", unit: "min" }, "45 mins"],
    [{ type: "number", unit: "min" }, "min"],
    [{ type: "integer", unit: "min" }, "4.5 min"],
  ] as const)("column %j counts %j as mistyped and keeps it unchanged", (column, value) => {
    expect(x(column, value)).toEqual({ cell: `"${value}"`, mistyped: 1 });
  });
});

describe("a timestamp column", () => {
  const dataset = datasetOf([{ name: "closed", type: "timestamp" }]);
  const closed = (value: unknown) => {
    const { values, summary } = rowOf({ _id: 1, closed: value }, dataset);
    return { value: values.closed, mistyped: summary.mistyped.closed ?? 0 };
  };

  test.each([
    ["2023-05-01 09:30:00", "2023-05-01 09:30:00"],
    ["2023-05-01T09:30:00", "2023-05-01 09:30:00"],
    ["2023-05-01T09:30", "2023-05-01 09:30:00"],
    ["2023-05-01 09:30", "2023-05-01 09:30:00"],
    [" 2023-05-01 09:30:00\n", "2023-05-01 09:30:00"],
    ["2024-02-29 23:59:59", "2024-02-29 23:59:59"],
    ["0999-01-01 00:00:00", "0999-01-01 00:00:00"],
    // New York's clocks skip this hour, but a local time without a zone is accepted.
    ["2024-03-10 02:30:00", "2024-03-10 02:30:00"],
    [["2023-05-01 09:30:00"], "2023-05-01 09:30:00"],
  ])("converts %j to %j", (value, text) => {
    expect(closed(value)).toEqual({ value: text, mistyped: 0 });
  });

  test.each([
    ["2023-02-29 10:00:00"],
    ["2023-13-01 10:00:00"],
    ["2023-00-10 10:00:00"],
    ["2023-04-31 10:00:00"],
    ["2023-05-01 24:00:00"],
    ["2023-05-01 10:60:00"],
    ["2023-05-01 10:00:60"],
    ["2023-05-01"],
    ["05/01/2023 10:00"],
    ["2023-05-01 10:00:00Z"],
    ["2023-05-01T10:00:00-05:00"],
    ["soon"],
  ])("keeps %j, which is not a valid timestamp, as text and counts it", (value) => {
    expect(closed(value)).toEqual({ value, mistyped: 1 });
  });
});

describe("_id", () => {
  test.each([[-1], [1.5], ["-1"], ["abc"], [2 ** 53], ["9007199254740993"], [true], [{}], [[1, 2]]])(
    "rejects a record whose _id is %j",
    (value) => {
      expect(rejectOf(recordOf(1, { _id: value }))).toBe("invalid _id");
    },
  );

  test.each([[0], [Number.MAX_SAFE_INTEGER], ["42"], [["42"]]])("accepts the _id %j", (value) => {
    expect(rowOf(recordOf(1, { _id: value })).summary.ids).toEqual([Number(value)]);
  });
});

test.each([[null], ["text"], [5], [true], [[]], [[{ _id: 1 }]]])(
  "rejects %j, which is not a record",
  (value) => {
    expect(rejectOf(value)).toBe("not a record");
  },
);

describe("an undeclared field", () => {
  const record = { _id: 1, note: "x", Extra: 3.5, more: ["a", "b"] };

  test("appends undeclared fields after the declared columns, sorted by name, with numbers unquoted", () => {
    const { headers, csv, summary } = rowOf(record, datasetOf([note], "append"));
    expect(headers).toEqual(["_id", "note", "Extra", "more"]);
    expect(csv).toBe('1,"x",3.5,"a; b"\n');
    expect(summary.undeclared).toEqual({ Extra: 1, more: 1 });
  });

  test("ignores undeclared fields but counts them", () => {
    const { csv, summary } = rowOf(record, datasetOf([note], "ignore"));
    expect(csv).toBe('1,"x"\n');
    expect(summary).toMatchObject({ appended: [], undeclared: { Extra: 1, more: 1 } });
  });

  test("rejects a record with an undeclared field", () => {
    const dataset = datasetOf([note], "reject");
    expect(rejectOf(record, dataset)).toBe("undeclared field");
    expect(rejectOf({ _id: 1, note: "x" }, dataset)).toBeUndefined();
  });

  test("makes the header unique if the label is the name of a column", () => {
    const dataset = datasetOf([{ name: "both", join: ["first", "second"] }]);
    const { values } = rowOf({ _id: 1, first: "a", second: "b", both: "c", "both (2)": "d" }, dataset);
    expect(values).toEqual({ _id: 1, both: "ab", "both (2)": "c", "both (2) (2)": "d" });
  });

  test("puts the header on one line, and makes it unique if cleaned labels are the same", () => {
    const { values, csv } = rowOf({ _id: 1, "a\nb": 1, "a b": 2, "a\r\nb": 3 }, datasetOf([]));
    expect(values).toEqual({ _id: 1, "a b": 1, "a b (2)": 2, "a b (3)": 3 });
    expect(csv).toBe("1,1,2,3\n");
  });

  test("appends and counts a field whose label is a declared one with a number", () => {
    const { values, summary } = rowOf({ _id: 1, note: "a", "note (2)": "b" }, datasetOf([note]));
    expect(values).toEqual({ _id: 1, note: "a", "note (2)": "b" });
    expect(summary.undeclared).toEqual({ "note (2)": 1 });
  });

  test("makes 50,000 headers unique if all cleaned labels are the same", () => {
    const labels = Array.from(
      { length: 50_000 },
      (_, n) => `a${"\u0001".repeat(n % 300)}\n${"\n".repeat(n / 300)}`,
    );
    const record = Object.fromEntries(labels.map((label, n) => [label, n]));
    const { headers } = rowOf({ ...record, _id: 1 }, datasetOf([]));
    expect(new Set(headers).size).toBe(50_001);
  });

  test("uses the header (no label) for a label without printable characters", () => {
    expect(rowOf({ _id: 1, "": "a", "\u0000": "b" }, datasetOf([])).values).toEqual({
      _id: 1,
      "(no label)": "a",
      "(no label) (2)": "b",
    });
  });

  test("accepts a field called __proto__", () => {
    const record: unknown = JSON.parse('{"_id":1,"__proto__":"x","constructor":"y","toString":"z"}');
    const { headers, csv, summary } = rowOf(record, datasetOf([]));
    expect(headers).toEqual(["_id", "__proto__", "constructor", "toString"]);
    expect(csv).toBe('1,"x","y","z"\n');
    expect(Object.keys(summary.undeclared)).toEqual(["__proto__", "constructor", "toString"]);
  });

  test("does not read a declared column from a field called __proto__", () => {
    const record: unknown = JSON.parse('{"_id":1,"__proto__":{"note":"hidden"}}');
    expect(rowOf(record, datasetOf([note])).values.note).toBeNull();
  });
});

test("puts a joined column at its declared position, with the separator between its fields", () => {
  const dataset = datasetOf([{ name: "name", join: ["first", "last"], with: ", " }, note]);
  expect(rowOf({ _id: 1, note: "n", last: "L", first: "F" }, dataset).csv).toBe('1,"F, L","n"\n');
  expect(rowOf({ _id: 1, last: "L" }, dataset).csv).toBe('1,", L",\n');
  expect(rowOf({ _id: 1 }, dataset).csv).toBe("1,,\n");
});

describe("a column with further labels", () => {
  const columns: DatasetInput["columns"] = [
    { name: "mode", type: "text", labels: ["Mode of contact", "How"] },
  ];
  const dataset = datasetOf(columns);

  test.each([
    [{ mode: "a" }, "a"],
    [{ "Mode of contact": "b" }, "b"],
    [{ How: "c" }, "c"],
    [{}, null],
  ])("reads a field under any label of its column: %j", (fields, value) => {
    const { values, summary } = rowOf({ _id: 1, ...fields }, dataset);
    expect(values).toEqual({ _id: 1, mode: value });
    expect(summary.undeclared).toEqual({});
  });

  test("prefers the column's name, then its labels in order, and treats the others as undeclared", () => {
    const record = { How: "c", "Mode of contact": "b", mode: "" };
    const all = rowOf({ _id: 1, ...record }, dataset);
    expect(all.values).toEqual({ _id: 1, mode: "", How: "c", "Mode of contact": "b" });
    expect(all.summary.undeclared).toEqual({ How: 1, "Mode of contact": 1 });
    const labels = rowOf({ _id: 1, How: "c", "Mode of contact": "b" }, dataset);
    expect(labels.values).toEqual({ _id: 1, mode: "b", How: "c" });
    expect(rejectOf({ _id: 1, ...record }, datasetOf(columns, "reject"))).toBe("undeclared field");
    expect(rejectOf({ _id: 1, How: "c" }, datasetOf(columns, "reject"))).toBeUndefined();
  });

  test("counts a column under its name, and requires it under any label", () => {
    const counted = datasetOf([
      { name: "minutes", type: "number", labels: ["Minutes"], required: true },
      { name: "mode", type: "text", labels: ["How"], answers: "first" },
      { name: "closed", type: "timestamp", labels: ["Closed"] },
    ]);
    const { summary } = rowOf({ _id: 1, Minutes: "5", How: ["a", "b"], Closed: "soon" }, counted);
    expect(summary).toMatchObject({
      furtherAnswers: { mode: 1 },
      mistyped: { closed: 1 },
      filled: { _id: 1, minutes: 1, mode: 1, closed: 1 },
    });
    expect(rejectOf({ _id: 1, Minutes: "" }, counted)).toBe("missing minutes");
  });

  test("makes the same page of the same records after fields were renamed in LibInsight", () => {
    const labelOf = (name: string) => `${name}, renamed`;
    const kept = defaultDataset.columns.flatMap((column) => ("type" in column ? column.name : []));
    const columns = defaultDataset.columns.map((column) =>
      "type" in column ? { ...column, labels: [labelOf(column.name)] } : column,
    );
    const values = fc.oneof(fc.string(), fc.array(fc.string()), fc.integer(), fc.constant(null));
    const records = fc.array(fc.dictionary(fc.constantFrom(...kept), values));
    fc.assert(
      fc.property(records, fc.subarray(kept), (given, names) => {
        const before = given.map((fields, id) => recordOf(id, fields));
        const renamed = ([name, value]: [string, unknown]) => [
          names.includes(name) ? labelOf(name) : name,
          value,
        ];
        const after = before.map((record) => Object.fromEntries(Object.entries(record).map(renamed)));
        const { rejects: _, ...page } = transformPage(after, { ...defaultDataset, columns });
        const { rejects: __, ...expected } = transformPage(before, defaultDataset);
        expect(page).toEqual(expected);
      }),
    );
  });
});
