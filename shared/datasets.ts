// The datasets to collect. To add a dataset, add an entry here (dataset-schema.ts describes the settings).
import { type Dataset, defineDatasets } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";

export const datasets = defineDatasets([
  {
    // Virginia Tech's reference transactions. Readers rely on the column rules, which the previous system had.
    name: "reference-transactions",
    libinsightId: 28364,
    requestId: 16,
    firstDate: "2021-12-02",
    timeZone: "America/New_York",
    columns: [
      { name: "_id", type: "integer", required: true, meaning: "LibInsight's number of the record" },
      {
        name: "_start_date",
        type: "timestamp",
        required: true,
        meaning: "When it happened, local time in Blacksburg (not when it was entered)",
      },
      { name: "_entered_by", drop: true },
      {
        name: "Question Type",
        type: "text",
        answers: "first",
        meaning: "Kind of question; the first where several were chosen",
      },
      { name: "Duration (in minutes)", type: "number", meaning: "How long it took, in minutes" },
      { name: "Comments/Notes", type: "text", personal: true, meaning: "What the staff noted, free text" },
      { name: "Location", type: "text", meaning: "Where the question was answered" },
      { name: "who", type: "text", meaning: "Who asked: the kind of patron" },
      { name: "mode", type: "text", meaning: "How the question came in" },
      { name: "answeredBy", type: "text", personal: true, meaning: "Who answered" },
      { name: "classroom", type: "text" },
      { name: "walkins", drop: true },
      { name: "employee", type: "text", personal: true, meaning: "Member of the staff" },
      { name: "studio", type: "text" },
      { name: "affiliation", type: "text", meaning: "What the patron belongs to" },
      { name: "scans", drop: true },
      { name: "reformat", drop: true },
      {
        name: "Research_Topic",
        join: ["research", "topic"],
        meaning: "The fields research and topic, joined with nothing between them",
      },
    ],
    undeclared: "append",
    publish: {
      csv: "libinsightdata-athena/LibInsightQueryData.csv",
      jsonl: "libinsightdata-json/LibInsightQueryData.jsonl",
      results: "published/LibInsightQueryResults.csv",
      queryResults: "libinsightQueryOnS3csvTable",
      table: "libinsightdata",
    },
  },
]);

/** The dataset that commands use if no dataset is named. */
export const defaultDataset: Dataset = datasets[0];

/**
 * Returns a dataset by its name.
 * @param among the deployed datasets; services get them as a dependency
 * @throws PipelineError `UnknownDataset` with the names of `among`
 */
export function findDataset(name: string, among: readonly Dataset[] = datasets): Dataset {
  const found = among.find((dataset) => dataset.name === name);
  if (found) return found;
  throw new PipelineError("UnknownDataset", {
    message: `There is no dataset "${name}".`,
    advice: `Use one of ${among.map((dataset) => dataset.name).join(", ")}, or add it to shared/datasets.ts.`,
    ids: { dataset: name.slice(0, 64) },
  });
}
