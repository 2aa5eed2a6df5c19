// Collects from LibInsight (simulated, unless LIBINSIGHT_BASE_URL is set) and publishes the files in a folder.
import { randomUUID } from "node:crypto";
import { PipelineError } from "../../shared/errors.ts";
import { folderError } from "../../shared/local/disk.ts";
import type { Log } from "../../shared/logger.ts";
import { UsageError, warnOfNpmBanner } from "../cli.ts";
import { fitted } from "../commands/text-table.ts";
import { type Collection, collect } from "./collect.ts";
import { sourceOf } from "./collected-source.ts";
import { readEnvFile } from "./env-file.ts";
import { localFolder } from "./local-folder.ts";
import { localSettings } from "./local-settings.ts";
import { parseStart, usage } from "./start-args.ts";
import { type DatasetEnd, endsText, type RunReport, summary } from "./summary.ts";

/**
 * Returns the exit code: 0 published and queried, 1 failed, 2 usage error, 130 stopped by Ctrl-C. With --all, 1 if a dataset
 * failed.
 * @param today decides the default range and the last day of the simulation
 */
export async function main(today = new Date()): Promise<number> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const report = (error: unknown, place = ""): { exitCode: number; text: string } => {
    const failure = failureOf(error, stopping.signal.aborted);
    process.stderr.write(`${fitted(`${place}${failure.text}`, process.stderr.columns)}\n`);
    return failure;
  };
  try {
    const start = parseStart(process.argv.slice(2), today, process.env);
    if (start === "help") {
      process.stdout.write(usage());
      return 0;
    }
    const [first] = start.commands;
    if (first.json) warnOfNpmBanner();
    const settingsFrom = readEnvFile(process.env);
    const settings = localSettings(process.env);
    const logOf = first.json ? undefined : await loggers(process.env.POWERTOOLS_LOG_LEVEL);
    const collections = start.commands.map((command) => ({
      command,
      source: sourceOf(command, process.env, settingsFrom),
      settings,
      logOf,
      requestId: randomUUID(),
      settingsFrom,
      signal: stopping.signal,
    }));
    if (!start.all) {
      for (const collection of collections) {
        const { report } = await collectAndPrint(collection);
        if (first.json) printJson(report);
      }
      return 0;
    }
    const ends: DatasetEnd[] = [];
    for (const collection of collections) {
      const dataset = collection.command.dataset.name;
      try {
        ends.push(await collectAndPrint(collection));
      } catch (error) {
        if (stopping.signal.aborted) throw error;
        ends.push({ dataset, failed: report(error, `${dataset}: `).text });
      }
      if (!first.json && !first.quiet) process.stdout.write("\n");
    }
    if (first.json) printJson(ends.map((end) => ("report" in end ? end.report : end)));
    else if (!first.quiet) process.stdout.write(fitted(`${endsText(ends)}\n`, process.stdout.columns));
    return ends.some((end) => "failed" in end) ? 1 : 0;
  } catch (error) {
    return report(error).exitCode;
  }
}

/** Collects a dataset, and prints its summary for a person. */
async function collectAndPrint(collection: Collection): Promise<{ report: RunReport }> {
  const { json, quiet } = collection.command;
  const { report, preview } = await collect(collection);
  if (!json && !quiet) {
    const text = `\n${summary(report)}\n\n${preview}\n\nReport: ${report.files.report}\n`;
    process.stdout.write(fitted(text, process.stdout.columns));
  }
  return { report };
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
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
