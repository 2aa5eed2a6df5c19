// What the operator commands share: the confirmation, and the target they work on.
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { type CommandLine, runCommandLine, warnOfNpmBanner } from "../cli.ts";
import { openTarget, type Target } from "./target.ts";
import { fitted } from "./text-table.ts";

type Streams = {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream & { columns?: number };
  /** Whether readline, instead of the terminal, shows what is typed. Default: whether the output is a terminal. */
  terminal?: boolean;
};
/** Questions go to stderr, because stdout may be JSON. */
const standard: Streams = { input: process.stdin, output: process.stderr };

/** Asks a person. @param text lines, the last of which is the question @returns "" for Ctrl-C and Ctrl-D */
export async function ask(text: string, streams = standard): Promise<string> {
  const shown = fitted(text, streams.output.columns);
  const question = shown.slice(shown.lastIndexOf("\n") + 1);
  // readline repeats its prompt when a key is pressed, so the prompt is one line.
  streams.output.write(shown.slice(0, shown.length - question.length));
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

/** Asks for one line and shows nothing of it. @returns as `ask` */
export async function askSecretly(question: string, { input, output } = standard): Promise<string> {
  output.write(question);
  const hidden = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await ask("", { input, output: hidden, terminal: true });
  output.write("\n");
  return answer;
}

/** Asks for confirmation. Ctrl-C and Ctrl-D decline. */
export async function isConfirmed(text: string, streams = standard): Promise<boolean> {
  return isYes(await ask(text, streams));
}

export function isYes(answer: string): boolean {
  return /^y(es)?$/i.test(answer);
}

/** With --wait these commands print what there is after the services have worked. */
const reading: readonly string[] = ["list", "show", "status", "trace"];

/** Runs an operator command on its target and sets the exit code. */
export async function runCommand<Command extends { verb: string; wait: boolean; json: boolean }>(
  line: CommandLine<Command>,
  run: (command: Command, target: Target) => Promise<string>,
): Promise<void> {
  await runCommandLine(line, async (command) => {
    if (command.json) warnOfNpmBanner();
    const target = await openTarget(command.wait);
    const print = (text: string) =>
      process.stdout.write(command.json ? text : fitted(text, process.stdout.columns));
    const wait = async () => {
      const waited = await target.wait();
      if (!command.json) print(waited);
    };
    try {
      if (reading.includes(command.verb)) await wait();
      print(await run(command, target));
      if (!reading.includes(command.verb)) await wait();
      return "";
    } finally {
      await target.close();
    }
  });
}
