// The library that this pipeline belongs to: Virginia Tech. Another library replaces the values in this file and no
// other file (library-schema.ts and dataset-schema.ts describe the settings), and then runs `npm run dictionary`.
import { defineLibrary } from "./library-schema.ts";

export const library = defineLibrary({
  libInsightUrl: "https://vt.libinsight.com/v1.0",
  region: "us-east-1",
  // The department's cost reports group by these tags, and the predecessor's resources have the same ones.
  tags: {
    Unit: "AnalyticsAssessment",
    Owner: "DataServices",
    Stack: "Test",
    User: "elliek",
    Application: "DataPipeline",
  },
  production: {
    athenaDatabase: "libinsightdatabase",
    buckets: {
      data: "analytics-datapipeline",
      results: "lib-insight-serialized-data-created-in-east1-connect-to-athena",
    },
    analystsUser: "data-analytics-team",
  },
  instances: { tag: { key: "Application", value: "DataPipeline" }, production: "tagged" },
  datasets: [
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
      roles: {
        questionType: "Question Type",
        mode: "mode",
        location: "Location",
        minutes: "Duration (in minutes)",
      },
      publish: {
        csv: "libinsightdata-athena/LibInsightQueryData.csv",
        jsonl: "libinsightdata-json/LibInsightQueryData.jsonl",
        results: "published/LibInsightQueryResults.csv",
        queryResults: "libinsightQueryOnS3csvTable",
        table: "libinsightdata",
      },
    },
  ],
});
