// `npm run compare` on files as the predecessor wrote them and as this pipeline writes them.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { csvRows } from "../../../shared/csv.ts";
import { compareFiles } from "../../../stacks/commands/compare/compare-files.ts";
import { comparisonText, isExplained } from "../../../stacks/commands/compare/comparison-text.ts";
import { ruleOf } from "../../../stacks/commands/compare/difference-rules.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const header = '"_id","_start_date","Type","Comments"';
const published = [
  '1,"2024-01-01 09:00:00","Quick","a b"',
  '2,"2024-01-02 09:00:00","Quick",',
  '3,"2024-01-03 09:00:00","Long","don’t"',
];

const folder = useFolder();
let pairs = 0;

async function files(old: string, newer: string): Promise<[string, string]> {
  pairs += 1;
  const paths: [string, string] = [join(folder, `old-${pairs}.csv`), join(folder, `new-${pairs}.csv`)];
  await writeFile(paths[0], old);
  await writeFile(paths[1], newer);
  return paths;
}
const csv = (rows: readonly string[], first = header) => `${[first, ...rows].join("\n")}\n`;

test("equal files have no difference", async () => {
  const comparison = await compareFiles(...(await files(csv(published), csv(published))));
  expect(comparison).toMatchObject({ rowsOnlyInOld: [], rowsOnlyInNew: [], cells: [] });
  expect(comparisonText(comparison)).toMatch(/No row and no cell differs\.\n$/);
});

test("the order of rows and columns does not matter", async () => {
  const reordered = csv(
    [
      '"Long","2024-01-03 09:00:00",3,"don’t"',
      '"Quick","2024-01-01 09:00:00",1,"a b"',
      '"Quick","2024-01-02 09:00:00",2,',
    ],
    '"Type","_start_date","_id","Comments"',
  );
  const comparison = await compareFiles(...(await files(reordered, csv(published))));
  expect(comparison).toMatchObject({ rowsOnlyInOld: [], rowsOnlyInNew: [], cells: [] });
});

test("a quoted empty text differs from a null by the rule of empty cells", async () => {
  const [first = "", , third = ""] = published;
  const old = csv([first, '2,"2024-01-02 09:00:00","Quick",""', third]);
  const { cells } = await compareFiles(...(await files(old, csv(published))));
  expect(cells).toEqual([{ column: "Comments", rule: "empty, null or blanks", count: 1, ids: ["2"] }]);
});

test("rows that one file lacks have the rule that explains it, or are missing", async () => {
  const old = csv([
    published[0] ?? "",
    published[0] ?? "",
    '8,,"Quick","no date"',
    '"x","2024-01-01 09:00:00","Quick","no id"',
    '9,"2024-01-02 12:00:00","Quick","deleted since"',
  ]);
  const newer = csv([...published, '4,"2024-01-02 10:00:00","Quick","entered late"']);
  const comparison = await compareFiles(...(await files(old, newer)));
  expect(comparison.rowsOnlyInOld).toEqual([
    { rule: "repeated _id", count: 1, ids: ["1"] },
    { rule: "unusable _id", count: 1, ids: [] },
    { rule: "no _start_date", count: 1, ids: ["8"] },
    { rule: "missing", count: 1, ids: ["9"] },
  ]);
  expect(comparison.rowsOnlyInNew).toEqual([
    { rule: "missing", count: 2, ids: ["2", "4"] },
    { rule: "after 2024-01-02 12:00:00, the other's last record", count: 1, ids: ["3"] },
  ]);
  expect(isExplained(comparison)).toBe(false);
  expect(comparisonText(comparison)).toContain("No rule explains 3 rows and 0 cells.");
});

