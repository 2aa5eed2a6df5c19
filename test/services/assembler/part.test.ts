import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fitCsv, fitJsonl, isCopiedAsIs } from "../../../services/assembler/part.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";

/** Rows with `_id`, two declared columns and what their part appended; the headers that all parts append. */
type Case = { rows: Cell[][]; appended: string[]; allAppended: string[]; skip: number[] };

// Text as the transformer leaves it: on one line, without control characters.
const text = fc.string({ unit: fc.constantFrom('"', ",", "\\", " ", "a", "é", "💥", "n", "0") });
const cell: fc.Arbitrary<Cell> = fc.oneof(
  text,
  fc.constant(null),
  fc.constant(""),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const headers = fc.uniqueArray(fc.oneof(text, fc.constantFrom("__proto__", "7", "constructor", "_id (2)")), {
  maxLength: 4,
});

const cases: fc.Arbitrary<Case> = headers.chain((all) => {
  const allAppended = all.filter((header) => !["_id", "a", "b"].includes(header)).sort();
  return fc.subarray(allAppended).chain((appended) =>
    fc
      .array(
        fc.tuple(
          fc.nat(),
          fc.array(cell, { minLength: 2 + appended.length, maxLength: 2 + appended.length }),
        ),
        {
          maxLength: 5,
        },
      )
      .chain((made) =>
        fc.record({
          rows: fc.constant(made.map(([id, cells]) => [id, ...cells])),
          appended: fc.constant(appended),
          allAppended: fc.constant(allAppended),
          skip: fc.subarray([...made.keys()]),
        }),
      ),
  );
});

/** The naive way: on the cells instead of on the text. */
function fitted({ rows, appended, allAppended, skip }: Case): Cell[][] {
  return rows
    .filter((_, index) => !skip.includes(index))
    .map((row) => [
      ...row.slice(0, 3),
      ...allAppended.map((header) => {
        const index = appended.indexOf(header);
        return index < 0 ? null : (row[3 + index] ?? null);
      }),
    ]);
}

function jsonLines(names: string[], rows: Cell[][]): string {
  return rows
    .map((row) => {
      const members = names.map(
        (name, index) => `${JSON.stringify(name)}:${JSON.stringify(row[index] ?? null)}`,
      );
      return `{${members.join(",")}}\n`;
    })
    .join("");
}

const declared = ["_id", "a", "b"];

test("a CSV part without its duplicates and with every column is what the rows would have been written as", () => {
  fc.assert(
    fc.property(cases, (given) => {
      const csv = fitCsv(csvRows(given.rows), given);
      const expected = fitted(given);
      expect(csv).toBe(csvRows(expected));
      const read: string[][] = parse(csv);
      expect(read).toEqual(expected.map((row) => row.map((value) => String(value ?? ""))));
    }),
    { numRuns: 500 },
  );
});

test("its JSON lines likewise", () => {
  fc.assert(
    fc.property(cases, (given) => {
      const own = jsonLines([...declared, ...given.appended], given.rows);
      expect(fitJsonl(own, given)).toBe(jsonLines([...declared, ...given.allAppended], fitted(given)));
    }),
    { numRuns: 500 },
  );
});

test("a part that is copied as it is would not have changed", () => {
  fc.assert(
    fc.property(cases, (given) => {
      fc.pre(isCopiedAsIs(given));
      expect(csvRows(fitted(given))).toBe(csvRows(given.rows));
    }),
    { numRuns: 500 },
  );
});

test("only a part without duplicates and with every column is copied as it is", () => {
  const asIs = { appended: ["x"], allAppended: ["x"], skip: [] };
  expect(isCopiedAsIs(asIs)).toBe(true);
  expect(isCopiedAsIs({ ...asIs, skip: [0] })).toBe(false);
  expect(isCopiedAsIs({ ...asIs, allAppended: ["w", "x"] })).toBe(false);
});

test("an appended column stands where its header does, between those that the part lacks", () => {
  const fit = { appended: ["n"], allAppended: ["m", "n", "o"], skip: [1] };
  expect(fitCsv('1,"a, ""b""",2.5\n2,"dropped",\n3,,"x"\n', fit)).toBe('1,"a, ""b""",,2.5,\n3,,,"x",\n');
  expect(fitJsonl('{"_id":1,"t":"a","n":2.5}\n{"_id":2,"t":"","n":null}\n', fit)).toBe(
    '{"_id":1,"t":"a","m":null,"n":2.5,"o":null}\n',
  );
});

test("a part all of whose rows are duplicates is empty text", () => {
  expect(fitCsv('1,"a"\n2,"b"\n', { appended: [], allAppended: [], skip: [0, 1] })).toBe("");
  expect(fitCsv("", { appended: [], allAppended: ["x"], skip: [] })).toBe("");
});
