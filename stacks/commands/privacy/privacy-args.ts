// The command line of `npm run privacy`.
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import {
  commandLine,
  datasetOption,
  date,
  onTarget,
  requireTerminal,
  subcommand,
  text,
  UsageError,
  wholeNumber,
} from "../../cli.ts";
import { type Dimension, dimensionsOf } from "./public/dimensions.ts";

export type PublicCommand = {
  verb: "public";
  dataset: Dataset;
  dimensions: Dimension[];
  k: number;
  out: string;
};
export type RotateCommand = { verb: "rotate"; dryRun: boolean; yes: boolean };
export type NamesCommand = { verb: "names"; file: string; dataset: Dataset };
export type ForgetCommand = {
  verb: "forget";
  dataset: Dataset;
  ids: number[];
  idsFile?: string;
  before?: string;
  dryRun: boolean;
  yes: boolean;
};
export type Command = { wait: boolean; json: boolean } & (
  | PublicCommand
  | ForgetCommand
  | RotateCommand
  | NamesCommand
);

const maxDimensions = 4;

function dimensionNames(list: string): string[] {
  const names = list.split(",").map((name) => name.trim());
  if (names.includes("") || names.length > maxDimensions || new Set(names).size < names.length)
    throw new InvalidArgumentError(`Use 1 to ${maxDimensions} different names, separated by commas.`);
  return names;
}

/** Reads `_id`s between commas, spaces or line breaks. */
export function recordIds(list: string): number[] {
  const ids = list.split(/[\s,]+/).filter((id) => id !== "");
  const isId = (id: string) => /^\d{1,16}$/.test(id) && Number.isSafeInteger(Number(id));
  if (ids.length === 0 || !ids.every(isId))
    throw new InvalidArgumentError("Use the _id of each record, separated by commas.");
  return ids.map(Number);
}

export const line = commandLine<Command>("npm run privacy --", (base, accept) => {
  const example = "--dimensions location,month,mode --k 10";
  const program = onTarget(base, `public ${example}`).description(
    "Publish counts without personal data, remove records, and manage the key and names of the de-identified file.",
  );
  const common = () => {
    const { wait, json } = program.opts();
    return { wait, json };
  };
  subcommand(
    program,
    "public",
    "Write counts of at least k records as a CSV file, and a report on what it reveals",
    example,
  )
    .requiredOption(
      "--dimensions <names>",
      "Count by these: location, mode, questionType, year, fiscal_year, month, weekday, hour, or columns",
      dimensionNames,
    )
    .option("--k <n>", "Publish no count below n", wholeNumber(2, 1_000), 10)
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .option("--out <file>", "Write this CSV file (default: .local/out/<dataset>-public.csv)", text)
    .action(({ dataset, dimensions: names, k, out = `.local/out/${dataset.name}-public.csv` }) =>
      accept({ verb: "public", dataset, dimensions: dimensionsOf(names, dataset), k, out, ...common() }),
    );
  subcommand(
    program,
    "rotate",
    "Replace the key of the pseudonyms. Every pseudonym changes with the next publication",
    "--dry-run",
  )
    .option("--dry-run", "Print what would be replaced, and change nothing", false)
    .option("--yes", "Skip the confirmation", false)
    .action((options) => {
      requireTerminal("rotate", options.yes || options.dryRun);
      accept({ verb: "rotate", ...options, ...common() });
    });
  subcommand(
    program,
    "names",
    "Store the names that are redacted in free text, one on each line of a file",
    "names.txt",
  )
    .argument("<file>", "Text file with one name on each line, at most 20,000", text)
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .action((file, { dataset }) => accept({ verb: "names", file, dataset, ...common() }));
  const forgetExample = "--ids 1234567,1234570";
  subcommand(
    program,
    "forget",
    "Remove records from every file, version, run and message, so that no later run stores them again",
    `${forgetExample} --dry-run`,
  )
    .option("--ids <ids>", "Remove the records with these _ids, separated by commas", recordIds)
    .option("--ids-file <file>", "Remove the records whose _ids are in this file", text)
    .option("--before <date>", "Remove the records with an earlier date", date)
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .option("--dry-run", "Print what would be removed, and change nothing", false)
    .option("--yes", "Skip the confirmation", false)
    .action(({ ids = [], ...options }) => {
      if (ids.length === 0 && options.idsFile === undefined && options.before === undefined)
        throw new UsageError("forget needs --ids, --ids-file or --before.");
      requireTerminal("forget", options.yes || options.dryRun);
      accept({ verb: "forget", ids, ...options, ...common() });
    });
});
