// Reads `.env` in the folder where a command runs. SST reads it for a deploy; the local commands read it too.
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { UsageError } from "../cli.ts";
import { plain } from "../commands/text-table.ts";

export const envFile = ".env";

/**
 * Sets the variables of a file in `env`. A variable that is already set, even to an empty text, keeps its value.
 * @returns the names of the variables that it set
 * @throws UsageError if the file exists and cannot be read
 */
export function readEnvFile(env: NodeJS.ProcessEnv, file = envFile): string[] {
  const found = Object.entries(parseEnv(textOf(file))).filter(([name]) => env[name] === undefined);
  for (const [name, value] of found) env[name] = value;
  return found.map(([name]) => name);
}

/** Returns the names of the variables in a file. @throws UsageError as `readEnvFile` */
export function namesIn(file: string): string[] {
  return Object.keys(parseEnv(textOf(file)));
}

/** Returns a line with the names of the variables, without their values. */
export function settingsLine(names: readonly string[]): string {
  return `Settings from ${envFile}: ${plain(names.join(", "))}`;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "unknown";
    if (code === "ENOENT") return "";
    throw new UsageError(`${file} cannot be read (${code}). Fix its permissions, or remove it.`);
  }
}
