// `npm run test:library`: proves that another library needs to replace only shared/library.ts. Copies the project to a
// temporary folder, replaces that file by test/fixtures/another-library.ts, writes the dictionary, and runs the type
// checker and tests there: those of the arguments, or with `--all` every test.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** One test file or folder of each kind: settings, stacks, services, commands, `npm start`, docs. */
const representative = [
  "test/shared/library-schema.test.ts",
  "test/stacks/deployed-library.test.ts",
  "test/stacks/wiring.test.ts",
  "test/stacks/commands/dictionary.test.ts",
  "test/stacks/commands/tableau.test.ts",
  "test/stacks/local/start.test.ts",
  "test/services/transformer",
  "test/docs",
];

const folder = mkdtempSync(join(tmpdir(), "another-library-"));
try {
  process.exitCode = check(testsOf(process.argv.slice(2))) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function testsOf(args: readonly string[]): readonly string[] {
  if (args.includes("--all")) return [];
  return args.length > 0 ? args : representative;
}

function check(tests: readonly string[]): boolean {
  const listed = spawnSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" });
  for (const file of listed.stdout.split("\n").filter(Boolean))
    cpSync(file, join(folder, file), { recursive: true, preserveTimestamps: true });
  for (const shared of ["node_modules", ".sst"])
    symlinkSync(join(process.cwd(), shared), join(folder, shared));
  const another = readFileSync("test/fixtures/another-library.ts", "utf8");
  writeFileSync(join(folder, "shared/library.ts"), another.replace("../../shared/", "./"));
  return (
    run("stacks/commands/dictionary.ts") &&
    run("node_modules/typescript/bin/tsc", "--noEmit") &&
    run("node_modules/typescript/bin/tsc", "--noEmit", "-p", "stacks") &&
    run("node_modules/.bin/vitest", "run", "--config", "test/vitest.config.ts", ...tests)
  );
}

function run(program: string, ...args: string[]): boolean {
  process.stdout.write(`\n${[program, ...args].join(" ")}\n`);
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  return spawnSync(process.execPath, [program, ...args], { cwd: folder, env, stdio: "inherit" }).status === 0;
}
