// Whether a command in the docs can be typed as it is: npm scripts by the parsers of the programs themselves, AWS commands
// by the models of the AWS SDK, SST commands by the secrets and stages of the code. Nothing is run.
import { existsSync, readFileSync } from "node:fs";
import * as athena from "@aws-sdk/client-athena";
import * as ec2 from "@aws-sdk/client-ec2";
import * as events from "@aws-sdk/client-eventbridge";
import * as glue from "@aws-sdk/client-glue";
import * as iam from "@aws-sdk/client-iam";
import * as lambda from "@aws-sdk/client-lambda";
import * as s3api from "@aws-sdk/client-s3";
import * as scheduler from "@aws-sdk/client-scheduler";
import * as sns from "@aws-sdk/client-sns";
import * as sqs from "@aws-sdk/client-sqs";
import { z } from "zod";
import type { CommandLine } from "../../stacks/cli.ts";
import { stageSettings } from "../../stacks/stage.ts";
import { commandLines, startLine } from "../support/command-lines.ts";
import type { Command } from "./shell.ts";

const packageJson = z.object({ scripts: z.record(z.string(), z.string()) });
const { scripts } = packageJson.parse(JSON.parse(readFileSync("package.json", "utf8")));

const parsers: Record<string, CommandLine<unknown>> = { start: startLine(new Date()), ...commandLines };
/** What a reader replaces. */
const placeholders: Record<string, string> = {
  RUN: "reference-transactions-1a2b3c4d5e6f",
  EARLIER_RUN: "reference-transactions-6f5e4d3c2b1a",
  TEXT: "a reason",
  N: "1",
  STAGE: "ada",
  DATASET: "reference-transactions",
  SERVICE: "fetcher",
  FILE: "services/transformer/clean-text.ts",
  NUMBER: "12345",
};

/** The dataset that a reader adds. */
const addedDataset = "consultations";

/** Returns a script and its arguments of `npm run SCRIPT -- ARGS`, `npm start` and `npm test`; undefined for other commands. */
export function scriptOf([program, ...rest]: readonly string[]):
  | { name: string; args: string[] }
  | undefined {
  if (program !== "npm") return undefined;
  const dashes = rest.indexOf("--");
  const before = (dashes === -1 ? rest : rest.slice(0, dashes)).filter((word) => word !== "--silent");
  const args = dashes === -1 ? [] : rest.slice(dashes + 1);
  const [verb = "", name] = before;
  if (verb === "start" || verb === "test") return { name: verb, args };
  return verb === "run" && name !== undefined ? { name, args } : undefined;
}

/** @throws Error if the command cannot be typed like this, with the reason */
export function checkForm({ words, env }: Command): void {
  for (const name of Object.keys(env)) requireVariable(name);
  const [program = "", ...rest] = words.map((word, at) => {
    const isAdded = words[at - 1] === "--dataset" && word === addedDataset;
    return placeholders[isAdded ? "DATASET" : word] ?? word;
  });
  const check = forms[program];
  if (!check && program !== "") throw new Error(`The tests do not know the program ${program}.`);
  check?.(rest);
}

const forms: Record<string, (words: string[]) => void> = {
  npm: (words) => checkNpm(words),
  npx: ([program, ...words]) => {
    if (program === "sst") return checkSst(words);
    if (program !== "vitest") throw new Error(`The tests do not know npx ${program}.`);
    for (const path of words.filter((word) => word.startsWith("test/"))) requireFile(path);
  },
  node: ([file = ""]) => requireFile(file),
  aws: (words) => checkAws(words),
  export: ([setting = ""]) => requireVariable(setting.split("=")[0] ?? ""),
  echo: ([setting = ""]) => requireVariable(setting.split("=")[0] ?? ""),
  // What they do is seen when they run.
  cd: () => {},
  git: () => {},
  rm: () => {},
};

function checkNpm(words: readonly string[]): void {
  if (words[0] === "install" || words[0] === "ci") return;
  const script = scriptOf(["npm", ...words]);
  if (!script || !Object.hasOwn(scripts, script.name))
    throw new Error(`package.json has no script for ${words.join(" ")}.`);
  const { name, args } = script;
  const parser = parsers[name];
  if (args.length === 0) return;
  if (!parser) throw new Error(`npm run ${name} takes no arguments.`);
  parser.parse(args);
}

