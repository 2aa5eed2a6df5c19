// The command line of `npm run replay`.
import { Option } from "@commander-js/extra-typings";
import type { DeadLetterFilter } from "../../../services/replay/dead-letter-queues.ts";
import { queueNames } from "../../../shared/topology.ts";
import { commandLine, onTarget, requireTerminal, seconds, subcommand, text, wholeNumber } from "../../cli.ts";

type Common = { filter: DeadLetterFilter; max: number; wait: boolean; json: boolean };
export type MoveCommand = Common & { verb: "send" | "archive"; dryRun: boolean; yes: boolean };
export type Command = (Common & { verb: "list" | "show" }) | MoveCommand;

const readings = [
  ["list", "Show the dead letters of each queue: how many, how old, of which runs, and why"],
  ["show", "Show each dead letter with its IDs"],
] as const;
const moves = [
  ["send", "Replay dead letters: move them back to the queues they came from. Also: redrive"],
  ["archive", "Move dead letters to the work bucket, below deadletters/, for 30 days"],
] as const;

export const line = commandLine<Command>("npm run replay --", (base, accept) => {
  const program = onTarget(base, "list")
    .description("Show, replay and archive dead letters.")
    .addOption(new Option("--queue <name>", `Select a queue: ${queueNames.join(", ")}`).choices(queueNames))
    .option("--run <run>", "Select dead letters of this run", text)
    .option("--error <text>", "Select dead letters whose error contains this text", text)
    .option("--older-than <time>", "Select dead letters older than this: 90s, 30m, 2h, 3d", seconds)
    .option("--max <n>", "Select at most n", wholeNumber(1, 10_000), 1_000);
  const common = (): Common => {
    const { queue, run, error, olderThan: olderThanSeconds, max, wait, json } = program.opts();
    return { filter: { queue, run, error, olderThanSeconds }, max, wait, json };
  };
  const example = "--queue fetcher --older-than 1h";
  for (const [verb, description] of readings) {
    subcommand(program, verb, description, example).action(() => accept({ verb, ...common() }));
  }
  for (const [verb, description] of moves) {
    const command = subcommand(program, verb, description, `${example} --dry-run`)
      .option("--dry-run", "Print what would move, and move nothing", false)
      .option("--yes", "Skip the confirmation", false)
      .action(({ dryRun, yes }) => {
        requireTerminal(verb, yes || dryRun);
        accept({ verb, dryRun, yes, ...common() });
      });
    if (verb === "send") command.alias("redrive");
  }
});
