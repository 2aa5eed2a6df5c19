// The command line of `npm run doctor`.
import { commandLine, matching } from "../../cli.ts";

export type Command = { stage: string | undefined; json: boolean };

export const line = commandLine<Command>("npm run doctor --", (base, accept) => {
  // SST's own rule for names of stages.
  const stage = matching(/^[a-zA-Z0-9-]{1,128}$/, "Use letters, digits and -");
  base
    .description("Check the set-up with read-only calls: this machine, LibInsight, Tableau and AWS.")
    .option("--stage <name>", "Check the AWS account before the first deploy of this stage", stage)
    .option("--json", "Print JSON", false)
    .addHelpText("after", "\nExamples:\n  npm run doctor")
    .addHelpText("after", "  npm run doctor -- --stage production")
    .addHelpText("after", "  npx sst shell --stage production -- npm run doctor")
    .addHelpText("after", "\nThe exit code is 1 if a check finds a problem.")
    .action(({ stage, json }) => accept({ stage, json }));
});
