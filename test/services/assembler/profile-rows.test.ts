// Compares the counts of the assembler's fast pass with a slow and obvious reference, and with DuckDB on a published CSV.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RowProfile } from "../../../services/assembler/profile-rows.ts";
import { transformPage } from "../../../services/transformer/page.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";
import { type Dataset, dataset as datasetSchema, outputColumns } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import {
  maxAnswers,
  maxPairs,
  type Profile,
  profile,
  profileWeeks,
  quantityProfile,
} from "../../../shared/profile.ts";
import { generateRecords } from "../../../stacks/local/libinsight/generate-records.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const dayMs = 24 * 60 * 60_000;
const dateOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
const mondayOf = (ms: number) => ms - ((new Date(ms).getUTCDay() + 6) % 7) * dayMs;

const columns = datasetOf([
  { name: "when", type: "timestamp" },
  { name: "kind", type: "text", answers: "first" },
  { name: 'how, "many"', type: "text" },
  { name: "minutes", type: "number" },
  { name: "note", type: "text", personal: true },
  { name: "dropped", drop: true },
  { name: "both", join: ["a", "b"] },
  { name: "absent", type: "text" },
]).columns;
const entry: Dataset = {
  ...datasetOf([]),
  columns,
  roles: { questionType: "kind", mode: 'how, "many"', minutes: "minutes" },
};
const expectations = [
  { kind: "unique" as const, maxPercent: 1, action: "warn" as const },
  { kind: "unique" as const, columns: ["kind", "minutes"], maxPercent: 1, action: "warn" as const },
];
/** The column "absent" is not in the file, and "Extra" is not in the entry. */
const headers = ["_id", "when", "kind", 'how, "many"', "minutes", "note", "both", "Extra"];

type Range = { from: string; to: string };
type Rows = Cell[][];

function counted(dataset: Dataset, range: Range, rows: Rows, own = headers): Profile {
  const fast = new RowProfile(dataset, range, own);
  fast.add(Buffer.from(csvRows(rows)));
  return profile.parse(fast.profile());
}

