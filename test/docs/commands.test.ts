// cspell:ignore shwo sned delpoy
// Every command that the pages name: in blocks and in sentences, run or not. Each has to be one that can be typed.
import { describe, expect, test } from "vitest";
import { checkForm, requireVariable } from "./command-forms.ts";
import { pages } from "./markdown.ts";
import { type Command, commandOf, commandsOf } from "./shell.ts";

const all = await pages();

/** Commands in sentences begin with a program; other inline code is none. */
const inSentence = /^(npm|npx|aws|node|[A-Z][A-Z0-9_]*=\S+ npm) /;

const commands = all.flatMap(({ file, blocks, code }) => {
  const written = [
    ...blocks.filter(({ lang }) => lang === "sh").flatMap(({ text }) => commandsOf(text)),
    ...code.filter((text) => inSentence.test(text)).flatMap((text) => commandOf(text) ?? []),
  ];
  return [...new Map(written.map((command) => [command.text, command])).values()].map(
    (command): [string, string, Command] => [file, command.text, command],
  );
});

// Commands that ask are typed at a terminal.
const stdin = process.stdin.isTTY;
process.stdin.isTTY = true;
process.once("exit", () => {
  process.stdin.isTTY = stdin;
});

test.each(commands)("%s: %s", (_file, _text, command) => {
  expect(() => checkForm(command)).not.toThrow();
});

test("settings in .env files are variables that the code reads", () => {
  const files = all.flatMap(({ blocks }) => blocks.filter(({ lang }) => lang === "dotenv"));
  const names = files.flatMap(({ text }) => text.match(/^[A-Z_]+(?==)/gm) ?? []);
  expect(names).toContain("TABLEAU_URL");
  for (const name of names) expect(() => requireVariable(name)).not.toThrow();
});

test("every block names a language that the tests know", () => {
  const known = ["sh", "text", "diff", "ts", "json", "dotenv", "python", "r", "sql", "mermaid"];
  const langs = all.flatMap(({ file, blocks }) => blocks.map(({ lang }) => `${file}: ${lang}`));
  expect(langs.filter((lang) => !known.includes(lang.split(": ")[1] ?? ""))).toEqual([]);
});

describe("the tests refuse commands that cannot be typed", () => {
  test.each([
    ["npm run walk", "no script"],
    ["npm start -- --fast", "Unknown option"],
    ["npm run runs -- shwo RUN", "Unknown command"],
    ["npm run chaos -- --planets 9", "Unknown option"],
    ["npm run bench -- --only speed", 'no case "speed"'],
    ["npx sst secret set LibInsightPassword --stage production < id.txt", "no LibInsightPassword"],
    ["npx sst shell --stage production -- npm run replay -- sned", "Unknown command"],
    ["npx sst delpoy --stage ada", "no command delpoy"],
    ["aws s3api put-bucket-versioning --bucket a --version Enabled", "no --version"],
    ["aws s3api put-bucket-color --bucket a", "no operation"],
    ["export LIBINSIGHT_URL=https://example.edu", "LIBINSIGHT_URL"],
    ["curl https://example.edu", "program curl"],
  ])("%s", (text, problem) => {
    const [command] = commandsOf(text);
    expect(() => checkForm(command ?? { text, env: {}, words: [] })).toThrow(problem);
  });
});

test("commands are read as a shell reads them", () => {
  const block =
    "# first\nA=1 npm start -- --rename \"a=b c\" > run.json   # then\n\naws x --a 'b\n  c' \\\n  --d e\n";
  expect(commandsOf(block)).toEqual([
    {
      text: 'A=1 npm start -- --rename "a=b c" > run.json',
      env: { A: "1" },
      words: ["npm", "start", "--", "--rename", "a=b c"],
    },
    { text: "aws x --a 'b c'  --d e", env: {}, words: ["aws", "x", "--a", "b c", "--d", "e"] },
  ]);
});
