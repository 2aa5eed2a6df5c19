import fc from "fast-check";
import { expect, test } from "vitest";
import { decodePart, encodePart } from "../../shared/part.ts";
import { summaryOf } from "../factories/summaries.ts";

const { bytes: _bytes, ...summary } = summaryOf(3, [7, 9], {
  appended: ["a\nb"],
  rejects: { "missing _id": 1 },
});
const csv = '7,"💥"\n9,"b"\n';
const jsonl = '{"_id":7,"a":"💥"}\n{"_id":9,"a":"b"}\n';
const encoded = encodePart(summary, csv, jsonl);

test("decodes the summary, the CSV and the JSON Lines of a part", () => {
  const text = fc
    .array(fc.string({ unit: "grapheme" }))
    .map((lines) => lines.map((line) => `${line}\n`).join(""));
  fc.assert(
    fc.property(text, text, (rows, lines) => {
      const part = decodePart("key", encodePart(summary, rows, lines));
      expect(Buffer.from(part.csv).toString("utf8")).toBe(rows);
      expect(Buffer.from(part.jsonl).toString("utf8")).toBe(lines);
      const bytes = { csv: Buffer.byteLength(rows), jsonl: Buffer.byteLength(lines) };
      expect(part.summary).toEqual({ ...summary, bytes });
    }),
  );
});

const answers = [
  { column: "A", counts: [2, 0] },
  { column: "B", counts: [0, 0] },
];
const withChildren = encodePart({ ...summary, answers }, csv, jsonl, ['7,1,"💥"\n7,2,"b"\n', ""]);

test("decodes the rows of child tables", () => {
  const part = decodePart("key", withChildren);
  expect(part.children.map((rows) => Buffer.from(rows).toString("utf8"))).toEqual([
    '7,1,"💥"\n7,2,"b"\n',
    "",
  ]);
  expect(Buffer.from(part.jsonl).toString("utf8")).toBe(jsonl);
  expect(part.summary.answers).toEqual(answers);
});

const unreadable = expect.objectContaining({ name: "PartUnreadable", kind: "terminal", ids: { key: "key" } });

test.each([
  ["", encoded],
  [" with child tables", withChildren],
])("refuses a part%s that was cut anywhere", (_, part) => {
  for (let length = 0; length < part.length; length++) {
    expect(() => decodePart("key", part.subarray(0, length))).toThrow(unreadable);
  }
});

test.each([
  { what: "bytes after its end", part: Buffer.concat([encoded, Buffer.from("\n")]) },
  { what: "rows only, as an earlier version wrote them", part: Buffer.from(csv) },
  {
    what: "fewer child tables than it counts answers of",
    part: encodePart({ ...summary, answers }, csv, jsonl),
  },
  { what: "a summary that is not an object", part: Buffer.from("null\n") },
  {
    what: "a summary without a count",
    part: Buffer.from(encoded.toString("utf8").replace('"records":2,', "")),
  },
  {
    what: "an unknown field",
    part: Buffer.from(encoded.toString("utf8").replace("{", '{"more":1,')),
  },
])("refuses a part with $what", ({ part }) => {
  expect(() => decodePart("key", part)).toThrow(unreadable);
});
