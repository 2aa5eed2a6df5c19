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

const addTo = (hashes: RowHashes) => (n: number) => {
  const text = `row ${n}`;
  return hashes.add(hashOf(text, 0, text.length, 0));
};

test("different rows are rarely repeats by accident", () => {
  const rows = 200_000;
  const hashes = new RowHashes();
  const results = Array.from({ length: rows }, (_, n) => addTo(hashes)(n));
  // By chance 200,000^2 / 2 / 2^31 = 9.
  expect(results.filter((result) => result !== "new").length).toBeLessThan(30);
});

test("a full table compares further rows and does not remember them", () => {
  const add = addTo(new RowHashes(1_024));
  for (let n = 0; n < 768; n++) expect(add(n)).toBe("new");
  expect([add(800), add(800), add(767), add(767)]).toEqual(["new", "new", "repeat", "further repeat"]);
});
