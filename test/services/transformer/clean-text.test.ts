import { expect, test } from "vitest";
import { cleanText } from "../../../services/transformer/clean-text.ts";

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String.fromCharCode(from + index));

/** Returns the characters that change when each is cleaned separately, with their replacements. */
function changed(characters: readonly string[]): Map<string, string> {
  const pairs = characters.map((character) => [character, cleanText(character)] as const);
  return new Map(pairs.filter(([character, cleaned]) => cleaned !== character));
}

test("replaces line breaks and tabs with a space, removes other control characters and lone surrogates, and keeps all other characters", () => {
  const spaces = ["\t", "\n", "\v", "\f", "\r", "\u0085", "\u2028", "\u2029"];
  const controls = [...range(0x00, 0x1f), ...range(0x7f, 0x9f)].filter((one) => !spaces.includes(one));
  const surrogates = range(0xd800, 0xdfff);
  const expected = new Map([
    ...spaces.map((space) => [space, " "] as const),
    ...[...controls, ...surrogates].map((one) => [one, ""] as const),
  ]);
  const actual = changed(range(0x0000, 0xffff));
  expect([...actual].toSorted()).toEqual([...expected].toSorted());
});

test.each([
  ["a\r\n\n\u2028b", "a b"],
  ["\na\n \nb\n", " a   b "],
  ["a\t\tb", "a  b"],
  ["a\n\u0000\nb", "a  b"],
  ["💥", "💥"],
  ["💥\u0000", "💥"],
  ["\ud83d\u0000\udca5", ""],
  ["\udca5\ud83d", ""],
])("cleans %j to %j", (text, cleaned) => {
  expect(cleanText(text)).toBe(cleaned);
});