test.each([
  ["a\r\nb", "a b", "line breaks and control characters"],
  ["a\u0000b", "ab", "line breaks and control characters"],
  [" ", null, "empty, null or blanks"],
  ["5.0", "5", "number format"],
  ["45 min", "45", "unit after a number"],
  ["1/2/2024 3:05 PM", "2024-01-02 15:05:00", "date format"],
  ["2024-01-02T15:05:00Z", "2024-01-02 15:05:00", "date format"],
  ["['Quick', 'Long']", "Quick", "first of several answers"],
  ['["Quick"]', "Quick", "first of several answers"],
  ["Quick; Long", "Quick", "first of several answers"],
  ["donâ€™t", "don’t", "character encoding"],
  ["Quick", "Long", "another value"],
  ["1/2/2024", "2024-02-01", "another value"],
  ["45 min", "46", "another value"],
  ["['Quick', 'Long']", "Long", "another value"],
  ["a", null, "another value"],
  [null, "a", "another value"],
])("%j and %j differ by: %s", (old, newer, rule) => {
  expect(ruleOf(old, newer)).toBe(rule);
});

test("each planted difference is found with its column and record, and no other", async () => {
  const word = fc.stringMatching(/^[a-z]{3,8}$/);
  const changes: readonly { rule: string; change: (text: string) => string }[] = [
    { rule: "line breaks and control characters", change: (text) => text.replace(" ", "\r\n") },
    { rule: "first of several answers", change: (text) => `['${text}', 'other']` },
    { rule: "another value", change: (text) => `${text}x` },
  ];
  const record = fc.record({ texts: fc.tuple(word, word), planted: fc.option(fc.nat(changes.length - 1)) });
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 30 }), async (records) => {
      const rows = records.map(({ texts: [first, second] }, index) => [index, first, `${second} end`]);
      const old = records.map(({ texts: [first, second], planted }, index) => {
        const change = planted === null ? undefined : changes[planted]?.change;
        const text = `${second} end`;
        return [index, first, change?.(text) ?? text];
      });
      const paths = await files(
        csvRows([["_id", "a", "b"], ...old]),
        csvRows([["_id", "a", "b"], ...rows.map((row) => [...row])]),
      );
      const { cells, rowsOnlyInOld, rowsOnlyInNew } = await compareFiles(...paths);
      const expected = changes.flatMap(({ rule }, number) => {
        const ids = records.flatMap(({ planted }, index) => (planted === number ? [String(index)] : []));
        return ids.length > 0 ? [{ column: "b", rule, count: ids.length, ids }] : [];
      });
      expect({ cells, rowsOnlyInOld, rowsOnlyInNew }).toEqual({
        cells: expect.arrayContaining(expected),
        rowsOnlyInOld: [],
        rowsOnlyInNew: [],
      });
      expect(cells).toHaveLength(expected.length);
    }),
    { numRuns: 20 },
  );
});

test("no cell's content is printed, and no line has more than 80 characters", async () => {
  const old = csv(['1,"2024-01-01 09:00:00","SECRET","SECRET words"', '3,"x","SECRET","y"']);
  const comparison = await compareFiles(...(await files(old, csv(published))));
  expect(comparisonText(comparison)).not.toContain("SECRET");
  for (const line of comparisonText(comparison).split("\n")) expect(line.length).toBeLessThanOrEqual(80);
});

test.each([
  ["no column _id", 'a,b\n1,"SECRET"\n', "it has no column _id"],
  ["an open quote", '_id,b\n1,"SECRET\n', "it is not CSV"],
])("a file with %s is an error without its content", async (_, text, reason) => {
  const paths = await files(text, csv(published));
  await expect(compareFiles(...paths)).rejects.toMatchObject({
    name: "CsvUnreadable",
    sentence: expect.stringContaining(reason),
  });
  await expect(compareFiles(...paths)).rejects.not.toMatchObject({
    sentence: expect.stringContaining("SECRET"),
  });
});

test("the command exits 1 if a difference has no rule, and 0 otherwise", async () => {
  const [old, newer] = await files(
    csv(['1,"2024-01-01 09:00:00","Quick","a\nb"']),
    csv(published.slice(0, 1)),
  );
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ["stacks/commands/compare.ts", ...args]);
  expect((await run(old, newer)).stdout).toContain("A rule explains every difference.");
  await expect(run(old, join(folder, "none.csv"))).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("none.csv cannot be compared: ENOENT"),
  });
});
