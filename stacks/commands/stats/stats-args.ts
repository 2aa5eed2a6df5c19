// The command line of `npm run stats`.
import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import type { Survey } from "../../../shared/statistics/survey.ts";
import { surveys } from "../../../shared/statistics/surveys.ts";
import { commandLine, datasetOption, text, UsageError, wholeNumber } from "../../cli.ts";

export const formats = ["text", "csv"] as const;

export type Command = {
  survey: Survey;
  dataset: Dataset;
  /** Undefined for the latest complete one. */
  fiscalYear: number | undefined;
  format: (typeof formats)[number];
  /** A file for the CSV. */
  out: string | undefined;
  /** The line, `excluded` or `unanswered`, whose record IDs to print instead of the worksheet. */
  ids: string | undefined;
};

const surveyNames = surveys.map(({ name }) => name).join(", ");

function surveyNamed(name: string): Survey {
  const found = surveys.find((survey) => survey.name === name);
  if (!found) throw new InvalidArgumentError(`Use one of ${surveyNames}.`);
  return found;
}

/** @throws UsageError */
function requireLine(survey: Survey, name: string | undefined): void {
  const names = [...Object.keys(survey.lines), "excluded", "unanswered"];
  if (name !== undefined && !names.includes(name))
    throw new UsageError(`${survey.name} has no line "${name}" for --ids. Use one of ${names.join(", ")}.`);
}

export const line = commandLine<Command>("npm run stats --", (program, accept) =>
  program
    .description("Fill the worksheet of an annual survey from the published file of a dataset.")
    .addOption(
      new Option("--survey <name>", `Select the survey and edition: ${surveyNames}`)
        .argParser(surveyNamed)
        .makeOptionMandatory(),
    )
    .option(
      "--fiscal-year <year>",
      "Select a fiscal year by the year in which it ends (default: the latest complete one)",
      wholeNumber(1900, 9998),
    )
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .addOption(new Option("--format <format>", "Print text or CSV").choices(formats).default("text" as const))
    .option("--out <file>", "Also write the worksheet to this file, as CSV", text)
    .addOption(
      new Option("--ids <line>", "Print the record IDs of a line, of excluded or of unanswered")
        .argParser(text)
        .conflicts(["format", "out"]),
    )
    .addHelpText("after", "\nExamples:\n  npm run stats -- --survey acrl-2022 --fiscal-year 2024")
    .addHelpText("after", "  npm run stats -- --survey acrl-2022 --ids consultations")
    .addHelpText("after", "  npx sst shell --stage STAGE -- npm run stats -- --survey acrl-2022")
    .addHelpText("after", "\nWithout a stage, the command works on the data of npm start in .local.")
    .action(({ survey, fiscalYear, dataset, format, out, ids }) => {
      requireLine(survey, ids);
      accept({ survey, dataset, fiscalYear, format, out, ids });
    }),
);
