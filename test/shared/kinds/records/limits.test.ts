import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { type LeftOut, limits, recordFilter } from "../../../../shared/kinds/records/limits.ts";

const response = z.object({
  payload: z.object({ records: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]) }),
});

/** Passes a response through a filter in pieces. The lengths repeat. */
function filtered(text: string, lengths: readonly number[] = [text.length]) {
  const filter = recordFilter(() => new Error("too large"));
  let kept = "";
  let from = 0;
  for (let piece = 0; from < text.length; piece++) {
    const length = Math.max(lengths[piece % lengths.length] ?? 1, 1);
    kept += filter.keep(text.slice(from, from + length));
    from += length;
  }
  return { kept, split: () => filter.split(Object.values(response.parse(JSON.parse(kept)).payload.records)) };
}

const pageOf = (records: string) => `{"type":"success","payload":{"records":${records},"total_pages":1}}`;
const leftOutOf = (records: string): LeftOut[] => filtered(pageOf(records)).split().leftOut;

test("passes JSON within the limits unchanged, in pieces of any length", () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  fc.assert(
    fc.property(
      fc.jsonValue({ stringUnit: "binary", maxDepth: 6 }),
      pieces,
      fc.constantFrom(0, 1),
      (value, lengths, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(filtered(text, lengths).kept).toBe(text);
      },
    ),
    { numRuns: 100 },
  );
});

test("leaves out exactly the records that exceed a limit, in pieces of any length", () => {
  const small = fc
    .jsonValue({ stringUnit: "binary", maxDepth: 3 })
    .map((value) => ({ text: JSON.stringify(value), reason: "" }));
  const deep = fc.integer({ min: 101, max: 120 }).map((levels) => ({
    text: "[".repeat(levels) + "]".repeat(levels),
    reason: "nested more than 100 levels",
  }));
  const wide = fc.constant({
    text: `{${Array.from({ length: 1_001 }, () => '"\\"}\\\\":[{}]').join(", ")}}`,
    reason: "more than 1,000 fields",
  });
  const records = fc.array(fc.oneof({ weight: 5, arbitrary: small }, deep, wide), { maxLength: 8 });
  const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 });
  fc.assert(
    fc.property(records, pieces, fc.boolean(), (all, lengths, isList) => {
      const members = all.map(({ text }, at) => (isList ? text : `"${at}" : ${text}`)).join(" , ");
      const { split } = filtered(pageOf(isList ? `[${members}]` : `{${members}}`), lengths);
      expect(split()).toEqual({
        records: all.filter(({ reason }) => !reason).map(({ text }) => JSON.parse(text)),
        leftOut: all.map(({ reason }, index) => ({ index, reason })).filter(({ reason }) => reason),
      });
    }),
    { numRuns: 200 },
  );
});

const text = (bytes: number) => JSON.stringify("x".repeat(bytes - 2));

describe("leaves out a record beyond a limit, but not at the limit", () => {
  test.each([
    ["larger than 1 MiB", text(limits.recordBytes), text(limits.recordBytes + 1)],
    // One character of three bytes.
    ["larger than 1 MiB", `"${"図".repeat(349_524)}"`, `"${"図".repeat(349_525)}"`],
    ["more than 1,000 fields", `{${'"a":1,'.repeat(999)}"a":1}`, `{${'"a":1,'.repeat(1_000)}"a":1}`],
    [
      "nested more than 100 levels",
      `${"[".repeat(100)}${"]".repeat(100)}`,
      `${"[".repeat(101)}${"]".repeat(101)}`,
    ],
  ])("%s", (reason, within, beyond) => {
    expect(leftOutOf(`[${within},${beyond},${within}]`)).toEqual([{ index: 1, reason }]);
  });

  test("beyond the 8 MiB of a page", () => {
    const reason = "beyond the 8 MiB of a page";
    const eight = Array.from({ length: 8 }, () => text(limits.recordBytes));
    expect(leftOutOf(`[${eight}]`)).toEqual([]);
    expect(leftOutOf(`[${eight},1]`)).toEqual([{ index: 8, reason }]);
    // A later record that fits is kept.
    expect(leftOutOf(`[${eight.slice(1)},${text(9)},${text(limits.recordBytes)},1]`)).toEqual([
      { index: 8, reason },
    ]);
  });
});

test.each([
  ['{"_id":7,"a":', 7],
  ['{ "_id" : "7" , "a":', 7],
  ['{"_id":123456789012345,"a":', 123_456_789_012_345],
  ['{"_id":1234567890123456,"a":', undefined],
  ['{"_id":7.5,"a":', undefined],
  ['{"_id":-7,"a":', undefined],
  ['{"a":{"_id":7},"b":', undefined],
])("finds in a record that begins with %s the _id %s", (start, id) => {
  const [found] = leftOutOf(`[${start}${text(limits.recordBytes)}}]`);
  expect(found).toEqual({ index: 0, reason: "larger than 1 MiB", ...(id !== undefined && { id }) });
});

test("accepts 10,000 records as a list or by number, next to empty lists", () => {
  const list = `[${Array.from({ length: 10_000 }, () => 1)}]`;
  const numbered = `{${Array.from({ length: 10_000 }, (_, n) => `"${n}":1`)}}`;
  for (const records of [list, numbered]) {
    const text = `{"payload":{"none":[ ],"records":${records}}}`;
    expect(filtered(text).kept).toBe(text);
  }
  expect(() => filtered(pageOf(numbered.replace("}", ',"x":1}')))).toThrow("too large");
});

test("accepts 8 MiB around the records", () => {
  expect(filtered(" ".repeat(limits.otherBytes)).kept).toHaveLength(limits.otherBytes);
});

test("does not count the fields of nested objects", () => {
  const inner = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`f${n}`, n]));
  expect(leftOutOf(`[{"a":${JSON.stringify(inner)}}]`)).toEqual([]);
});

test("finds the end of a text with backslashes that are split between pieces", () => {
  for (let n = 1; n <= 6; n++) {
    const deep = `${"[".repeat(101)}${"]".repeat(101)}`;
    const text = pageOf(`[${JSON.stringify("\\".repeat(n))},${deep}]`);
    for (const length of [1, 2, 3, 4, 5]) {
      for (let first = 1; first <= 50; first++) {
        const { split } = filtered(text, [first, ...Array<number>(400).fill(length)]);
        expect(split().leftOut).toEqual([{ index: 1, reason: "nested more than 100 levels" }]);
      }
    }
  }
});

test.each([
  ["10,001 records", pageOf(`[${Array.from({ length: 10_001 }, () => 1)}]`)],
  ["8 MiB around its records", `{"payload":"${"x".repeat(limits.otherBytes)}"}`],
  ["8 MiB of spaces", " ".repeat(limits.otherBytes + 1)],
])("refuses a response with %s", (_what, body) => {
  expect(() => filtered(body, [65_536])).toThrow("too large");
});
