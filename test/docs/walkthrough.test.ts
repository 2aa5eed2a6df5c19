// cspell:words soffice
// The commands that need no account, typed as the pages write them, page by page, in one folder as after a clone. Where a
// page shows what a command prints, the real output has to have these lines.
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UsageError } from "../../stacks/cli.ts";
import { checkForm, scriptOf } from "./command-forms.ts";
import { type CodeBlock, pages } from "./markdown.ts";
import { type Command, commandsOf } from "./shell.ts";

const all = await pages();
/** The first ones in the order in which a new user reads them. */
const read = ["README.md", "docs/operate.md", "docs/datasets.md", "docs/analysts.md", "docs/statistics.md"];

/** npm scripts that are run here. The others take minutes, or need an account: commands.test.ts checks how they are written. */
const quick = [
  "adopt",
  "start",
  "runs",
  "replay",
  "instances",
  "dictionary",
  "tableau",
  "stats",
  "privacy",
  "libinsight",
];
/** Programs that a machine may lack. */
const optional = ["soffice"];

let folder = "";
let simulator: { process: ChildProcess; settings: Record<string, string> } | undefined;
const exported: Record<string, string> = {};
/** A command takes seconds. */
const longestMs = 60_000;
const runId = /\b[a-z][a-z0-9-]*-[0-9a-f]{12}\b/g;
const done = new Set<string>();
/** For RUN and EARLIER_RUN. */
let [newestRun, earlierRun] = ["", ""];

beforeAll(async () => {
  const [lock, installed] = await Promise.all([
    stat("package-lock.json"),
    stat("node_modules/.package-lock.json"),
  ]);
  // A command would otherwise install packages into the folder that the link below leads to.
  if (installed.mtimeMs < lock.mtimeMs) throw new Error("The packages are outdated. Run npm ci.");
  folder = await mkdtemp(join(tmpdir(), "libinsight-docs-"));
  for (const name of ["stacks", "services", "shared", "docs"])
    await cp(name, join(folder, name), { recursive: true });
  // The pages show what the tests' library gives, even if shared/library.ts has another library.
  const library = await readFile("test/fixtures/library.ts", "utf8");
  await writeFile(join(folder, "shared/library.ts"), library.replace("../../shared/", "./"));
  // A link, because install.mjs compares its time with that of the packages.
  for (const name of ["package.json", "tsconfig.json", "package-lock.json", ".npmrc", "node_modules"])
    await symlink(join(process.cwd(), name), join(folder, name));
});

afterAll(async () => {
  await stopSimulator();
  await rm(folder, { recursive: true, force: true });
});

for (const { file, blocks } of read.map((name) => pageNamed(name))) {
  test(`${file}: a new terminal`, async () => {
    // README: simulated data never replaces real data.
    if (simulator) await rm(join(folder, ".local"), { recursive: true, force: true });
    await stopSimulator();
  });

  for (const [index, block] of blocks.entries()) {
    const commands = block.lang === "sh" ? commandsOf(block.text).filter(isRun) : [];
    if (commands.length === 0) continue;
    test(
      `${file}: ${commands.map(({ text }) => text).join("; ")}`,
      async () => {
        let output = "";
        for (const command of commands) output = await type(command, block);
        const shown = blocks[index + 1];
        if (shown?.lang === "text" && !block.after.slice(0, block.after.indexOf("```text")).includes("\n#"))
          expectLines(output, shown.text);
      },
      2 * longestMs,
    );
  }
}

test("what npm test prints at its end has the form that README shows", () => {
  const [, shown] = pageNamed("README.md").blocks.filter(({ lang }) => lang === "text");
  expect(shown?.text).toMatch(/^ Test Files {2}\d+ passed \(\d+\)\n {6}Tests {2}\d+ passed \(\d+\)$/);
});

function pageNamed(name: string) {
  const found = all.find(({ file }) => file === name);
  if (!found) throw new Error(`There is no page ${name}.`);
  return found;
}

function isRun({ words: [program = "", ...rest] }: Command): boolean {
  const script = scriptOf([program, ...rest]);
  if (script) return quick.includes(script.name);
  return ["export", "rm", "cd", ...optional].includes(program);
}

/** Runs a command, once if it is the same on several pages, and returns what it prints. */
async function type(command: Command, block: CodeBlock): Promise<string> {
  const { words } = command;
  if (words[0] === "export") return remember(words.slice(1));
  const script = scriptOf(words);
  if (script?.name === "libinsight") return startSimulator(command);
  if (command.text.startsWith("cd") && optional.some((program) => command.text.includes(`${program} `))) {
    if ((await sh(`command -v ${optional.join(" ")}`)).code !== 0) return "";
  }
  const isStory = pageNamed("docs/operate.md").blocks.includes(block);
  if (!isStory && done.has(command.text)) return "";
  done.add(command.text);
  const { code, output } = await sh(await runnable(command));
  const fails =
    script?.name === "start" && /exits with 1/.test(block.after) && !/npm start$/.test(command.text);
  const [first, second] = output.match(runId) ?? [];
  if (script?.name === "start" || script?.args[0] === "request") newestRun = first ?? newestRun;
  if (script?.name === "runs" && script.args[0] === "list")
    [newestRun, earlierRun] = [first ?? "", second ?? ""];
  // A page of reference has commands for runs in other states than the one that is here.
  const isRefused = code === 1 && output.includes("The run has ended");
  const expected = fails || isRefused ? 1 : 0;
  expect([command.text, code, code === expected ? "" : output]).toEqual([command.text, expected, ""]);
  return output;
}

