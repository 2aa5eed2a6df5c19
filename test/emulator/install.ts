// Which emulator there is: what AWS_ENDPOINT_URL names, MiniStack in a virtual environment, or MiniStack's Docker image.
// Installs the virtual environment once. Run by itself, before the tests, it says in one line what is missing.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const requirementsFile = join(import.meta.dirname, "requirements.txt");
const cache = join(import.meta.dirname, "../../.cache");
/** Seventeen packages of some 20 MB. */
const installMs = 5 * 60_000;
const askMs = 20_000;

export type Choice =
  | { kind: "endpoint"; url: string }
  | { kind: "python"; python: string }
  | { kind: "docker"; image: string };

/** What is missing, and how to get it: one line. */
export class NoEmulator extends Error {
  override readonly name = "NoEmulator";
}

/** @throws NoEmulator */
export function chooseEmulator(env: NodeJS.ProcessEnv): Choice {
  const url = env.AWS_ENDPOINT_URL;
  if (url) {
    if (isHere(url)) return { kind: "endpoint", url: url.replace(/\/+$/, "") };
    throw new NoEmulator(
      "AWS_ENDPOINT_URL names another machine; the tests create and delete things, so it has to be an emulator on this one, such as http://127.0.0.1:4566.",
    );
  }
  const python = ["python3", "python"].find((name) =>
    succeeds(name, ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"]),
  );
  const hasOpenSsl = succeeds("openssl", ["version"]);
  if (python && hasOpenSsl) return { kind: "python", python };
  if (hasOpenSsl && succeeds("docker", ["version"])) {
    return { kind: "docker", image: `ministackorg/ministack:${pinnedVersion()}` };
  }
  const missing = hasOpenSsl
    ? "Python 3.10 or later with its venv module (Debian: apt install python3-venv), or Docker"
    : "openssl, and Python 3.10 or later with its venv module (Debian: apt install openssl python3-venv)";
  throw new NoEmulator(`npm run test:emulator needs ${missing}; or an emulator that AWS_ENDPOINT_URL names.`);
}

/** The virtual environment's own Python, which has MiniStack. */
export function venvPython(): string {
  const version = createHash("sha256").update(readFileSync(requirementsFile)).digest("hex").slice(0, 8);
  return join(cache, `ministack-${pinnedVersion()}-${version}`, "bin", "python");
}

/** @throws NoEmulator where it can't be installed */
export function installMiniStack(python: string): void {
  const wanted = join(venvPython(), "../..");
  if (existsSync(wanted)) return;
  process.stderr.write("Installing MiniStack (once, about half a minute) ...\n");
  mkdirSync(cache, { recursive: true });
  // Whole, or not there: a virtual environment can be moved where its programs are not used, only its Python.
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

function isHere(url: string): boolean {
  return URL.canParse(url) && ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);
}

function succeeds(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore", timeout: askMs }).status === 0;
}

function run(command: string, args: string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: installMs });
  if (status === 0) return;
  throw new NoEmulator(
    `${stdout}${stderr}MiniStack could not be installed. It needs PyPI once; mend the cause above and run it again.`,
  );
}

if (import.meta.main) {
  try {
    const choice = chooseEmulator(process.env);
    if (choice.kind === "python") installMiniStack(choice.python);
  } catch (error) {
    if (!(error instanceof NoEmulator)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
