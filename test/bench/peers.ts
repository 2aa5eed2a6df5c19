// Installs the programs in peers/ (dlt and the Airbyte CDK), each in its own virtual environment.
import { join } from "node:path";
import { findPython, installVenv, pythonIn, venvFolder } from "../emulator/venv.ts";

const programs = join(import.meta.dirname, "peers");

export type Peer = { python: string; program: string };
type Peers = Record<"dlt" | "airbyte", Peer>;
let found: { peers: Peers | undefined } | undefined;

/** Installs the peers at the first call. @returns undefined if that fails, after printing the reason to stderr */
export function installPeers(): Peers | undefined {
  found ??= { peers: tryToInstall() };
  return found.peers;
}

function tryToInstall(): Peers | undefined {
  try {
    // The pinned versions of numpy and pyarrow require 3.11.
    const python = findPython(11);
    if (!python)
      throw new Error(
        "they require Python 3.11 or later with its venv module (Debian: apt install python3-venv).",
      );
    return {
      dlt: install(python, "requirements-dlt.txt", "dlt_pipeline.py"),
      airbyte: install(python, "requirements-airbyte.txt", "airbyte_source.py"),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`Skipping dlt and the Airbyte CDK: ${reason}\n`);
    return undefined;
  }
}

/** @throws Error with a message of one line */
function install(python: string, requirements: string, program: string): Peer {
  const file = join(programs, requirements);
  const folder = venvFolder(join("bench-venv", program.replace(/_\w+\.py$/, "")), file);
  installVenv(python, folder, file);
  return { python: pythonIn(folder), program: join(programs, program) };
}
