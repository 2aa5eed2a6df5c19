// The command line of `npm run runs`.
import { Option } from "@commander-js/extra-typings";
import { defaultDataset } from "../../../shared/datasets.ts";
import { runIdPattern } from "../../../shared/schemas.ts";
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
  text,
  UsageError,
  wholeNumber,
} from "../../cli.ts";

export type Common = { stalledAfterSeconds: number; wait: boolean; json: boolean };
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
  /** Confirms like a typed answer. */
  rows: number | undefined;
  dryRun: boolean;
  yes: boolean;
};
export type FollowCommand = { verb: "follow"; runId: string; timeoutSeconds: number };
export type Command = Common &
  (
    | { verb: "list"; max: number }
    | { verb: "show" | "resume"; runId: string }
    | FollowCommand
    | { verb: "trace"; runId: string; out: string | undefined }
    | PublishCommand
    | RollbackCommand
    | {
        verb: "request";
        request: {
          dataset: string;
          from?: string;
          to?: string;
          reason: string;
          skipComparison?: string;
          full?: boolean;
        };
      }
  );

/** The rows of the largest run: 1,000 windows of `maxPages` pages. */
const maxRows = 10_000_000_000;

const run = ["<run>", "Run ID (see `list`)", matching(runIdPattern, "Use a run ID (see `list`)")] as const;

export const line = commandLine<Command>("npm run runs --", (base, accept) => {
  const stalledAfter = new Option(
    "--stalled-after <time>",
    "Report a run as stalled after this time without progress",
  );
  const program = onTarget(base, "list")
    .description("Show runs; request, resume, publish or roll back one.")
    .addOption(stalledAfter.argParser(seconds).default(15 * 60, "15m"));
  const common = (): Common => {
    const { stalledAfter: stalledAfterSeconds, wait, json } = program.opts();
    return { stalledAfterSeconds, wait, json };
  };
  subcommand(
    program,
    "list",
    "List the runs of the last 30 days: state, pages, rows, dead letters",
    "--max 5",
  )
    .option("--max <n>", "List only the newest n", wholeNumber(1, 1_000), 20)
    .action(({ max }) => accept({ verb: "list", max, ...common() }));
  subcommand(program, "show", "Show every count of a run, what is missing, and what to do next", "RUN")
    .argument(...run)
    .action((runId) => accept({ verb: "show", runId, ...common() }));
  subcommand(program, "follow", "On a stage: wait until a run has ended. Fails unless it is published", "RUN")
    .argument(...run)
    .addOption(
      new Option("--timeout <time>", "Give the run this long").argParser(seconds).default(60 * 60, "1h"),
    )
    .action((runId, { timeout: timeoutSeconds }) =>
      accept({ verb: "follow", runId, timeoutSeconds, ...common() }),
    );
  subcommand(
    program,
    "trace",
    "Draw where a run spent its time, with its retries and cost",
    "RUN --out trace.svg",
  )
    .argument(...run)
    .option("--out <file>", "Write the drawing to this SVG file", text)
    .action((runId, { out }) => accept({ verb: "trace", runId, out, ...common() }));
  subcommand(program, "resume", "Send the tasks again that a run is missing", "RUN")
    .argument(...run)
    .action((runId) => accept({ verb: "resume", runId, ...common() }));
  subcommand(
    program,
    "publish",
    "Publish a run that the guard holds, after you review its counts",
    'RUN --force --reason "two branches closed"',
  )
    .argument(...run)
    .requiredOption("--force", "Confirm that the run is right and the guard is not")
    .requiredOption("--reason <text>", "Record this reason in the run's result", reason)
    .option("--rows <n>", "Confirm that the run has n rows, instead of the question", wholeNumber(0, maxRows))
    .option("--dry-run", "Print the run's counts, and publish nothing", false)
    .option("--yes", "Skip the confirmation, unless the run needs --rows", false)
    .action((runId, { reason, rows, dryRun, yes }) => {
      requireTerminal(
        "publish",
        yes || dryRun || rows !== undefined,
        "Add --rows with the run's rows (see `show`), or --dry-run to preview.",
      );
      accept({ verb: "publish", runId, reason, rows, dryRun, yes, ...common() });
    });
  subcommand(
    program,
    "rollback",
    "Restore the files that a run published or, if that run is live, the files before them",
    "RUN --dry-run",
  )
    .argument(...run)
    .option("--reason <text>", "Record this reason with the files", reason)
    .option("--dry-run", "Print what would change, and change nothing", false)
    .option("--yes", "Skip the confirmation", false)
    .action((runId, { reason, dryRun, yes }) => {
      requireTerminal("rollback", yes || dryRun);
      accept({ verb: "rollback", runId, reason, dryRun, yes, ...common() });
    });
  subcommand(
    program,
    "request",
    "Request a run and print its ID",
    '--from 2024-01-01 --to 2024-01-31 --reason "late answers"',
  )
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .option("--from <date>", "Start at this day, YYYY-MM-DD (default: the dataset's first date)", date)
    .option("--to <date>", "End at this day, YYYY-MM-DD (default: yesterday)", date)
    .option("--reason <text>", "Record this reason (default: requested by hand)", reason)
    .option("--skip-comparison", "Publish even if the file differs much from the published one", false)
    .option("--full", "Collect everything, without windows of earlier runs", false)
    .action(({ dataset, reason: given, skipComparison, full, ...range }) => {
      requireRange(range);
      requirePast(range, dataset, new Date());
      if (skipComparison && given === undefined) throw new UsageError("--skip-comparison requires --reason.");
      const reason = given ?? "requested by hand";
      const request = {
        dataset: dataset.name,
        ...range,
        reason,
        ...(skipComparison && { skipComparison: reason }),
        ...(full && { full }),
      };
      accept({ verb: "request", request, ...common() });
    });
});
