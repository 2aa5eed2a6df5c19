// From LibInsight (simulated, unless LIBINSIGHT_BASE_URL is set) to the published files in a folder. Exits 0 only when the
// run was published and queried.
import { randomUUID } from "node:crypto";
import { PipelineError } from "../../shared/errors.ts";
import { folderError } from "../../shared/local/disk.ts";
import type { Log } from "../../shared/logger.ts";
import { UsageError, warnOfNpmBanner } from "../cli.ts";
import { collect } from "./collect.ts";
import { sourceOf } from "./collected-source.ts";
import { readEnvFile } from "./env-file.ts";
import { localFolder } from "./local-folder.ts";
import { localSettings } from "./local-settings.ts";
import { parseCommand, usage } from "./start-args.ts";
import { summary } from "./summary.ts";

/** Exit codes: 0 published and queried, 1 not, 2 wrong usage, 130 stopped by Ctrl-C. */
export async function main(): Promise<number> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const command = parseCommand(process.argv.slice(2), new Date(), process.env);
    if (command === "help") {
      process.stdout.write(usage());
      return 0;
    }
    if (command.json) warnOfNpmBanner();
    const settingsFrom = readEnvFile(process.env);
    const source = sourceOf(command, process.env, settingsFrom);
    const settings = localSettings(process.env);
    const { report, preview } = await collect({
      command,
      source,
      settings,
      logOf: command.json ? undefined : await loggers(process.env.POWERTOOLS_LOG_LEVEL),
      requestId: randomUUID(),
      settingsFrom,
      signal: stopping.signal,
    });
    if (command.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else if (!command.quiet) {
      process.stdout.write(`\n${summary(report)}\n\n${preview}\n`);
    }
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n\n${usage()}`);
      return 2;
    }
    if (stopping.signal.aborted) {
      process.stderr.write("Stopped. The same npm start continues the run.\n");
      return 130;
    }
    process.stderr.write(`${sentenceOf(folderError(error, localFolder))}\n`);
    return 1;
  }
}

/** The services' log lines, where a level is set; they stand among the lines for a person. */
async function loggers(level: string | undefined): Promise<((service: string) => Log) | undefined> {
  if (!level) return undefined;
  return (await import("../../shared/powertools-logger.ts")).createLogger;
}

function sentenceOf(error: unknown): string {
  if (error instanceof PipelineError) return error.sentence;
  const what = error instanceof Error ? error.message : String(error);
  return `npm start failed: ${what} Fix the cause and start again. If it persists, delete .local and report the error.`;
}
