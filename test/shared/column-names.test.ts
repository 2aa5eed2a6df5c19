import fc from "fast-check";
import { expect, test } from "vitest";
import {
  assignNames,
  datePartNames,
  distinctHeaders,
  knownNames,
  storeNames,
} from "../../shared/column-names.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { before } from "../support/intercepted-ports.ts";
import { useLocal } from "../support/local-adapters.ts";

const local = useLocal();
const none = () => false;

function columnNames(headers: string[]): string[] {
  const names = assignNames(headers, none);
  return distinctHeaders(headers).map((header) => names.get(header) ?? "");
}

const label = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.string({ unit: fc.constantFrom("a", "A", "_", " ", "2", "é", "図", "`", '"'), maxLength: 5 }),
  fc.constantFrom("a", "A", "a_2", "a 2", "column", "__proto__", "Year", "x".repeat(300)),
);

test("every header has a safe, unique name", () => {
  fc.assert(
    fc.property(fc.array(label, { maxLength: 30 }), (headers) => {
      const names = columnNames(headers);
      expect(names).toHaveLength(headers.length);
      expect(new Set(names).size).toBe(names.length);
      for (const name of names) expect(name).toMatch(/^[a-z_][a-z0-9_]{0,254}$/);
      expect(datePartNames.filter((part) => names.includes(part))).toEqual([]);
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
])("%j is named %s", (header, name) => {
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

test("a header keeps its name across weeks, and no other header is assigned it", () => {
  const weeks = fc.array(
    fc.record({ headers: fc.uniqueArray(label, { maxLength: 8 }), declared: fc.array(label) }),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(weeks, (given) => {
      let names: ReadonlyMap<string, string> = new Map();
      const owners = new Map<string, string>();
      for (const { headers, declared } of given) {
        names = assignNames(headers, (header) => declared.includes(header), names);
        for (const header of headers) {
          const name = names.get(header) ?? "";
          expect(owners.get(name) ?? header).toBe(header);
          owners.set(name, header);
        }
      }
      expect(new Set(owners.values()).size).toBe(owners.size);
    }),
    { numRuns: 1_000 },
  );
});

test("a declared header gets a name before an undeclared one, but not from a known header", () => {
  const isDeclared = (header: string) => header === "Foo?";
  expect(assignNames(["Foo!", "Foo?"], isDeclared).get("Foo?")).toBe("foo");
  const known = assignNames(["Foo!"], none);
  expect(Object.fromEntries(assignNames(["Foo!", "Foo?"], isDeclared, known))).toEqual({
    "Foo!": "foo",
    "Foo?": "foo_2",
  });
});

test("no header is assigned the name of a part of the date, declared or not", () => {
  const names = assignNames(["Year", "fiscal year", "Hour?"], (header) => header === "Year");
  expect([...names.values()]).toEqual(["year_2", "fiscal_year_2", "hour_2"]);
});

test("concurrent calls store each name once, names of removed headers stay, and endless conflicts fail", async () => {
  const results = local.store({ keepsVersions: true });
  const dataset = datasetOf([{ name: "Foo?", type: "text" }]);
  await storeNames(["_id", "Foo!"], dataset, results);
  let others = 0;
  const contended = before(results, "replaceJson", async () => {
    others += 1;
    if (others === 1) await storeNames(["_id", "Bar"], dataset, results);
  });
  const names = await storeNames(["_id", "Foo?", "__proto__"], dataset, contended);
  expect(await knownNames(dataset, results)).toEqual(names);
  expect([...names]).toEqual([
    ["_id", "_id"],
    ["Foo!", "foo"],
    ["Bar", "bar"],
    ["Foo?", "foo_2"],
    ["__proto__", "__proto"],
  ]);
  const endless = before(results, "replaceJson", async () => {
    others += 1;
    await storeNames([`Bar ${others}`], dataset, results);
  });
  others = 0;
  await expect(storeNames(["new"], dataset, endless)).rejects.toMatchObject({
    name: "NamesContended",
    kind: "transient",
    ids: { dataset: dataset.name },
  });
  expect(others).toBe(5);
});

test("more than 10,000 different headers are an error", async () => {
  const headers = Array.from({ length: 10_001 }, (_, n) => `h${n}`);
  const dataset = datasetOf([]);
  const results = local.store({ keepsVersions: true });
  expect((await storeNames(headers.slice(1), dataset, results)).size).toBe(10_000);
  await expect(storeNames(headers, dataset, results)).rejects.toMatchObject({
    name: "TooManyColumnNames",
    kind: "terminal",
    ids: { dataset: dataset.name },
  });
});

test("the declared header's name is stored if an undeclared one would get the same", async () => {
  const results = local.store();
  const declared = datasetOf([{ name: "Foo!", type: "text" }]);
  const names = await storeNames(["Foo?", "Foo!"], declared, results);
  expect([names.get("Foo!"), names.get("Foo?")]).toEqual(["foo", "foo_2"]);
});
