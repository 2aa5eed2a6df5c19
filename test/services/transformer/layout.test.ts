import { expect, test } from "vitest";
import { layouts } from "../../../services/transformer/layout.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const { columns } = datasetOf([
  { name: "place", type: "text", labels: ["location", "where"] },
  { name: "hidden", drop: true },
  { name: "both", join: ["one", "two"] },
]);
const [id, place, , both] = columns;

test("maps a column to the index of its first label, a joined column to all its indexes, and lists undeclared fields", () => {
  const layoutOf = layouts(columns);
  expect(layoutOf(["two", "where", "location", "hidden", "_id", "further"])).toEqual({
    steps: [
      { kept: id, index: 4 },
      { kept: place, index: 2 },
      { joined: both, indexes: [undefined, 0] },
    ],
    undeclared: [
      { field: "where", index: 1 },
      { field: "further", index: 5 },
    ],
  });
});

test("maps missing fields to undefined", () => {
  expect(layouts(columns)([])).toEqual({
    steps: [
      { kept: id, index: undefined },
      { kept: place, index: undefined },
      { joined: both, indexes: [undefined, undefined] },
    ],
    undeclared: [],
  });
});

test("makes another layout for records with more fields, fewer fields or another order", () => {
  const layoutOf = layouts(columns);
  const shapes = [
    ["_id", "place"],
    ["_id", "place", "further"],
    ["_id"],
    ["place", "_id"],
    ["_id", "where"],
    [],
  ];
  for (const fields of [...shapes, ...shapes.toReversed()])
    expect(layoutOf(fields)).toEqual(layouts(columns)(fields));
});

test("caches the first 16 layouts only", () => {
  const layoutOf = layouts(columns);
  const shapes = Array.from({ length: 18 }, (_, index) => ["_id", `field ${index}`]);
  const first = shapes.map(layoutOf);
  const isCached = shapes.map((fields, index) => layoutOf([...fields]) === first[index]);
  expect(isCached).toEqual([...Array<boolean>(16).fill(true), false, false]);
  expect(shapes.map(layoutOf)).toEqual(first);
});
