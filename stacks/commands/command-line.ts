// What the operator commands share: the confirmation, and the target they work on.
import { createInterface } from "node:readline/promises";
import { type CommandLine, runCommandLine, warnOfNpmBanner } from "../cli.ts";
import { openTarget, type Target } from "./target.ts";

/** Asks for confirmation. Ctrl-C and Ctrl-D decline. */
export async function isConfirmed(
  question: string,
  // On stderr, because stdout belongs to the JSON of --json.
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
