import { describe, expect, test } from "vitest";
import {
  type DatasetInput,
  defineDatasets,
  outputColumns,
  sourceNames,
} from "../../shared/dataset-schema.ts";
import { datasets, defaultDataset, findDataset } from "../../shared/datasets.ts";

const good: DatasetInput = {
  name: "gate-counts",
  libinsightId: 7,
  firstDate: "2024-02-29",
  timeZone: "Europe/Berlin",
  columns: [
    { name: "_id", type: "integer", required: true },
    { name: "Library", type: "text" },
  ],
  undeclared: "reject",
  publish: {
    csv: "gates/csv/gates.csv",
    jsonl: "gates/jsonl/gates.jsonl",
    results: "published/gates.csv",
    queryResults: "gate-queries",
    table: "gates",
  },
};

const entry = (change: Partial<DatasetInput>): DatasetInput => ({ ...good, ...change });
const untyped = (change: object): DatasetInput => Object.assign({ ...good }, change);
const published = (change: Partial<DatasetInput["publish"]>) =>
  entry({ publish: { ...good.publish, ...change } });
const columns = (...more: DatasetInput["columns"]) => entry({ columns: [...good.columns, ...more] });

/** The error as a person reads it. */
function errorOf(...entries: [DatasetInput, ...DatasetInput[]]): string {
  try {
    defineDatasets(entries);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "no error";
}

test("an entry has defaults for what it leaves out", () => {
  expect(defineDatasets([good])).toMatchObject([
    {
      name: "gate-counts",
      columns: [{ name: "_id" }, { name: "Library", labels: [], required: false, answers: "all" }],
    },
  ]);
  const [joined] = defineDatasets([columns({ name: "Both", join: ["a", "b"] })]);
  expect(joined.columns.at(-1)).toEqual({ name: "Both", join: ["a", "b"], with: "", personal: false });
});

test("an entry may name what Tableau refreshes, as people see it there", () => {
  const tableau = {
    dataSources: [{ name: "Désk, R&D: 💥*", project: "Library" }],
    workbooks: [{ name: "Weekly" }],
  };
  expect(defineDatasets([entry({ tableau })])[0].tableau).toEqual(tableau);
  expect(defineDatasets([entry({ tableau: { workbooks: [{ name: "Weekly" }] } })])[0].tableau).toEqual({
    dataSources: [],
    workbooks: [{ name: "Weekly" }],
  });
  expect(defineDatasets([good])[0].tableau).toBeUndefined();
});

const idColumn = 'the first column is "_id", an integer and required';
const key = "a key has a folder of its own";
const columnForm = "a column has a name and one of";
const twice = (field: string) => [`"${field}" is declared twice`];
/** A column of these labels. */
const x = (...labels: string[]) => ({ name: "x", type: "text" as const, labels });
const workbook = (name: string) => entry({ tableau: { workbooks: [{ name }] } });
const source = (project: string) => entry({ tableau: { dataSources: [{ name: "a", project }] } });

const joinedWith = (separator: string) => columns({ name: "x", join: ["a", "b"], with: separator });
const meaning = (text: string) => columns({ name: "x", type: "text", meaning: text });
const withUnit = (unit: string, type: "number" | "text" = "number") => columns({ name: "x", type, unit });
const withColumn = (column: object) => untyped({ columns: [...good.columns, column] });

test.each<[mistake: string, DatasetInput, parts: string[]]>([
  ["a name with capitals", entry({ name: "Gate-Counts" }), ["lower-case letters", "at name"]],
  ["a name of 49 letters", entry({ name: "a".repeat(49) }), ["2 to 48", "at name"]],
  ["no LibInsight number", entry({ libinsightId: 0 }), ["at libinsightId"]],
  ["a request id of zero", entry({ requestId: 0 }), ["at requestId"]],
  ["an unknown day", entry({ firstDate: "2023-02-29" }), ["not in the calendar", "firstDate"]],
  ["an unknown time zone", entry({ timeZone: "America/Blacksburg" }), ["IANA time zone", "timeZone"]],
  ["no columns", entry({ columns: [] }), ["at columns"]],
  ["no _id", entry({ columns: [{ name: "Library", type: "text" }] }), [idColumn]],
  ["_id not first", entry({ columns: good.columns.toReversed() }), [idColumn]],
  ["_id not required", entry({ columns: [{ name: "_id", type: "integer" }] }), [idColumn]],
  ["a column without a name", columns({ name: "", type: "text" }), ["at columns[2].name"]],
  ["a line break", columns({ name: "a\nb", type: "text" }), ["no line breaks", "columns[2].name"]],
  ["a control character", columns({ name: "a\u0000", drop: true }), ["no control characters"]],
  ["a line break in a label", columns(x("a\nb")), ["no line breaks", "columns[2].labels[0]"]],
  [
    "half a character in a name",
    columns({ name: "\ud83d", type: "text" }),
    ["lone surrogates", "columns[2].name"],
  ],
  ["half a character in a label", columns(x("a\udca5")), ["lone surrogates", "columns[2].labels[0]"]],
  ["a line break in a joined field", columns({ name: "x", join: ["a\n"] }), ["columns[2].join[0]"]],
  ["a line break in a separator", joinedWith("\n"), ["no line breaks", "columns[2].with"]],
  ["a line separator in a separator", joinedWith(" \u2028 "), ["no line breaks", "columns[2].with"]],
  ["a tab in a separator", joinedWith("\t"), ["no control characters", "columns[2].with"]],
  ["half a character in a separator", joinedWith("\ud83d"), ["lone surrogates", "columns[2].with"]],
  ["two lines in a meaning", meaning("a\u2029b"), ["no line breaks", "columns[2].meaning"]],
  ["half a character in a meaning", meaning("\ud83d"), ["lone surrogates", "columns[2].meaning"]],
  ["a meaning of 151 characters", meaning("a".repeat(151)), ["columns[2].meaning"]],
  ["an empty unit", withUnit(""), ["columns[2].unit"]],
  ["a line break in a unit", withUnit("a\nb"), ["no line breaks", "columns[2].unit"]],
  ["a unit with digits", withUnit("m2"), ["no digits", "columns[2].unit"]],
  ["a unit that may be a sign", withUnit("-"), ["begins with a letter", "columns[2].unit"]],
  ["a unit with a blank behind it", withUnit("min "), ["no blanks around it", "columns[2].unit"]],
  ["a unit of a text", withUnit("min", "text"), ["only an integer and a number", "columns[2].unit"]],
  ["nothing to join", columns({ name: "Both", join: [] }), ["at columns[2].join"]],
  ["a field declared twice", columns({ name: "Library", drop: true }), twice("Library")],
  ["a field kept and joined", columns({ name: "x", join: ["a", "Library"] }), twice("Library")],
  ["a field joined twice", columns({ name: "x", join: ["a", "a"] }), twice("a")],
  ["a label that is another column's name", columns(x("Library")), twice("Library")],
  ["a label that is the column's own name", columns(x("x")), twice("x")],
  ["a label of two columns", columns(x("a"), { ...x("b", "a"), name: "y" }), twice("a")],
  ["a label that is joined", columns(x("a"), { name: "y", join: ["a"] }), twice("a")],
  ["a label that is dropped", columns(x("a"), { name: "a", drop: true }), twice("a")],
  ["two columns of one header", columns({ name: "Library", join: ["a"] }), ["two columns have one header"]],
  ["a csv without a folder", published({ csv: "gates.csv" }), [key, "at publish.csv"]],
  ["a space in a key", published({ results: "published/gate counts.csv" }), [key, "at publish.results"]],
  ["a folder in queryResults", published({ queryResults: "a/b" }), ["at publish.queryResults"]],
  ["a capital in the table's name", published({ table: "Gates" }), ["at publish.table"]],
  ["csv and jsonl in one folder", published({ jsonl: "gates/csv/gates.jsonl" }), ["folders of their own"]],
  ["jsonl below csv's folder", published({ jsonl: "gates/csv/json/x.jsonl" }), ["folders of their own"]],
  ["tableau without a name in it", entry({ tableau: {} }), ["at least one", "at tableau"]],
  ["a workbook of two lines", workbook("a\nb"), ["no line breaks", "at tableau.workbooks[0].name"]],
  ["a line separator", workbook("a\u2028b"), ["no line breaks", "at tableau.workbooks[0].name"]],
  ["half a character", source("\ud83d"), ["lone surrogates", "at tableau.dataSources[0].project"]],
  // What the types refuse, but an editor without TypeScript would not.
  ["an unknown type", withColumn({ name: "x", type: "datetime" }), [columnForm]],
  ["a column with no role", withColumn({ name: "x" }), [columnForm]],
  ["a joined column with labels", withColumn({ name: "x", join: ["a"], labels: ["b"] }), ['"labels"']],
  ["a column with two roles", withColumn({ name: "x", type: "text", drop: true }), [columnForm]],
  ["an unknown policy", untyped({ undeclared: "keep" }), ["at undeclared"]],
  ["an unknown setting", untyped({ timezone: "UTC" }), ['"timezone"']],
  ["an unknown thing of Tableau", untyped({ tableau: { dashboards: [{ name: "a" }] } }), ['"dashboards"']],
  ["an unknown file", untyped({ publish: { ...good.publish, xml: "a/b.xml" } }), ['"xml"']],
])("%s is an error with the entry's name", (_, entry, parts) => {
  const message = errorOf(entry);
  expect(message).toContain(`shared/datasets.ts: the entry "${entry.name}"`);
  for (const part of parts) expect(message).toContain(part);
});

test("the copy of the earlier file and the columns' names have folders that nothing else uses", () => {
  const intoCopy = published({ csv: "gates/csv/a.csv", jsonl: "gates/csv-previous/a.jsonl" });
  expect(errorOf(intoCopy)).toContain("into gates/csv-previous/, where copies of its CSV go");
  expect(errorOf(published({ queryResults: "names" }))).toContain("this folder is the pipeline's own");
});

describe("at some time", () => {
  const now = new Date("2026-11-28T03:00:00Z");
  const newYork = (change: Partial<DatasetInput>) => entry({ timeZone: "America/New_York", ...change });
  const errorAt = (given: DatasetInput): string | undefined => {
    try {
      defineDatasets([given], now);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  const skips = (what: string, time: string, zone = "America/New_York") => [
    `${what} is skipped on ${time}, which the clocks of the time zone ${zone} skip`,
    "at schedule",
  ];
  const berlin = "Europe/Berlin";

  test.each<[mistake: string, DatasetInput, parts: string[]]>([
    ["a first date of tomorrow", newYork({ firstDate: "2026-11-28" }), ["in the future", "at firstDate"]],
    ["a first date in a far year", newYork({ firstDate: "2062-01-01" }), ["in the future", "at firstDate"]],
    ["minutes and hours of 99", newYork({ schedule: "cron(99 99 ? * MON *)" }), ["minutes", "at schedule"]],
    ["both days", newYork({ schedule: "cron(0 6 * * MON *)" }), ["day-of-month", "at schedule"]],
    ["a rate", untyped({ schedule: "rate(1 day)" }), ["at schedule"]],
    ["30 February", newYork({ schedule: "cron(0 6 30 2 ? *)" }), ["does not fire", "at schedule"]],
    ["years that are over", newYork({ schedule: "cron(0 6 ? * MON 2020-2025)" }), ["does not fire"]],
    ["an offset", entry({ timeZone: "+05:30" }), ["IANA time zone", "at timeZone"]],
    ["a zone in another case", entry({ timeZone: "america/new_york" }), ["at timeZone"]],
    [
      "a run in the hour that New York skips",
      newYork({ schedule: "cron(30 2 ? * SUN *)" }),
      skips("the run", "2027-03-14 02:30"),
    ],
    ["a daily run in it", newYork({ schedule: "cron(0 2 * * ? *)" }), skips("the run", "2027-03-14 02:00")],
    [
      "a start in it",
      newYork({ schedule: "cron(0 3 ? * SUN *)" }),
      skips("the start of the EC2 instances before it", "2027-03-14 02:45"),
    ],
    [
      "a stop in it",
      newYork({ schedule: "cron(30 22 ? * SAT *)" }),
      skips("the stop of the EC2 instances after it", "2027-03-14 02:30"),
    ],
    [
      "a run in Berlin's",
      entry({ timeZone: berlin, schedule: "cron(59 2 L 3 ? *)" }),
      skips("the run", "2030-03-31 02:59", berlin),
    ],
  ])("%s is an error", (_, given, parts) => {
    const message = errorAt(given) ?? "no error";
    expect(message).toContain('shared/datasets.ts: the entry "gate-counts"');
    for (const part of parts) expect(message).toContain(part);
  });

  test.each<[what: string, DatasetInput]>([
    ["a first date of today", newYork({ firstDate: "2026-11-27" })],
    ["today, where it is a day later", entry({ timeZone: "Pacific/Kiritimati", firstDate: "2026-11-28" })],
    ["a night on which no clock changes", newYork({ schedule: "cron(30 2 ? * MON *)" })],
    [
      "the hour that a zone does not skip",
      entry({ timeZone: "America/Phoenix", schedule: "cron(30 2 ? * SUN *)" }),
    ],
    ["a start just before it", newYork({ schedule: "cron(14 2 ? * MON *)" })],
    ["a run just after it", newYork({ schedule: "cron(15 3 ? * SUN *)" })],
    ["29 February", newYork({ schedule: "cron(0 6 29 2 ? *)" })],
  ])("%s is fine", (_, given) => {
    expect(errorAt(given)).toBeUndefined();
  });
});

/** Another entry that shares nothing with `good`. */
const other = entry({
  name: "instruction",
  publish: {
    csv: "teaching/csv/x.csv",
    jsonl: "teaching/jsonl/x.jsonl",
    results: "published/teaching.csv",
    queryResults: "gate-queries",
    table: "teaching",
  },
});

const moved = (change: Partial<DatasetInput["publish"]>): DatasetInput => ({
  ...other,
  publish: { ...other.publish, ...change },
});

test.each<[what: string, DatasetInput, shared: string]>([
  ["name", { ...other, name: "gate-counts" }, 'the name "gate-counts"'],
  ["csv", moved({ csv: good.publish.csv }), 'the csv "gates/csv/gates.csv"'],
  ["jsonl", moved({ jsonl: good.publish.jsonl }), 'the jsonl "gates/jsonl/gates.jsonl"'],
  ["results", moved({ results: good.publish.results }), 'the results "published/gates.csv"'],
  ["table", moved({ table: "gates" }), 'the table "gates"'],
])("two entries with one %s are an error", (_what, second, shared) => {
  expect(errorOf(good, second)).toBe(`shared/datasets.ts: two entries have ${shared}.`);
});

test.each<[what: string, DatasetInput]>([
  ["its csv", moved({ csv: "gates/csv/other.csv" })],
  ["its csv further down", moved({ csv: "gates/csv/2024/other.csv" })],
  ["its jsonl", moved({ jsonl: "gates/csv/other.jsonl" })],
  ["its csv beside the copy", moved({ csv: "gates/csv-previous/other.csv" })],
])("an entry that puts %s into another's table is an error, in any order", (_what, second) => {
  // Of two CSVs in one folder either may be named.
  const message = /^shared\/datasets\.ts: "[a-z-]+" publishes into the folder of "[a-z-]+"'s table\.$/;
  expect(errorOf(good, second)).toMatch(message);
  expect(errorOf(second, good)).toMatch(message);
});

test("a table with the name of another entry's view is an error", () => {
  expect(errorOf(moved({ table: "gates_typed" }), good)).toBe(
    `shared/datasets.ts: the table of "instruction" has the name of "gate-counts"'s view.`,
  );
});

// The predecessor's rules 2, 4 and 7, on which Tableau's readers rely.
test("Virginia Tech's columns are the record's own less the dropped ones, Research_Topic last", () => {
  const record = [
    "_id",
    "_start_date",
    "_entered_by",
    "Question Type",
    "Duration (in minutes)",
    "Comments/Notes",
    "Location",
    "who",
    "mode",
    "answeredBy",
    "classroom",
    "topic",
    "research",
    "walkins",
    "employee",
    "studio",
    "affiliation",
    "scans",
    "reformat",
  ];
  const gone = ["_entered_by", "walkins", "scans", "reformat", "research", "topic"];
  const [vt] = datasets;
  expect(outputColumns(vt.columns)).toEqual([
    ...record.filter((name) => !gone.includes(name)),
    "Research_Topic",
  ]);
  expect(vt.columns.flatMap(sourceNames).toSorted()).toEqual(record.toSorted());
  expect(vt.columns.at(-1)).toMatchObject({ name: "Research_Topic", join: ["research", "topic"], with: "" });
  const column = (name: string) => vt.columns.find((column) => column.name === name);
  expect(column("Question Type")).toMatchObject({ type: "text", answers: "first" });
  expect(column("_start_date")).toMatchObject({ type: "timestamp", required: true });
});

test("Virginia Tech's dataset is collected and published where it always was", () => {
  expect(defaultDataset).toMatchObject({
    name: "reference-transactions",
    libinsightId: 28364,
    requestId: 16,
    firstDate: "2021-12-02",
    timeZone: "America/New_York",
    publish: {
      csv: "libinsightdata-athena/LibInsightQueryData.csv",
      queryResults: "libinsightQueryOnS3csvTable",
      table: "libinsightdata",
    },
  });
});

test("a dataset is found by its name, and an unknown name is an error that lists the names", () => {
  expect(findDataset("reference-transactions")).toBe(defaultDataset);
  expect(() => findDataset("reference")).toThrow(
    expect.objectContaining({
      name: "UnknownDataset",
      kind: "terminal",
      sentence: expect.stringContaining("Use one of reference-transactions"),
      ids: { dataset: "reference" },
    }),
  );
});
