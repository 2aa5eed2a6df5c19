import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { countRows } from "../../../services/athena/rows.ts";
import { formatRows } from "../../../stacks/local/aws/athena-csv.ts";

/** The bytes in chunks of this length. */
async function* chunked(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += length) yield bytes.subarray(from, from + length);
}

const hostile = fc.oneof(
  fc.constant(null),
  fc.string({ unit: fc.constantFrom('"', "\n", "\r", ",", "\\", "a", "💥"), maxLength: 8 }),
);

test("a result has as many rows as another reader finds in it, wherever its chunks are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }).chain((width) =>
        fc.array(fc.array(hostile, { minLength: width, maxLength: width }), {
          minLength: 1,
          maxLength: 20,
        }),
      ),
      fc.integer({ min: 1, max: 7 }),
      fc.boolean(),
      async (rows, length, endsWithNewline) => {
        const header = rows[0]?.map((_, index) => `c${index}`) ?? [];
        const text = formatRows([header, ...rows]);
        const bytes = Buffer.from(endsWithNewline ? text : text.slice(0, -1));
        // An empty line is a row of one null, which csv-parse would leave out in a file of one column.
        fc.pre(!(header.length === 1 && rows.some(([only]) => only === null)));
        expect(await countRows(chunked(bytes, length))).toBe(
          parse(bytes, { columns: false, relax_column_count: true }).length - 1,
        );
        expect(await countRows(chunked(bytes, length))).toBe(rows.length);
      },
    ),
    { numRuns: 500 },
  );
});

test.each([
  ["", 0],
  ['"a"', 0],
  ['"a"\n', 0],
  ['"a"\n"1"', 1],
  ['"a"\n\n', 1],
])("%j has %i rows", async (text, rows) => {
  expect(await countRows(chunked(Buffer.from(text), 2))).toBe(rows);
});
