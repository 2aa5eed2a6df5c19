// The counts that a public file suppresses: an attacker with other code than the product's tries to derive a small count.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkProtection, protect } from "../../../../stacks/commands/privacy/public/suppress.ts";
import { RecordCounter, type Table } from "../../../../stacks/commands/privacy/public/table.ts";

const letters = "abcdefgh";

/** Returns the table of records, each of which is a word with a letter for each dimension. */
function tableOf(words: readonly string[]): Table {
  const counter = new RecordCounter([...(words[0] ?? "")].map((_, index) => `d${index}`));
  for (const word of words) counter.add([...word]);
  return counter.table((one, other) => (one < other ? -1 : 1));
}

const records = (combinations: Record<string, number>) =>
  tableOf(Object.entries(combinations).flatMap(([word, n]) => Array.from({ length: n }, () => word)));

/** What a reader has: for each line of the file its values, and the count unless it is suppressed. */
type Line = { values: string[]; published: number | undefined };

function linesOf(table: Table, suppressed: ReadonlySet<number>): Line[] {
  return [...table.counts].map(([cell, count]) => {
    let rest = cell;
    const values = table.values.map((names, index) => {
      const stride = table.strides[index] ?? 1;
      const place = Math.floor(rest / stride);
      rest -= place * stride;
      return names[place] ?? "";
    });
    return { values, published: suppressed.has(cell) ? undefined : count };
  });
}

const isCombination = ({ values }: Line) => !values.includes("all");
const contains = (total: Line, line: Line) =>
  total.values.every((value, index) => value === "all" || value === line.values[index]);

/** Returns the unknown combinations, and what the published counts say about sums of some of them. */
function knowledgeOf(lines: readonly Line[]) {
  const combinations = lines.filter(isCombination);
  const unknown = combinations.filter(({ published }) => published === undefined);
  const sums = lines.flatMap((line) => {
    if (line.published === undefined) return [];
    const inside = combinations.filter((combination) => contains(line, combination));
    const known = inside.reduce((sum, { published }) => sum + (published ?? 0), 0);
    const members = unknown.map((combination) => inside.includes(combination));
    return members.includes(true) ? [{ members, sum: line.published - known }] : [];
  });
  return { unknown, sums };
}

/** Tries all tables, and returns the greatest number of each unknown combination, as far as k. */
function greatest({ unknown, sums }: ReturnType<typeof knowledgeOf>, k: number): number[] {
  const most = unknown.map(() => 0);
  const chosen: number[] = [];
  const visit = (left: number[]): void => {
    const at = chosen.length;
    if (most.every((number) => number === k)) return;
    if (at === unknown.length) {
      if (left.every((rest) => rest === 0))
        for (const [index, number] of chosen.entries())
          most[index] = Math.max(most[index] ?? 0, Math.min(number, k));
      return;
    }
    // Each further combination in a sum has at least one record. One that is in no sum may have any number.
    const room = sums.flatMap(({ members }, index) =>
      members[at] ? [(left[index] ?? 0) - members.slice(at + 1).filter(Boolean).length] : [],
    );
    const limit = room.length > 0 ? Math.min(...room) : k;
    for (let number = room.length > 0 ? 1 : k; number <= limit; number++) {
      chosen.push(number);
      visit(left.map((rest, index) => (sums[index]?.members[at] ? rest - number : rest)));
      chosen.pop();
    }
  };
  visit(sums.map(({ sum }) => sum));
  return most;
}

const prime = 1_000_003n;
const inverse = (value: bigint): bigint => {
  let [result, base, exponent] = [1n, value % prime, prime - 2n];
  for (; exponent > 0n; exponent /= 2n) {
    if (exponent % 2n === 1n) result = (result * base) % prime;
    base = (base * base) % prime;
  }
  return result;
};

