import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { type DatasetInput, defineDatasets } from "../../shared/dataset-schema.ts";
import { defaultDataset, findDataset } from "../../shared/datasets.ts";

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

/** Returns the error's text. */
function errorOf(...entries: [DatasetInput, ...DatasetInput[]]): string {
  try {
    defineDatasets(entries);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "no error";
}

test("fills in defaults", () => {
  expect(defineDatasets([good])).toMatchObject([
    {
      name: "gate-counts",
      columns: [{ name: "_id" }, { name: "Library", labels: [], required: false, answers: "all" }],
    },
  ]);
  const [joined] = defineDatasets([columns({ name: "Both", join: ["a", "b"] })]);
  expect(joined.columns.at(-1)).toEqual({ name: "Both", join: ["a", "b"], with: "", personal: true });
});

test("gives statistics the columns of their kind, unless the entry has columns", () => {
  const { columns: _columns, ...bare } = good;
  const [gates] = defineDatasets([{ ...bare, kind: "gate-count" }]);
  expect(gates.columns.map(({ name }) => name)).toEqual([
    "_id",
    "library",
    "date",
    "hour",
    "count",
    "local_start",
    "start",
  ]);
  const [own] = defineDatasets([entry({ kind: "gate-count" })]);
  expect(own.columns.map(({ name }) => name)).toEqual(["_id", "Library"]);
  expect(errorOf(untyped({ columns: undefined }))).toContain("columns");
  expect(errorOf(entry({ kind: "e-resources", shared: true }))).toContain("only records are shared");
  expect(errorOf(untyped({ kind: "doors" }))).toContain("gate-count");
});

test("takes how often everything is collected, only of records", () => {
  const refresh = { lookbackDays: 42, full: "monthly" } as const;
  const [dataset] = defineDatasets([entry({ refresh })]);
  expect(dataset.refresh).toEqual(refresh);
  expect(defineDatasets([good])[0].refresh).toBeUndefined();
  const refused = (change: object) => errorOf(untyped({ refresh: { ...refresh, ...change } }));
  expect(refused({ lookbackDays: 0 })).toMatch(/refresh\.lookbackDays/);
  expect(refused({ lookbackDays: 367 })).toMatch(/refresh\.lookbackDays/);
  expect(refused({ lookbackDays: 1.5 })).toMatch(/refresh\.lookbackDays/);
  expect(refused({ full: "daily" })).toMatch(/refresh\.full.*weekly.*monthly.*quarterly/s);
  expect(refused({ lookback: 7 })).toMatch(/refresh/);
  const statistics = { kind: "gate-count", refresh } as const;
  expect(errorOf(entry(statistics))).toContain("refresh: remove it: statistics take one request");
});

test("takes expectations with their defaults, of personal columns too if no answer is shown", () => {
  const [dataset] = defineDatasets([
    entry({
      ...columns(patron, { name: "Both", join: ["a", "b"] }),
      terms: [
        { name: "Winter", from: "2024-01-02", to: "2024-01-31" },
        { name: "Spring", from: "2024-02-01", to: "2024-05-01" },
      ],
      expectations: [
        { kind: "newest" },
        { kind: "windows" },
        { kind: "filled", columns: ["x"] },
        { kind: "rows", action: "hold" },
        { kind: "answers", column: "Both", accepted: ["yes"] },
        { kind: "range", column: "_id", min: 1, max: 1 },
        { kind: "unique" },
        { kind: "volume" },
        { kind: "silent", column: "Library" },
      ],
    }),
  ]);
  expect(dataset.expectations).toEqual([
    { kind: "newest", maxDays: 7, maxDaysBetweenTerms: 21, action: "warn" },
    { kind: "windows", action: "warn" },
    { kind: "filled", columns: ["x"], maxFallPoints: 10, action: "warn" },
    { kind: "rows", maxShrinkPercent: 5, maxGrowthPercent: 10, action: "hold" },
    { kind: "answers", column: "Both", accepted: ["yes"], action: "warn" },
    { kind: "range", column: "_id", min: 1, max: 1, action: "warn" },
    { kind: "unique", maxPercent: 30, action: "warn" },
    { kind: "volume", maxChangePercent: 50, action: "warn" },
    { kind: "silent", column: "Library", weeks: 3, action: "warn" },
  ]);
});

test("takes data sources and workbooks by any name that Tableau shows", () => {
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

const idColumn = ['columns: make "_id" the first column, with type: "integer" and required: true'];
const key = "use a key in a folder";
const oneKind = ["set exactly one of type, join and drop"];
const once = (field: string, column = "x") => [`column "${column}": declare the field "${field}" only once`];
/** A column with other labels. */
const x = (...labels: string[]) => ({ name: "x", type: "text" as const, labels });
const workbook = (name: string) => entry({ tableau: { workbooks: [{ name }] } });
const source = (project: string) => entry({ tableau: { dataSources: [{ name: "a", project }] } });

const joinedWith = (separator: string) => columns({ name: "x", join: ["a", "b"], with: separator });
const meaning = (text: string) => columns({ name: "x", type: "text", meaning: text });
const withUnit = (unit: string, type: "number" | "text" = "number") => columns({ name: "x", type, unit });
const withColumn = (column: object) => untyped({ columns: [...good.columns, column] });

const expecting = (...expectations: object[]) => untyped({ expectations });
/** Terms of January and of a month from a day on. */
const terms = (from: string, to: string) =>
  entry({
    terms: [
      { name: "Winter", from: "2024-01-02", to: "2024-01-31" },
      { name: "Spring", from, to },
    ],
  });
const allKinds = "use newest, windows, filled, rows, answers, range, unique, volume or silent.";
const patron = { name: "x", type: "text" as const, personal: true };

const inColumn = (place: string) => `column "x", ${place}`;
test.each<[problem: string, DatasetInput, parts: string[]]>([
  [
    "a name with capitals",
    entry({ name: "Gate-Counts" }),
    ['name "Gate-Counts": use 2 to 48 lower-case letters'],
  ],
  ["a name of 49 letters", entry({ name: "a".repeat(49) }), ["use 2 to 48"]],
  ["a LibInsight id of zero", entry({ libinsightId: 0 }), ["libinsightId 0: use more than 0"]],
  ["a request id that is not whole", entry({ requestId: 1.5 }), ["requestId 1.5: use a whole number"]],
  [
    "a day that does not exist",
    entry({ firstDate: "2023-02-29" }),
    ['firstDate "2023-02-29": use a date that is in'],
  ],
  [
    "an unknown time zone",
    entry({ timeZone: "America/Blacksburg" }),
    ['timeZone "America/Blacksburg": use an IANA'],
  ],
  [
    "a limit above 100 percent",
    entry({ guard: { maxShrinkPercent: 101 } }),
    ["maxShrinkPercent 101: use at most 100"],
  ],
  ["no columns", entry({ columns: [] }), ["columns: list at least 1"]],
  ["no _id", entry({ columns: [{ name: "Library", type: "text" }] }), idColumn],
  ["_id not first", entry({ columns: good.columns.toReversed() }), idColumn],
  ["_id not required", entry({ columns: [{ name: "_id", type: "integer" }] }), idColumn],
  [
    "a column without a name",
    columns({ name: "", type: "text" }),
    ['column 3, name "": use at least 1 character'],
  ],
  ["a line break", columns({ name: "a\nb", type: "text" }), ['column "a\\nb", name', "remove line breaks"]],
  [
    "a control character",
    columns({ name: "a\u0000", drop: true }),
    ["remove line breaks, control characters"],
  ],
  ["half a character in a name", columns({ name: "\ud83d", type: "text" }), ["lone surrogates"]],
  ["a line break in a joined field", columns({ name: "x", join: ["a\n"] }), [inColumn("join[0]")]],
  ["a line break in a separator", joinedWith("\n"), [inColumn("with"), "remove line breaks"]],
  ["a line separator in a separator", joinedWith(" \u2028 "), [inColumn("with"), "remove line breaks"]],
  ["a tab in a separator", joinedWith("\t"), [inColumn("with"), "control characters"]],
  ["half a character in a separator", joinedWith("\ud83d"), [inColumn("with"), "lone surrogates"]],
  ["two lines in a meaning", meaning("a\u2029b"), [inColumn("meaning"), "remove line breaks"]],
  ["half a character in a meaning", meaning("\ud83d"), [inColumn("meaning"), "lone surrogates"]],
  [
    "a meaning of 151 characters",
    meaning("a".repeat(151)),
    [inColumn("meaning"), "use at most 150 characters"],
  ],
  ["an empty unit", withUnit(""), [inColumn('unit "": ')]],
  ["a line break in a unit", withUnit("a\nb"), [inColumn("unit"), "remove line breaks"]],
  ["a unit with digits", withUnit("m2"), [inColumn('unit "m2": use a unit without digits')]],
  ["a unit that may be a sign", withUnit("-"), [inColumn('unit "-": begin with a letter')]],
  ["a unit with a space after it", withUnit("min "), [inColumn('unit "min "'), "without spaces around"]],
  [
    "a unit of a text",
    withUnit("min", "text"),
    [inColumn("unit: remove the unit, or use the type integer or")],
  ],
  ["nothing to join", columns({ name: "x", join: [] }), [inColumn("join: list at least 1")]],
  ["a field declared twice", columns({ name: "Library", drop: true }), once("Library", "Library")],
  ["a field kept and joined", columns({ name: "x", join: ["a", "Library"] }), once("Library")],
  ["a field joined twice", columns({ name: "x", join: ["a", "a"] }), once("a")],
  ["a label that is another column's name", columns(x("Library")), once("Library")],
  ["a label that is the column's own name", columns(x("x")), once("x")],
  ["a label of two columns", columns(x("a"), { ...x("b", "a"), name: "y" }), once("a", "y")],
  ["a label that is joined", columns(x("a"), { name: "y", join: ["a"] }), once("a", "y")],
  ["a label that is dropped", columns(x("a"), { name: "a", drop: true }), once("a", "a")],
  [
    "two columns with one header",
    columns({ name: "Library", join: ["a"] }),
    ['column "Library": give each column a name of its own'],
  ],
  ["a csv without a folder", published({ csv: "gates.csv" }), [`publish.csv "gates.csv": ${key}`]],
  ["a space in a key", published({ results: "published/gate counts.csv" }), [key, "publish.results"]],
  [
    "a folder in queryResults",
    published({ queryResults: "a/b" }),
    ['queryResults "a/b": use one folder name'],
  ],
  ["a capital in the table's name", published({ table: "Gates" }), ['table "Gates": use 1 to 98 lower-case']],
  [
    "the table of a de-identified file",
    published({ table: "gates_deidentified_2" }),
    ['table "gates_deidentified_2": use another name: the tables of de-identified files have _deidentified'],
  ],
  [
    "csv and jsonl in one folder",
    published({ jsonl: "gates/csv/gates.jsonl" }),
    ["publish.jsonl: use a folder"],
  ],
  [
    "a csv among the changes",
    published({ csv: "changes/gates.csv" }),
    ["publish.csv: use another folder: this one is for the changes of publications"],
  ],
  [
    "jsonl below csv's folder",
    published({ jsonl: "gates/csv/json/x.jsonl" }),
    ["publish.jsonl: use a folder"],
  ],
  ["tableau without content", entry({ tableau: {} }), ["tableau: name at least one data source or workbook"]],
  ["a workbook of two lines", workbook("a\nb"), ["tableau.workbooks[0].name", "remove line breaks"]],
  ["a line separator", workbook("a\u2028b"), ["tableau.workbooks[0].name", "remove line breaks"]],
  ["half a character", source("\ud83d"), ["tableau.dataSources[0].project", "lone surrogates"]],
  // The type checker refuses the following, but not every editor does.
  [
    "an unknown type",
    withColumn({ name: "x", type: "datetime" }),
    [inColumn('type "datetime": use text, integer, number, timestamp, date, time or boolean.')],
  ],
  [
    "a text that is expected to be true",
    withColumn({ name: "x", drop: "yes" }),
    [inColumn('drop "yes": use true')],
  ],
  [
    "a text instead of a number",
    untyped({ libinsightId: "7" }),
    ['libinsightId "7": use a value of type number'],
  ],
  ["a column of no kind", withColumn({ name: "x" }), oneKind],
  ["a column of two kinds", withColumn({ name: "x", type: "text", drop: true }), oneKind],
  ["a column that is a text", untyped({ columns: [...good.columns, "x"] }), ["column 3: set exactly one"]],
  [
    "a joined column with labels",
    withColumn({ name: "x", join: ["a"], labels: ["b"] }),
    [
      'column "x": remove the unknown setting "labels", or use name, join, with, meaning, personal, mayBeEmpty, privacy, generalise or after',
    ],
  ],
  ["an expectation of no kind", expecting({}), [`expectations[0].kind: ${allKinds}`]],
  ["an unknown expectation", expecting({ kind: "fresh" }), [`expectations[0].kind: ${allKinds}`]],
  [
    "an unknown setting of an expectation",
    expecting({ kind: "windows", days: 3 }),
    ['expectations[0]: remove the unknown setting "days"'],
  ],
  ["an unknown action", expecting({ kind: "windows", action: "stop" }), ['action "stop": use warn or hold']],
  ["a range without limits", expecting({ kind: "range", column: "_id" }), ["[0]: set min, max or both"]],
  [
    "a range that ends before it begins",
    expecting({ kind: "range", column: "_id", min: 2, max: 1 }),
    ["[0].max: use a number that is not below min"],
  ],
  [
    "a range of a text",
    expecting({ kind: "windows" }, { kind: "range", column: "Library", min: 1 }),
    ["expectations[1].column: name a column of type number or integer"],
  ],
  [
    "an expectation of an unknown column",
    expecting({ kind: "answers", column: "Desk" }),
    ["expectations[0].column: name a published column"],
  ],
  [
    "an expectation of a dropped column",
    entry({ ...columns({ name: "x", drop: true }), expectations: [{ kind: "silent", column: "x" }] }),
    ["expectations[0].column: name a published column"],
  ],
  [
    "answers of a personal column",
    entry({ ...columns(patron), expectations: [{ kind: "answers", column: "x" }] }),
    ["expectations[0].column: name a column with answers that is not personal"],
  ],
  [
    "answers of a date",
    entry({
      ...columns({ name: "x", type: "date" }),
      expectations: [{ kind: "silent", column: "x" }],
    }),
    ["expectations[0].column: name a column with answers that is not personal"],
  ],
  [
    "an expectation of unknown columns",
    expecting({ kind: "filled", columns: ["Library", "Desk"] }),
    ['expectations[0].columns: use published columns instead of "Desk"'],
  ],
  [
    "a year's comparison without terms",
    expecting({ kind: "volume" }),
    ["expectations[0].kind: set terms, or remove this expectation"],
  ],
  ["a term without days", terms("2024-03-01", "2024-03-01"), ["terms[1].to: use a day after from"]],
  [
    "terms that overlap",
    terms("2024-01-31", "2024-03-01"),
    ['terms[1].from: use a day after 2024-01-31, the end of "Winter"'],
  ],
  ["an unknown policy", untyped({ undeclared: "keep" }), ['undeclared "keep": use append, ignore or reject']],
  ["an unknown setting", untyped({ timezone: "UTC" }), ['remove the unknown setting "timezone"']],
  [
    "an unknown kind of content",
    untyped({ tableau: { dashboards: [] } }),
    ["tableau: remove the unknown setting"],
  ],
  ["an unknown file", untyped({ publish: { ...good.publish, xml: "a/b.xml" } }), ['unknown setting "xml"']],
])("names the entry, the place and the fix for %s", (_, entry, parts) => {
  const message = errorOf(entry);
  expect(message).toMatch(new RegExp(`^shared/library\\.ts, entry "${entry.name}"[,:] `));
  for (const part of parts) expect(message).toContain(part);
});

test("describes each problem in a line of its own, without a stack trace", () => {
  const entry = columns({ name: "x", join: [] }, { name: "Library", drop: true });
  try {
    defineDatasets([{ ...entry, libinsightId: 0 }]);
  } catch (error) {
    const { message, stack } = z.object({ message: z.string(), stack: z.string() }).parse(error);
    expect(stack).toBe(message);
    expect(message.split("\n")).toEqual([
      'shared/library.ts, entry "gate-counts", libinsightId 0: use more than 0.',
      'shared/library.ts, entry "gate-counts", column "x", join: list at least 1.',
      'shared/library.ts, entry "gate-counts", column "Library": declare the field "Library" only once.',
    ]);
  }
  expect.assertions(2);
});

test("reserves the folders of the earlier file's copy and of the columns' names", () => {
  const intoCopy = published({ csv: "gates/csv/a.csv", jsonl: "gates/csv-previous/a.jsonl" });
  expect(errorOf(intoCopy)).toContain("publish.jsonl: use another folder than gates/csv-previous/");
  for (const folder of ["names", "reports", "tableau", "deidentified"])
    expect(errorOf(published({ queryResults: folder }))).toContain(
      `publish.queryResults "${folder}": use another folder`,
    );
});

describe("at a given time", () => {
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
    `: use another time, because ${what} would be skipped on ${time}, when clocks in ${zone} go forward`,
    "schedule",
  ];
  const berlin = "Europe/Berlin";

  test.each<[problem: string, DatasetInput, parts: string[]]>([
    ["a first date of tomorrow", newYork({ firstDate: "2026-11-28" }), ["in the future in America/New_York"]],
    [
      "a first date in a far year",
      newYork({ firstDate: "2062-01-01" }),
      ['firstDate "2062-01-01": use a date'],
    ],
    [
      "minutes and hours of 99",
      newYork({ schedule: "cron(99 99 ? * MON *)" }),
      ['minutes: "99" is not in 0 to 59'],
    ],
    [
      "both days",
      newYork({ schedule: "cron(0 6 * * MON *)" }),
      ["schedule", "exactly one of day-of-month and day-of-week"],
    ],
    ["a rate", untyped({ schedule: "rate(1 day)" }), ['schedule "rate(1 day)": use cron(minutes']],
    [
      "30 February",
      newYork({ schedule: "cron(0 6 30 2 ? *)" }),
      ["use a schedule that fires in the next 10 years"],
    ],
    ["past years", newYork({ schedule: "cron(0 6 ? * MON 2020-2025)" }), ["use a schedule that fires"]],
    ["an offset", entry({ timeZone: "+05:30" }), ["use an IANA time zone"]],
    ["a zone in another case", entry({ timeZone: "america/new_york" }), ["use an IANA time zone"]],
    [
      "a run in the hour that New York skips",
      newYork({ schedule: "cron(30 2 ? * SUN *)" }),
      skips("the run", "2027-03-14 02:30"),
    ],
    [
      "a daily run in that hour",
      newYork({ schedule: "cron(0 2 * * ? *)" }),
      skips("the run", "2027-03-14 02:00"),
    ],
    [
      "a start in that hour",
      newYork({ schedule: "cron(0 3 ? * SUN *)" }),
      skips("the start of the EC2 instances before the run", "2027-03-14 02:45"),
    ],
    [
      "a stop in that hour",
      newYork({ schedule: "cron(30 22 ? * SAT *)" }),
      skips("the stop of the EC2 instances after the run", "2027-03-14 02:30"),
    ],
    [
      "a run in the hour that Berlin skips",
      entry({ timeZone: berlin, schedule: "cron(59 2 L 3 ? *)" }),
      skips("the run", "2030-03-31 02:59", berlin),
    ],
  ])("refuses %s", (_, given, parts) => {
    const message = errorAt(given) ?? "no error";
    expect(message).toContain('shared/library.ts, entry "gate-counts", ');
    for (const part of parts) expect(message).toContain(part);
  });

  test.each<[what: string, DatasetInput]>([
    ["a first date of today", newYork({ firstDate: "2026-11-27" })],
    [
      "today in a zone where it is a day later",
      entry({ timeZone: "Pacific/Kiritimati", firstDate: "2026-11-28" }),
    ],
    ["a night on which no clock changes", newYork({ schedule: "cron(30 2 ? * MON *)" })],
    [
      "the hour that a zone does not skip",
      entry({ timeZone: "America/Phoenix", schedule: "cron(30 2 ? * SUN *)" }),
    ],
    ["a start just before the skipped hour", newYork({ schedule: "cron(14 2 ? * MON *)" })],
    ["a run just after the skipped hour", newYork({ schedule: "cron(15 3 ? * SUN *)" })],
    ["29 February", newYork({ schedule: "cron(0 6 29 2 ? *)" })],
  ])("accepts %s", (_, given) => {
    expect(errorAt(given)).toBeUndefined();
  });
});

test("accepts any label, an empty one and one with line breaks too", () => {
  expect(errorOf(columns(x("", "a\nb", "a\udca5")))).toBe("no error");
});

describe("statistics", () => {
  const roles = { questionType: "Type", mode: "mode", location: "Location" };
  const classed = (
    statistics: DatasetInput["statistics"],
    change: Partial<DatasetInput> = {},
    type: object = { type: "text", answers: "first" },
  ): DatasetInput => {
    const column: DatasetInput["columns"][number] = Object.assign(
      { name: "Type" },
      { type: "text" as const },
      type,
    );
    const more = ["mode", "Location"].map((name) => ({ name, type: "text" as const }));
    return entry({ columns: [...good.columns, column, ...more], roles, statistics, ...change });
  };
  const rules = { kinds: { reference: ["Question"], directional: ["Where"] }, modes: { virtual: ["Chat"] } };

  test("may leave kinds without answers, and an answer of one column may have several parts", () => {
    expect(defineDatasets([classed(rules)])[0].statistics).toMatchObject({
      kinds: { reference: ["Question"], consultation: [] },
      modes: { "in person": [], virtual: ["Chat"] },
      instruction: [],
    });
    const several = { ...rules, kinds: { reference: ["A; B"] } };
    expect(errorOf(classed(several))).toBe("no error");
    expect(defineDatasets([good])[0].statistics).toBeUndefined();
  });

  test.each<[what: string, DatasetInput, problem: string]>([
    [
      "an answer of two kinds",
      classed({ ...rules, kinds: { reference: ["Question"], service: ["Question"] } }),
      'statistics.kinds: name the answer "Question" only once',
    ],
    [
      "an answer of two modes",
      classed({ ...rules, modes: { "in person": ["Chat"], virtual: ["Chat"] } }),
      'statistics.modes: name the answer "Chat" only once',
    ],
    ["no kind", classed({ ...rules, kinds: {} }), "statistics.kinds: name the answers of at least one class"],
    [
      "no role",
      classed(rules, { roles: { questionType: "Type" } }),
      "statistics.modes: name a column of type text as roles.mode",
    ],
    [
      "a question type that is a number",
      classed(rules, {}, { type: "number" }),
      "statistics.kinds: name a column of type text as roles.questionType",
    ],
    [
      "sessions without a location",
      classed({ ...rules, instruction: ["Room"] }, { roles: { questionType: "Type", mode: "mode" } }),
      "statistics.instruction: name a column of type text as roles.location",
    ],
    [
      "an answer that looks like two",
      classed({ ...rules, kinds: { reference: ["A; B"] } }, {}, { answers: "all" }),
      'statistics.kinds: the answer "A; B" reads as several answers; set answers: "first" in the column "Type"',
    ],
  ])("refuses %s", (_what, given, problem) => {
    expect(errorOf(given)).toBe(`shared/library.ts, entry "gate-counts", ${problem}.`);
  });
});

/** An entry that shares nothing with `good`. */
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
])("refuses two entries with one %s", (_what, second, shared) => {
  expect(errorOf(good, second)).toBe(`shared/library.ts: two entries have ${shared}; change one of them.`);
});