function checkSst(words: readonly string[]): void {
  const [verb = "", ...rest] = words;
  const at = rest.indexOf("--stage");
  const stage = rest[at + 1];
  if (at !== -1 && (stage === undefined || !stageSettings(stage, {})))
    throw new Error("--stage has no stage.");
  if (verb === "shell") {
    const dashes = rest.indexOf("--");
    if (dashes === -1) throw new Error("sst shell has no command after --.");
    checkForm({ text: "", env: {}, words: rest.slice(dashes + 1) });
    return;
  }
  if (verb === "secret") {
    const secret = rest[1] ?? "";
    const source = readFileSync("stacks/secrets.ts", "utf8");
    if (!source.includes(`new sst.Secret("${secret}"`))
      throw new Error(`stacks/secrets.ts has no ${secret}.`);
    if (at === -1) throw new Error("A secret is set for a stage.");
    return;
  }
  // https://sst.dev/docs/reference/cli/
  if (!["deploy", "diff", "remove", "unlock", "dev"].includes(verb))
    throw new Error(`SST has no command ${verb}.`);
}

const clients: Record<string, object> = {
  athena,
  ec2,
  events,
  glue,
  iam,
  lambda,
  s3api,
  scheduler,
  sns,
  sqs,
};
/** Commands of the AWS CLI that are no operation of an installed client, with their flags. https://docs.aws.amazon.com/cli/latest/reference/ */
const highLevel: Record<string, string[]> = {
  "s3 cp": [],
  "s3 ls": ["--recursive"],
  "s3 mv": [],
  "s3 rm": ["--recursive"],
  "lakeformation grant-permissions": ["--permissions", "--principal", "--resource"],
  "logs tail": ["--follow", "--since"],
  // The CLI has another name for the parameter Endpoint.
  "sns subscribe": ["--protocol", "--topic-arn", "--notification-endpoint"],
  "sts get-caller-identity": [],
  "service-quotas request-service-quota-increase": ["--service-code", "--quota-code", "--desired-value"],
};
const globalFlags = ["--query", "--output"];

function checkAws([service = "", operation = "", ...rest]: string[]): void {
  const flags = rest.filter((word) => word.startsWith("--") && !globalFlags.includes(word));
  const known =
    highLevel[`${service} ${operation}`] ?? membersOf(service, operation).map((name) => `--${kebab(name)}`);
  for (const flag of flags) {
    if (!known.includes(flag)) throw new Error(`aws ${service} ${operation} has no ${flag}.`);
  }
}

/** Structures of the SDK's models: kind, namespace, name, traits, names of the members. */
const structure = z
  .tuple([z.number(), z.string(), z.string(), z.unknown(), z.array(z.string())])
  .rest(z.unknown());
/** The SDK resolves some structures when they are first used. */
const resolved = z.preprocess((value) => (typeof value === "function" ? value() : value), structure);
const operationSchema = z
  .tuple([z.number(), z.string(), z.string(), z.unknown(), resolved])
  .rest(z.unknown());

/** Returns the names of an operation's parameters. */
function membersOf(service: string, operation: string): string[] {
  const name = `${operation.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase())}Command`;
  const found = Object.entries(clients[service] ?? {}).find(([exported]) => exported === name)?.[1];
  if (typeof found !== "function") throw new Error(`AWS has no operation ${service} ${operation}.`);
  const command: unknown = Reflect.construct(found, [{}]);
  const { schema } = z.object({ schema: operationSchema }).parse(command);
  return schema[4][4];
}

function kebab(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-").toLowerCase();
}

/** Files that read variables. */
const readers = [
  "stacks/stage.ts",
  "stacks/local/start-args.ts",
  "stacks/local/local-settings.ts",
  "shared/tableau-settings.ts",
  "shared/logger.ts",
  "test/services/assembler/expectations/histories.test.ts",
];

/** @throws Error if no setting has this name */
export function requireVariable(name: string): void {
  const isRead = readers.some((file) => readFileSync(file, "utf8").includes(name));
  // Powertools reads its own.
  if (!isRead && !name.startsWith("POWERTOOLS_")) throw new Error(`Nothing reads the variable ${name}.`);
}

function requireFile(path: string): void {
  if (!existsSync(path)) throw new Error(`There is no file ${path}.`);
}
