import { describe, expect, test } from "vitest";
import { nameFinder } from "../../../shared/privacy/names.ts";

const find = nameFinder([
  ...[
    "Maya Okafor",
    "Zoë Marchetti",
    "Chidi O'Rourke",
    "Smith-Jones, Anna",
    "Søren Østergård",
    "Li Wei",
    "Gus Pemberton",
  ],
  ...[
    "Mark Young",
    "Grace Sternberg",
    "Virginia Teague",
    "Desk Student",
    "Art Library Desk",
    "tran_e",
    "jkowal@vt.edu",
  ],
  ...["a comment that is in a column of names by mistake", "", "42"],
]);

/** Returns the text with each name in brackets. */
function marked(text: string): string {
  let result = text;
  for (const { start, end } of find(text).reverse())
    result = `${result.slice(0, start)}<${result.slice(start, end)}>${result.slice(end)}`;
  return result;
}

describe("finds", () => {
  test.each([
    ["whole names in both orders", "<Maya Okafor> and <Okafor, Maya>, <Okafor,Maya>"],
    ["initials", "<M. Okafor>; <Maya B. Okafor>; (<M. B. Okafor>), 4th. <Okafor>"],
    ["any case", "<MAYA OKAFOR> or <okafor>"],
    ["accents or none", "<Zoe> <Marchetti>".replace("> <", " ")],
    ["letters with a stroke", "<Soren Ostergard>, <Søren>"],
    ["apostrophes", "<O’Rourke>'s book, <ORourke>, <o'rourke_c>"],
    ["hyphens", "<Anna Smith-Jones>"],
    ["accounts", "<mokafor>, <okaform>, <okafor_m>, <mayaokafor2>, <mayao>, <maya.okafor>, <tran>, <jkowal>"],
    ["short names with a capital", "<Gus> called"],
    ["short names in pairs", "<Li Wei> and <Wei Li>"],
    ["a word that is a name after a word", "asked <Grace> twice"],
    ["a name of words as a whole", "<Mark Young> and the <Desk Student>, the <Art Library Desk>"],
    ["a word next to the rest of its name", "<grace sternberg>"],
    ["what follows a title", "Dr. <Smith>, Mrs <Page>, Prof. <Jane> <Abbott>"],
  ])("%s", (_, text) => {
    expect(marked(text.replaceAll(/[<>]/g, ""))).toBe(text);
  });
});

describe("keeps", () => {
  test.each([
    [
      "words that are names in no name",
      "Mark asked. mark young. a mark, Grace period. Ask Grace, asked;Grace",
    ],
    ["parts of a name of words", "the Art Library is open, Desk closed, the Library Desk"],
    ["short words in lower or upper case", "gus, GUS, li, wei"],
    ["proper words", "in Virginia today"],
    ["words after a job", "Professor said, MS Word, Dr. who"],
    ["words around a name", "May I? maybe Mayas 42"],
    ["entries that are no names", "comment column mistake"],
  ])("%s", (_, text) => {
    expect(marked(text)).toBe(text);
  });

  test("the sentence after a name", () => {
    expect(marked("For Maya. Okafor, Zoë, Maya Okafor Okafor")).toBe(
      "For <Maya>. <Okafor>, <Zoë>, <Maya Okafor> <Okafor>",
    );
  });
});
