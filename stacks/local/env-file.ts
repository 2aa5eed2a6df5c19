// `.env` in the folder where a command runs: SST reads it for a deploy, the local commands read it too.
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { UsageError } from "../cli.ts";
import { plain } from "../commands/text-table.ts";

export const envFile = ".env";

/**
 * Sets the variables of `.env` in `env`. One that is set already stays, also where it is empty.
 * @returns the names of those that it set
 * @throws UsageError where the file is there and cannot be read
 */
export function readEnvFile(env: NodeJS.ProcessEnv): string[] {
  const found = Object.entries(parseEnv(textOf(envFile))).filter(([name]) => env[name] === undefined);
  for (const [name, value] of found) env[name] = value;
  return found.map(([name]) => name);
}

/** Returns the line that says where the settings came from, without a value. */
export function settingsLine(names: readonly string[]): string {
  return `Settings from ${envFile}: ${plain(names.join(", "))}`;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "unknown";
    if (code === "ENOENT") return "";
    throw new UsageError(`${file} cannot be read (${code}). Correct its permissions, or remove it.`);
  }
}
