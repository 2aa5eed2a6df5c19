// Questions to an operator.
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { ask, isConfirmed } from "../../../stacks/commands/command-line.ts";

test.each([
  { what: "y", keys: "y\r", confirmed: true },
  { what: "YES between blanks", keys: " YES \r", confirmed: true },
  { what: "n", keys: "n\r", confirmed: false },
  { what: "another word", keys: "yesterday\r", confirmed: false },
  { what: "Enter alone", keys: "\r", confirmed: false },
  { what: "Ctrl-C", keys: "\u0003", confirmed: false },
  { what: "y and Ctrl-C", keys: "y\u0003", confirmed: false },
  { what: "Ctrl-D", keys: "\u0004", confirmed: false },
])("$what confirms: $confirmed", async ({ keys, confirmed }) => {
  // Only a terminal interprets keys.
  const input = new PassThrough();
  const output = Object.assign(new PassThrough(), { isTTY: true });

  const answer = isConfirmed("Restore it? [y/N] ", { input, output });
  input.write(keys);

  expect(await answer).toBe(confirmed);
});

test("prints the lines above the question once, and returns the answer without surrounding blanks", async () => {
  const input = new PassThrough();
  const output = Object.assign(new PassThrough(), { isTTY: true });

  const answer = ask("rows 7\nType the number of rows: ", { input, output });
  input.write(" 10,412 \r");

  expect(await answer).toBe("10,412");
  const shown = String(output.read());
  expect(shown.split("rows 7\n")).toHaveLength(2);
  expect(shown).toContain("Type the number of rows: ");
});
