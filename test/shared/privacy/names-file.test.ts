import { expect, test } from "vitest";
import { keys } from "../../../shared/keys.ts";
import { namesIn, readNames, storeNames } from "../../../shared/privacy/names-file.ts";

test("has one name on each line, each once", () => {
  expect(namesIn(" Maya Okafor\r\n\nDoe, Jane\rMaya Okafor \n")).toEqual(["Maya Okafor", "Doe, Jane"]);
});

const many = (count: number) => Array.from({ length: count }, (_, n) => `a${n}`).join("\n");

test.each([
  ["has no names", " \n\n"],
  ["is too large", many(20_001)],
  ["is too large", "é".repeat(500_001)],
])("is refused if it %s", (problem, text) => {
  expect(() => namesIn(text)).toThrow(
    expect.objectContaining({
      name: "NamesInvalid",
      message: `The names file ${problem}.`,
      advice: "Use a text file with one name on each line, at most 20000 names and 1 MB.",
    }),
  );
});

test("may have 20,000 names and 1 MB", () => {
  expect(namesIn(many(20_000))).toHaveLength(20_000);
  expect(namesIn("é".repeat(500_000))).toHaveLength(1);
});

test("is stored for its dataset", async () => {
  const objects = new Map<string, string>();
  const put = async (key: string, body: string | Uint8Array, type: string) => {
    objects.set(key, String(body));
    return type;
  };
  const getText = async (key: string) => objects.get(key);
  expect(await readNames("d", { getText })).toEqual([]);
  await storeNames("d", ["Maya Okafor", "Doe, Jane"], { put });
  expect([...objects]).toEqual([[keys.namesFile("d"), "Maya Okafor\nDoe, Jane\n"]]);
  expect(await readNames("d", { getText })).toEqual(["Maya Okafor", "Doe, Jane"]);
  expect(await readNames("e", { getText })).toEqual([]);
});
