import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  type Cell,
  countCsvRows,
  countedRows,
  csvFieldText,
  csvRows,
  splitCsvRow,
} from "../../shared/csv.ts";

const character = fc.oneof(
  fc.constantFrom(..."\",\\' ;=#\u{1F4DA}\uFEFF\uFFFF\u2028", '""', '\\"'),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }).filter((one) => !/\p{Cc}/u.test(one)),
);
const text = fc.oneof(
  fc.string({ unit: character }),
  fc.constantFrom("", "NULL", "null", "1", "-0", "1e5", '"'),
);
const number = fc.oneof(
  fc.constantFrom(0, -0, 1e21, -1e21, 1e-7, 5e-324, 0.1, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const cell = fc.oneof({ weight: 3, arbitrary: text }, number, fc.constant(null));

/** Rows of one width. */
const tables: fc.Arbitrary<Cell[][]> = fc
  .integer({ min: 1, max: 6 })
  .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 8 }));

/** Returns a cell as it is read. In CSV, zero has no sign. */
function expected(value: Cell): Cell {
  return value === 0 ? 0 : value;
}

const cells = z.array(z.array(z.union([z.string(), z.number(), z.null()])));

/** Reads a CSV with csv-parse, which reports whether a field was quoted. */
function readByCsvParse(csv: string): Cell[][] {
  const read: unknown = parse(csv, {
    record_delimiter: "\n",
    cast: (field, { quoting }) => (quoting ? field : field === "" ? null : Number(field)),
  });
  return cells.parse(read);
}

test("writes any table so that csv-parse reads it back, with null distinct from the empty text", () => {
  fc.assert(
    fc.property(tables, (rows) => {
      expect(readByCsvParse(csvRows(rows))).toEqual(rows.map((row) => row.map(expected)));
    }),
    { numRuns: 300 },
  );
});

test("splits a row into the same fields as csv-parse", () => {
  fc.assert(
    fc.property(tables, (rows) => {
      const lines = csvRows(rows).split("\n").slice(0, -1);
      expect(lines).toHaveLength(rows.length);
      const fields = lines.map(splitCsvRow);
      expect(fields.map((row) => row.join(","))).toEqual(lines);
      const values = fields.map((row) =>
        row.map((field) => (field.startsWith('"') || field === "" ? csvFieldText(field) : Number(field))),
      );
      const read = readByCsvParse(csvRows(rows));
      expect(values).toEqual(read.map((row) => row.map((value) => value ?? "")));
    }),
    { numRuns: 300 },
  );
});

test.each([
  ["as long as a response of LibInsight", "x".repeat(100).concat('""').repeat(600_000)],
  ["of 8 million quotes", '"'.repeat(16_000_000)],
])("splits a row with a field %s", (_, text) => {
  const field = `"${text}"`;
  const fields = splitCsvRow(`1,${field},2`);
  expect(fields.map((one) => one.length)).toEqual([1, field.length, 1]);
});

test("ends an unclosed field at the end of its line", () => {
  expect(splitCsvRow('1,"a,""b')).toEqual(["1", '"a,""b']);
});

test("writes a text of 8 million quotes as one field", () => {
  const text = '"'.repeat(8_000_000);
  const [line = ""] = csvRows([[1, text, 2]]).split("\n");
  const [, field = ""] = splitCsvRow(line);
  expect(csvFieldText(field) === text).toBe(true);
});

test("writes numbers unquoted, texts quoted, null empty, and a line per row", () => {
  expect(csvRows([[1, -0.5, 1e21, "1", "", null, 'say "hi"', "C:\\x"]])).toBe(
    '1,-0.5,1e+21,"1","",,"say ""hi""","C:\\x"\n',
  );
  expect(csvRows([])).toBe("");
});

/** Returns the bytes in chunks of one length. */
async function* chunked(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += length) yield bytes.subarray(from, from + length);
}

const hostile = fc.string({ unit: fc.constantFrom('"', "\n", "\r", ",", "\\", "a", "💥"), maxLength: 8 });
const hostileRows = fc
  .integer({ min: 1, max: 3 })
  .chain((width) =>
    fc.array(fc.array(hostile, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 20 }),
  );

test("counts rows of any content in chunks of any size, and passes them unchanged", async () => {
  const chunkBytes = fc.integer({ min: 1, max: 7 });
  await fc.assert(
    fc.asyncProperty(hostileRows, chunkBytes, fc.boolean(), async (rows, length, endsWithNewline) => {
      const csv = csvRows(rows);
      const bytes = Buffer.from(endsWithNewline ? csv : csv.slice(0, -1));
      let counted: number | undefined;
      const passed = await Array.fromAsync(
        countedRows(chunked(bytes, length), (count) => {
          counted = count;
        }),
      );
      expect(Buffer.concat(passed).equals(bytes)).toBe(true);
      expect(counted).toBe(rows.length - 1);
      expect(parse(bytes)).toHaveLength(rows.length);
    }),
    { numRuns: 300 },
  );
});

test.each([
  ["", 0],
  ['"a"', 0],
  ['"a"\n', 0],
  ['"a"\n"1"', 1],
  ['"a"\n\n', 1],
])("counts the rows of %j as %i", async (text, rows) => {
  expect(await countCsvRows(chunked(Buffer.from(text), 2))).toBe(rows);
});
