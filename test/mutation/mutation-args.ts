// The command line of `npm run mutation`.
import * as z from "zod/mini";
import { checked, commandLine, text, UsageError } from "../../stacks/cli.ts";
import { isDomain } from "./changes.ts";

export type Command = {
  files: string[];
  changed: boolean;
  base: string | undefined;
  minutes: number | undefined;
  concurrency: string | undefined;
};

export const line = commandLine<Command>("npm run mutation --", (program, accept) =>
  program
    .description("Change the domain code in one place at a time and check that a test fails.")
    .argument("[file...]", "Mutate only these files (default: all domain code)")
    .option("--changed", "Mutate only the lines that changed since the base", false)
    .option("--base <commit>", "Set the base (default: the fork from main; on main, 20 commits ago)", text)
    .option(
      "--minutes <n>",
      "End after n minutes, and list the files that were left out",
      checked(z.number().check(z.positive()), Number),
    )
    .option("--concurrency <n>", "Run n test runners side by side (default: Stryker's)", text)
    .addHelpText("after", "\nExamples:\n  npm run mutation -- services/transformer/clean-text.ts")
    .addHelpText("after", "  npm run mutation -- --changed --minutes 10")
    .action((files, { changed, base, minutes, concurrency }) => {
      const others = files.filter((file) => !isDomain(file));
      if (others.length > 0) throw new UsageError(`These files are not domain code: ${others.join(", ")}.`);
      if (changed && files.length > 0) throw new UsageError("Give files or --changed, not both.");
      accept({ files, changed, base, minutes, concurrency });
    }),
);
