// The command lines of `npm start` and of every other command: commander, with this project's conventions.
// Exit codes: 0 success or --help, 1 failure, 2 bad usage, with one sentence and the usage on stderr.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
  Command,
  CommanderError,
  Help,
  InvalidArgumentError,
  Option,
  type OptionValues,
} from "@commander-js/extra-typings";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import type { Dataset } from "../shared/dataset-schema.ts";
import { datasets, findDataset } from "../shared/datasets.ts";
import { PipelineError } from "../shared/errors.ts";
import { isoDate } from "../shared/schemas.ts";
import { dayIn } from "../shared/time-zone.ts";
import { plain } from "./commands/text-table.ts";

/** Bad usage, in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export type CommandLine<T> = {
  /**
   * Returns the command, or "help" for --help, without side effects.
   * @param env in which npm leaves the flags that it took for its own
   * @throws UsageError
   */
  parse(args: readonly string[], env?: NodeJS.ProcessEnv): T | "help";
  /** Returns the help of the program, or of the subcommand that `args` name. */
  usage(args?: readonly string[]): string;
};

/**
 * Returns the command line of a program.
 * @param define adds flags and subcommands to the program, with actions that call `accept`
 */
export function commandLine<T>(
  name: string,
  define: (program: Command, accept: (command: T) => void) => void,
): CommandLine<T> {
  return {
    parse(args, env = {}) {
      const accepted: T[] = [];
      const program = createProgram(name);
      define(program, (command) => accepted.push(command));
      refuseFlagsBeforeDashes(program, args, env);
      try {
        program.parse(args, { from: "user" });
      } catch (error) {
        if (!(error instanceof CommanderError)) throw error;
        if (error.code === "commander.helpDisplayed") return "help";
        const names = program.commands.map((command) => command.name()).join(", ");
        throw new UsageError(
          error.code === "commander.help" ? `Add a command: ${names}.` : sentence(error.message),
        );
      }
      const [command] = accepted;
      if (command === undefined) throw new Error(`No action of ${name} accepts a command.`);
      return command;
    },
    usage(args = []) {
      let text = "";
      const program = createProgram(name, (part) => {
        text += part;
      });
      define(program, () => {});
      (program.commands.find((command) => args.includes(command.name())) ?? program).outputHelp();
      return text;
    },
  };
}

function createProgram(name: string, writeOut: (text: string) => void = () => {}): Command {
  return new Command(name)
    .exitOverride()
    .configureOutput({ writeOut, writeErr: () => {} })
    .helpCommand(false)
    .helpOption("-h, --help", "Print this help")
    .configureHelp({
      helpWidth: 120,
      showGlobalOptions: true,
      optionDescription,
      // The overview lists the flags of each subcommand below it.
      subcommandTerm: (command) => new Help().subcommandTerm(command).replace(" [options]", ""),
      subcommandDescription: (command) =>
        [
          command.description(),
          ...command.options.map((option) => `  ${option.flags.padEnd(20)}  ${optionDescription(option)}`),
        ].join("\n"),
    });
}

function optionDescription({ description, defaultValue, defaultValueDescription }: Option): string {
  if (defaultValue === undefined || defaultValue === false) return description;
  return `${description} (default: ${defaultValueDescription ?? defaultValue})`;
}

/** Turns "error: unknown option '--form'\n(Did you mean --from?)" and a schema's messages into sentences. */
function sentence(message: string): string {
  const text = message.replace(/^error: /, "").replace(/\n\((.*)\)$/, ". $1");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;
}

/**
 * Settings of npm that share the name of a flag and that a .npmrc or a CI job sets often: they are no sign of a flag.
 * Neither are npm's `loglevel` and `maxsockets`, which `--quiet` and `--max` become. Without these flags a command asks,
 * or prints more.
 */
const oftenSet = ["yes", "force"];
/** The same, but rarely set. Without the flag a program would get no JSON, or `--dry-run` would change something. */
const rarelySet = ["json", "dry-run"];
/** npm completes `--to`. */
const completedByNpm: Record<string, string> = { tokendescription: "to" };

/**
 * npm takes flags before `--` for its own: it passes them on as `npm_config_*` and the program does not see them.
 * @throws UsageError with the right command line
 */
