// Reads `.env` in the folder where a command runs. SST reads it for a deploy; the local commands read it too.
import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";
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

/**
 * Adds variables to a file, which only its owner can read afterwards.
 * @throws UsageError if a value cannot be written on one line, or as `readEnvFile`
 */
export function addToEnvFile(values: Readonly<Record<string, string>>, file = envFile): void {
  const before = textOf(file);
  const lines = Object.entries(values).map(([name, value]) => {
    const line = ["", '"', "'", "`"]
      .map((quote) => `${name}=${quote}${value}${quote}`)
      .find((written) => parseEnv(written)[name] === value);
    if (line === undefined)
      throw new UsageError(`${name} has characters that ${file} cannot hold. Set it with export.`);
    return `${line}\n`;
  });
  const draft = `${file}.draft`;
  writeFileSync(draft, "", { mode: 0o600 });
  // The mode above is for a new file only.
  chmodSync(draft, 0o600);
  writeFileSync(draft, `${before}${/[^\n]$/.test(before) ? "\n" : ""}${lines.join("")}`);
  renameSync(draft, file);
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
