// Installs MiniStack once. As a program, which runs before the tests, it prints one line if a requirement is missing.
import { join } from "node:path";
import { findPython, installVenv, pythonIn, succeeds, venvFolder } from "./venv.ts";

const requirements = join(import.meta.dirname, "requirements.txt");

/** Returns the path of the Python that MiniStack is installed for. */
export function venvPython(): string {
  return pythonIn(venvFolder("ministack", requirements));
}

/** @throws Error with a message of one line */
export function installMiniStack(): void {
  const python = findPython(10);
  if (!python || !succeeds("openssl", ["version"])) {
    throw new Error(
      "npm run test:emulator requires openssl, and Python 3.10 or later with its venv module (Debian: apt install openssl python3-venv).",
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
