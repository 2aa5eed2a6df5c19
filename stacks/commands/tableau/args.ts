// The command line of `npm run tableau`.
import { z } from "zod";
import type { Dataset } from "../../../shared/dataset.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { UsageError } from "../../local/args.ts";
import { datasetOf, readFlags } from "../command-line.ts";
import type { AthenaPlace } from "./datasource.ts";

export const usage = `npm run tableau -- datasource [--dataset NAME] [--out FILE]
             [--region R] [--database D] [--workgroup W] [--staging S3-FOLDER]

  datasource        writes the file that opens Tableau on a dataset's analysis view, and athena.properties beside it

  --dataset NAME    one of: ${datasets.map(({ name }) => name).join(", ")} (default ${defaultDataset.name})
  --out FILE        where it goes (default .local/out/<dataset>.tds)
  --region R        of Athena
  --database D      in which the view is
  --workgroup W     in which analysts' queries run
  --staging FOLDER  where their results go, s3://bucket/folder/

Where the last four are not given, a stage tells them: npx sst shell --stage STAGE -- npm run tableau -- datasource.
Without a stage they are production's.
`;

export type Command = { dataset: Dataset; out: string; given: Partial<AthenaPlace> };

/** What AWS takes. https://docs.aws.amazon.com/athena/latest/APIReference/API_WorkGroup.html */
const forms = {
  region: [z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/), "a region such as us-east-1"],
  database: [z.string().regex(/^[a-z0-9_]{1,255}$/), "lower-case letters, digits and _"],
  workgroup: [z.string().regex(/^[\w.-]{1,128}$/), "letters, digits, . _ and -"],
  staging: [
    z.string().regex(/^s3:\/\/[a-z0-9.-]{3,63}\/([\w.=/-]+\/)?$/),
    "a folder such as s3://bucket/tableau/",
  ],
} as const satisfies Record<keyof AthenaPlace, readonly [z.ZodType<string>, string]>;

const text = { type: "string" } as const;

/** @returns "help" where that was asked for. @throws UsageError with one sentence */
export function parse(args: readonly string[]): Command | "help" {
  const { values, positionals } = readFlags(args, {
    dataset: text,
    out: text,
    region: text,
    database: text,
    workgroup: text,
    staging: text,
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return "help";
  const [verb, ...more] = positionals;
  if (verb !== "datasource" || more.length > 0)
    throw new UsageError("Say datasource, and nothing after it but flags.");
  const dataset = datasetOf(values.dataset);
  return {
    dataset,
    out: values.out ?? `.local/out/${dataset.name}.tds`,
    given: {
      ...formed("region", values.region),
      ...formed("database", values.database),
      ...formed("workgroup", values.workgroup),
      ...formed("staging", values.staging),
    },
  };
}

function formed(flag: keyof AthenaPlace, value: string | undefined): Partial<AthenaPlace> {
  if (value === undefined) return {};
  const [form, what] = forms[flag];
  if (form.safeParse(value).success) return { [flag]: value };
  throw new UsageError(`--${flag} ${value} can't be used: it takes ${what}.`);
}
