// Tests flags before `--`, which npm consumes: without a check, `npm start --records=400` would use the default of 10,300.
import { spawnSync } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type CommandLine, UsageError } from "../../stacks/cli.ts";
import { line as replay } from "../../stacks/commands/replay/replay-args.ts";
import { line as runs } from "../../stacks/commands/runs/runs-args.ts";
import { line as libinsight } from "../../stacks/local/libinsight/simulator-args.ts";
import { parseCommand, usage } from "../../stacks/local/start-args.ts";
import { temporaryFolder } from "../support/npm-start.ts";

const now = new Date("2026-01-05T12:00:00Z");
const start: CommandLine<unknown> = {
  parse: (args, env) => parseCommand(args, now, env),
  usage,
  helpCommand: () => "npm start -- --help",
};
const byNpm = { npm_lifecycle_event: "start", npm_config_yes: "", npm_config_cache: "/home/x/.npm" };

const root = join(import.meta.dirname, "../..");

test.each([
  [["start", "--records=400"], "npm start -- --records=400"],
  [["run", "replay", "send", "--older-than=3d"], "npm run replay -- send --older-than=3d"],
])("npm %j exits 2 with the correct command line", async (args, right) => {
  await using folder = await temporaryFolder();
  const scripts = {
    start: `"${process.execPath}" "${root}/test/support/start.mjs"`,
    replay: `"${process.execPath}" "${root}/stacks/commands/replay.ts"`,
  };
  await writeFile(join(folder.path, "package.json"), JSON.stringify({ scripts }));
  const { status, stderr } = spawnSync("npm", args, { cwd: folder.path, encoding: "utf8" });
  expect(stderr).toContain(` for its own. Put the flags after --: ${right}\n`);
  expect(status).toBe(2);
  expect(await readdir(folder.path)).toEqual(["package.json"]);
});

test.each<[CommandLine<unknown>, args: string[], env: Record<string, string>, right: string]>([
  [
    start,
    [],
    { npm_config_from: "2024-01-01" },
    "npm took --from for its own. Put the flags after --: npm start -- --from=2024-01-01",
  ],
  [start, [], { npm_config_token_description: "2024-01-31" }, "npm start -- --to=2024-01-31"],
  [start, ["400"], { npm_config_records: "true" }, "npm start -- --records <n>"],
  [start, [], { npm_config_rename: "mode=a b\n\nwho=x" }, "npm start -- '--rename=mode=a b' --rename=who=x"],
  [start, ["--records=5"], { npm_config_latency: "9" }, "npm start -- --records=5 --latency=9"],
  [start, [], { npm_config_json: "true" }, "npm start -- --json. If your .npmrc sets it, remove it there."],
  [
    replay,
    ["send"],
    { npm_config_dry_run: "true", npm_config_yes: "true" },
    "npm run replay -- send --dry-run. If",
  ],
  [replay, ["list"], { npm_config_olderthan: "3d" }, "npm run replay -- list --older-than=3d"],
  [replay, ["list"], { NPM_CONFIG_OLDER_THAN: "3d" }, "npm run replay -- list --older-than=3d"],
  [
    runs,
    ["show", "x", "5m"],
    { npm_config_stalled_after: "true" },
    "npm run runs -- show --stalled-after <time>",
  ],
  [runs, ["request"], { npm_config_reason: "a\u001bb" }, "npm run runs -- request '--reason=a b'"],
  [libinsight, [], { npm_config_page_size: "7" }, "npm run libinsight -- --page-size=7"],
])("%#: the error has the correct command line", (line, args, env, right) => {
  const parse = () => line.parse(args, { ...byNpm, ...env });
  expect(parse).toThrow(UsageError);
  expect(parse).toThrow(right);
});

test.each<[what: string, args: string[], env: Record<string, string>]>([
  ["a flag after --", ["--json"], { npm_config_json: "true" }],
  ["a setting that CI jobs have", [], { npm_config_yes: "true", npm_config_force: "true" }],
  ["npm's log level", [], { npm_config_loglevel: "warn" }],
  ["a setting without a value", [], { npm_config_json: "", npm_config_records: "" }],
  ["a flag of another command", [], { npm_config_reason: "x" }],
])("%s is accepted", (_, args, env) => {
  expect(start.parse(args, { ...byNpm, ...env })).toEqual(start.parse(args));
});

test("npm's variables are ignored if npm does not run the command", () => {
  expect(start.parse([], { npm_config_records: "400" })).toEqual(start.parse([]));
});

test("a shell reads any value of a flag correctly from the command line in the error", () => {
  const shown = fc
    .string({ unit: "grapheme", minLength: 1 })
    .filter((value) => value !== "true" && !/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u.test(value));
  fc.assert(
    fc.property(shown, (value) => {
      const error = messageOf(() => start.parse([], { ...byNpm, npm_config_out: value }));
      const words = error.slice(error.indexOf("npm start -- ") + "npm start -- ".length);
      const { stdout } = spawnSync("sh", ["-c", `printf %s ${words}`], { encoding: "utf8" });
      expect(stdout).toBe(`--out=${value}`);
    }),
    { numRuns: 25 },
  );
});

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "";
}
