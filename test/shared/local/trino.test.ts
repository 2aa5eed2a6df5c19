// Compares casts and formats on DuckDB with a plain implementation of Trino's rules.
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { DuckDbQueryEngine } from "../../../shared/local/duckdb.ts";
import { LocalStore } from "../../../shared/local/local-store.ts";
import { LocalDatabase } from "../../../shared/local/sqlite.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const folder = useFolder();
const database = new LocalDatabase(":memory:");
const engine = new DuckDbQueryEngine({
  database: "library",
  catalog: new LocalStore(database, { bucket: "work", folder, keepsVersions: false }),
  temporaryFolder: join(folder, "tmp"),
  // No query here has a table or a result file.
  filesIn: async () => [],
  adopt: async () => {},
  onEnd: async () => {},
});
afterAll(async () => {
  await engine.close();
  database.close();
});

type Field = string | null;

async function query(sql: string): Promise<Field[][]> {
  return (await engine.firstRows(sql, "out", 999)).rows;
}

/** Returns each text cast to the three types. */
async function cast(texts: string[]): Promise<Field[][]> {
  const values = texts.map((text, index) => `(${index}, '${text.replaceAll("'", "''")}')`);
  return await query(`SELECT TRY_CAST(x AS bigint), TRY_CAST(x AS double), TRY_CAST(x AS timestamp)
    FROM (VALUES ${values.join(", ")}) AS t (n, x) ORDER BY n`);
}

/** Parses like Java's Long.parseLong: an optional sign, then digits. */
function bigint(text: string): string | null {
  if (!/^[+-]?\d+$/.test(text)) return null;
  const value = BigInt(text.replace("+", ""));
  return BigInt.asIntN(64, value) === value ? String(value) : null;
}

/** Parses like Java's Double.parseDouble, which trims characters up to U+0020 and accepts a type suffix (f or d). */
function double(text: string): number | null {
  const trimmed = text.replace(/^[\0- ]+|[\0- ]+$/g, "");
  if (/^[+-]?NaN$/.test(trimmed)) return Number.NaN;
  if (/^[+-]?Infinity$/.test(trimmed)) return Number(trimmed);
  const digits = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?$/.exec(trimmed)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** Matches Java's white space, which excludes no-break spaces. */
const outerBlanks = /^[^\S\u00a0\u2007\u202f\ufeff]+|[^\S\u00a0\u2007\u202f\ufeff]+$/g;

/** Parses like Trino: trimmed, one space before the time, numbers of one or two digits, a valid day and time. */
function timestamp(text: string): string | null {
  const [year = "", month, date, rest = ""] =
    /^(\d{4})-(\d{1,2})-(\d{1,2})(?: (.*))?$/s.exec(text.replace(outerBlanks, ""))?.slice(1) ?? [];
  if (year === "") return null;
  const clock = /^(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,18}))?)?/.exec(rest);
  const zone = rest.slice(clock?.[0].length ?? 0).replace(/^[\t-\r ]+/, "");
  if (!/^(|Z|UTC|GMT|[+-]0[0-9]:[0-5][0-9])$/.test(zone)) return null;
  const [hours, minutes, seconds] = [1, 2, 3].map((group) => Number(clock?.[group] ?? 0));
  const whole = new Date(0);
  whole.setUTCFullYear(Number(year), Number(month) - 1, Number(date));
  whole.setUTCHours(hours ?? 0, minutes, seconds);
  const given = [Number(year), Number(month), Number(date), hours, minutes, seconds];
  const got = [
    ...[whole.getUTCFullYear(), whole.getUTCMonth() + 1, whole.getUTCDate()],
    ...[whole.getUTCHours(), whole.getUTCMinutes(), whole.getUTCSeconds()],
  ];
  if (given.join() !== got.join()) return null;
  const milliseconds = Math.round(Number(`${(clock?.[4] ?? "0").padEnd(4, "0").slice(0, 4)}`) / 10);
  return new Date(whole.getTime() + milliseconds).toISOString().replace("T", " ").replace("Z", "");
}

/** Compares all texts and shows those that differ. */
async function expectTrino(texts: string[]): Promise<void> {
  const rows = await cast(texts);
  const pairs = texts.map((text, n) => {
    const [whole, number, time] = rows[n] ?? [];
    return {
      actual: [text, whole, typeof number === "string" ? Number(number) : number, time],
      expected: [text, bigint(text), double(text), timestamp(text)],
    };
  });
  const differing = pairs.filter(({ actual, expected }) => !isDeepStrictEqual(actual, expected));
  expect(differing.map(({ actual }) => actual)).toEqual(differing.map(({ expected }) => expected));
}

