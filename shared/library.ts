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
    // Warning: with every analyst's key, the names of staff and the comments can be read in S3 and in the table, as the
    // predecessor allowed. Remove this line once every reader uses the de-identified file (docs/privacy.md).
    audience: "full",
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
          privacy: "keep",
          meaning: "Kind of question; the first where several were chosen",
        },
        { name: "Duration (in minutes)", type: "number", meaning: "How long it took, in minutes" },
        {
          name: "Comments/Notes",
          type: "text",
          personal: true,
          privacy: "redact",
          meaning: "What the staff noted, free text",
        },
        { name: "Location", type: "text", privacy: "keep", meaning: "Where the question was answered" },
        { name: "who", type: "text", privacy: "keep", meaning: "Who asked: the kind of patron" },
        { name: "mode", type: "text", privacy: "keep", meaning: "How the question came in" },
        { name: "answeredBy", type: "text", personal: true, privacy: "hash", meaning: "Who answered" },
        { name: "classroom", type: "text", privacy: "keep" },
        { name: "walkins", drop: true },
        { name: "employee", type: "text", personal: true, privacy: "hash", meaning: "Member of the staff" },
        { name: "studio", type: "text", privacy: "keep" },
        { name: "affiliation", type: "text", privacy: "keep", meaning: "What the patron belongs to" },
        { name: "scans", drop: true },
        { name: "reformat", drop: true },
        {
          name: "Research_Topic",
          join: ["research", "topic"],
          privacy: "redact",
          meaning: "The fields research and topic, joined with nothing between them",
        },
      ],
      undeclared: "append",
      redaction: { nameColumns: ["answeredBy", "employee"] },
      roles: {
        questionType: "Question Type",
        mode: "mode",
        location: "Location",
        minutes: "Duration (in minutes)",
      },
      // From the first day of classes to the last exam. Fall 2022 and Fall 2024 are those of the registrar's calendars for
      // these years (https://www.registrar.vt.edu/dates-deadlines/academic-calendar.html). The other terms follow the same
      // rules: fall begins on the first Monday from August 20 on, spring on the day after Martin Luther King Day, and both
      // last 115 days. Compare them with the registrar's calendar, and add the terms of 2028 before May of that year.
      terms: [
        { name: "Fall 2021", from: "2021-08-23", to: "2021-12-15" },
        { name: "Spring 2022", from: "2022-01-18", to: "2022-05-11" },
        { name: "Summer 2022", from: "2022-05-23", to: "2022-08-12" },
        { name: "Fall 2022", from: "2022-08-22", to: "2022-12-14" },
        { name: "Spring 2023", from: "2023-01-17", to: "2023-05-10" },
        { name: "Summer 2023", from: "2023-05-22", to: "2023-08-11" },
        { name: "Fall 2023", from: "2023-08-21", to: "2023-12-13" },
        { name: "Spring 2024", from: "2024-01-16", to: "2024-05-08" },
        { name: "Summer 2024", from: "2024-05-20", to: "2024-08-16" },
        { name: "Fall 2024", from: "2024-08-26", to: "2024-12-18" },
        { name: "Spring 2025", from: "2025-01-21", to: "2025-05-14" },
        { name: "Summer 2025", from: "2025-05-26", to: "2025-08-15" },
        { name: "Fall 2025", from: "2025-08-25", to: "2025-12-17" },
        { name: "Spring 2026", from: "2026-01-20", to: "2026-05-13" },
        { name: "Summer 2026", from: "2026-05-25", to: "2026-08-14" },
        { name: "Fall 2026", from: "2026-08-24", to: "2026-12-16" },
        { name: "Spring 2027", from: "2027-01-19", to: "2027-05-12" },
        { name: "Summer 2027", from: "2027-05-24", to: "2027-08-13" },
        { name: "Fall 2027", from: "2027-08-23", to: "2027-12-15" },
      ],
      expectations: [
        // The library opens every day of a term except the days around Thanksgiving.
        { kind: "newest", maxDays: 5, maxDaysBetweenTerms: 14 },
        { kind: "windows" },
        // Annual statistics would be wrong without a part of a year.
        { kind: "rows", action: "hold" },
        { kind: "filled" },
        { kind: "unique" },
        { kind: "volume" },
        { kind: "range", column: "Duration (in minutes)", min: 0, max: 1440 },
        { kind: "answers", column: "Question Type" },
        { kind: "answers", column: "Location" },
        { kind: "answers", column: "mode" },
        { kind: "silent", column: "Location" },
        { kind: "silent", column: "mode" },
      ],
      // NISO Z39.7 calls hours and help with machines directional (docs/statistics.md).
      statistics: {
        kinds: {
          consultation: ["Research Consultation"],
          reference: ["Quick Reference"],
          equipment: ['Studio / "Maker" Equipment'],
          service: ["Circulation & Reserves"],
          directional: ["Directional", "Technology / Printing", "Policy, hours, access"],
        },
        modes: { "in person": ["In person"], virtual: ["Chat", "E-mail", "Phone", "Zoom"] },
        instruction: ["Classroom / Instruction"],
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
