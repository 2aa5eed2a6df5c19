// The parts that all command lines share: commander with this project's conventions, value parsers, exit codes and errors.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
  Command,
  CommanderError,
  InvalidArgumentError,
  Option,
  type OptionValues,
} from "@commander-js/extra-typings";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import type { Dataset } from "../shared/dataset-schema.ts";
import { datasets, findDataset } from "../shared/datasets.ts";
import { PipelineError } from "../shared/errors.ts";
import { count } from "../shared/quantity.ts";
import { isoDate } from "../shared/schemas.ts";
import { dayIn } from "../shared/time-zone.ts";
import { fitted, plain } from "./commands/text-table.ts";

/** The message is one sentence that says which flag or setting to correct. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export type CommandLine<T> = {
  /**
   * Returns the command, or "help" for --help, without side effects.
   * @param env the environment, in which npm leaves the flags that it took for its own
   * @throws UsageError
   */
  parse(args: readonly string[], env?: NodeJS.ProcessEnv): T | "help";
  /** Returns the help of the program, or of the subcommand that `args` name. */
  usage(args?: readonly string[]): string;
  /** Returns the command that prints this help. */
  helpCommand(args?: readonly string[]): string;
};

/**
 * Returns the command line of a program.
 * @param define adds flags and subcommands to the program, with actions that call `accept`
 */
export function commandLine<T>(
  name: string,
  define: (program: Command, accept: (command: T) => void) => void,
): CommandLine<T> {
  const defined = (accept: (command: T) => void, writeOut?: (text: string) => void): Command => {
    const program = createProgram(name, writeOut);
    define(program, accept);
    return program.addHelpText("afterAll", exitCodes);
  };
  const ignore = () => {};
  return {
    parse(args, env = {}) {
      const accepted: T[] = [];
      const program = defined((command) => accepted.push(command));
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
      const program = defined(ignore, (part) => {
        text += part;
      });
      (subcommandIn(program, args) ?? program).outputHelp();
      return text;
    },
    helpCommand(args = []) {
      const program = defined(ignore);
      return [name, subcommandIn(program, args)?.name() ?? [], "--help"].flat().join(" ");
    },
  };
}

const exitCodes = "\nExit codes: 0 success, 1 failure, 2 usage error, 130 interrupted";

/** The help is no wider than this, and in a pipe as wide as the narrowest terminal. */
const helpWidth = { most: 120, inPipe: 80 };

function createProgram(name: string, writeOut: (text: string) => void = () => {}): Command {
  return new Command(name)
    .exitOverride()
    .configureOutput({ writeOut, writeErr: () => {} })
    .helpCommand(false)
    .helpOption("-h, --help", "Print this help")
    .configureHelp({
      helpWidth: Math.min(process.stdout.columns || helpWidth.inPipe, helpWidth.most),
      showGlobalOptions: true,
      optionDescription: ({ description, defaultValue, defaultValueDescription }: Option) =>
        defaultValue === undefined || defaultValue === false
          ? description
          : `${description} (default: ${defaultValueDescription ?? defaultValue})`,
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map((argument) => `<${argument.name()}>`)].join(" "),
    });
}

function subcommandIn({ commands }: Command, args: readonly string[]) {
  return commands.find((command) =>
    [command.name(), ...command.aliases()].some((word) => args.includes(word)),
  );
}

/** Turns "error: unknown option '--form'\n(Did you mean --from?)" and a schema's messages into sentences. */
function sentence(message: string): string {
  const text = message.replace(/^error: /, "").replace(/\n\((.*)\)$/, ". $1");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;
}

/**
 * npm settings that share the name of a flag and that many .npmrc files and CI jobs set, so they do not prove that a flag
 * was given. The same is true of npm's `loglevel` and `maxsockets`, which `--quiet` and `--max` become. A command that
 * misses one of these flags asks a question or prints more.
 */
const oftenSet = ["yes", "force"];
/** Such settings that are rarely set. Without the flag a program gets no JSON, or `--dry-run` changes something. */
const rarelySet = ["json", "dry-run"];
/** npm completes `--to` to its own `--tokendescription`. */
const completedByNpm: Record<string, string> = { tokendescription: "to" };

/**
 * Refuses flags before `--`: npm takes them for its own and passes them on as `npm_config_*`, where the program would not
 * see them.
 * @throws UsageError with the correct command line
 */
