// Installs MiniStack once, in a virtual environment. Run by itself, before the tests, it says in one line what is missing.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const requirementsFile = join(import.meta.dirname, "requirements.txt");
const cache = join(import.meta.dirname, "../../.cache");
/** Seventeen packages of some 20 MB. */
const installMs = 5 * 60_000;
const askMs = 20_000;

/** Says what is missing and how to get it, in one line. */
export class NoEmulator extends Error {
  override readonly name = "NoEmulator";
}

/** The virtual environment's own Python, which has MiniStack. */
export function venvPython(): string {
  const version = createHash("sha256").update(readFileSync(requirementsFile)).digest("hex").slice(0, 8);
  return join(cache, `ministack-${pinnedVersion()}-${version}`, "bin", "python");
}

/** Installs MiniStack unless it is installed. @throws NoEmulator where that is not possible */
export function installMiniStack(): void {
  const wanted = join(venvPython(), "../..");
  const python = ["python3", "python"].find((name) =>
    succeeds(name, ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"]),
  );
  if (!python || !succeeds("openssl", ["version"])) {
    throw new NoEmulator(
      "npm run test:emulator needs openssl, and Python 3.10 or later with its venv module (Debian: apt install openssl python3-venv).",
    );
  }
  if (existsSync(wanted)) return;
  process.stderr.write("Installing MiniStack (once, about half a minute) ...\n");
  mkdirSync(cache, { recursive: true });
  // Renamed when complete. A virtual environment can be moved where only its Python is used.
  const draft = `${wanted}.${process.pid}`;
  try {
    run(python, ["-m", "venv", draft]);
    run(join(draft, "bin", "python"), [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--no-deps",
      "--requirement",
      requirementsFile,
    ]);
    renameSync(draft, wanted);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function pinnedVersion(): string {
  const [, version] = /^ministack==(\S+)$/m.exec(readFileSync(requirementsFile, "utf8")) ?? [];
  if (version) return version;
  throw new Error("test/emulator/requirements.txt names no version of ministack.");
}

function succeeds(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore", timeout: askMs }).status === 0;
}

function run(command: string, args: string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: installMs });
  if (status === 0) return;
  throw new NoEmulator(
    `${stdout}${stderr}MiniStack could not be installed. It needs PyPI once; fix the cause above and run it again.`,
  );
}

if (import.meta.main) {
  try {
    installMiniStack();
  } catch (error) {
    if (!(error instanceof NoEmulator)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
