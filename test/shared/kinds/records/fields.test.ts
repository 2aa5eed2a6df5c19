// The field list, whose shape is not public: all shapes give the same fields, and no shape fails.
import fc from "fast-check";
import { expect, test } from "vitest";
import { fieldsOf } from "../../../../shared/kinds/records/fields.ts";

const topic = { id: 7, label: "Topic", type: "select", options: ["Maps", "Data"] };
const notes = { id: undefined, label: "Notes", type: "", options: [] };

test.each([
  ["a list", [{ id: 7, name: "Topic", type: "Select", options: ["Maps", "Data"] }, "Notes"]],
  [
    "a list as a member",
    { fields: [{ id: 7, label: "Topic", type: "select", options: ["Maps", "Data"] }, "Notes"] },
  ],
  [
    "answers as objects",
    [
      { id: 7, title: "Topic", type: "select", values: [{ id: 1, label: "Maps" }, { name: "Data" }] },
      "Notes",
    ],
  ],
  [
    "answers as a map, and the type as an object",
    [
      {
        id: 7,
        title: "Topic",
        type: { id: 2, name: "select" },
        choices: { 1: "Maps", 2: { value: "Data" } },
      },
      "Notes",
    ],
  ],
  [
    "a name for programs and a label for people",
    [
      { id: 7, name: "topic_1", label: "Topic", type: "select", answers: ["Maps", "Maps", " ", "Data"] },
      "Notes",
    ],
  ],
])("%s gives label, type and answers", (_, payload) => {
  expect(fieldsOf({ type: "success", payload })).toEqual([topic, notes]);
});

test("a map has the fields' ids or labels as its names", () => {
  const byId = { 7: { name: "Topic", type: "select", options: ["Maps", "Data"] }, 8: "Notes" };
  expect(fieldsOf({ payload: { fields: byId } })).toEqual([
    { ...topic, id: "7" },
    { ...notes, id: "8" },
  ]);
  expect(fieldsOf({ payload: { Topic: { type: "text", extra: { any: [1] } } } })).toEqual([
    { ...notes, label: "Topic", type: "text" },
  ]);
});

test("a field keeps an empty label and a label with the name of a property of every object", () => {
  const fields = fieldsOf(
    JSON.parse('{"payload":{"__proto__":{"type":"text"},"1":{"name":"","type":"text"}}}'),
  );
  expect(fields.map(({ label }) => label)).toEqual(["", "__proto__"]);
});

test("what is no list gives no fields", () => {
  for (const payload of [undefined, null, "", [], {}, 3, { message: "Not found", total: 3 }, [null, [], {}]])
    expect(fieldsOf({ payload })).toEqual([]);
});

test("any JSON gives fields with a label, and at most 1,000 fields with 1,000 answers each", () => {
  const word = fc.constantFrom(
    "payload",
    "fields",
    "id",
    "name",
    "label",
    "title",
    "type",
    "options",
    "values",
    "",
  );
  const { json } = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, true, 0, -1.5, "", "text", "7"),
      fc.array(tie("json"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(word, fc.string()), tie("json"), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(json, (body) => {
      for (const { label, type, options, id } of fieldsOf(body)) {
        expect([typeof label, typeof type]).toEqual(["string", "string"]);
        expect(options.every((option) => /\S/.test(option))).toBe(true);
        expect(["string", "number", "undefined"]).toContain(typeof id);
      }
    }),
  );
  const many = Array.from({ length: 1_200 }, (_, n) => `${n}`);
  const [first, ...others] = fieldsOf({ payload: many.map((name) => ({ name, options: many })) });
  expect([first?.options.length, others.length]).toEqual([1_000, 999]);
});