/** Reduces rows to echelon form, and returns a function that says whether a row is a combination of them. */
function spanOf(rows: readonly (readonly boolean[])[]) {
  const basis: { pivot: number; row: bigint[] }[] = [];
  const reduce = (given: readonly boolean[]): bigint[] => {
    let row = given.map((member): bigint => (member ? 1n : 0n));
    for (const { pivot, row: other } of basis) {
      const factor = row[pivot] ?? 0n;
      if (factor !== 0n)
        row = row.map((value, index) => (value + (prime - factor) * (other[index] ?? 0n)) % prime);
    }
    return row;
  };
  for (const given of rows) {
    const row = reduce(given);
    const pivot = row.findIndex((value) => value !== 0n);
    if (pivot < 0) continue;
    const factor = inverse(row[pivot] ?? 1n);
    basis.push({ pivot, row: row.map((value) => (value * factor) % prime) });
  }
  return (row: readonly boolean[]) => reduce(row).every((value) => value === 0n);
}

const words = (dimensions: number, values: number, most: number) =>
  fc.array(
    fc
      .array(fc.nat(values - 1), { minLength: dimensions, maxLength: dimensions })
      .map((places) => places.map((place) => letters[place] ?? "").join("")),
    { minLength: 1, maxLength: most },
  );

describe("an attacker", () => {
  test.each([
    [1, 6, 25],
    [2, 3, 25],
    [3, 2, 24],
  ])(
    "who tries all tables of %i dimensions never learns that a count is below k",
    (dimensions, values, most) => {
      fc.assert(
        fc.property(words(dimensions, values, most), fc.integer({ min: 2, max: 4 }), (found, k) => {
          const table = tableOf(found);
          const { suppressed } = protect(table, k);
          const knowledge = knowledgeOf(linesOf(table, suppressed));
          expect(greatest(knowledge, k)).toEqual(knowledge.unknown.map(() => k));
        }),
        { numRuns: 150 },
      );
    },
    60_000,
  );

  test("who adds and subtracts published counts never gets a count below k", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }).chain((dimensions) => words(dimensions, 5, 300)),
        fc.integer({ min: 2, max: 12 }),
        (found, k) => {
          const table = tableOf(found);
          const { suppressed } = protect(table, k);
          const lines = linesOf(table, suppressed);
          const { unknown, sums } = knowledgeOf(lines);
          const follows = spanOf(sums.map(({ members }) => members));
          for (const line of lines.filter(({ published }) => published === undefined)) {
            const parts = unknown.map((combination) => contains(line, combination));
            const matches = (word: string) =>
              line.values.every((value, index) => value === "all" || value === word[index]);
            if (follows(parts)) expect(found.filter(matches).length).toBeGreaterThanOrEqual(k);
          }
        },
      ),
      { numRuns: 100 },
    );
  }, 60_000);

  test("gets true counts of at least k", () => {
    fc.assert(
      fc.property(words(3, 4, 200), fc.integer({ min: 2, max: 12 }), (found, k) => {
        const table = tableOf(found);
        const { suppressed, primary } = protect(table, k);
        const lines = linesOf(table, suppressed);
        for (const { values, published } of lines) {
          const real = found.filter((word) =>
            values.every((value, index) => value === "all" || value === word[index]),
          ).length;
          expect(real).toBeGreaterThan(0);
          if (published !== undefined) expect(published).toBe(real);
          if (published !== undefined) expect(published).toBeGreaterThanOrEqual(k);
        }
        expect(primary).toBe([...table.counts.values()].filter((count) => count < k).length);
        expect(new Set(lines.map(({ values }) => values.join())).size).toBe(lines.length);
      }),
    );
  });
});

test("the order of the records does not matter", () => {
  fc.assert(
    fc.property(words(3, 3, 60), fc.integer({ min: 2, max: 6 }), (found, k) => {
      const one = tableOf(found);
      const other = tableOf(found.toReversed());
      expect([...other.counts]).toEqual([...one.counts]);
      expect(protect(other, k)).toEqual(protect(one, k));
    }),
  );
});

