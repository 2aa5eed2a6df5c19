// On every resource that takes tags, through the AWS provider's default tags. They are the predecessor's, by which
// the department finds its costs.
export const tags = {
  Unit: "AnalyticsAssessment",
  Owner: "DataServices",
  Stack: "Test",
  User: "elliek",
  Application: "DataPipeline",
};
