// Hostile text on its whole way: from a LibInsight record through the transformer and the CSV's writer into the table,
// read by the rules of Hive's OpenCSVSerde (stacks/local/aws/athena-csv.ts has them with their sources), and by two
// readers that nobody here wrote.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBBlobValue, DuckDBInstance } from "@duckdb/node-api";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tableColumns } from "../../../../services/athena/columns.ts";
import { createTable, tableOf as definitionOf } from "../../../../services/athena/sql.ts";
import { transformPage } from "../../../../services/transformer/page.ts";
import { csvRows } from "../../../../shared/csv.ts";
import { outputColumns } from "../../../../shared/dataset.ts";
import { type Field, readLines, rowSplitter } from "../../../../stacks/local/aws/athena-csv.ts";
import { parseStatement } from "../../../../stacks/local/aws/athena-ddl.ts";
import { readRelation, type Table, tableDefinition } from "../../../../stacks/local/aws/athena-relations.ts";
import { datasetOf } from "../../../factories/datasets.ts";
import { parseCsv } from "../../../support/transformed.ts";

const dataset = datasetOf([
  { name: "at", type: "timestamp" },
  { name: "note", type: "text" },
  { name: "minutes", type: "number" },
  { name: "count", type: "integer" },
  { name: "both", join: ["one", "two"], with: " / " },
]);

let directory: string;
let duckDb: DuckDBInstance;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "athena-csv-"));
  duckDb = await DuckDBInstance.create(":memory:");
});
afterAll(async () => {
  duckDb.closeSync();
  await rm(directory, { recursive: true, force: true });
});

type Record = { [field: string]: unknown };

/** The published file of these records, and what the JSON lines say of each of its fields. */
function publish(records: Record[]) {
  const page = transformPage(records, dataset);
  const headers = [...outputColumns(dataset.columns), ...page.summary.appended];
  const rows = page.jsonl.split("\n").slice(0, -1);
  return {
    headers,
    bytes: Buffer.from(csvRows([headers]) + page.csv),
    // The format has no null of its own: the table shows it as empty text.
    values: rows.map((line) => {
      const members = new Map(Object.entries<unknown>(JSON.parse(line)));
      return headers.map((header) => String(members.get(header) ?? ""));
    }),
  };
}

/** The table as the pipeline's own statement makes it. */
function tableOf(headers: string[]): Table {
  const definition = definitionOf(dataset, tableColumns(headers, dataset), "data");
  const sql = createTable("library", dataset.publish.table, definition);
  const statement = parseStatement(sql, undefined);
  if (statement.kind !== "create table") throw new Error(`The statement makes no table: ${statement.kind}`);
  const { relation, table } = statement;
  const read = readRelation({ ...relation, definition: tableDefinition(relation.name, table) });
  if (read.kind !== "table") throw new Error("The table is a view.");
  return read;
}

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAsAthena(bytes: Uint8Array, table: Table, chunkSize = 64 * 1024): Promise<Field[][]> {
  const split = rowSplitter(table.dialect, table.columns.length);
  const rows: Field[][] = [];
  for await (const line of readLines(chunks(bytes, chunkSize))) rows.push(split(line));
  return rows.slice(table.skipLines);
}

async function readWithDuckDb(bytes: Uint8Array, columns: number): Promise<unknown[][]> {
  const file = join(directory, "rows.csv");
  await writeFile(file, bytes);
  const names = Array.from({ length: columns }, (_, n) => `'c${n}': 'VARCHAR'`);
  const connection = await duckDb.connect();
  try {
    const result = await connection.runAndReadAll(
      // As bytes: as strings they would come without a byte order mark at their head.
      `SELECT encode(COLUMNS(*)) FROM read_csv('${file}', columns = {${names.join(", ")}}, auto_detect = false, header = true, delim = ',',
         quote = '"', escape = '"', new_line = '\\n', allow_quoted_nulls = false, max_line_size = 10000000)`,
    );
    return result
      .getRows()
      .map((row) =>
        row.map((field) => (field instanceof DuckDBBlobValue ? Buffer.from(field.bytes).toString() : "")),
      );
  } finally {
    connection.closeSync();
  }
}