test.each<[what: string, DatasetInput]>([
  ["its csv", moved({ csv: "gates/csv/other.csv" })],
  ["its csv in a subfolder", moved({ csv: "gates/csv/2024/other.csv" })],
  ["its jsonl", moved({ jsonl: "gates/csv/other.jsonl" })],
  ["its csv beside the copy", moved({ csv: "gates/csv-previous/other.csv" })],
])(
  "refuses an entry that puts %s into the folder of another entry's table, in any order",
  (_what, second) => {
    // If two CSVs share a folder, the error may name either entry.
    const message =
      /^shared\/library\.ts, entry "[a-z-]+": publish to another folder than that of the table of "[a-z-]+"\.$/;
    expect(errorOf(good, second)).toMatch(message);
    expect(errorOf(second, good)).toMatch(message);
  },
);

test("refuses a result in a folder whose objects expire", () => {
  for (const folder of ["tableau/", "deidentified/"])
    expect(errorOf(published({ results: `${folder}gates.csv` }))).toBe(
      `shared/library.ts, entry "gate-counts", publish.results: use another folder than ${folder}, whose objects expire.`,
    );
  expect(errorOf(good, moved({ results: "gate-queries/teaching.csv" }))).toContain(
    'entry "instruction", publish.results: use another folder than gate-queries/',
  );
});

