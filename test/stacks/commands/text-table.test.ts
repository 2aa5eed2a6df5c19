// Text for a terminal: tables and sentences that fit its width.
import fc from "fast-check";
import { expect, test } from "vitest";
import { fitted, table, widthOf } from "../../../stacks/commands/text-table.ts";

const header = ["run", "range", "rows", "updated"];
const rows = [
  ["reference-transactions-1a2b3c4d5e6f", "2021-12-02 to 2026-11-22", 10_287, "3 d"],
  ["reference-transactions-93d95e4fb5a2", "", "", "45 s"],
];

test("in a pipe a table has all of its columns, numbers on the right", () => {
  expect(table(header, rows, { optional: ["range", "rows"] })).toBe(
    `${[
      "run                                  range                     rows    updated",
      "reference-transactions-1a2b3c4d5e6f  2021-12-02 to 2026-11-22  10,287  3 d",
      "reference-transactions-93d95e4fb5a2                                    45 s",
    ].join("\n")}\n`,
  );
});

test("on a narrow terminal a table leaves out optional columns, in order, and says so", () => {
  const optional = ["none", "range", "rows"];
  expect(table(header, rows, { width: 77, optional })).toContain("range");
  expect(table(header, rows, { width: 76, optional })).toBe(
    `${[
      "run                                  rows    updated",
      "reference-transactions-1a2b3c4d5e6f  10,287  3 d",
      "reference-transactions-93d95e4fb5a2          45 s",
      "",
      "Left out to fit the terminal: range. --json has them.",
    ].join("\n")}\n`,
  );
  expect(table(header, rows, { width: 10, optional })).toContain("terminal: range, rows.");
});

test("a long line continues below the start of its last column", () => {
  expect(fitted("next          Compare the held file with the published file.\nok", 40)).toBe(
    "next          Compare the held file with\n              the published file.\nok",
  );
  expect(fitted("No limit in a pseudoterminal without columns.", 0)).not.toContain("\n");
  expect(fitted("  attributes: one, two, three", 18)).toBe("  attributes: one,\n  two, three");
});

test("a command that does not fit there starts further to the left", () => {
  expect(fitted("next          Replay it: npm run replay -- send --run RUN", 36)).toBe(
    "next          Replay it:\n    npm run replay -- send --run RUN",
  );
});

test("a question keeps the blank before its answer", () => {
  expect(fitted("Move 3 dead letters to the work bucket? [y/N] ", 30)).toBe(
    "Move 3 dead letters to the\nwork bucket? [y/N] ",
  );
});

test("a command is not broken, because a part of it could be copied and run", () => {
  expect(
    fitted("Fix the cause (npm run replay -- show --run RUN), then replay: npm run replay -- send", 30),
  ).toBe("Fix the cause\n(npm run replay -- show --run RUN),\nthen replay:\nnpm run replay -- send");
  expect(fitted("Published. If the new one is right: npm run runs -- publish RUN --force. Or not.", 44)).toBe(
    "Published. If the new one is right:\nnpm run runs -- publish RUN --force. Or not.",
  );
  expect(fitted("Stopped: npx sst shell --stage S -- npm run runs -- list (run RUN)", 30)).toBe(
    "Stopped:\nnpx sst shell --stage S -- npm run runs -- list\n(run RUN)",
  );
});

test("any words stay in their order, and a line is too wide only if it is one word", () => {
  const word = fc.string({ unit: fc.constantFrom(..."abc.,)(é漢"), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(word, { minLength: 1 }), fc.integer({ min: 10, max: 40 }), (words, width) => {
      const lines = fitted(words.join(" "), width).split("\n");
      expect(lines.flatMap((line) => line.trim().split(" "))).toEqual(words);
      for (const line of lines) {
        if (line.trim().includes(" ")) expect(widthOf(line)).toBeLessThanOrEqual(width);
      }
    }),
  );
});
