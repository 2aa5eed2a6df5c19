// The command line of `npm run adopt`.
import { Option } from "@commander-js/extra-typings";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { datasets } from "../../../shared/datasets.ts";
import { kindName } from "../../../shared/kinds/kinds.ts";
import { commandLine, date, requireTerminal, UsageError, wholeNumber } from "../../cli.ts";
import { parsers } from "./settings.ts";

export type Command = {
  /** The dataset's number in LibInsight. */
  datasetId: number;
  kind?: Dataset["kind"];
  shared: boolean;
  requestId?: number;
  name?: string;
  timeZone?: string;
  fiscalYearStart?: number;
  firstDate?: string;
  print: boolean;
  yes: boolean;
};

/** Returns the library's entry of a dataset. A number may be that of datasets of several kinds. */
export function entryOf(datasetId: number, kind?: Dataset["kind"]): Dataset | undefined {
  return datasets.find(
    (dataset) => dataset.libinsightId === datasetId && dataset.kind === (kind ?? dataset.kind),
  );
}

const numberInLibInsight = wholeNumber(1, 999_999_999);

export const line = commandLine<Command>("npm run adopt --", (program, accept) =>
  program
    .description(
      "Add a LibInsight dataset to shared/library.ts, or show what changed in the form of one that is there.",
    )
    .addOption(
      new Option("--dataset <number>", "Select the dataset by its number in LibInsight")
        .argParser(numberInLibInsight)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--kind <kind>", "Say what LibInsight has of it (default: records)").choices(
        kindName.options,
      ),
    )
    .option("--shared", "Say that it is a shared dataset of records", false)
    .option("--request-id <n>", "Send this request_id, if the site requires one", numberInLibInsight)
    .option("--name <name>", "Name the dataset in commands and files", parsers.name)
    .option("--time-zone <zone>", "Set the library's time zone, such as America/Chicago", parsers.timeZone)
    .option(
      "--fiscal-year-start <month>",
      "Set the first month of the fiscal year, 1 to 12",
      parsers.fiscalYearStart,
    )
    .option("--first-date <date>", "Set the first day to collect (default: that of the first record)", date)
    .option("--print", "Print the entry and change nothing", false)
    .option("--yes", "Ask nothing, and add the entry", false)
    .addHelpText("after", "\nExamples:\n  npm run adopt -- --dataset 12345 --name consultations")
    .addHelpText("after", "  npm run adopt -- --dataset 678 --kind gate-count --print")
    .addHelpText("after", changesHelp)
    .action(({ dataset: datasetId, ...options }) => {
      if (options.shared && (options.kind ?? "records") !== "records")
        throw new UsageError("--shared is for records only. Remove it, or remove --kind.");
      requireTerminal(
        "adopt",
        options.print || options.yes || entryOf(datasetId, options.kind) !== undefined,
        "Add --yes to add the entry without a question, or --print to print it.",
      );
      accept({ datasetId, ...options });
    }),
);

const changesHelp = `
For a dataset that is in shared/library.ts, the command prints what changed in
its form, and exits with 1 if something did.

Without LIBINSIGHT_BASE_URL, LIBINSIGHT_CLIENT_ID and LIBINSIGHT_CLIENT_SECRET
(also in .env) it asks for them, or works on the simulated LibInsight.`;