test("statistics have the roles of their columns, unless the entry has its own", () => {
  const { columns: _none, ...statistic } = good;
  const rolesOf = (given: object) =>
    defineDatasets([{ ...statistic, kind: "gate-count", ...given }])[0].roles;
  expect(rolesOf({})).toEqual({ location: "library", quantity: "count" });
  expect(rolesOf({ roles: { location: "library" } })).toEqual({ location: "library" });
});

test("refuses a quantity that is not a whole number, and expectations by week of whole months", () => {
  const ofType = (type: "integer" | "number") => ({
    ...columns({ name: "n", type }),
    roles: { quantity: "n" },
  });
  expect(errorOf(ofType("integer"))).toBe("no error");
  expect(errorOf(ofType("number"))).toContain("roles.quantity: name a column of type integer.");
  const monthly = {
    ...columns({ name: "platform", type: "text" }),
    kind: "e-resources" as const,
    terms: [{ name: "Spring", from: "2024-01-01", to: "2024-05-01" }],
  };
  for (const expected of [{ kind: "silent", column: "platform" } as const, { kind: "volume" } as const])
    expect(errorOf({ ...monthly, expectations: [expected] })).toContain(
      "remove it: rows of whole months are in no week",
    );
});

test("refuses a table with the name of another entry's view", () => {
  expect(errorOf(moved({ table: "gates_typed" }), good)).toBe(
    'shared/library.ts, entry "instruction", table: use another name than that of a view or child table of "gate-counts".',
  );
});

