import fc from "fast-check";
import { expect, test } from "vitest";
import { cleanText } from "../../../services/transformer/text.ts";

test.each([
  ["\n"],
  ["\r"],
  ["\r\n"],
  ["\v"],
  ["\f"],
  ["\u0085"],
  ["\u2028"],
  ["\u2029"],
  ["\n\n\n"],
  ["\r\n\u2028\v"],
])("line breaks in a row become one space: %j", (lineBreak) => {
  expect(cleanText(`one${lineBreak}two`)).toBe("one two");
  expect(cleanText(`${lineBreak}one${lineBreak}`)).toBe(" one ");
});

test("line breaks apart from each other, and each tab, become a space each", () => {
  expect(cleanText("one\ntwo\r\nthree")).toBe("one two three");
  expect(cleanText("a\tb\t\tc")).toBe("a b  c");
});

test("other control characters are removed", () => {
  expect(cleanText("a\u0000b\u0001c\u001bd\u007fe\u009ff")).toBe("abcdef");
});

test("half a surrogate pair, which UTF-8 cannot carry, is removed", () => {
  expect(cleanText("a\ud83d b \udca5c")).toBe("a b c");
  // Also where a control character was between two halves.
  expect(cleanText("a\ud83d\u0000\udca5c")).toBe("ac");
});

test.each([
  "",
  "  two  spaces  ",
  'quotes " and \\ backslashes',
  "emoji 💥 👩‍🔬",
  "donâ€™t",
  "Straße, 図書館",
])("printable text is unchanged: %j", (text) => {
  expect(cleanText(text)).toBe(text);
});

test("any text becomes one line without control characters, which cleaning does not change", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary" }),
      fc.constantFrom("\n", "\u2028", "\u0000", "\ud83d"),
      (a, b) => {
        const clean = cleanText(`${a}${b}${a}`);
        expect(clean).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029]/u);
        expect(cleanText(clean)).toBe(clean);
      },
    ),
    { numRuns: 500 },
  );
});