/** Counts with dates, strings and maps. */
function reference(dataset: Dataset, { from, to }: Range, rows: Rows): Profile {
  const [first, last] = [Date.parse(from), Date.parse(to)];
  const firstWeek = mondayOf(last) - (profileWeeks - 1) * 7 * dayMs;
  const yearOf = (date: string) => {
    const start = dataset.fiscalYearStart;
    return Number(date.slice(0, 4)) + (start > 1 && Number(date.slice(5, 7)) >= start ? 1 : 0);
  };
  const monthDay = (date: string) => date.slice(5);
  const dateIn = (row: Cell[]) => {
    const text = String(row[1] ?? "");
    return /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text) &&
      text.slice(0, 10) >= from &&
      text.slice(0, 10) <= to
      ? text.slice(0, 10)
      : undefined;
  };
  const perWeek = (matching: Rows) => {
    const weeks = Array.from({ length: profileWeeks }, () => 0);
    for (const row of matching) {
      const date = dateIn(row);
      const week = date ? (mondayOf(Date.parse(date)) - firstWeek) / dayMs / 7 : -1;
      if (week >= 0) weeks[week] = (weeks[week] ?? 0) + 1;
    }
    return weeks;
  };
  const perDay = (matching: Rows) => {
    const days = Array.from({ length: (last - first) / dayMs + 1 }, () => 0);
    for (const row of matching) {
      const index = (Date.parse(dateIn(row) ?? "") - first) / dayMs;
      if (index >= 0) days[index] = (days[index] ?? 0) + 1;
    }
    return days;
  };
  const isFilled = (cell: Cell | undefined) => cell !== null && cell !== undefined && cell !== "";
  const dated = rows.filter(dateIn);
  const lastYearOf = to.endsWith("02-29")
    ? `${Number(to.slice(0, 4)) - 1}-02-28`
    : `${Number(to.slice(0, 4)) - 1}-${monthDay(to)}`;
  const isThisYear = (date: string) => yearOf(date) === yearOf(to);
  const isLastYear = (date: string) => yearOf(date) === yearOf(to) - 1 && date <= lastYearOf;

  const hours = Array.from({ length: 7 }, () => Array.from({ length: 24 }, () => 0));
  for (const row of dated) {
    const date = Date.parse(dateIn(row) ?? "");
    if (date <= last - 364 * dayMs) continue;
    const day = hours[(new Date(date).getUTCDay() + 6) % 7];
    const hour = Number(String(row[1]).slice(11, 13));
    if (day && hour < 24) day[hour] = (day[hour] ?? 0) + 1;
  }

  const answersOf = (index: number, isSeveral: boolean) => {
    const namesOf = (row: Cell[]) => [
      ...new Set(isSeveral ? String(row[index]).split("; ") : [String(row[index])]),
    ];
    const own = rows.filter((row) => isFilled(row[index]));
    const names = [...new Set(own.flatMap(namesOf))];
    if (names.length > maxAnswers || own.some((row) => String(row[index]).length > 200)) return undefined;
    const counts = names.map((answer) => {
      const having = own.filter((row) => namesOf(row).includes(answer));
      const dates = having.map(dateIn).filter((date) => date !== undefined);
      return {
        answer,
        rows: having.length,
        thisYear: dates.filter(isThisYear).length,
        lastYear: dates.filter(isLastYear).length,
        weeks: perWeek(having),
      };
    });
    return counts.sort((a, b) => b.rows - a.rows || (a.answer < b.answer ? -1 : 1));
  };

  const keyOf = (row: Cell[]) =>
    JSON.stringify([
      row[1] && dateIn(row) ? yearOf(dateIn(row) ?? "") : null,
      row[2] || null,
      row[3] || null,
    ]);
  const pairs = [...Map.groupBy(rows, keyOf).values()].map((own) => {
    const [row = []] = own;
    const date = dateIn(row);
    const numbers = own.map((each) => each[4]).filter((cell) => typeof cell === "number");
    return {
      fiscalYear: date ? yearOf(date) : null,
      questionType: row[2] === null || row[2] === "" ? null : String(row[2]),
      mode: row[3] === null || row[3] === "" ? null : String(row[3]),
      rows: own.length,
      instruction: 0,
      minutes: numbers.reduce((sum, n) => sum + n, 0),
    };
  });

  const repeats = expectations.map(({ columns }) => {
    const indexes = headers.flatMap((header, index) =>
      (columns?.includes(header) ?? header !== "_id") ? [index] : [],
    );
    const seen = new Map<string, number>();
    const [repeated, first]: [Rows, Rows] = [[], []];
    for (const row of dated) {
      const key = JSON.stringify(indexes.map((index) => row[index] ?? null));
      const times = seen.get(key) ?? 0;
      seen.set(key, times + 1);
      if (times > 0) repeated.push(row);
      if (times === 1) first.push(row);
    }
    return { ...(columns && { columns }), days: perDay(repeated), different: perDay(first) };
  });

  const column = (name: string, index: number, answers?: "first" | "all") => {
    const own = rows.filter((row) => isFilled(row[index]));
    const numbers = own.map((row) => row[index]).filter((cell) => typeof cell === "number");
    const found = answers && answersOf(index, answers === "all");
    return {
      name,
      filled: own.length,
      weeks: perWeek(own),
      ...(numbers.length > 0 && { numbers: { least: Math.min(...numbers), greatest: Math.max(...numbers) } }),
      ...(found && { answers: found }),
    };
  };
  return {
    from,
    to,
    rows: rows.length,
    undated: rows.length - dated.length,
    days: perDay(rows),
    firstWeek: dateOf(firstWeek),
    weeks: perWeek(rows),
    hours,
    columns: [
      column("_id", 0),
      column("when", 1),
      column("kind", 2, "first"),
      column('how, "many"', 3, "all"),
      column("minutes", 4, "all"),
      column("note", 5),
      column("both", 6, "all"),
    ],
    pairs,
    repeats,
  };
}

const day = fc
  .integer({ min: Date.UTC(2003, 11, 20) / dayMs, max: Date.UTC(2025, 2, 5) / dayMs })
  .map((n) => n * dayMs);
const range = fc
  .tuple(
    fc.oneof(day, fc.constantFrom(Date.UTC(2024, 1, 28), Date.UTC(2023, 1, 27))),
    fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 360, max: 1_500 })),
  )
  .map(([from, days]): Range => ({ from: dateOf(from), to: dateOf(from + days * dayMs) }));
