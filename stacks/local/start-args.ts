// Parses the command line of `npm start`.
import { join } from "node:path";
import { Option } from "@commander-js/extra-typings";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { yesterday } from "../../shared/dates.ts";
import {
  commandLine,
  datasetOption,
  date,
  repeated,
  requirePast,
  requireRange,
  text,
  UsageError,
  wholeNumber,
} from "../cli.ts";
import { formOf, listedFields } from "./libinsight/dataset-form.ts";
import { type Rename, renameOf, renamesOfForm } from "./libinsight/renames.ts";
import { localFolder } from "./local-folder.ts";

export { UsageError };

/** One command for each dataset. With --all, a command that fails does not stop the others. */
export type Start = { commands: [StartCommand, ...StartCommand[]]; all: boolean };

export type StartCommand = {
  dataset: Dataset;
  from: string;
  to: string;
  /** Whether --from or --to was given. */
  datesGiven: boolean;
  /** Whether to reuse no windows of earlier runs. */
  full: boolean;
  /** The folder of the dataset's files. */
  out: string;
  simulation: {
    records: number;
    /** Yesterday, also if the run ends earlier. */
    lastDay: string;
    latencyMs: number;
    renames: Rename[];
    faultSeed: number | undefined;
  };
  /** The given flags that need the simulated LibInsight. */
  simulationFlags: string[];
  json: boolean;
  quiet: boolean;
};

const line = (now: Date) =>
  commandLine<Start>("npm start --", (base, accept) => {
    const program = base
      .description("Run the pipeline on this machine: collect a dataset, publish its files, query them.")
      .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
      // Not every dataset has the field.
      .addOption(new Option("--all", "Collect every dataset").default(false).conflicts(["dataset", "rename"]))
      .option("--from <date>", "Start at this day, YYYY-MM-DD (default: the dataset's first date)", date)
      .option("--to <date>", "End at this day, YYYY-MM-DD (default: yesterday)", date)
      .option("--full", "Collect everything, without windows of earlier runs", false)
      .option(
        "--out <dir>",
        "Write the files to this directory, or to <dir>/<dataset> for all but the first dataset",
        text,
        `${localFolder}/out`,
      )
      .option("--records <n>", "Simulate a LibInsight with n records", wholeNumber(0, 2_000_000), 10_300)
      .option("--latency <ms>", "Simulate this response time in milliseconds", wholeNumber(0, 60_000), 20)
      .option("--rename <field=label>", "Simulate a renamed field; repeatable", repeated(renameOf))
      .option(
        "--faults <seed>",
        "Inject faults, show the dead letters and replay them",
        wholeNumber(0, 999_999_999),
      )
      .option("--json", "Print the run's report (run.json) and nothing else", false)
      .option("--quiet", "Print only errors", false)
      .addHelpText("after", environmentHelp)
      .action(({ all, dataset, from: givenFrom, to: givenTo, ...options }) => {
        const isGiven = (flag: keyof ReturnType<typeof program.opts>) =>
          program.getOptionValueSource(flag) === "cli";
        const {
          out,
          records,
          latency: latencyMs,
          rename = [],
          faults: faultSeed,
          json,
          quiet,
          full,
        } = options;
        const commandOf = (one: Dataset): StartCommand => {
          const lastDay = yesterday(now, one.timeZone);
          const [from, to] = [givenFrom ?? one.firstDate, givenTo ?? lastDay];
          requireRange({ from, to });
          requirePast({ from, to }, one, now);
          return {
            dataset: one,
            from,
            to,
            datesGiven: isGiven("from") || isGiven("to"),
            full,
            out: outOf(out, one),
            simulation: { records, lastDay, latencyMs, renames: renamesOf(rename, one), faultSeed },
            simulationFlags: (["records", "latency", "rename", "faults"] as const)
              .filter(isGiven)
              .map((flag) => `--${flag}`),
            json,
            quiet,
          };
        };
        const [first, ...rest] = all ? datasets : [dataset];
        accept({ commands: [commandOf(first), ...rest.map(commandOf)], all });
      });
  });

/** Returns the folder of a dataset's files. So datasets never replace each other's files, which have the same names. */
function outOf(out: string, { name }: Dataset): string {
  return name === defaultDataset.name ? out : join(out, name);
}

const environmentHelp = `
Examples:
  npm start -- --from 2024-01-01 --to 2024-01-31
  npm start -- --all
  npm start -- --rename "mode=Mode of contact"
  npm start --silent -- --json > run.json

Environment:
  LIBINSIGHT_BASE_URL, LIBINSIGHT_CLIENT_ID, LIBINSIGHT_CLIENT_SECRET
      Collect from this LibInsight instead of the simulation
  TABLEAU_URL, TABLEAU_SITE, TABLEAU_TOKEN_NAME, TABLEAU_TOKEN_SECRET
      Refresh this Tableau after publishing
  ALERTS_WEBHOOK_URL
      Post messages about the run to Slack or Teams
  POWERTOOLS_LOG_LEVEL=INFO
      Print the services' log
  Variables can be set in .env. The environment takes precedence over .env.`;

/** Returns the commands, or "help" for --help. @throws UsageError */
export const parseStart = (args: readonly string[], now: Date, env: NodeJS.ProcessEnv = {}): Start | "help" =>
  line(now).parse(args, env);

/** Returns the first of the commands. Parameters as of `parseStart`. */
export function parseCommand(...given: Parameters<typeof parseStart>): StartCommand | "help" {
  const start = parseStart(...given);
  return start === "help" ? start : start.commands[0];
}

/** Returns the help. It is a function because generating the help takes 8 ms. */
export const usage = (): string => line(new Date(0)).usage();

/** Validates all renames together, because two fields may swap their labels. @throws UsageError */
export function renamesOf(given: readonly ReturnType<typeof renameOf>[], dataset: Dataset): Rename[] {
  const names = listedFields(formOf(dataset).fields).map(({ name }) => name);
  const parsed = renamesOfForm(names).safeParse(given);
  if (parsed.success) return parsed.data;
  throw new UsageError(`--rename is invalid: ${parsed.error.issues[0]?.message}.`);
}
