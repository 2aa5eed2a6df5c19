import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Fit, fitPart } from "../../../services/assembler/fit-part.ts";
import { type Cell, csvRows } from "../../../shared/csv.ts";

/** Rows with `_id`, two declared columns and the undeclared columns of their part. */
type Case = Fit & { rows: Cell[][] };

// Clean text: on one line, without control characters.
const text = fc.string({ unit: fc.constantFrom('"', ",", "\\", " ", "a", "é", "💥", "n", "0") });
const cell: fc.Arbitrary<Cell> = fc.oneof(
  text,
  fc.constantFrom(null, ""),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const declared = ["_id", "a", "b"];
// Node 24.21's JSON.parse may return the key `\` for `"` after an object of the same shape, so no label has a backslash.
const label = text.map((characters) => characters.replaceAll("\\", "/"));
const headers = fc.uniqueArray(fc.oneof(label, fc.constantFrom("__proto__", "7", "constructor", "_id (2)")), {
  maxLength: 4,
});
const cases: fc.Arbitrary<Case> = headers.chain((all) => {
  const allAppended = all.filter((header) => !declared.includes(header)).sort();
  return fc.subarray(allAppended).chain((appended) => {
    const width = 2 + appended.length;
    const row = fc.tuple(fc.nat(), fc.array(cell, { minLength: width, maxLength: width }));
    return fc.array(row, { maxLength: 5 }).chain((made) =>
      fc.record({
        rows: fc.constant(made.map(([id, cells]) => [id, ...cells])),
        appended: fc.constant(appended),
        allAppended: fc.constant(allAppended),
        skip: fc.subarray([...made.keys()]),
      }),
    );
  });
});

/** Does the same to cells instead of text. */
function fitCells({ rows, appended, allAppended, skip }: Case): Cell[][] {
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
  const member = (name: string, value: Cell | undefined) =>
    `${JSON.stringify(name)}:${JSON.stringify(value ?? null)}`;
  return rows.map((row) => `{${names.map((name, index) => member(name, row[index])).join(",")}}\n`).join("");
}

function fitText(csv: string, jsonl: string, given: Fit) {
  const fitted = fitPart({ csv: Buffer.from(csv), jsonl: Buffer.from(jsonl) }, given);
  return { csv: Buffer.from(fitted.csv).toString("utf8"), jsonl: Buffer.from(fitted.jsonl).toString("utf8") };
}

test("fits a part as its cells would be fitted: without duplicates and with every column of the run", () => {
  fc.assert(
    fc.property(cases, (given) => {
      const own = jsonLines([...declared, ...given.appended], given.rows);
      const { csv, jsonl } = fitText(csvRows(given.rows), own, given);
      const expected = fitCells(given);
      expect(csv).toBe(csvRows(expected));
      expect(jsonl).toBe(jsonLines([...declared, ...given.allAppended], expected));
      const read: string[][] = parse(csv);
      expect(read).toEqual(expected.map((row) => row.map((value) => String(value ?? ""))));
    }),
    { numRuns: 500 },
  );
});

test("does not copy a part that needs no change", () => {
  const part = { csv: Buffer.from('1,"a"\n'), jsonl: Buffer.from('{"_id":1,"t":"a"}\n') };
  const { csv, jsonl } = fitPart(part, { appended: ["t"], allAppended: ["t"], skip: [] });
  expect(csv).toBe(part.csv);
  expect(jsonl).toBe(part.jsonl);
});