const examples: [string, string | null, string | null, string | null][] = [
  ["7", "7", "7.0", null],
  ["-0", "0", "-0.0", null],
  [" 7 ", null, "7.0", null],
  ["\u00a07", null, null, null],
  ["1e3", null, "1000.0", null],
  ["1e21", null, "1.0E21", null],
  ["1d", null, "1.0", null],
  ["infinity", null, null, null],
  ["Infinity", null, "Infinity", null],
  ["1e999", null, "Infinity", null],
  ["9223372036854775807", "9223372036854775807", "9.223372036854776E18", null],
  ["9223372036854775808", null, "9.223372036854776E18", null],
  ["", null, null, null],
  ["2024-01-02", null, null, "2024-01-02 00:00:00.000"],
  ["2024-1-2 3:4", null, null, "2024-01-02 03:04:00.000"],
  [" 2024-01-02 03:04:05 ", null, null, "2024-01-02 03:04:05.000"],
  ["2024-01-02 03:04:05.9995", null, null, "2024-01-02 03:04:06.000"],
  ["2024-01-02T03:04:05", null, null, null],
  ["2024-01-02  03:04:05", null, null, null],
  ["2024-01-02 24:00:00", null, null, null],
  ["2024-01-02 03:04:60", null, null, null],
  ["2024-02-30 03:04:05", null, null, null],
  ["2024-01-02 03:04:05Z", null, null, "2024-01-02 03:04:05.000"],
  ["2024-01-02 03:04:05 UTC+05:30", null, null, "2024-01-02 03:04:05.000"],
  ["2024-01-02 03:04:05 +19:00", null, null, null],
  ["2024-01-02 03:04:05 PM", null, null, null],
  ["20240102", "20240102", "2.0240102E7", null],
  ["+02024-01-02", null, null, "2024-01-02 00:00:00.000"],
];

test("casts texts like Trino", async () => {
  const texts = examples.map(([text]) => text);
  const rows = await cast(texts);
  expect(rows.map((row, n) => [texts[n], ...row])).toEqual(examples);
});

const digits = (min: number, max: number) => fc.stringMatching(new RegExp(`^[0-9]{${min},${max}}$`));
/** Generates a part of a text, sometimes an invalid one. */
const part = (good: fc.Arbitrary<string>, ...bad: string[]) =>
  fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: fc.constantFrom("", ...bad) });
const oneOf = (...texts: [string, ...string[]]) => fc.constantFrom(...texts);
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((texts) => texts.join(""));

const blanks = part(fc.constant(""), " ", "\t", "  ", "\u2003", "\u00a0");
const number = joined(
  ...[blanks, part(oneOf("", "+", "-"), "--"), part(digits(1, 20), "NaN", "Infinity", "inf")],
  ...[
    part(oneOf("", ".5", ".", ".000125"), ",5", ".."),
    part(oneOf("", "e5", "E-3", "e+308"), "e", "_"),
    part(oneOf("", "", "d"), "L"),
    blanks,
  ],
);
const minutes = fc.nat(60).map(String);
const time = joined(
  ...[blanks, part(digits(4, 4), "24"), part(fc.constant("-"), "/"), part(fc.nat(13).map(String), "001")],
  ...[fc.constant("-"), part(fc.nat(32).map(String)), part(fc.constant(" "), "T", "  ")],
  ...[part(fc.nat(24).map(String)), part(fc.constant(":"), "."), part(minutes), part(fc.constant(":"), "::")],
  ...[
    part(minutes),
    part(fc.constant("."), ","),
    part(digits(1, 6)),
    part(oneOf("", "Z", " UTC", "+05:00"), " PM", "x"),
    blanks,
  ],
);
const anything = fc
  .string({ unit: "binary", maxLength: 12 })
  .map((text) => text.replace(/[\0\p{Cs}\p{Nd}]/gu, ""));