/** What the file has to say of a text: one line, nothing that can't be shown, everything else as it was. */
function cleaned(text: string): string {
  let clean = "";
  let inBreak = false;
  for (const character of text) {
    const isBreak = "\n\v\f\r\u0085\u2028\u2029".includes(character);
    if (isBreak && !inBreak) clean += " ";
    else if (character === "\t") clean += " ";
    else if (!isBreak && !/[\p{Cc}\p{Cs}]/u.test(character)) clean += character;
    inBreak = isBreak;
  }
  return clean;
}

const hostile = [
  'He said "hi"',
  '"',
  '""',
  '"""',
  '","',
  '",',
  ',"',
  '"\n"',
  ",",
  ",,,",
  "ends in a backslash \\",
  "\\",
  "\\\\",
  '\\"',
  '\\",',
  "\\N",
  "C:\\new\\table",
  "tab\there",
  "one\ntwo\rthree\r\nfour\u0085five\u2028six\u2029seven\veight\fnine",
  "\r",
  "\n",
  "\r\n\r\n",
  "👩‍👩‍👧 Ünïcödé 図書館",
  "\ud83d",
  "\udc69 \ud83d\ud83d\udc69",
  "\u0000",
  "\u0001",
  '\u0001"\u0001',
  "a\u0001,b",
  "bell\u0007 escape\u001b[31m delete\u007f",
  "\ufeffbyte order mark",
  "=1+1",
  "=cmd|' /C calc'!A0",
  "@SUM(A1)",
  "+1",
  "-1",
  "",
  " ",
  "   ",
  "\t",
  "\u00a0",
  '  "quoted" after blanks',
  ' "',
  '" ',
  "_id,at,note",
  '"_id","at","note"',
  "NULL",
  "null",
  "'; DROP TABLE library; --",
  "𝕏".repeat(25_000),
  '"'.repeat(1_001),
  `${'a "b", '.repeat(14_000)}\\`,
];

test("every hostile text comes back as the transformer says it, in its own column and row", async () => {
  const records = hostile.map((text, n) => ({
    _id: n,
    at: "2024-03-10 02:30:00",
    note: text,
    one: text,
    two: text,
    undeclared: text,
  }));
  const { headers, bytes, values } = publish(records);
  const rows = await readAsAthena(bytes, tableOf(headers));

  expect(rows.map((row) => row[0])).toEqual(hostile.map((_, n) => String(n)));
  expect(rows.map((row) => row[2])).toEqual(hostile.map(cleaned));
  expect(rows.map((row) => row.at(-1))).toEqual(hostile.map(cleaned));
  expect(rows.map((row) => row[5])).toEqual(hostile.map((text) => `${cleaned(text)} / ${cleaned(text)}`));
  expect(rows).toEqual(values);
});

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom('"', ",", "\\", " ", "\n", "\r", "\t", "a", "\u0001", "\u2028", "\u00a0"),
  }),
  fc.string({ unit: fc.constantFrom('"', ",", "\ud83d", "\udc69", "\u0085", "\u0000", "x"), maxLength: 12 }),
  fc.constantFrom(...hostile.filter(({ length }) => length < 100)),
);
const value = fc.oneof(
  { weight: 6, arbitrary: text },
  fc.constantFrom(null, undefined, true, 0, -1.5, 1e21, [], {}),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(text, text, { maxKeys: 2 }),
);
// Without a backslash, after which V8's JSON.parse may take another label for this one:
// https://github.com/nodejs/node/issues/63785
const label = text.map((any) => any.replaceAll("\\", ""));
const record = fc
  .tuple(
    fc.record({ at: value, note: text, minutes: value, count: value, one: value, two: value }),
    fc.dictionary(label, value, { maxKeys: 3 }),
  )
  .map(([declared, undeclared]): Record => ({ ...undeclared, ...declared }));
const records = fc
  .array(record, { minLength: 1, maxLength: 30 })
  .map((all) => all.map((one, n): Record => ({ ...one, _id: n })));

