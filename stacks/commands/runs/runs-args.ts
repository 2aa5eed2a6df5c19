// The command line of `npm run runs`.
import { Option } from "@commander-js/extra-typings";
import { defaultDataset } from "../../../shared/datasets.ts";
import {
  commandLine,
  datasetOption,
  date,
  matching,
  onTarget,
  reason,
  requirePast,
  requireRange,
  requireTerminal,
  seconds,
  subcommand,
  wholeNumber,
} from "../../cli.ts";

export type Common = { stalledAfterSeconds: number; finish: boolean; json: boolean };
export type RollbackCommand = {
  verb: "rollback";
  runId: string;
  reason: string | undefined;
  dryRun: boolean;
  yes: boolean;
};
export type PublishCommand = {
  verb: "publish";
  runId: string;
  reason: string;
  /** The typed confirmation. */
  rows: number | undefined;
  yes: boolean;
};
export type Command = Common &
  (
    | { verb: "list"; max: number }
    | { verb: "show" | "resume"; runId: string }
    | PublishCommand
    | RollbackCommand
    | {
        verb: "request";
        request: { dataset: string; from?: string; to?: string; reason: string; skipComparison?: string };
      }
  );

/** Of the largest run: 1,000 windows of `maxPages` pages. */
const maxRows = 10_000_000_000;

const run = [
  "<run>",
  "Run ID (see `list`)",
  matching(/^[a-z][a-z0-9-]{1,63}$/, "Use a run ID (see `list`)"),
] as const;
const runId = "reference-transactions-1a2b3c4d5e6f";

export const line = commandLine<Command>("npm run runs --", (base, accept) => {
  const stalledAfter = new Option(
    "--stalled-after <time>",
    "Report a run as stalled after this time without progress",
  );
  const program = onTarget(base, "list")
    .description("Show runs. Resume, publish, roll back or request one.")
    .addOption(stalledAfter.argParser(seconds).default(15 * 60, "15m"));
  const common = (): Common => {
    const { stalledAfter: stalledAfterSeconds, finish, json } = program.opts();
    return { stalledAfterSeconds, finish, json };
  };
  subcommand(
    program,
    "list",
    "List the runs of the last 30 days: state, pages, rows, dead letters",
    "--max 5",
  )
    .option("--max <n>", "List only the newest n", wholeNumber(1, 1_000), 20)
    .action(({ max }) => accept({ verb: "list", max, ...common() }));
  subcommand(program, "show", "Show every count of a run, what is missing, and what to do next", runId)
    .argument(...run)
    .action((runId) => accept({ verb: "show", runId, ...common() }));
  subcommand(program, "resume", "Enqueue again what a run is missing", runId)
    .argument(...run)
    .action((runId) => accept({ verb: "resume", runId, ...common() }));
  subcommand(
    program,
    "publish",
    "Publish a run that the guard holds, after you review its counts",
    `${runId} --force --reason "two branches closed"`,
  )
    .argument(...run)
    .requiredOption("--force", "Confirm that the run is right and the guard is not")
    .requiredOption("--reason <text>", "Record this reason in the run's result", reason)
    .option("--rows <n>", "Confirm that the run has n rows, instead of the question", wholeNumber(0, maxRows))
    .option("--yes", "Skip the question, if it takes a yes; some runs need --rows", false)
    .action((runId, { reason, rows, yes }) => {
      requireTerminal("publish", yes || rows !== undefined, "Add --rows with the run's rows (see `show`).");
      accept({ verb: "publish", runId, reason, rows, yes, ...common() });
    });
  subcommand(
    program,
    "rollback",
    "Restore the files that a run published, or those before the live run's; Athena follows automatically",
    `${runId} --dry-run`,
  )
    .argument(...run)
    .option("--reason <text>", "Record this reason with the files", reason)
    .option("--dry-run", "Print what would change, and change nothing", false)
    .option("--yes", "Skip the confirmation", false)
    .action((runId, { reason, dryRun, yes }) => {
      requireTerminal("rollback", yes || dryRun);
      accept({ verb: "rollback", runId, reason, dryRun, yes, ...common() });
    });
  subcommand(program, "request", "Request a run and print its ID", "--from 2024-01-01 --to 2024-01-31")
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .option("--from <date>", "Start at this day, YYYY-MM-DD (default: the dataset's first date)", date)
    .option("--to <date>", "End at this day, YYYY-MM-DD (default: yesterday)", date)
    .option("--reason <text>", "Record this reason", reason, "requested by hand")
    .option(
      "--skip-comparison <reason>",
      "Publish even if the file differs much from the published one, for this reason",
      reason,
    )
    .action(({ dataset, ...options }) => {
      requireRange(options);
      requirePast(options, dataset, new Date());
      accept({ verb: "request", request: { ...options, dataset: dataset.name }, ...common() });
    });
});
