// The key of the pseudonyms on this machine. A stage has it as the secret PseudonymKey.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const file = "pseudonym.key";

/** Returns a new random key as 64 hexadecimal digits. */
export function newPseudonymKey(): string {
  return randomBytes(32).toString("hex");
}

/** Returns the folder's key, and creates one if it has none. */
export function localPseudonymKey(folder: string): string {
  const path = join(folder, file);
  return existsSync(path) ? readFileSync(path, "utf8") : writePseudonymKey(folder);
}

/** Replaces the folder's key, which only its owner can read. @returns the new key */
export function writePseudonymKey(folder: string): string {
  const key = newPseudonymKey();
  const draft = join(folder, `${file}.draft`);
  writeFileSync(draft, "", { mode: 0o600 });
  // The mode above is for a new file only.
  chmodSync(draft, 0o600);
  writeFileSync(draft, `${key}\n`);
  renameSync(draft, join(folder, file));
  return key;
}