test("casts any text to bigint, double and timestamp like Trino", async () => {
  const text = fc.oneof(
    { weight: 3, arbitrary: number },
    { weight: 4, arbitrary: time },
    { weight: 1, arbitrary: fc.double().map(String) },
    { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(..."0159+-.eEfd_x :TZN") }) },
    { weight: 1, arbitrary: anything },
  );
  await fc.assert(fc.asyncProperty(fc.array(text, { minLength: 200, maxLength: 400 }), expectTrino), {
    numRuns: 20,
    endOnFailure: true,
  });
});

test("casts types other than text like DuckDB", async () => {
  expect(
    await query(`SELECT TRY_CAST(1.25 AS double), TRY_CAST(true AS bigint), TRY_CAST(NULL AS timestamp),
      TRY_CAST(date '2024-01-02' AS timestamp), TRY_CAST('2024-01-02' AS date), TRY_CAST('x' AS integer)`),
  ).toEqual([["1.25", "1", null, "2024-01-02 00:00:00.000", "2024-01-02", null]]);
});

test("extracts the parts of a time like Trino", async () => {
  const days = Array.from({ length: 7 }, (_, n) => `(timestamp '2024-07-0${n + 1} 23:05:00')`);
  expect(
    await query(`SELECT year(t), month(t), hour(t), day_of_week(t), CASE WHEN month(t) >= 7 THEN year(t) + 1 ELSE year(t) END
      FROM (VALUES ${days.join(", ")}) AS x (t) ORDER BY t`),
  ).toEqual(Array.from({ length: 7 }, (_, n) => ["2024", "7", "23", String(n + 1), "2025"]));
  expect(await query("SELECT day_of_week(TRY_CAST('soon' AS timestamp))")).toEqual([[null]]);
});

/** Formats like Java's Double.toString: 1.0, 0.25, 1.5E10, 1.0E-5. */
function javaText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e7))
    return Number.isInteger(value) ? `${value}.0` : String(value);
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  return `${digits.includes(".") ? digits : `${digits}.0`}E${Number(exponent)}`;
}

test("formats any number like Java", async () => {
  const edges = [0, -0, 1, 999, 1e7, 9_999_999.999, 1e-3, 9.99e-4, 1e16, 1e21, 5e-324, Number.MAX_VALUE];
  const number = fc.oneof(
    fc.double(),
    fc.constantFrom(...edges, ...edges.map((edge) => -edge)),
    fc
      .tuple(fc.integer(), fc.integer({ min: -12, max: 25 }))
      .map(([digits, exponent]) => digits * 10 ** exponent),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(number, { minLength: 100, maxLength: 400 }), async (numbers) => {
      const values = numbers.map((value, n) => `(${n}, '${Object.is(value, -0) ? "-0.0" : value}')`);
      const rows = await query(
        `SELECT CAST(x AS double) FROM (VALUES ${values.join(", ")}) AS t (n, x) ORDER BY n`,
      );
      expect(rows.flat()).toEqual(numbers.map(javaText));
    }),
    { numRuns: 20 },
  );
});

test("finds casts at any nesting and with line breaks, but not in texts, names and comments", async () => {
  expect(
    await query(`SELECT TRY_CAST(TRY_CAST('7d' AS double) AS bigint), try_cast ( '1d' as DOUBLE ),
      TRY_CAST((SELECT max(x) AS y FROM (VALUES ('1d')) AS t (x)) AS double), TRY_CAST('1d' AS -- as bigint)
      double), TRY_CAST(' AS double)' AS bigint), TRY_CAST(concat('1', CAST('d' AS varchar)) AS double)`),
  ).toEqual([["7", "1.0", "1.0", "1.0", null, "1.0"]]);
  const text = "it's TRY_CAST(a AS bigint)";
  expect(
    await query(`SELECT 'it''s TRY_CAST(a AS bigint)', "a ""TRY_CAST(a AS bigint)" /* TRY_CAST(a AS
      bigint) */ FROM (SELECT 'it''s TRY_CAST(a AS bigint)' AS "a ""TRY_CAST(a AS bigint)") -- TRY_CAST(a AS bigint)`),
  ).toEqual([[text, text]]);
  expect(await query("SELECT TRY_CAST('1.239' AS decimal(10, 2)), CAST('7' AS bigint)")).toEqual([
    ["1.24", "7"],
  ]);
  for (const broken of ["TRY_CAST('1' AS bigint", "TRY_CAST('1' bigint)", "my_try_cast('1' AS bigint)"])
    await expect(query(`SELECT ${broken}`)).rejects.toMatchObject({ name: "StatementFailed" });
});
