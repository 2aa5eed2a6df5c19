// The peers' programs in peers/, each in a virtual environment of its own under .cache/, installed once.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const programs = join(import.meta.dirname, "peers");
const environments = join(process.cwd(), ".cache", "bench-venv");
/** Some 40 and 80 packages. */
const installMs = 10 * 60_000;
const checkMs = 20_000;

export type Peer = { python: string; program: string };
export type PeerName = "dlt" | "airbyte";

const files: Record<PeerName, { requirements: string; program: string }> = {
  dlt: { requirements: "requirements-dlt.txt", program: "dlt_pipeline.py" },
  airbyte: { requirements: "requirements-airbyte.txt", program: "airbyte_source.py" },
};

type Peers = Record<PeerName, Peer>;
let found: { peers: Peers | undefined } | undefined;

/** Installs them at the first call. @returns undefined, after one line on stderr, where that is not possible */
export function installPeers(): Peers | undefined {
  found ??= { peers: tryToInstall() };
  return found.peers;
}

function tryToInstall(): Peers | undefined {
  // numpy's and pyarrow's pinned versions need 3.11.
  const python = ["python3", "python"].find((name) => {
    const code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    return spawnSync(name, ["-c", code], { stdio: "ignore", timeout: checkMs }).status === 0;
  });
  if (!python) {
    process.stderr.write(
      "Skipping dlt and the Airbyte CDK: they need Python 3.11 or later with its venv module (Debian: apt install python3-venv).\n",
    );
    return undefined;
  }
  try {
    return { dlt: installed(python, "dlt"), airbyte: installed(python, "airbyte") };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    process.stderr.write(`Skipping dlt and the Airbyte CDK: ${what}\n`);
    return undefined;
  }
}

/** @throws Error with one line */
function installed(python: string, name: PeerName): Peer {
  const requirements = join(programs, files[name].requirements);
  const version = createHash("sha256").update(readFileSync(requirements)).digest("hex").slice(0, 8);
  const folder = join(environments, `${name}-${version}`);
  const peer = { python: join(folder, "bin", "python"), program: join(programs, files[name].program) };
  if (existsSync(folder)) return peer;
  process.stderr.write(`Installing ${name} (once, about half a minute) ...\n`);
  mkdirSync(environments, { recursive: true });
  // The folder appears only when it is complete. Its Python works after a move, its other programs don't.
  const draft = `${folder}.${process.pid}`;
  try {
    run(python, ["-m", "venv", draft]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    run(join(draft, "bin", "python"), [...pip, "--requirement", requirements]);
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return peer;
}

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: installMs });
  if (status === 0) return;
  const last = stderr?.trim().split("\n").at(-1) ?? "";
  throw new Error(`"${[command, ...args].join(" ")}" failed: ${last}`);
}
