// Collects from LibInsight (simulated, unless LIBINSIGHT_BASE_URL is set) and publishes the files in a folder.
import { randomUUID } from "node:crypto";
import { PipelineError } from "../../shared/errors.ts";
import { folderError } from "../../shared/local/disk.ts";
import type { Log } from "../../shared/logger.ts";
import { UsageError, warnOfNpmBanner } from "../cli.ts";
import { fitted } from "../commands/text-table.ts";
import { collect } from "./collect.ts";
import { sourceOf } from "./collected-source.ts";
import { readEnvFile } from "./env-file.ts";
import { localFolder } from "./local-folder.ts";
import { localSettings } from "./local-settings.ts";
import { parseCommand, usage } from "./start-args.ts";
import { summary } from "./summary.ts";

/**
 * Returns the exit code: 0 published and queried, 1 failed, 2 usage error, 130 stopped by Ctrl-C.
 * @param today decides the default range and the last day of the simulation
 */
export async function main(today = new Date()): Promise<number> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const command = parseCommand(process.argv.slice(2), today, process.env);
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
      const text = `\n${summary(report)}\n\n${preview}\n\nReport: ${report.files.report}\n`;
      process.stdout.write(fitted(text, process.stdout.columns));
    }
    return 0;
  } catch (error) {
    const { exitCode, text } = failureOf(error, stopping.signal.aborted);
    process.stderr.write(`${fitted(text, process.stderr.columns)}\n`);
    return exitCode;
  }
}

/** Returns the logger of the services if a level is set. Its lines are mixed with the output for a person. */
async function loggers(level: string | undefined): Promise<((service: string) => Log) | undefined> {
  if (!level) return undefined;
  return (await import("../../shared/powertools-logger.ts")).createLogger;
}

function failureOf(error: unknown, isStopped: boolean): { exitCode: number; text: string } {
  if (error instanceof UsageError)
    return { exitCode: 2, text: `${error.message}\nRun "npm start -- --help".` };
  if (isStopped) return { exitCode: 130, text: "Stopped. The same npm start continues the run." };
  const failure = folderError(error, localFolder);
  if (failure instanceof PipelineError) return { exitCode: 1, text: failure.sentence };
  const cause = (failure instanceof Error ? failure.message : String(failure)).replace(/\.?$/, ".");
  return {
    exitCode: 1,
    text: `npm start failed: ${cause} Fix the cause and run it again. If it fails again, delete ${localFolder} and report the error.`,
  };
}
