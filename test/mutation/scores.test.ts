import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { isDomain } from "./changes.ts";
import { compare, type Mutant, mutantsOf, scoresOf, survivors, tableOf } from "./scores.ts";

const mutant = (given: Partial<Mutant> = {}): Mutant => ({
  file: "services/a/one.ts",
  mutator: "BooleanLiteral",
  original: "true",
  replacement: "false",
  line: 1,
  status: "Killed",
  ...given,
});

test("a mutant of the report includes the text that it replaces, also over several lines", () => {
  const source = "const a = true;\nif (a) {\n  b();\n}\n";
  const at = (start: [number, number], end: [number, number]) => ({
    start: { line: start[0], column: start[1] },
    end: { line: end[0], column: end[1] },
  });
  const mutants = [
    { mutatorName: "BooleanLiteral", replacement: "false", status: "Killed", location: at([1, 11], [1, 15]) },
    { mutatorName: "BlockStatement", replacement: "{}", status: "Survived", location: at([2, 8], [4, 2]) },
  ];
  const json = JSON.stringify({ files: { "shared/a.ts": { source, mutants } } });
  expect(mutantsOf(json)).toEqual([
    mutant({ file: "shared/a.ts" }),
    {
      file: "shared/a.ts",
      mutator: "BlockStatement",
      original: "{\n  b();\n}",
      replacement: "{}",
      line: 2,
      status: "Survived",
    },
  ]);
});

test("a score counts mutants without coverage as survivors, and excludes ignored ones", () => {
  const statuses = ["Killed", "Killed", "Timeout", "Survived", "NoCoverage", "Ignored", "RuntimeError"];
  const mutants = [
    ...statuses.map((status) => mutant({ status })),
    mutant({ file: "services/b/two.ts", status: "Ignored" }),
  ];
  expect(scoresOf(mutants)).toEqual([
    { folder: "services/a", mutants: 5, killed: 2, timeout: 1, survived: 2, score: 60 },
    { folder: "services/b", mutants: 0, killed: 0, timeout: 0, survived: 0, score: 100 },
  ]);
  expect(tableOf(scoresOf(mutants))).toBe(
    [
      "Folder      Mutants  Killed  Timeout  Survived    Score",
      "services/a        5       2        1         2   60.0 %",
      "services/b        0       0        0         0  100.0 %",
    ].join("\n"),
  );
});

test("reports unlisted survivors and obsolete entries, but no entries of other files", () => {
  const listed = (given: Partial<Mutant>) => {
    const { file, mutator, original, replacement } = mutant(given);
    return { file, mutator, original, replacement, reason: "equivalent, because" };
  };
  const known = mutant({ status: "Survived", original: "known" });
  const unknown = mutant({ status: "NoCoverage", original: "unknown" });
  const killed = mutant({ original: "killed" });
  const obsolete = listed({ original: "killed" });
  const elsewhere = listed({ file: "services/b/two.ts" });
  expect(compare([known, unknown, killed], [listed(known), obsolete, elsewhere])).toEqual({
    unlisted: [unknown],
    obsolete: [obsolete],
  });
});

describe("the list of survivors", async () => {
  const list = survivors.parse(JSON.parse(await readFile("test/mutation/survivors.json", "utf8")));

  test("has no duplicate entries, and each quotes existing domain code", async () => {
    const keys = list.map(({ reason: _, ...survivor }) => JSON.stringify(survivor));
    expect(new Set(keys).size).toBe(keys.length);
    for (const { file, original } of list) {
      expect(isDomain(file)).toBe(true);
      expect(await readFile(file, "utf8")).toContain(original);
    }
  });
});