/** Returns the command with runs for RUN and EARLIER_RUN, and with --yes where it asks and no terminal is here. */
async function runnable(command: Command): Promise<string> {
  let line = command.text.replace(/\bEARLIER_RUN\b/, earlierRun).replace(/\bRUN\b/, newestRun);
  try {
    checkForm(command);
  } catch (error) {
    if (!(error instanceof UsageError) || !error.message.includes("needs a terminal")) throw error;
    line += " --yes";
  }
  return line;
}

/** Sets variables as `export` does. Those that name a LibInsight get the simulated one. */
async function remember(settings: readonly string[]): Promise<string> {
  for (const setting of settings) {
    const [name = "", value = ""] = setting.split("=", 2);
    if (!name.startsWith("LIBINSIGHT_")) continue;
    simulator ??= await simulatorOf("npm run libinsight");
    const real = simulator.settings[name];
    if (real === undefined) throw new Error(`The simulated LibInsight has no ${name}.`);
    // Ports differ, and README leaves the credentials out.
    if (!/^https?:|^\.\.\.$/.test(value)) expect(value).toBe(real);
    exported[name] = real;
  }
  return "";
}

async function startSimulator({ text: line }: Command): Promise<string> {
  await stopSimulator();
  simulator = await simulatorOf(line.replace(/--port \d+/, "--port 0"));
  return "";
}

async function simulatorOf(line: string): Promise<NonNullable<typeof simulator>> {
  // A group of its own, because npm does not pass on every signal.
  const child = spawn("sh", ["-c", line], {
    cwd: folder,
    env: environment(),
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const output = await new Promise<string>((resolve) => {
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += String(chunk);
      if (/^curl /m.test(printed)) resolve(printed);
    });
    child.once("exit", () => resolve(printed));
  });
  const settings = Object.fromEntries(
    [...output.matchAll(/^(LIBINSIGHT_\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  return { process: child, settings };
}

async function stopSimulator(): Promise<void> {
  const running = simulator?.process;
  simulator = undefined;
  for (const name of Object.keys(exported)) delete exported[name];
  if (running?.pid === undefined || running.exitCode !== null) return;
  const ended = once(running, "exit");
  process.kill(-running.pid, "SIGINT");
  await ended;
}

/** Ends a process and its children: npm does not pass on every signal. */
function endGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}

async function sh(line: string): Promise<{ code: number | null; output: string }> {
  const stdio: StdioOptions = ["ignore", "pipe", "pipe"];
  const child = spawn("sh", ["-c", line], { cwd: folder, env: environment(), stdio, detached: true });
  const timer = setTimeout(() => endGroup(child), longestMs);
  const ended = once(child, "exit");
  const [stdout, stderr, [code]] = await Promise.all([textOf(child.stdout), textOf(child.stderr), ended]);
  clearTimeout(timer);
  return { code, output: stdout + stderr };
}

async function textOf(stream: Readable | null): Promise<string> {
  return stream ? text(stream) : "";
}

function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(LIBINSIGHT|TABLEAU|SST_RESOURCE|npm|VITEST|NODE_ENV|NODE_OPTIONS)/.test(name),
  );
  return { ...Object.fromEntries(inherited), NO_COLOR: "1", RETRY_BASE_SECONDS: "0", ...exported };
}

/** Checks that the output has the shown lines in their order. A line `...` stands for any lines, also none. */
function expectLines(output: string, shown: string): void {
  const real = output.split("\n").map(withoutFigures);
  let at = 0;
  let mayFollowLater = true;
  for (const line of shown.split("\n").map(withoutFigures)) {
    if (line === "...") {
      mayFollowLater = true;
      continue;
    }
    const found = mayFollowLater ? real.indexOf(line, at) : at;
    expect(real[found] ?? real.slice(at).join("\n")).toBe(line);
    at = found + 1;
    mayFollowLater = false;
  }
}

/** Leaves out what differs from run to run and from day to day. */
function withoutFigures(line: string): string {
  return line
    .replace(/-[0-9a-f]{12}\b/g, "-ID")
    .replace(/\b\d{4}-\d\d-\d\d\b/g, "DATE")
    .replace(/\b\d+(\.\d+)? (s|min|h|d)\b/g, "TIME")
    .replace(/\b\d+ windows?\b/g, "WINDOWS")
    .replace(/\b\d+\/\d+\b/g, "PAGES")
    .replace(/\b\d+ \(only the first is kept\)/g, "ANSWERS")
    .replace(/ +/g, " ")
    .trim();
}