function refuseFlagsBeforeDashes(program: Command, args: readonly string[], env: NodeJS.ProcessEnv): void {
  if (env.npm_lifecycle_event === undefined) return;
  const subcommand = program.commands.find((command) => args.includes(command.name()));
  const options = [...program.options, ...(subcommand?.options ?? [])];
  const refused = options.flatMap((option) => {
    const name = option.long?.slice(2) ?? "";
    const isGiven = args.some((arg) => arg === option.long || arg.startsWith(`${option.long}=`));
    if (isGiven || oftenSet.includes(name)) return [];
    const value = Object.entries(env).find(([key]) => flagOf(key) === name.replaceAll("-", ""))?.[1];
    return value ? [{ name, option, values: value.split("\n\n") }] : [];
  });
  if (refused.length === 0) return;
  const names = refused.map(({ option }) => option.long).join(" and ");
  // A value after a space stands among the arguments, where it looks like any other.
  const isLost = refused.some(({ option, values }) => option.required && values.includes("true"));
  const flags = refused.flatMap(({ option, values }) =>
    isLost || !option.required ? [option.flags] : values.map((value) => shellWord(`${option.long}=${value}`)),
  );
  const others = isLost ? [subcommand?.name() ?? []].flat() : args.map(shellWord);
  const isRarelySet = refused.some(({ name }) => rarelySet.includes(name));
  const advice = isRarelySet ? ". If your .npmrc sets it, remove it there." : "";
  throw new UsageError(
    `npm took ${names} for its own. Put the flags after --: ${[program.name(), ...others, ...flags].join(" ")}${advice}`,
  );
}

/** Returns the flag, without dashes, whose value npm passes on in this variable. */
function flagOf(variable: string): string | undefined {
  const [, setting] = /^npm_config_(.+)$/i.exec(variable) ?? [];
  const name = setting?.replace(/[_-]/g, "").toLowerCase();
  return name && (completedByNpm[name] ?? name);
}

