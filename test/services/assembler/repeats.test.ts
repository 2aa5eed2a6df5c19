import { expect, test } from "vitest";
import { hashOf, RowHashes } from "../../../services/assembler/repeats.ts";

test("a row is new, then a repeat, then a further one", () => {
  const hashes = new RowHashes();
  const results = ["a", "b", "a", "a", "b", "a"].map((row) => hashes.add(hashOf(row, 0, 1, 0)));
  expect(results).toEqual(["new", "new", "repeat", "further repeat", "repeat", "further repeat"]);
});

test("fields differ if their commas are elsewhere", () => {
  const hash = (...fields: string[]) => fields.reduce((sum, field) => hashOf(field, 0, field.length, sum), 0);
  expect(new Set([hash("ab", ""), hash("a", "b"), hash("", "ab"), hash("ab")]).size).toBe(4);
});

test("a part of a text has the hash of its characters", () => {
  expect(hashOf("say hello", 4, 9, 7)).toBe(hashOf("hello", 0, 5, 7));
  expect(hashOf("hello", 0, 5, 7)).not.toBe(hashOf("hello", 0, 5, 8));
});

test("of 3 million rows fewer than one of 700 is a repeat by accident, and further rows are not remembered", () => {
  const hashes = new RowHashes();
  const rows = 3_300_000;
  const add = (n: number) => {
    const text = `row ${n}`;
    return hashes.add(hashOf(text, 0, text.length, 0));
  };
  let accidents = 0;
  for (let n = 0; n < rows; n++) if (add(n) !== "new") accidents += 1;
  expect(accidents / rows).toBeLessThan(1 / 700);
  expect(add(17)).toBe("repeat");
  expect(add(rows - 1)).toBe("new");
  expect(add(rows - 1)).toBe("new");
});
