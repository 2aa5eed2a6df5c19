// Adding an entry to a library's text: where it goes, and that nothing else changes.
import fc from "fast-check";
import { expect, test } from "vitest";
import { withEntry } from "../../../../stacks/commands/adopt/insert-entry.ts";

const entryOf = (indent: string) => `${indent}{\n${indent}  name: "new",\n${indent}},`;

test.each([
  {
    place: "after the last entry and its comments",
    text: 'defineLibrary({\n  datasets: [\n    { name: "a" }, // the only one\n    // more to come\n  ],\n});\n',
    edited:
      'defineLibrary({\n  datasets: [\n    { name: "a" }, // the only one\n    // more to come\n    {\n      name: "new",\n    },\n  ],\n});\n',
  },
  {
    place: "with a comma after the last entry",
    text: "defineLibrary({\n\tdatasets: [\n\t\tone /* of many */\n\t]\n})",
    edited:
      'defineLibrary({\n\tdatasets: [\n\t\tone, /* of many */\n\t  {\n\t    name: "new",\n\t  },\n\t]\n})',
  },
  {
    place: "in a list on one line",
    text: "export const library = defineLibrary({ datasets: [one], tags: {} });",
    edited:
      'export const library = defineLibrary({ datasets: [one,\n  {\n    name: "new",\n  },\n], tags: {} });',
  },
  {
    place: "in an empty list",
    text: "defineLibrary({\n  datasets: [],\n});",
    edited: 'defineLibrary({\n  datasets: [\n    {\n      name: "new",\n    },\n  ],\n});',
  },
  {
    place: "with the line breaks of the file",
    text: "defineLibrary({\r\n  datasets: [\r\n    one,\r\n  ],\r\n});\r\n",
    edited:
      'defineLibrary({\r\n  datasets: [\r\n    one,\r\n    {\r\n      name: "new",\r\n    },\r\n  ],\r\n});\r\n',
  },
  {
    place: "not in another datasets",
    text: 'import { defineLibrary } from "x"; // datasets: [\nconst datasets = [1];\ndefineLibrary({\n  tags: { datasets: [2], text: "datasets: [" },\n  "datasets": [\n    [3, (4)],\n  ],\n});',
    edited:
      'import { defineLibrary } from "x"; // datasets: [\nconst datasets = [1];\ndefineLibrary({\n  tags: { datasets: [2], text: "datasets: [" },\n  "datasets": [\n    [3, (4)],\n    {\n      name: "new",\n    },\n  ],\n});',
  },
])("an entry goes $place", async ({ text, edited }) => {
  expect(await withEntry(text, entryOf)).toBe(edited);
});

test.each([
  "",
  "datasets: []",
  "defineLibrary(settings)",
  "defineLibrary({ datasets })",
  "defineLibrary({ datasets: [",
])("%j has no list of datasets", async (text) => {
  expect(await withEntry(text, entryOf)).toBeUndefined();
});

test("any strings and comments stay as they are", async () => {
  const comment = fc.string().map((text) => `/* ${text.replaceAll("*/", "")} */`);
  const literal = fc.string().map((text) => JSON.stringify(text));
  const parts = fc.array(fc.tuple(comment, literal), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(comment, parts, comment, async (before, members, after) => {
      const list = members.map(([note, text]) => `${note} ${text},\n`).join("");
      const [head, tail] = [`${before} defineLibrary({ a: [], datasets: [\n${list}`, `] }); ${after}`];
      expect(await withEntry(head + tail, () => "{},")).toBe(`${head}{},\n${tail}`);
    }),
  );
});
