// Installs MiniStack once. Run by itself, before the tests, it says in one line what is missing.
import { join } from "node:path";
import { findPython, installVenv, pythonIn, succeeds, venvFolder } from "./venv.ts";

const requirements = join(import.meta.dirname, "requirements.txt");

/** Returns the Python that has MiniStack. */
export function venvPython(): string {
  return pythonIn(venvFolder("ministack", requirements));
}

/** @throws Error with one line */
export function installMiniStack(): void {
  const python = findPython(10);
  if (!python || !succeeds("openssl", ["version"])) {
    throw new Error(
      "npm run test:emulator needs openssl, and Python 3.10 or later with its venv module (Debian: apt install openssl python3-venv).",
    );
  }
  installVenv(python, venvFolder("ministack", requirements), requirements);
}

if (import.meta.main) {
  try {
    installMiniStack();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
