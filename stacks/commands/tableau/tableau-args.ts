// The command line of `npm run tableau`.
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { commandLine, datasetOption, matching, subcommand, text } from "../../cli.ts";
import type { AthenaPlace } from "./datasource.ts";

export type Command = { dataset: Dataset; out: string; given: Partial<AthenaPlace> };

/** The patterns of names that AWS accepts. https://docs.aws.amazon.com/athena/latest/APIReference/API_WorkGroup.html */
const region = matching(/^[a-z]{2}(-[a-z]+)+-\d$/, "Use a region such as us-east-1");
const database = matching(/^[a-z0-9_]{1,255}$/, "Use lower-case letters, digits and _");
const workgroup = matching(/^[\w.][\w.-]{0,127}$/, "Use letters, digits, . _ and -");
const staging = matching(
  /^s3:\/\/[a-z0-9.-]{3,63}\/([\w.=/-]+\/)?$/,
  "Use a folder such as s3://bucket/tableau/",
);

export const line = commandLine<Command>("npm run tableau --", (base, accept) => {
  const program = base
    .description("Write the files with which an analyst opens a dataset in Tableau.")
    .addHelpText("afterAll", "\nThe default settings are production's. To use another stage's:")
    .addHelpText("afterAll", "  npx sst shell --stage STAGE -- npm run tableau -- datasource");
  const datasource =
    "Write the file that opens a dataset's analysis view in Tableau, and athena.properties beside it";
  subcommand(program, "datasource", datasource, "--out reference.tds")
    .addOption(datasetOption().default(defaultDataset, defaultDataset.name))
    .option("--out <file>", "Write this file (default: .local/out/<dataset>.tds)", text)
    .option("--region <region>", "Set Athena's region", region)
    .option("--database <name>", "Set the view's database", database)
    .option("--workgroup <name>", "Set the workgroup of the analysts' queries", workgroup)
    .option("--staging <folder>", "Set the folder of query results, s3://bucket/folder/", staging)
    .action(({ dataset, out = `.local/out/${dataset.name}.tds`, ...given }) =>
      accept({ dataset, out, given }),
    );
});