test("whatever the records, no field and no row shifts, and three readers agree", async () => {
  await fc.assert(
    fc.asyncProperty(records, fc.integer({ min: 1, max: 300 }), async (given, chunkSize) => {
      const { headers, bytes, values } = publish(given);
      const rows = await readAsAthena(bytes, tableOf(headers), chunkSize);
      expect(rows.map((row) => row[2])).toEqual(given.map(({ note }) => cleaned(String(note))));
      expect(rows).toEqual(values);
      const [header, ...parsed] = parseCsv(bytes.toString("utf8"));
      expect(header).toEqual(headers);
      expect(parsed.map((row) => row.map((field) => field ?? ""))).toEqual(values);
      expect(await readWithDuckDb(bytes, headers.length)).toEqual(values);
    }),
    { numRuns: 150 },
  );
});

test("null and empty text are two things in the file, and empty text in the table", async () => {
  const { headers, bytes } = publish([
    { _id: 1, note: "", minutes: 5 },
    { _id: 2, note: null, minutes: " " },
    { _id: 3, note: " " },
  ]);
  expect(parseCsv(bytes.toString()).map((row) => row[2])).toEqual(["note", "", null, " "]);
  const rows = await readAsAthena(bytes, tableOf(headers));
  expect(rows.map((row) => [row[2], row[3]])).toEqual([
    ["", "5"],
    ["", ""],
    [" ", ""],
  ]);
});

describe("the escape character of the table", () => {
  test("is U+0001, in both spellings that Hive knows", () => {
    expect(tableOf(["_id"]).dialect).toEqual({ separator: ",", quote: '"', escape: "\u0001" });
    const statement = (literal: string) =>
      parseStatement(
        `CREATE EXTERNAL TABLE library.t (a string) ROW FORMAT SERDE 'x' WITH SERDEPROPERTIES ('escapeChar' = ${literal})
         LOCATION 's3://data/t/'`,
        undefined,
      );
    for (const literal of ["'\\u0001'", "'\\001'", '"\\u0001"', "'\u0001'"]) {
      expect(statement(literal)).toMatchObject({ table: { serdeProperties: { escapeChar: "\u0001" } } });
    }
  });

  test("is in no published file, whatever the records", () => {
    fc.assert(
      fc.property(records, (given) => {
        expect(publish(given).bytes.includes("\u0001")).toBe(false);
      }),
    );
  });
});

/** opencsv's own way, in plain steps: the whole line, then the table's columns. */
function openCsv(line: string, count: number, dialect: Table["dialect"]): Field[] {
  const { separator, quote, escape: escapeMark } = dialect;
  const fields: Field[] = [];
  let field = "";
  let inQuotes = false;
  let inField = false;
  for (let at = 0; at < line.length; at++) {
    const [before = "", character = "", next = ""] = [line[at - 1], line[at], line[at + 1]];
    const begun = inQuotes || inField;
    if (character === escapeMark) {
      if (begun && (next === quote || next === escapeMark)) {
        field += next;
        at += 1;
      }
    } else if (character === quote) {
      if (begun && next === quote) {
        field += quote;
        at += 1;
      } else {
        if (at > 2 && before !== separator && next !== "" && next !== separator) {
          const isBlank = field !== "" && !/[\S\u00a0\u2007\u202f\ufeff]/.test(field);
          field = isBlank ? "" : field + quote;
        }
        inQuotes = !inQuotes;
      }
      inField = !inField;
    } else if (character === separator && !inQuotes) {
      fields.push(field);
      field = "";
      inField = false;
    } else {
      field += character;
      inField = true;
    }
  }
  // A field with an open quote waits for a next line, which never comes.
  if (!inQuotes && line !== "") fields.push(field);
  return Array.from({ length: count }, (_, n) => fields[n] ?? null);
}

test("any line, also one that no writer of ours makes, is split as opencsv splits it", () => {
  const line = fc.string({
    unit: fc.constantFrom('"', '"', ",", "\\", " ", "\u00a0", "\u2003", "a", "bc"),
    maxLength: 30,
  });
  const escapeMark = fc.constantFrom("\\", "\u0001", "a");
  fc.assert(
    fc.property(line, fc.integer({ min: 1, max: 5 }), escapeMark, (given, count, mark) => {
      const dialect = { separator: ",", quote: '"', escape: mark };
      expect(rowSplitter(dialect, count)(given)).toEqual(openCsv(given, count, dialect));
    }),
    { numRuns: 20_000 },
  );
});