describe("child tables", () => {
  const rows = (...names: string[]) =>
    columns(...names.map((name) => ({ name, type: "text" as const, answers: "rows" as const })));
  const advice = "give the column another name and add this one to its labels";

  test("are for columns of type text, at most ten", () => {
    expect(errorOf(columns({ name: "n", type: "integer", answers: "rows" }))).toContain(
      'column "n", answers: use "all" or "first", or the type text.',
    );
    const names = Array.from({ length: 11 }, (_, n) => `c${n}`);
    expect(errorOf(rows(...names))).toContain('columns: use answers: "rows" for at most 10 columns.');
    expect(errorOf(rows(...names.slice(1)))).toBe("no error");
  });

  test.each([
    ["typed", "the typed view", ["typed"]],
    ["measures", "another view", ["Measures"]],
    ["changes", "the table of changes", ["Changes"]],
    ["as_known", "the view of each day", ["As known"]],
    ["previous", "the folder of the copy", ["Previous"]],
    ["topic", "another child table", ["Topic", "topic!"]],
    ["topic_typed", "the view of another child table", ["Topic", "topic typed"]],
    ["topic", "a view of another child table", ["topic typed", "Topic"]],
    ["column", "the name of headers without letters", ["主题", "题目"]],
  ])("refuses the name %s, which %s has", (name, _what, names) => {
    expect(errorOf(rows(...names))).toBe(
      `shared/library.ts, entry "gate-counts", column ${JSON.stringify(names.at(-1))}: another table, view or folder has the name "${name}" of its child table; ${advice}.`,
    );
  });

  test("have names and folders that no other entry uses", () => {
    const good = rows("Topic");
    const taken = 'table: use another name than that of a view or child table of "gate-counts"';
    expect(errorOf(good, moved({ table: "gates_topic" }))).toContain(taken);
    expect(errorOf(good, moved({ table: "gates_topic_typed" }))).toContain(taken);
    for (const key of ["csv", "jsonl"])
      expect(errorOf(good, moved({ [key]: "gates/csv-topic/x" }))).toContain("publish to another folder");
    const own = { ...good, publish: { ...good.publish, jsonl: "gates/csv-topic/x" } };
    expect(errorOf(own)).toContain(
      "publish.jsonl: use another folder than gates/csv-topic/, which is for a child table",
    );
    const long = { ...good, publish: { ...good.publish, csv: `gates/csv/${"x".repeat(880)}` } };
    expect(errorOf(long)).toBe("no error");
    const longer = rows("t".repeat(200));
    expect(errorOf({ ...longer, publish: long.publish })).toContain("publish.csv: use a shorter key");
  });
});

test("finds a dataset by its name, and refuses an unknown name with a list of the names", () => {
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