function shellWord(text: string): string {
  const word = plain(text);
  return /^[\w.,:/=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Runs a program and sets its exit code.
 * @param act returns what goes to stdout
 */
export async function runCommandLine<T>(
  line: CommandLine<T>,
  act: (command: T) => Promise<string>,
): Promise<void> {
  const args = process.argv.slice(2);
  try {
    const command = line.parse(args, process.env);
    process.stdout.write(command === "help" ? line.usage(args) : await act(command));
  } catch (error) {
    const isUsage = error instanceof UsageError;
    process.stderr.write(isUsage ? `${error.message}\n\n${line.usage(args)}` : `${failureText(error)}\n`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

/** npm prints the script's name on stdout, where a program that reads JSON does not expect it. */
export function warnOfNpmBanner(): void {
  const { npm_lifecycle_event: script, npm_config_loglevel: level } = process.env;
  if (script === undefined || level === "silent") return;
  process.stderr.write(
    `npm printed its banner to stdout too. For JSON alone: npm run --silent ${script} -- ...\n`,
  );
}

/** Leaves out the message of an unexpected error, because it may quote data. */
function failureText(error: unknown): string {
  if (error instanceof PipelineError) return error.sentence;
  const name = error instanceof Error ? error.name : typeof error;
  return `The command failed (${name}). It is safe to repeat. If it fails again, check the IAM permissions of the selected stage and https://health.aws.amazon.com.`;
}

/** Writes the file of `--out` and creates its folders. @throws PipelineError `FileNotWritten` */
export async function writeOut(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? ` (${cause.code})` : "";
    throw new PipelineError("FileNotWritten", {
      message: `The file "${file}" cannot be written${code}.`,
      advice: "Name another file with --out.",
      cause,
    });
  }
}

// Value parsers throw InvalidArgumentError, and commander adds the flag and the value to its message.

/** Returns a value parser for what `schema` accepts, after `read`. */
export function checked<T>(
  schema: z.core.$ZodType<T>,
  read: (text: string) => unknown = (text) => text,
): (text: string) => T {
  return (text) => {
    // zod/mini has no messages of its own.
    const parsed = z.safeParse(schema, read(text), { error: en().localeError });
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new InvalidArgumentError(sentence([...(issue?.path ?? []), issue?.message].map(String).join(": ")));
  };
}

export function matching(pattern: RegExp, problem: string): (text: string) => string {
  return checked(z.string().check(z.regex(pattern, problem)));
}

export function number(schema: z.core.$ZodType<number>): (text: string) => number {
  return checked(schema, (text) => (/^\d+$/.test(text) ? Number(text) : Number.NaN));
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  const problem = `Use a whole number from ${least} to ${most}`;
  return number(z.int(problem).check(z.minimum(least, problem), z.maximum(most, problem)));
}

/** Returns a value parser for a flag that may be repeated. */
export function repeated<T>(parse: (text: string) => T): (text: string, previous?: T[]) => T[] {
  return (text, previous = []) => [...previous, parse(text)];
}

export const date = checked(isoDate);

// commander would use the next flag as a missing value: `--out --json`.
export const text = matching(/^[^-]/, "Use text that does not start with a dash");

/** Within the limit of the events. */
export const reason = matching(
  /^(?!-)(?=.*\S).{1,500}$/s,
  "Use 1 to 500 characters that do not start with a dash",
);

const unitSeconds = new Map(Object.entries({ s: 1, m: 60, h: 3600, d: 24 * 3600 }));

/** Reads `90s`, `30m`, `2h` or `3d` as seconds. */
export function seconds(text: string): number {
  const unit = unitSeconds.get(text.slice(-1));
  if (unit !== undefined && /^\d{1,6}.$/.test(text)) return Number.parseInt(text, 10) * unit;
  throw new InvalidArgumentError("Use a duration such as 90s, 30m, 2h or 3d.");
}

/** Returns `--dataset`, which takes a name or a LibInsight number. */
export function datasetOption() {
  const names = datasets.map(({ name }) => name).join(", ");
  return new Option("--dataset <name>", `Select a dataset by name or number: ${names}`).argParser((text) => {
    const numbered = datasets.find(({ libinsightId }) => String(libinsightId) === text);
    try {
      return numbered ?? findDataset(text);
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      throw new InvalidArgumentError(`${error.message} ${error.advice}`);
    }
  });
}

/** Adds the flags and the help that the commands on the data of a target share. */
export function onTarget(program: Command, example: string) {
  return program
    .option("--finish", "On this machine: run the services until every queue is empty", false)
    .option("--json", "Print JSON", false)
    .addHelpText("after", `\nExample:\n  ${program.name()} ${example}`)
    .addHelpText("after", "\nWorks on the data of npm start in .local. To work on a deployed stage:")
    .addHelpText("after", `  npx sst shell --stage STAGE -- ${program.name()} ${example}`);
}

export function subcommand<Options extends OptionValues>(
  program: Command<[], Options>,
  name: string,
  description: string,
  example: string,
) {
  return program
    .command(name)
    .description(description)
    .addHelpText("after", `\nExample:\n  ${program.name()} ${name} ${example}`);
}

/** @throws UsageError if the range is empty */
export function requireRange({ from, to }: { from?: string; to?: string }): void {
  if (from && to && from > to) throw new UsageError(`--from ${from} is after --to ${to}. Swap them.`);
}

/** @throws UsageError if a date is after today in the dataset's time zone */
export function requirePast(
  { from, to }: { from?: string; to?: string },
  { timeZone }: Pick<Dataset, "timeZone">,
  now: Date,
): void {
  const last = dayIn(timeZone, now);
  for (const [flag, date] of Object.entries({ from, to })) {
    if (date !== undefined && date > last) {
      throw new UsageError(`--${flag} ${date} is in the future: today is ${last} in ${timeZone}.`);
    }
  }
}

/**
 * @param isAnswered whether a flag answers the question
 * @param advice which flag does
 * @throws UsageError if the command has to ask and has no terminal
 */
export function requireTerminal(
  command: string,
  isAnswered: boolean,
  advice = "Add --yes to skip the question or --dry-run to preview.",
): void {
  if (isAnswered || process.stdin.isTTY) return;
  throw new UsageError(`${command} needs a terminal to ask for confirmation. ${advice}`);
}