describe("the choice", () => {
  const published = (combinations: Record<string, number>, k: number) => {
    const table = records(combinations);
    const lines = linesOf(table, protect(table, k).suppressed);
    return Object.fromEntries(lines.map(({ values, published }) => [values.join(" "), published ?? null]));
  };

  test("without small counts everything is published", () => {
    expect(published({ a: 10, b: 12 }, 10)).toEqual({ all: 22, a: 10, b: 12 });
  });

  test("a second count protects a small one, the least that is large enough", () => {
    expect(published({ a: 3, b: 100, c: 12 }, 10)).toEqual({ all: 115, a: null, b: 100, c: null });
  });

  test("small counts protect each other if their sum allows k in each", () => {
    expect(published({ a: 6, b: 6, c: 100 }, 10)).toEqual({ all: 112, a: null, b: null, c: 100 });
  });

  test("the sum of suppressed counts is not published if it shows that each is below k", () => {
    // 5 + 5 leaves at most 9 for one of them, because the other one has a record.
    expect(published({ a: 5, b: 5 }, 10)).toEqual({ all: null, a: null, b: null });
  });

  test("a small count and its subtotals are suppressed if nothing else has records", () => {
    expect(published({ ab: 2 }, 3)).toEqual({ "all all": null, "all b": null, "a all": null, "a b": null });
  });

  test("a rectangle protects a small count, and its totals stay", () => {
    const lines = published({ aa: 1, ab: 20, ba: 20, bb: 30, ca: 40, cb: 50 }, 5);
    expect(Object.entries(lines).flatMap(([name, count]) => (count === null ? [name] : []))).toEqual([
      "a a",
      "a b",
      "b a",
      "b b",
    ]);
  });
});

describe("the check", () => {
  const k = 3;
  const table = records({ aa: 1, ab: 9, ba: 9, bb: 9 });
  const { suppressed, alternatives } = protect(table, k);
  const [[small, proof] = []] = alternatives;
  if (small === undefined || !proof) throw new Error("There is no small count.");
  const other = [...proof.keys()].find((cell) => cell !== small) ?? 0;
  const failed = expect.objectContaining({ name: "NotProtected" });
  const check = (changed: ReadonlyMap<number, number>, hidden: ReadonlySet<number> = suppressed) =>
    checkProtection(table, k, { suppressed: hidden, alternatives: new Map([[small, changed]]) });

  test("accepts the proof", () => {
    expect(() => check(proof)).not.toThrow();
    expect(proof.get(small)).toBe(k);
  });

  test("fails without a proof, or with one below k", () => {
    expect(() => checkProtection(table, k, { suppressed, alternatives: new Map() })).toThrow(failed);
    expect(() => check(new Map([[small, k - 1]]))).toThrow(failed);
  });

  test.each([
    ["a combination without records", 0],
    ["a negative number", -1],
    ["a fraction", 8.5],
  ])("fails with %s", (_, records) => {
    expect(() => check(new Map([...proof, [other, records]]))).toThrow(failed);
  });

  test("fails if the table has records where the file has none", () => {
    expect(() => check(new Map([...proof, [1_000, 5]]))).toThrow(failed);
    expect(() => check(new Map([...proof, [0, 28]]))).toThrow(failed);
  });

  test("fails if a published count differs", () => {
    for (const cell of suppressed) {
      const fewer = new Set([...suppressed].filter((each) => each !== cell));
      expect(() => check(proof, fewer)).toThrow(failed);
    }
  });
});

describe("the table", () => {
  test("an answer that reads as a subtotal is refused", () => {
    const counter = new RecordCounter(["mode"]);
    counter.add(["all"]);
    expect(() => counter.table(() => 0)).toThrow(expect.objectContaining({ name: "AmbiguousAnswer" }));
  });

  test("a table without records is empty", () => {
    const { counts } = new RecordCounter(["mode"]).table(() => 0);
    expect([
      ...protect({ dimensions: ["mode"], values: [["all"]], strides: [1], counts }, 10).suppressed,
    ]).toEqual([]);
  });
});
