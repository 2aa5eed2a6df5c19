// The command line of `npm run compare`.
import { commandLine } from "../../cli.ts";

export type Command = { old: string; new: string; json: boolean };

export const line = commandLine<Command>("npm run compare --", (program, accept) =>
  program
    .description("Show which rows and cells of two CSV files differ, and which known rule explains it.")
    .argument("<old>", "The earlier CSV, for example the predecessor's")
    .argument("<new>", "The CSV to compare with it")
    .option("--json", "Print JSON, with up to 10,000 record IDs for each difference", false)
    .addHelpText("after", "\nRows are matched by _id. No cell's content is printed.")
    .addHelpText("after", "\nExits with 1 if a difference has no rule that explains it.")
    .addHelpText(
      "after",
      "\nExample:\n  npm run compare -- predecessor.csv .local/out/LibInsightQueryData.csv",
    )
    .action((old, newer, { json }) => accept({ old, new: newer, json })),
);
