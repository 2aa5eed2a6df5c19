import fc from "fast-check";
import { expect, test } from "vitest";
import { columnNames } from "../../../services/athena/names.ts";

const label = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.string({ unit: fc.constantFrom("a", "A", "_", " ", "2", "é", "図", "`", '"'), maxLength: 5 }),
  fc.constantFrom("a", "A", "a_2", "a 2", "column", "__proto__", "x".repeat(300)),
);

test("names are safe, unique and as many as the headers", () => {
  fc.assert(
    fc.property(fc.array(label, { maxLength: 30 }), (headers) => {
      const names = columnNames(headers);
      expect(names).toHaveLength(headers.length);
      expect(new Set(names).size).toBe(names.length);
      for (const name of names) expect(name).toMatch(/^[a-z_][a-z0-9_]{0,254}$/);
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ["_id", "_id"],
  ["_start_date", "_start_date"],
  ["Question Type", "question_type"],
  ["Duration (in minutes)", "duration_in_minutes"],
  ["Comments/Notes", "comments_notes"],
  ["answeredBy", "answeredby"],
  ["Research_Topic", "research_topic"],
  ["Café déjà-vu", "cafe_deja_vu"],
  ["2024 Survey", "c_2024_survey"],
  ["Order", "order_"],
  ["GROUP!", "group_"],
  ["Ordering", "ordering"],
  ["図書館", "column"],
  ["", "column"],
  ["___", "column"],
])("%j is called %s", (header, name) => {
  expect(columnNames([header])).toEqual([name]);
});

test("headers with the same name are numbered in their order", () => {
  expect(columnNames(["A", "a", "a_2", "a", "図", "館"])).toEqual([
    "a",
    "a_2",
    "a_2_2",
    "a_3",
    "column",
    "column_2",
  ]);
});
