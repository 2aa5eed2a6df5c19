import { expect, test } from "vitest";
import { layouts } from "../../../services/transformer/layout.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const { columns } = datasetOf([
  { name: "place", type: "text", labels: ["location", "where"] },
  { name: "hidden", drop: true },
  { name: "both", join: ["one", "two"] },
]);
const [id, place, , both] = columns;

test("a layout has the place of each column's first label, all places of a joined one, and what is left", () => {
  const layoutOf = layouts(columns);
  expect(layoutOf(["two", "where", "location", "hidden", "_id", "further"])).toEqual({
    steps: [
      { kept: id, place: 4 },
      { kept: place, place: 2 },
      { joined: both, places: [undefined, 0] },
    ],
    left: [
      { field: "where", place: 1 },
      { field: "further", place: 5 },
    ],
  });
});

test("fields that are missing have no place, and nothing is left", () => {
  expect(layouts(columns)([])).toEqual({
    steps: [
      { kept: id, place: undefined },
      { kept: place, place: undefined },
      { joined: both, places: [undefined, undefined] },
    ],
    left: [],
  });
});

test("records with one more field, one less or another order have layouts of their own", () => {
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

test("the first 16 layouts are remembered, and no more", () => {
  const layoutOf = layouts(columns);
  const shapes = Array.from({ length: 18 }, (_, index) => ["_id", `field ${index}`]);
  const first = shapes.map(layoutOf);
  const isRemembered = shapes.map((fields, index) => layoutOf([...fields]) === first[index]);
  expect(isRemembered).toEqual([...Array<boolean>(16).fill(true), false, false]);
  expect(shapes.map(layoutOf)).toEqual(first);
});