const text = fc.oneof(
  fc.constantFrom(
    "",
    "In person",
    'say "hi", twice',
    "a; b",
    "b; a; a",
    "; ",
    "__proto__",
    "constructor",
    "Émile",
    "日本; 💥",
    "x".repeat(200),
    "x".repeat(201),
    " ",
    '""',
    ",",
  ),
  fc
    .string({ unit: "grapheme", maxLength: 5 })
    .map((given) => given.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, "")),
);
const nullable = fc.option(text, { nil: null });
const minutes = fc.oneof(fc.constantFrom(null, 0, 5, -3, 7.5, 1e6), fc.constantFrom<Cell>("ten", "5 min"));
const whenIn = ({ from, to }: Range) =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(
          fc.integer({ min: Date.parse(from) / dayMs, max: Date.parse(to) / dayMs }),
          fc.constantFrom("00:00:00", "08:59:59", "23:59:59"),
        )
        .map(([n, time]): Cell => `${dateOf(n * dayMs)} ${time}`),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Cell>(
        null,
        "",
        "yesterday",
        `${from} at noon`,
        `${from}`,
        `${from} 08:50`,
        "0000-00-00 00:00:00",
      ),
    },
  );
const rowsIn = (own: Range) =>
  fc.array(fc.tuple(fc.nat(), whenIn(own), nullable, nullable, minutes, nullable, nullable, nullable), {
    maxLength: 25,
  });

describe("the profile of any rows", () => {
  test("equals that of the reference", () => {
    const given = range.chain((own) =>
      fc.tuple(fc.constant(own), rowsIn(own), fc.integer({ min: 1, max: 12 })),
    );
    fc.assert(
      fc.property(given, fc.nat({ max: 3 }), ([own, rows, fiscalYearStart], again) => {
        const dataset = { ...entry, fiscalYearStart, expectations };
        // Repeated under other ids.
        const all = [...rows, ...rows.slice(0, again).map((row, n): Cell[] => [n, ...row.slice(1)])];
        expect(counted(dataset, own, all)).toEqual(reference(dataset, own, all));
      }),
      { numRuns: 150 },
    );
  });

  test("is the same if the rows come in parts", () => {
    const own = { from: "2024-02-26", to: "2024-03-03" };
    fc.assert(
      fc.property(rowsIn(own), (rows) => {
        const fast = new RowProfile(entry, own, headers);
        for (const row of rows) fast.add(Buffer.from(csvRows([row])));
        expect(fast.profile()).toEqual(counted(entry, own, rows));
      }),
      { numRuns: 50 },
    );
  });
});

test("a row with a quantity of n counts as n rows, and one without a quantity as none", () => {
  const own = { from: "2023-06-28", to: "2024-07-03" };
  const quantity = fc.oneof(fc.nat(4), fc.constantFrom<Cell>(null, "ten", -3, 1e12));
  const rows = fc.array(fc.tuple(whenIn(own), fc.constantFrom<Cell>(null, "A", "B; A"), quantity), {
    maxLength: 25,
  });
  fc.assert(
    fc.property(rows, (all) => {
      const row = ([when, kind, n]: [Cell, Cell, Cell]): Cell[] => [1, when, kind, null, n, null, null, null];
      const repeated = all.flatMap(([when, kind, n]) =>
        Array.from({ length: typeof n === "number" && n > 0 && n < 5 ? n : 0 }, () => row([when, kind, n])),
      );
      const found = quantityProfile(counted({ ...entry, roles: { quantity: "minutes" } }, own, all.map(row)));
      const expected = counted({ ...entry, roles: {} }, own, repeated);
      const answersIn = ({ columns }: Profile) =>
        columns.find(({ name }) => name === "kind")?.answers?.filter(({ rows }) => rows > 0);
      const { columns: _found, ...dated } = found ?? { columns: [] };
      const { columns: _expected, ...expectedDated } = expected;
      expect(dated).toEqual(expectedDated);
      expect(found && answersIn(found)).toEqual(answersIn(expected));
    }),
    { numRuns: 100 },
  );
});