function refuseFlagsBeforeDashes(program: Command, args: readonly string[], env: NodeJS.ProcessEnv): void {
  if (env.npm_lifecycle_event === undefined) return;
  const subcommand = subcommandIn(program, args);
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
  // npm leaves a value after a space among the arguments, where it looks like any other.
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

type Ended = { exitCode: 0 | 1 | 2; stdout: string; stderr: string };

/**
 * Parses the arguments and runs the program. Throws nothing.
 * @param act returns what goes to stdout
 * @param failureText describes an error that is not a usage error
 */
export async function execute<T>(
  line: CommandLine<T>,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  act: (command: T) => Promise<string>,
  failureText = failureSentence,
): Promise<Ended> {
  try {
    const command = line.parse(args, env);
    return { exitCode: 0, stdout: command === "help" ? line.usage(args) : await act(command), stderr: "" };
  } catch (error) {
    return error instanceof UsageError
      ? { exitCode: 2, stdout: "", stderr: `${error.message}\nRun "${line.helpCommand(args)}".\n` }
      : { exitCode: 1, stdout: "", stderr: `${failureText(error)}\n` };
  }
}

/** Runs the program of this process and sets the exit code, unless `act` sets one. Parameters as of `execute`. */
export async function runCommandLine<T>(
  line: CommandLine<T>,
  act: (command: T) => Promise<string>,
  failureText?: (error: unknown) => string,
): Promise<void> {
  const ended = await execute(line, process.argv.slice(2), process.env, act, failureText);
  process.stdout.write(fitted(ended.stdout, process.stdout.columns));
  process.stderr.write(fitted(ended.stderr, process.stderr.columns));
  process.exitCode ??= ended.exitCode;
}

/** Warns that npm prints the script's name to stdout, where a program that reads the output does not expect it. */
export function warnOfNpmBanner(format = "JSON"): void {
  const { npm_lifecycle_event: script, npm_config_loglevel: level } = process.env;
  if (script === undefined || level === "silent") return;
  process.stderr.write(
    `npm printed its banner to stdout too. For ${format} alone: npm run --silent ${script} -- ...\n`,
  );
}

/** Leaves out the message of an unexpected error, because it may quote data. */
function failureSentence(error: unknown): string {
  if (error instanceof PipelineError) return error.sentence;
  const name = error instanceof Error ? error.name : typeof error;
  return `The command failed (${name}). It is safe to repeat it. If it fails again, check the IAM permissions of the selected stage and https://health.aws.amazon.com.`;
}

/** Writes the file of `--out`, and creates its folders. @throws PipelineError `FileNotWritten` */
export async function writeOut(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? ` (${cause.code})` : "";
    throw new PipelineError("FileNotWritten", {
      message: `The file "${file}" cannot be written${code}.`,
      advice: "Choose another file with --out.",
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
  const problem = `Use a whole number from ${count(least)} to ${count(most)}`;
  return number(z.int(problem).check(z.minimum(least, problem), z.maximum(most, problem)));
}

/** Returns a value parser for a flag that may be repeated. */
export function repeated<T>(parse: (text: string) => T): (text: string, previous?: T[]) => T[] {
  return (text, previous = []) => [...previous, parse(text)];
}

export const date = checked(isoDate);

// commander would use the next flag as a missing value: `--out --json`.
export const text = matching(/^[^-]/, "Use text that does not start with a dash");

/** The events accept no longer reason. */
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
    .option("--wait", "Without a stage: run the services here until every queue is empty", false)
    .option("--json", "Print JSON", false)
    .addHelpText("after", `\nOptions of a command: ${program.name()} COMMAND --help`)
    .addHelpText("after", `\nExamples:\n  ${program.name()} ${example}`)
    .addHelpText("after", `  npx sst shell --stage STAGE -- ${program.name()} ${example}`)
    .addHelpText("after", "\nWithout a stage, the command works on the data of npm start in .local.");
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
 * Throws if a command would have to ask for confirmation and has no terminal.
 * @param isAnswered whether a flag answers the question
 * @param advice which flags do
 * @throws UsageError
 */
export function requireTerminal(
  command: string,
  isAnswered: boolean,
  advice = "Add --yes to skip the question or --dry-run to preview.",
): void {
  if (isAnswered || process.stdin.isTTY) return;
  throw new UsageError(`${command} needs a terminal to ask for confirmation. ${advice}`);
}
