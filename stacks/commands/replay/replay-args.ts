// The command line of `npm run replay`.
import { Option } from "@commander-js/extra-typings";
import type { DeadLetterFilter } from "../../../services/replay/dead-letter-queues.ts";
import { queueNames } from "../../../shared/topology.ts";
import { commandLine, onTarget, requireTerminal, seconds, subcommand, text, wholeNumber } from "../../cli.ts";

export type Command = {
  verb: (typeof verbs)[number][0];
  filter: DeadLetterFilter;
  max: number;
  dryRun: boolean;
  yes: boolean;
  finish: boolean;
  json: boolean;
};
const verbs = [
  ["list", "Show the dead letters of each queue: how many, how old, of which runs, and why"],
  ["show", "Show each dead letter with its IDs"],
  ["send", "Replay dead letters: move them back to the queues they came from"],
  ["archive", "Move dead letters to the work bucket, below deadletters/, for 30 days"],
] as const;

export const line = commandLine<Command>("npm run replay --", (base, accept) => {
  const program = onTarget(base, "list")
    .description("Show, replay and archive dead letters.")
    .addOption(new Option("--queue <name>", `Select a queue: ${queueNames.join(", ")}`).choices(queueNames))
    .option("--run <run>", "Select dead letters of this run", text)
    .option("--error <text>", "Select dead letters whose error contains this text", text)
    .option("--older-than <time>", "Select dead letters older than this: 90s, 30m, 2h, 3d", seconds)
    .option("--max <n>", "Select at most n", wholeNumber(1, 10_000), 1_000)
    .option("--dry-run", "For send and archive: print what would move, and move nothing", false)
    .option("--yes", "For send and archive: skip the confirmation", false);
  for (const [verb, description] of verbs) {
    subcommand(program, verb, description, "--queue fetcher --older-than 1h").action(() => {
      const { queue, run, error, olderThan: olderThanSeconds, ...rest } = program.opts();
      if (verb === "send" || verb === "archive") requireTerminal(verb, rest.yes || rest.dryRun);
      accept({ verb, filter: { queue, run, error, olderThanSeconds }, ...rest });
    });
  }
});
