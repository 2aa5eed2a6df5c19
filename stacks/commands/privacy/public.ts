// `npm run privacy -- public`: counts the published file of a dataset by some of its columns.
import { PipelineError } from "../../../shared/errors.ts";
import type { Target } from "../target.ts";
import type { PublicCommand } from "./privacy-args.ts";

/** Returns what goes to stdout. @throws PipelineError `NothingPublished` */
export async function writePublicFile({ dataset }: PublicCommand, target: Target): Promise<string> {
  if (!(await target.data().head(dataset.publish.csv)))
    throw new PipelineError("NothingPublished", {
      message: "The dataset has no published file.",
      advice: "Run npm start, or select a stage: npx sst shell --stage STAGE -- npm run privacy -- ...",
      ids: { dataset: dataset.name },
    });
  return "Nothing was written.\n";
}
