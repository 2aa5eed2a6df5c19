// The tags of every resource, set as the AWS provider's default tags. The department's cost reports group by them, and the
// predecessor's resources have the same ones.
export const tags = {
  Unit: "AnalyticsAssessment",
  Owner: "DataServices",
  Stack: "Test",
  User: "elliek",
  Application: "DataPipeline",
};
