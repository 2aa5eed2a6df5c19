// What the operators' commands have in common: flags, asking before something is done, exit codes, and where they work.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline/promises";
import { type ParseArgsConfig, parseArgs } from "node:util";
import type { Dataset } from "../../shared/dataset.ts";
import { defaultDataset, findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { UsageError } from "../local/args.ts";
import { openPlace, type Place } from "./place.ts";

/** @throws UsageError with one sentence */
export function readFlags<T extends ParseArgsConfig["options"]>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // Node's message is a sentence, followed by advice that does not apply here.
    const [sentence = "The command line can't be read"] =
      error instanceof Error ? error.message.split(". ") : [];
    throw new UsageError(`${sentence.replace(/\.$/, "")}.`);
  }
}

const seconds = { s: 1, m: 60, h: 3600, d: 24 * 3600 };

/** `90s`, `30m`, `2h` or `3d` in seconds. @throws UsageError */
export function durationOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const unit = Object.entries(seconds).find(([letter]) => text.endsWith(letter));
  if (unit && /^\d{1,6}[smhd]$/.test(text)) return Number.parseInt(text, 10) * unit[1];
  throw new UsageError(`${flag} ${text} can't be used: it takes a time such as 90s, 30m, 2h or 3d.`);
}

/** @throws UsageError */
export function countOf(flag: string, text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined) return otherwise;
  if (/^\d{1,9}$/.test(text) && Number(text) >= 1 && Number(text) <= most) return Number(text);
  throw new UsageError(`${flag} ${text} can't be used: it takes a whole number from 1 to ${most}.`);
}

/** Within the events' own limit. @throws UsageError */
export function reasonOf(flag: string, reason: string | undefined): string | undefined {
  if (reason === undefined || (reason.trim() !== "" && reason.length <= 500)) return reason;
  throw new UsageError(`${flag} takes a reason of 1 to 500 characters.`);
}

/** @throws UsageError where the command has to ask, and nobody could answer */
export function requireAnswerable(verb: string, { yes, dryRun }: { yes: boolean; dryRun: boolean }): void {
  if (yes || dryRun || process.stdin.isTTY) return;
  throw new UsageError(
    `Without a terminal ${verb} can't ask; add --yes, or --dry-run to see what it would do.`,
  );
}

/** Ctrl-C and Ctrl-D say no. */
export async function isConfirmed(
  question: string,
  // On stderr, so that --json leaves stdout to the answer.
  streams: { input: NodeJS.ReadableStream; output: NodeJS.WritableStream } = {
    input: process.stdin,
    output: process.stderr,
  },
): Promise<boolean> {
  const terminal = createInterface(streams);
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim());
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") return false;
    throw error;
  } finally {
    terminal.close();
  }
}

/** The dataset of `--dataset`. @throws UsageError */
export function datasetOf(name: string = defaultDataset.name): Dataset {
  try {
    return findDataset(name);
  } catch (error) {
    throw error instanceof PipelineError ? new UsageError(`${error.message} ${error.advice}`) : error;
  }
}

/** Writes the file of `--out`, and makes the folders above it. @throws PipelineError `FileNotWritten` */
export async function writeOut(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? ` (${cause.code})` : "";
    throw new PipelineError("FileNotWritten", {
      message: `The file "${file}" can't be written${code}.`,
      advice: "Name another file with --out.",
      cause,
    });
  }
}

/**
 * Runs one command and sets the process's exit code: 0 done, 1 failed, 2 wrong usage.
 * @param parse without effects, so that a slip is told before anything is opened
 */
export async function runCommand<Command extends { finish: boolean; json: boolean }>(options: {
  usage: string;
  parse: (args: readonly string[]) => Command | "help";
  run: (command: Command, place: Place) => Promise<string>;
}): Promise<void> {
  await sayingErrors(options.usage, async () => {
    const command = options.parse(process.argv.slice(2));
    if (command === "help") return options.usage;
    const place = await openPlace(command.finish);
    try {
      process.stdout.write(await options.run(command, place));
      const finished = await place.finish();
      return command.json ? "" : finished;
    } finally {
      await place.close();
    }
  });
}

/**
 * Prints what `act` returns, or a sentence on stderr where it throws, and sets the process's exit code: 0 done,
 * 1 failed, 2 wrong usage.
 */
export async function sayingErrors(usage: string, act: () => Promise<string>): Promise<void> {
  try {
    process.stdout.write(await act());
  } catch (error) {
    const isUsage = error instanceof UsageError;
    process.stderr.write(isUsage ? `${error.message}\n\n${usage}` : `${sentenceOf(error)}\n`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

/** Of a foreign error only the name: its message may quote what it choked on. */
function sentenceOf(error: unknown): string {
  if (error instanceof PipelineError) return error.sentence;
  const name = error instanceof Error ? error.name : typeof error;
  return `It failed (${name}). What was done stays done, and doing it again is safe. Look at the place's permissions and at https://health.aws.amazon.com if it stays.`;
}
