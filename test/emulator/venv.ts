// Installs Python packages into virtual environments under .cache/, each once.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** Enough time for 80 packages. */
const installMs = 10 * 60_000;
const checkMs = 20_000;

/** Returns the command of a Python with the venv module and at least version 3.`minor`. */
export function findPython(minor: number): string | undefined {
  const code = `import sys, venv, ensurepip; sys.exit(sys.version_info < (3, ${minor}))`;
  return ["python3", "python"].find((name) => succeeds(name, ["-c", code]));
}

export function succeeds(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore", timeout: checkMs }).status === 0;
}

/** Returns the folder of an environment. It depends on the content of the requirements file. */
export function venvFolder(name: string, requirements: string): string {
  const version = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 8);
  return join(process.cwd(), ".cache", `${name}-${version}`);
}

/** Returns the Python of an environment. */
export function pythonIn(folder: string): string {
  return join(folder, "bin", "python");
}

/** Installs the packages unless the folder exists. @throws Error with a message of one line */
export function installVenv(python: string, folder: string, requirements: string): void {
  if (existsSync(folder)) return;
  process.stderr.write("Installing a Python environment (once, about half a minute) ...\n");
  mkdirSync(dirname(folder), { recursive: true });
  // The draft is renamed when it is complete. After that, its Python works, but its other programs do not.
  const draft = `${folder}.${process.pid}`;
  try {
    run(python, ["-m", "venv", draft]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    run(pythonIn(draft), [...pip, "--requirement", requirements]);
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: installMs });
  if (status === 0) return;
  const last = stderr?.trim().split("\n").at(-1) ?? "";
  throw new Error(`"${[command, ...args].join(" ")}" failed: ${last}`);
}