test("rows are dated by a date column if there is no timestamp, and are then in no hour", () => {
  const dataset: Dataset = { ...datasetOf([{ name: "month", type: "date" }]), expectations: [] };
  const rows = ["2024-01-01", "2024-02-01", "2024-02-01 10:00:00", "soon", null].map((month, id) => [
    id,
    month,
  ]);
  const found = counted(dataset, { from: "2024-01-01", to: "2024-02-29" }, rows, ["_id", "month"]);
  expect(found).toMatchObject({ rows: 5, undated: 3, weeks: found.weeks.with(-5, 1).with(-9, 1) });
  expect(found.days.flatMap((n, index) => (n > 0 ? [index] : []))).toEqual([0, 31]);
  expect(found.hours.flat().every((n) => n === 0)).toBe(true);
});

describe("bounds", () => {
  const own = { from: "2024-01-01", to: "2024-12-31" };
  const rowsWith = (kinds: Iterable<Cell>, how: Cell = null): Rows =>
    [...kinds].map((kind, n) => [n, "2024-05-01 10:00:00", kind, how, n, null, null, null]);
  const numbered = (count: number, name = "answer") =>
    Array.from({ length: count }, (_, n) => `${name} ${n}`);
  const answersOf = ({ columns }: Profile, name: string) =>
    columns.find((column) => column.name === name)?.answers?.length;

  test("a column with more than 100 answers is not closed, and keeps its other counts", () => {
    expect(answersOf(counted(entry, own, rowsWith(numbered(maxAnswers))), "kind")).toBe(maxAnswers);
    const open = counted(entry, own, rowsWith([...numbered(maxAnswers + 1), "answer 0"]));
    expect(answersOf(open, "kind")).toBeUndefined();
    expect(open.columns[2]).toMatchObject({ filled: maxAnswers + 2 });
  });

  test("a column with more than 2,000 combinations of answers is not closed", () => {
    const combined = (count: number) =>
      Array.from({ length: count }, (_, n) => `a ${n % 50}; b ${Math.floor(n / 50)}`);
    const rows = (count: number) => combined(count).flatMap((how) => rowsWith(["x"], how));
    expect(answersOf(counted(entry, own, rows(2_000)), 'how, "many"')).toBe(90);
    expect(answersOf(counted(entry, own, rows(2_001)), 'how, "many"')).toBeUndefined();
  });

  test("more than 2,000 pairs are not counted", () => {
    const rows = (count: number) => numbered(count).flatMap((kind) => rowsWith([kind], "x"));
    expect(counted(entry, own, rows(maxPairs)).pairs).toHaveLength(maxPairs);
    expect(counted(entry, own, rows(maxPairs + 1)).pairs).toBeUndefined();
  });

  test("pairs and repeats are missing if the dataset does not ask for them", () => {
    const { pairs, repeats } = counted({ ...entry, roles: {} }, own, rowsWith(["x"]));
    expect([pairs, repeats]).toEqual([undefined, undefined]);
  });

  test("the profile does not grow with the rows", () => {
    const fast = new RowProfile({ ...entry, expectations }, own, headers);
    const sizes = [1, 2].map(() => {
      for (let part = 0; part < 10; part++) {
        const kinds = numbered(3_000, `part ${part}`);
        fast.add(Buffer.from(csvRows(rowsWith(kinds, "x"))));
      }
      return JSON.stringify(fast.profile()).length;
    });
    expect(sizes[0]).toBeLessThan(15_000);
    expect(sizes[1]).toBeLessThan((sizes[0] ?? 0) + 1_000);
  });
});

