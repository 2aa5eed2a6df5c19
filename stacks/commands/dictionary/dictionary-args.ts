// The command line of `npm run dictionary`.
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { datasets } from "../../../shared/datasets.ts";
import { commandLine, datasetOption, text } from "../../cli.ts";

export type Command = { chosen: readonly Dataset[]; out: string };

export const line = commandLine<Command>("npm run dictionary --", (program, accept) =>
  program
    .description("Write the data dictionary of every dataset, or of one, as Markdown.")
    .addOption(datasetOption())
    .option(
      "--out <file>",
      "Write this file (default: docs/dictionary.md, or docs/dictionary-<dataset>.md)",
      text,
    )
    .addHelpText("after", "\nExample:\n  npm run dictionary -- --out dictionary.md")
    .action(({ dataset, out }) => {
      const page = dataset ? `docs/dictionary-${dataset.name}.md` : "docs/dictionary.md";
      accept({ chosen: dataset ? [dataset] : datasets, out: out ?? page });
    }),
);
