// The key of the pseudonyms on this machine: a file in .local that only its owner can read.
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Returns a new key: 32 random bytes as hexadecimal digits. */
export function newPseudonymKey(): string {
  return randomBytes(32).toString("hex");
}

export function pseudonymFile(folder: string): string {
  return join(folder, "pseudonym.key");
}

/** Returns the key in the folder, and creates it first if there is none. @param folder .local */
export async function localPseudonymKey(folder: string): Promise<string> {
  const path = pseudonymFile(folder);
  await mkdir(folder, { recursive: true });
  // Another process may have written it.
  await writeFile(path, newPseudonymKey(), { mode: 0o600, flag: "wx" }).catch(ignoreExisting);
  return (await readFile(path, "utf8")).trim();
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
}