describe("the profile of simulated records", () => {
  const folder = useFolder();
  const file = join(folder, "data.csv");
  test("equals what DuckDB counts in the CSV", async () => {
    const dataset = datasetSchema.parse({
      ...defaultDataset,
      expectations: [{ kind: "unique" }],
    });
    const generated = generateRecords({ count: 3_000, seed: 7 });
    const records = Array.from({ length: generated.count }, (_, n) => generated.record(n));
    const dates = records
      .map(({ _start_date }) => String(_start_date ?? "").slice(0, 10))
      .filter(Boolean)
      .sort();
    const range = { from: dates[0] ?? "", to: dates.at(-1) ?? "" };
    // Every record of a day, imported a second time.
    const copied = records.filter(({ _start_date }) => String(_start_date).startsWith(dates[1_500] ?? "?"));
    const again = copied.map((record, n) => ({ ...record, _id: 90_000_000 + n }));
    const page = transformPage([...records, ...again], dataset);
    const own = outputColumns(dataset.columns);
    const fast = new RowProfile(dataset, range, own);
    fast.add(Buffer.from(page.csv));
    const profile = fast.profile();
    await writeFile(file, csvRows([own]) + page.csv);

    const connection = await (await DuckDBInstance.create()).connect();
    const from = `read_csv('${file}', all_varchar = true, header = true, allow_quoted_nulls = false)`;
    const when = `try_cast("_start_date" as timestamp)`;
    const select = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJson();
    const countsOf = async (sql: string) =>
      Object.fromEntries((await select(sql)).map(([key, n]) => [String(key), Number(n)]));
    const withoutZeros = (counts: Iterable<[string, number]>) =>
      Object.fromEntries([...counts].filter(([, n]) => n > 0));

    expect([[String(profile.rows), String(profile.undated)]]).toEqual(
      await select(`select count(*), count(*) filter (${when} is null) from ${from}`),
    );
    const days = profile.days.map((rows, n): [string, number] => [
      dateOf(Date.parse(range.from) + n * dayMs),
      rows,
    ]);
    expect(withoutZeros(days)).toEqual(
      await countsOf(`select ${when}::date, count(*) from ${from} group by 1`),
    );
    const weekly = (weeks: number[]) =>
      withoutZeros(weeks.map((rows, n) => [dateOf(Date.parse(profile.firstWeek) + n * 7 * dayMs), rows]));
    const inWeeks = `${when}::date >= '${profile.firstWeek}'`;
    expect(weekly(profile.weeks)).toEqual(
      await countsOf(
        `select date_trunc('week', ${when})::date, count(*) from ${from} where ${inWeeks} group by 1`,
      ),
    );
    const hours = profile.hours.flatMap((own, day) =>
      own.map((rows, hour): [string, number] => [`${day + 1} ${hour}`, rows]),
    );
    expect(withoutZeros(hours)).toEqual(
      await countsOf(
        `select isodow(${when}) || ' ' || hour(${when}), count(*) from ${from} where ${when}::date > date '${range.to}' - 364 group by 1`,
      ),
    );
    for (const { name, filled, weeks, answers } of profile.columns) {
      const cell = `"${name}"`;
      expect([[String(filled)]]).toEqual(await select(`select count(*) from ${from} where ${cell} <> ''`));
      expect(weekly(weeks)).toEqual(
        await countsOf(
          `select date_trunc('week', ${when})::date, count(*) from ${from} where ${cell} <> '' and ${inWeeks} group by 1`,
        ),
      );
      if (!answers) continue;
      const each = name === "Question Type" ? cell : `unnest(string_split(${cell}, '; '))`;
      const cells = `(select ${each} as answer from ${from} where ${cell} <> '')`;
      expect(Object.fromEntries(answers.map(({ answer, rows }) => [answer, rows]))).toEqual(
        await countsOf(`select answer, count(*) from ${cells} group by 1`),
      );
    }
    const year = `year(${when}) + (month(${when}) >= 7)::int`;
    const pairs = profile.pairs?.map(({ fiscalYear, questionType, mode, rows, instruction, minutes }) => [
      fiscalYear === null ? null : String(fiscalYear),
      questionType,
      mode,
      String(rows),
      String(instruction),
      minutes,
    ]);
    const sorted = (rows: unknown[] = []) => rows.map((row) => JSON.stringify(row)).sort();
    expect(sorted(pairs)).toEqual(
      sorted(
        await select(
          `select (${year})::varchar, nullif("Question Type", ''), nullif(mode, ''), count(*), count(*) filter (Location = 'Classroom / Instruction'), coalesce(sum(try_cast("Duration (in minutes)" as double)), 0) from ${from} group by all`,
        ),
      ),
    );
    const repeated = profile.repeats?.[0]?.different.map((rows, n): [string, number] => [
      days[n]?.[0] ?? "",
      rows,
    ]);
    expect(withoutZeros(repeated ?? [])).toEqual(
      await countsOf(
        `select day, count(*) from (select ${when}::date as day, * exclude (_id), count(*) as n from ${from} where ${when} is not null group by all having n > 1) group by 1`,
      ),
    );
    connection.closeSync();
  });
});
