import fc from "fast-check";
import { expect, test } from "vitest";
import { cleanText } from "../../../services/transformer/text.ts";

test.each([
  ["\n", "line feed"],
  ["\r", "carriage return"],
  ["\r\n", "Windows line break"],
  ["\v", "vertical tab"],
  ["\f", "form feed"],
  ["\u0085", "next line"],
  ["\u2028", "line separator"],
  ["\u2029", "paragraph separator"],
  ["\n\n\n", "several"],
  ["\r\n\u2028\v", "several of different kinds"],
])("a line break becomes one space: %j (%s)", (lineBreak) => {
  expect(cleanText(`one${lineBreak}two`)).toBe("one two");
  expect(cleanText(`${lineBreak}one${lineBreak}`)).toBe(" one ");
});

test("line breaks apart from each other become a space each", () => {
  expect(cleanText("one\ntwo\r\nthree")).toBe("one two three");
});

test("each tab becomes a space", () => {
  expect(cleanText("a\tb\t\tc")).toBe("a b  c");
});

test("other control characters have nothing to show and go", () => {
  expect(cleanText("a\u0000b\u0001c\u001bd\u007fe\u009ff")).toBe("abcdef");
});

test("half a surrogate pair, which UTF-8 can't carry, goes", () => {
  expect(cleanText("a\ud83d b \udca5c")).toBe("a b c");
  // Also where a control character between two halves goes.
  expect(cleanText("a\ud83d\u0000\udca5c")).toBe("ac");
});

test.each([
  "",
  "  two  spaces  ",
  'quotes " and \\ backslashes',
  "emoji 💥 👩‍🔬",
  "donâ€™t",
  "Straße, 図書館",
])("what is fit to show stays as it is: %j", (text) => {
  expect(cleanText(text)).toBe(text);
});

test("of any text comes one line without control characters, and cleaning it again changes nothing", () => {
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
