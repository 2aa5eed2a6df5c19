// What the operator commands share: the confirmation, and the target they work on.
import { createInterface } from "node:readline/promises";
import { type CommandLine, runCommandLine, warnOfNpmBanner } from "../cli.ts";
import { openTarget, type Target } from "./target.ts";

type Streams = { input: NodeJS.ReadableStream; output: NodeJS.WritableStream };
// On stderr, because stdout belongs to the JSON of --json.
const standard: Streams = { input: process.stdin, output: process.stderr };

/** Asks a person. @param text lines, the last of which is the question @returns empty for Ctrl-C and Ctrl-D */
export async function ask(text: string, streams = standard): Promise<string> {
  const question = text.slice(text.lastIndexOf("\n") + 1);
  // The terminal repeats its prompt, which is therefore one line.
  streams.output.write(text.slice(0, text.length - question.length));
  const terminal = createInterface(streams);
  try {
    return (await terminal.question(question)).trim();
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") return "";
    throw error;
  } finally {
    terminal.close();
  }
}

/** Asks for confirmation. Ctrl-C and Ctrl-D decline. */
export async function isConfirmed(text: string, streams = standard): Promise<boolean> {
  return isYes(await ask(text, streams));
}

export function isYes(answer: string): boolean {
  return /^y(es)?$/i.test(answer);
}

/** Runs an operator command on its target and sets the exit code. */
export async function runCommand<Command extends { finish: boolean; json: boolean }>(
  line: CommandLine<Command>,
  run: (command: Command, target: Target) => Promise<string>,
): Promise<void> {
  await runCommandLine(line, async (command) => {
    if (command.json) warnOfNpmBanner();
    const target = await openTarget(command.finish);
    try {
      process.stdout.write(await run(command, target));
      const finished = await target.finish();
      return command.json ? "" : finished;
    } finally {
      await target.close();
    }
  });
}
